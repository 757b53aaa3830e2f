//! The hop limit of what is received: the kernel tells it beside the datagram, where it is asked to.

use std::io;
use std::net::IpAddr;

use socket2::Socket;
use tokio::net::UdpSocket;

/// Asks for it.
#[cfg(target_os = "linux")]
pub(super) fn ask(socket: &Socket, ip: IpAddr) -> io::Result<()> {
    use nix::sys::socket::{setsockopt, sockopt};
    match ip {
        IpAddr::V4(_) => setsockopt(socket, sockopt::Ipv4RecvTtl, &true)?,
        IpAddr::V6(_) => setsockopt(socket, sockopt::Ipv6RecvHopLimit, &true)?,
    }
    Ok(())
}

/// The next datagram: its length, and its hop limit.
#[cfg(target_os = "linux")]
pub(super) async fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<(usize, Option<u8>)> {
    use std::os::fd::AsRawFd;

    use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};

    let read = || {
        let mut beside = nix::cmsg_space!(i32);
        let mut pieces = [io::IoSliceMut::new(&mut *buffer)];
        let message = recvmsg::<()>(socket.as_raw_fd(), &mut pieces, Some(&mut beside), MsgFlags::empty())?;
        let hops = message.cmsgs()?.find_map(|told| match told {
            ControlMessageOwned::Ipv4Ttl(hops) | ControlMessageOwned::Ipv6HopLimit(hops) => u8::try_from(hops).ok(),
            _ => None,
        });
        Ok((message.bytes, hops))
    };
    socket.async_io(tokio::io::Interest::READABLE, read).await
}

/// Other systems are not asked.
#[cfg(not(target_os = "linux"))]
pub(super) fn ask(_socket: &Socket, _ip: IpAddr) -> io::Result<()> {
    Ok(())
}

/// The next datagram: its length.
#[cfg(not(target_os = "linux"))]
pub(super) async fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<(usize, Option<u8>)> {
    Ok((socket.recv(buffer).await?, None))
}
