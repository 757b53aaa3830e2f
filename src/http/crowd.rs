//! How many connections each address has: one address alone must not take every place.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::throttle::network;

/// The connections by address. Bounded by the connections that a listener takes.
#[derive(Clone)]
pub(super) struct Crowd {
    most: usize,
    open: Arc<Mutex<BTreeMap<IpAddr, usize>>>,
}

/// A connection's place, until it is dropped.
pub(super) struct Guest {
    crowd: Crowd,
    address: IpAddr,
}

impl Crowd {
    /// With room for `most` of each address.
    pub(super) fn new(most: usize) -> Self {
        Self { most, open: Arc::default() }
    }

    /// A place; `None` where the address has all of its own.
    pub(super) fn enter(&self, address: IpAddr) -> Option<Guest> {
        let address = network(address);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(address).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Guest { crowd: self.clone(), address })
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut open = self.crowd.open.lock().unwrap_or_else(PoisonError::into_inner);
        match open.get_mut(&self.address) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(open.remove(&self.address)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_its_own_places_and_gives_them_back() {
        let crowd = Crowd::new(2);
        let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let (first, second) = (crowd.enter(one), crowd.enter(one));
        assert!(first.is_some() && second.is_some() && crowd.enter(one).is_none());
        assert!(crowd.enter(other).is_some());
        drop(first);
        assert!(crowd.enter(one).is_some());
        drop(second);
        assert!(crowd.open.lock().unwrap().is_empty(), "nobody is remembered who is gone");
    }
}
