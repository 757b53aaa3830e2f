//! What the configuration decides about alerts: one value, built anew at a reload.

use std::collections::BTreeSet;
use std::time::Duration;

use super::route::Routes;
use super::severity::Severities;
use super::{Labels, Severity};

/// The settings that decisions take.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Which alerts go to which channels.
    pub routes: Routes,
    /// Severities by their label's value.
    pub severities: Severities,
    /// An alert that fires again within this of its end re-opens its incident.
    pub dedup: Duration,
    /// The same incident does not notify the same channel again within this, but for what must not be held back.
    pub cooldown: Duration,
    /// How long a firing that looks stale is held: twice the source's peer timeout.
    pub hold: Duration,
    /// The sources that are configured beside `default`.
    pub sources: BTreeSet<String>,
}

impl Default for Policy {
    /// The usual times, and no channels.
    fn default() -> Self {
        Self {
            routes: Routes::default(),
            severities: Severities::default(),
            dedup: Duration::from_mins(10),
            cooldown: Duration::from_mins(15),
            hold: Duration::from_secs(30),
            sources: BTreeSet::new(),
        }
    }
}

impl Policy {
    /// How bad an alert is.
    pub fn severity(&self, labels: &Labels) -> Severity {
        self.severities.of(labels)
    }
}
