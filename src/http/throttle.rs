//! Slows down who guesses: each failure of an address is answered later than the one before.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

/// The first and the longest delay.
const DELAY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Without a failure for so long, an address starts anew.
const FORGET: Duration = Duration::from_mins(5);

/// So many addresses are remembered; the one that has been quiet for longest makes room.
const MOST: usize = 1_024;

/// Passwords of one address that are checked, or whose refusal waits, at the same time.
const GUESSES: usize = 2;

#[derive(Default)]
pub(super) struct Throttle(Mutex<BTreeMap<IpAddr, Failures>>);

struct Failures {
    count: u32,
    last: Instant,
    guesses: Arc<Semaphore>,
}

impl Throttle {
    /// Counts a failure and tells how long its answer is to wait. Who succeeds never waits.
    pub(super) fn failed(&self, address: IpAddr) -> Duration {
        let now = Instant::now();
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let failures = entry(&mut known, address, now);
        if now.duration_since(failures.last) > FORGET {
            failures.count = 0;
        }
        failures.count = failures.count.saturating_add(1);
        failures.last = now;
        DELAY.0.saturating_mul(1 << (failures.count - 1).min(16)).min(DELAY.1)
    }

    /// The turns of an address for what is dear to check, so that many connections do not guess faster than one.
    pub(super) fn turns(&self, address: IpAddr) -> Arc<Semaphore> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&entry(&mut known, address, Instant::now()).guesses)
    }
}

fn entry(known: &mut BTreeMap<IpAddr, Failures>, address: IpAddr, now: Instant) -> &mut Failures {
    let address = network(address);
    if !known.contains_key(&address) && known.len() >= MOST {
        let quietest = known.iter().min_by_key(|(_, failures)| failures.last).map(|(address, _)| *address);
        quietest.and_then(|address| known.remove(&address));
    }
    let new = || Failures { count: 0, last: now, guesses: Arc::new(Semaphore::new(GUESSES)) };
    known.entry(address).or_insert_with(new)
}

/// One customer has a whole /64 of IPv6.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_delay_grows_and_is_forgotten() {
        let throttle = Throttle::default();
        let (guesser, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let delays: Vec<u128> = (0..8).map(|_| throttle.failed(guesser).as_millis()).collect();
        assert_eq!(delays, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
        assert_eq!(throttle.failed(other), DELAY.0);
        tokio::time::advance(FORGET + Duration::from_secs(1)).await;
        assert_eq!(throttle.failed(guesser), DELAY.0);
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded_and_the_quietest_makes_room() {
        let throttle = Throttle::default();
        throttle.failed(IpAddr::from([192, 0, 2, 1]));
        for n in 0..4 * MOST as u32 {
            tokio::time::advance(Duration::from_millis(1)).await;
            throttle.failed(IpAddr::from(n.to_be_bytes()));
        }
        assert_eq!(throttle.0.lock().unwrap().len(), MOST);
        assert_eq!(throttle.failed(IpAddr::from([192, 0, 2, 1])), DELAY.0, "it was forgotten");
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
    }
}
