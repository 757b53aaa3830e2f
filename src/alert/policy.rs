//! What the configuration decides about alerts: one value, built anew at a reload.

use std::collections::{BTreeMap, BTreeSet};
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
    /// How long a firing that looks stale is held, where its source does not say.
    pub hold: Duration,
    /// The same by source: twice its peer timeout.
    pub holds: BTreeMap<String, Duration>,
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
            holds: BTreeMap::new(),
            sources: BTreeSet::new(),
        }
    }
}

impl Policy {
    /// How long a firing of `source` that looks stale is held.
    pub fn hold(&self, source: &str) -> Duration {
        self.holds.get(source).copied().unwrap_or(self.hold)
    }

    /// How bad an alert is.
    pub fn severity(&self, labels: &Labels) -> Severity {
        self.severities.of(labels)
    }
}
