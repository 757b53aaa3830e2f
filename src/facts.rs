//! What collectors tell beside samples, in types: the state that `health`, the pages and an incident's evidence show,
//! so that nobody parses our own output.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How a service is, in the words of `health`'s exit codes. Ordered: the worst is the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Works.
    Ok,
    /// Nobody has looked yet, or looking failed.
    Unknown,
    /// Somebody should look at it today.
    Warning,
    /// Somebody should look at it now.
    Critical,
}

/// One service as a person asks for it: `health redis`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceState {
    /// Its name: `host`, `agents`, `store`, `channels`, `redis` …
    pub service: String,
    /// How it is.
    pub state: State,
    /// Since when it has been so, as far as this process knows.
    pub since: Timestamp,
    /// What was seen, with the value: "memory 91 % of 16 GiB".
    pub why: String,
    /// What to do next; empty when nothing needs to be done.
    pub next: String,
}

/// One agent as the pages and an incident's evidence show it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentRow {
    /// The agent's id.
    pub agent_id: String,
    /// Within its timeout.
    pub online: bool,
    /// Beyond its late limit, but not beyond its timeout.
    pub late: bool,
    /// Seconds since its last heartbeat; `None` if it was never seen.
    pub age_seconds: Option<f64>,
    /// After this age, in seconds, it is offline.
    pub timeout_seconds: f64,
    /// Where its last heartbeat came from: `push`, `gateway` …
    pub source: String,
}

/// What one collector's run told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// Services, each at most once.
    pub services: Vec<ServiceState>,
    /// The agents' table.
    pub agents: Vec<AgentRow>,
}

impl Facts {
    /// Adds another collector's facts.
    pub fn merge(&mut self, other: Self) {
        self.services.extend(other.services);
        self.agents.extend(other.agents);
    }
}
