//! Readiness by latches: each part of the program holds one until it is up.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

/// What is not up yet. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Readiness(Arc<Mutex<BTreeSet<&'static str>>>);

/// Held by a part that is not up yet; dropping it says that it is.
#[derive(Debug)]
pub(super) struct Latch {
    name: &'static str,
    readiness: Readiness,
}

impl Readiness {
    /// A part that is not up until the latch is dropped.
    pub(super) fn latch(&self, name: &'static str) -> Latch {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name);
        Latch { name, readiness: self.clone() }
    }

    /// What is not up, by name.
    pub(super) fn missing(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|name| format!("{name} is not up")).collect()
    }
}

impl Drop for Latch {
    fn drop(&mut self) {
        self.readiness.0.lock().unwrap_or_else(PoisonError::into_inner).remove(self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_means_that_every_latch_is_dropped() {
        let readiness = Readiness::default();
        let (store, listener) = (readiness.latch("store"), readiness.latch("listener"));
        drop(listener);
        assert_eq!(readiness.missing(), ["store is not up"]);
        drop(store);
        assert!(readiness.missing().is_empty());
    }
}
