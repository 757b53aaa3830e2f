//! Probing by an echo request (RFC 792, RFC 4443).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::time::Instant;

use super::found::{self, Found};
use super::module::Icmp;
use super::resolve;

mod hops;
mod packet;

/// What a request carries where the module says no size.
const PAYLOAD: &[u8] = b"tidewatch echo request";

/// A larger payload fits no datagram.
const LONGEST: usize = 65_507 - 8;

pub(super) async fn probe(
    options: &Icmp,
    target: &str,
    found: &mut Found,
    icmp: &mut found::Icmp,
) -> Result<(), String> {
    let ip = resolve::address(target, options.preferred_ip_protocol, options.ip_protocol_fallback, found).await?;
    let begun = Instant::now();
    let (socket, kind) = open(ip, options).map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => "no permission to send echo requests: grant CAP_NET_RAW, or put the group \
            into net.ipv4.ping_group_range"
            .to_owned(),
        _ => format!("opening a socket: {error}"),
    })?;
    let size = options.payload_size.map_or(PAYLOAD.len(), usize::from).min(LONGEST);
    let payload: Vec<u8> = PAYLOAD.iter().copied().cycle().take(size).collect();
    let (id, sequence) = (fastrand::u16(..), fastrand::u16(..));
    let mut request = packet::request(ip, id, sequence, &payload);
    if kind == Kind::RawWithHeader {
        request = packet::with_header(ip, options.ttl.unwrap_or(64), &request);
    }
    let broken = |error: io::Error| format!("sending: {}", resolve::words(&error));
    // To the runtime it is a socket of datagrams like another.
    let socket = UdpSocket::from_std(socket.into()).map_err(broken)?;
    icmp.setup = begun.elapsed().as_secs_f64();

    let begun = Instant::now();
    socket.send(&request).await.map_err(broken)?;
    found.transcript.say(|| format!("sent {size} bytes over a {kind:?} socket"));
    found.stage = "waiting for the echo";
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = hops::receive(&socket, &mut buffer).await;
        let (read, hops) = read.map_err(|error| format!("waiting for the echo: {}", resolve::words(&error)))?;
        let datagram = buffer.get(..read).unwrap_or_default();
        // An unprivileged socket gets its own id from the kernel, and only its own replies.
        let id = (kind != Kind::Datagram).then_some(id);
        if packet::is_reply(ip, kind != Kind::Datagram, datagram, id, sequence, &payload) {
            icmp.rtt = begun.elapsed().as_secs_f64();
            icmp.hops = hops;
            return Ok(());
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Unprivileged, where `net.ipv4.ping_group_range` has our group.
    Datagram,
    /// Needs CAP_NET_RAW.
    Raw,
    /// The same, where the header has a flag that no option sets.
    RawWithHeader,
}

/// The kernel's own echo socket needs no right of ours; where it is not open to our group, a raw socket may be.
fn open(ip: IpAddr, options: &Icmp) -> io::Result<(Socket, Kind)> {
    let (domain, protocol, any): (_, _, IpAddr) = match ip {
        IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4, Ipv4Addr::UNSPECIFIED.into()),
        IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6, Ipv6Addr::UNSPECIFIED.into()),
    };
    let with_header = options.dont_fragment && ip.is_ipv4();
    let raw = || Socket::new(domain, Type::RAW, Some(protocol));
    let (socket, kind) = if with_header {
        (raw()?, Kind::RawWithHeader)
    } else {
        match Socket::new(domain, Type::DGRAM, Some(protocol)) {
            Ok(socket) => (socket, Kind::Datagram),
            Err(_) => (raw()?, Kind::Raw),
        }
    };
    hops::ask(&socket, ip)?;
    socket.set_nonblocking(true)?;
    if let Some(ttl) = options.ttl {
        match ip {
            IpAddr::V4(_) => socket.set_ttl_v4(ttl.into())?,
            IpAddr::V6(_) => socket.set_unicast_hops_v6(ttl.into())?,
        }
    }
    if with_header {
        socket.set_header_included_v4(true)?;
    }
    socket.bind(&SocketAddr::new(options.source_ip_address.unwrap_or(any), 0).into())?;
    // Only what the target says reaches the socket then.
    socket.connect(&SocketAddr::new(ip, 0).into())?;
    Ok((socket, kind))
}
