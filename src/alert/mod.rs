//! What an alert is, and what follows from it. Pure: decisions are functions of their input and `now`.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

mod bounds;
pub mod changes;
pub mod decide;
pub mod episode;
pub mod gap;
pub mod identity;
pub mod incident;
pub mod listing;
pub mod matcher;
mod naming;
pub mod policy;
pub mod reconcile;
pub mod route;
pub mod severity;
pub mod splitter;
pub mod text;
pub mod webhook;

/// Label or annotation names and values. All of it is hostile text.
pub type Labels = BTreeMap<String, String>;

/// The source of tidewatch's own alerts; no Alertmanager can have it.
pub const OWN_SOURCE: &str = "tidewatch";

/// Alertmanager's hash over an alert's labels: stable over peers, routes, restarts and configuration edits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub u64);

impl fmt::Display for Fingerprint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:016x}", self.0)
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        u64::from_str_radix(&text, 16).map(Self).map_err(serde::de::Error::custom)
    }
}

/// How bad it is, by the configured table. Ordered; an unknown or missing severity counts as critical.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Not for people: the Watchdog.
    None,
    /// Worth knowing.
    Info,
    /// Somebody should look at it today.
    Warning,
    /// Somebody should look at it now.
    Critical,
}

impl fmt::Display for Severity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::None => "none",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        })
    }
}

/// One alert of a webhook's body, within all limits.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// Alertmanager's, or computed from the labels by the same algorithm.
    pub fingerprint: Fingerprint,
    /// Whether it fires; else it is resolved.
    pub firing: bool,
    /// Its labels.
    pub labels: Labels,
    /// Its annotations.
    pub annotations: Labels,
    /// When it began. May move earlier between posts.
    pub starts_at: Timestamp,
    /// When it ended; `None` while it fires (Go's zero time on the wire).
    pub ends_at: Option<Timestamp>,
    /// Where it was computed; `http` or `https`, or empty.
    pub generator_url: String,
}

impl Alert {
    /// The label `alertname`; empty where it is missing.
    pub fn name(&self) -> &str {
        self.labels.get("alertname").map_or("", String::as_str)
    }
}

/// A piece of a body that could not be understood, kept for a person to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// The raw bytes, at most 64 KiB of them.
    pub raw: Vec<u8>,
    /// What was wrong.
    pub why: String,
}

/// One post of an Alertmanager: its current group, whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Post {
    /// Half of each alert's identity: the token's name, `?source=`, or `default`.
    pub source: String,
    /// The receiver's name, un-quoted.
    pub receiver: String,
    /// A hash of the group key, which is unbounded and changes with routes.
    pub group: u64,
    /// The peer's own URL, for links only.
    pub external_url: Option<String>,
    /// How many alerts `max_alerts` dropped there, and how many our own cap dropped.
    pub truncated: u64,
    /// Why it was sent, where the version tells.
    pub reason: Option<String>,
    /// The alerts.
    pub alerts: Vec<Alert>,
    /// What could not be understood.
    pub quarantined: Vec<Quarantined>,
    /// How many more there were of those.
    pub unkept: u64,
}

/// What became of the alerts of one post, by the ledger's names:
/// received = opened + repeated + closed + stale + held + quarantined + truncated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are the ledger's")]
pub struct Counts {
    pub received: u64,
    pub opened: u64,
    pub repeated: u64,
    pub closed: u64,
    pub stale: u64,
    pub held: u64,
    pub quarantined: u64,
    pub truncated: u64,
}

/// A stretch of time in which one alert fired.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Episode {
    /// The store's number.
    pub id: i64,
    /// Which alert.
    pub fingerprint: Fingerprint,
    /// By the configured table.
    pub severity: Severity,
    /// Its labels.
    pub labels: Labels,
    /// Its annotations, as last seen.
    pub annotations: Labels,
    /// Where it was computed; `http` or `https`, or empty.
    pub generator_url: String,
    /// When it began.
    pub starts_at: Timestamp,
    /// When it ended; `None` while it fires.
    pub ends_at: Option<Timestamp>,
    /// No post told of it: it was found in Alertmanager's list.
    #[serde(default)]
    pub found: bool,
    /// No post told of its end: Alertmanager had it no more.
    #[serde(default)]
    pub reconciled: bool,
}

impl Episode {
    /// The label `alertname`; empty where it is missing.
    pub fn name(&self) -> &str {
        self.labels.get("alertname").map_or("", String::as_str)
    }
}

/// Episodes that belong together, and what people are told about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// The number people use: `/i/123`.
    pub id: i64,
    /// Where it came from.
    pub source: String,
    /// The label `cause`, else the alert's name: what its members share.
    pub cause: String,
    /// The highest of its open members; of all, once it is resolved.
    pub severity: Severity,
    /// When its first member began.
    pub opened_at: Timestamp,
    /// When its last member ended; `None` while one fires.
    pub resolved_at: Option<Timestamp>,
    /// Its members, open ones first, then by severity; at most [`MOST_MEMBERS`].
    pub members: Vec<Episode>,
    /// How many fire.
    pub open: u64,
    /// How many there are and were.
    pub total: u64,
}

/// A message shows at most so many members of an incident; the page has the rest.
pub const MOST_MEMBERS: usize = 100;

/// Why a message is due. A channel's newest unsent one stands for all before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The incident began.
    Opened,
    /// It has more members than it was announced with, or fewer.
    Changed,
    /// Its severity rose: a message of its own, because an edit pings nobody.
    Risen,
    /// It fired again soon after its end.
    Reopened,
    /// It is over.
    Resolved,
    /// tidewatch's own word, about itself: "intake was refused since …".
    Notice,
}
