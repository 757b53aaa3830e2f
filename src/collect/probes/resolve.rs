//! From a name to one address, and from an address to a connection.

use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::net::{TcpSocket, TcpStream};
use tokio::time::Instant;

use super::found::Found;
use super::module::Protocol;
use crate::net::dial;

/// The address that is probed: of the preferred kind, or, where that is allowed, of the other.
pub(super) async fn address(
    host: &str,
    preferred: Protocol,
    fallback: bool,
    found: &mut Found,
) -> Result<IpAddr, String> {
    found.stage = "looking the name up";
    let begun = Instant::now();
    let looked_up = dial::addresses(host).await;
    found.address.lookup = begun.elapsed().as_secs_f64();
    let known = looked_up.map_err(|error| format!("the name has no address: {}", words(&error)))?;
    let chosen = choose(&known, preferred, fallback);
    let chosen = chosen.ok_or_else(|| format!("the name has no address of the kind {preferred:?}"))?;
    found.address.ip = Some(chosen);
    found.transcript.say(|| format!("{host} is {chosen} (of {} addresses)", known.len()));
    Ok(chosen)
}

fn choose(known: &[IpAddr], preferred: Protocol, fallback: bool) -> Option<IpAddr> {
    let wanted = |ip: &&IpAddr| ip.is_ipv4() == (preferred == Protocol::Ip4);
    known.iter().find(wanted).or_else(|| known.first().filter(|_| fallback)).copied()
}

/// Connects, from one of our own addresses if one is said.
pub(super) async fn connect(to: SocketAddr, from: Option<IpAddr>, found: &mut Found) -> Result<TcpStream, String> {
    found.stage = "connecting";
    let opened = async {
        let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(from) = from {
            socket.bind(SocketAddr::new(from, 0))?;
        }
        let stream = socket.connect(to).await?;
        stream.set_nodelay(true)?;
        Ok::<_, io::Error>(stream)
    };
    let stream = opened.await.map_err(|error| format!("connecting: {}", words(&error)))?;
    found.transcript.say(|| format!("connected to {to}"));
    Ok(stream)
}

/// Splits `host:port`, `[address]:port` or a bare host.
pub(super) fn split(target: &str) -> Option<(&str, Option<u16>)> {
    if let Some(rest) = target.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        let port = rest.strip_prefix(':').map(str::parse).transpose().ok()?;
        return (rest.is_empty() || port.is_some()).then_some((host, port));
    }
    match target.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') => Some((host, Some(port.parse().ok()?))),
        // More than one colon without brackets: an address of IPv6.
        _ => Some((target, None)),
    }
}

/// What the system said, without the numbers that change.
pub(super) fn words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "refused".into(),
        io::ErrorKind::ConnectionReset => "reset".into(),
        io::ErrorKind::UnexpectedEof => "closed by the other side".into(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preferred_kind_wins_and_the_other_only_where_allowed() {
        let (four, six): (IpAddr, IpAddr) = ([192, 0, 2, 1].into(), "2001:db8::1".parse().unwrap());
        assert_eq!(choose(&[four, six], Protocol::Ip6, true), Some(six));
        assert_eq!(choose(&[six, four], Protocol::Ip4, false), Some(four));
        assert_eq!(choose(&[four], Protocol::Ip6, true), Some(four));
        assert_eq!(choose(&[four], Protocol::Ip6, false), None);
    }

    #[test]
    fn a_target_is_split_at_its_port() {
        assert_eq!(split("h:80"), Some(("h", Some(80))));
        assert_eq!(split("h"), Some(("h", None)));
        assert_eq!(split("[::1]:53"), Some(("::1", Some(53))));
        assert_eq!(split("[::1]"), Some(("::1", None)));
        assert_eq!(split("::1"), Some(("::1", None)));
        for wrong in ["h:port", "h:99999", "[::1", "[::1]x", "[::1]:x"] {
            assert_eq!(split(wrong), None, "{wrong}");
        }
    }
}
