//! What posts left open, for whoever can ask an Alertmanager about it.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

/// Rings when an alert is held back because it looks stale, and when a post came without some of its alerts.
#[derive(Debug, Default)]
pub struct Doubts {
    bell: Notify,
    truncated: Mutex<BTreeSet<String>>,
}

impl Doubts {
    /// Arm it before looking.
    pub fn bell(&self) -> &Notify {
        &self.bell
    }

    /// Something is to be asked about a source.
    pub fn raise(&self, source: &str, truncated: bool) {
        if truncated {
            // Sources are configured, so the set is small.
            self.truncated.lock().unwrap_or_else(PoisonError::into_inner).insert(source.to_owned());
        }
        self.bell.notify_waiters();
    }

    /// Whether a post of this source lacked some of its alerts since it was last asked.
    pub fn take_truncated(&self, source: &str) -> bool {
        self.truncated.lock().unwrap_or_else(PoisonError::into_inner).remove(source)
    }
}
