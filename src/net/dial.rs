//! Opening TCP connections within a deadline.

use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};

/// So many lookups of [`addresses`] are under way, an eighth of the runtime's threads for what blocks. One that nobody
/// waits for any more counts until the resolver gives up, which may take half a minute.
static LOOKUPS: Semaphore = Semaphore::const_new(64);

/// Connects to `host`, a name or an address without brackets. Each of its addresses gets an equal share of the time
/// that is left, so that a first one that swallows packets does not use it up.
///
/// # Errors
/// The name is unknown, or no address answered within `limit`; the error of the last one.
pub async fn tcp(host: &str, port: u16, limit: Duration) -> io::Result<TcpStream> {
    let deadline = Instant::now() + limit;
    let late = || io::Error::new(io::ErrorKind::TimedOut, format!("no connection within {limit:?}"));
    #[expect(clippy::disallowed_methods, reason = "this is the place that has the deadline")]
    let lookup = tokio::net::lookup_host((host, port));
    let addresses: Vec<_> = timeout_at(deadline, lookup).await.map_err(|_| late())??.collect();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for (tried, address) in addresses.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Ok(Err(error)) => last = error,
            Err(_) => last = late(),
        }
    }
    Err(last)
}

/// The addresses of `host`, in the resolver's order; an address is its own. It may take as long as the resolver does, and
/// as long as others' lookups do: the caller has a deadline.
///
/// # Errors
/// The name is unknown, or no name server answered.
pub async fn addresses(host: &str) -> io::Result<Vec<IpAddr>> {
    if let Ok(address) = host.parse() {
        return Ok(vec![address]);
    }
    let turn = LOOKUPS.acquire().await.map_err(io::Error::other)?;
    let host = host.to_owned();
    #[expect(clippy::disallowed_methods, reason = "as tokio looks names up, with the turn held by the thread itself")]
    let found = tokio::task::spawn_blocking(move || {
        let _held_until_the_resolver_returns = turn;
        Ok::<_, io::Error>((host.as_str(), 0).to_socket_addrs()?.map(|address| address.ip()).collect::<Vec<_>>())
    });
    let mut addresses = found.await.map_err(io::Error::other)??;
    addresses.dedup();
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_refused_connection_says_so_at_once() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let error = tcp("127.0.0.1", port, Duration::from_secs(30)).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }

    // Paused time moves on only where nothing is under way, a lookup neither.
    #[tokio::test(start_paused = true)]
    async fn lookups_are_bounded_and_an_address_needs_none() {
        let minute = Duration::from_mins(1);
        let all = LOOKUPS.acquire_many(64).await.unwrap();
        assert_eq!(addresses("::1").await.unwrap(), ["::1".parse::<IpAddr>().unwrap()]);
        timeout(minute, addresses("localhost")).await.expect_err("looked up beyond the bound");
        drop(all);
        assert!(timeout(minute, addresses("localhost")).await.unwrap().unwrap()[0].is_loopback());
    }
}
