//! What decisions ask of the store, and what they tell it to keep.

use jiff::Timestamp;

use super::episode::Known;
use super::incident::{Key, Standing};
use super::{Alert, Counts, Fingerprint, Kind, Severity};

/// What the store knows, asked for one source.
pub trait View {
    /// Why it could not answer.
    type Error;

    /// What is known of an alert.
    fn alert(&mut self, fingerprint: Fingerprint) -> Result<Known, Self::Error>;

    /// Where an incident stands.
    fn standing(&mut self, incident: i64) -> Result<Option<Standing>, Self::Error>;

    /// The open incident of a key, and where it stands.
    fn open_incident(&mut self, key: &Key) -> Result<Option<(i64, Standing)>, Self::Error>;

    /// Whether a firing member of an incident is about this host.
    fn has_host(&mut self, incident: i64, host: &str) -> Result<bool, Self::Error>;

    /// The channels that were told of an incident.
    fn threads(&mut self, incident: i64) -> Result<Vec<Thread>, Self::Error>;
}

/// What one channel was told of one incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thread {
    /// The channel.
    pub channel: String,
    /// When its newest message fell due.
    pub last_due: Timestamp,
    /// That message, while it is neither sent nor in a worker's hands.
    pub unsent: Option<Unsent>,
}

/// A message that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsent {
    /// The store's number.
    pub id: i64,
    /// Why it is due.
    pub kind: Kind,
    /// When.
    pub due_at: Timestamp,
    /// An attempt has failed: `due_at` is its back-off's, and stays.
    pub tried: bool,
}

/// What the store is to keep.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes<'a> {
    /// What became of the alerts.
    pub counts: Counts,
    /// Incidents, each at most once.
    pub incidents: Vec<IncidentChange>,
    /// Episodes, each at most once.
    pub episodes: Vec<EpisodeChange<'a>>,
    /// What an Alertmanager lists led to them, and no post: what begins was found, what ends is reconciled.
    pub by_list: bool,
}

/// An incident that is new or stands differently.
#[derive(Clone, Debug, PartialEq)]
pub struct IncidentChange {
    /// The store's number; `None` for a new one.
    pub id: Option<i64>,
    /// What its members share.
    pub key: Key,
    /// Where it stands now.
    pub standing: Standing,
    /// What falls due.
    pub messages: Vec<Message>,
}

/// A message that falls due, or does so sooner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A new one.
    New {
        /// Where to.
        channel: String,
        /// Why.
        kind: Kind,
        /// When: later than now while the channel cools down.
        due_at: Timestamp,
    },
    /// The one that waits says it all, but is due already.
    Hasten {
        /// Its number.
        id: i64,
        /// When.
        due_at: Timestamp,
    },
}

/// An episode that is new or stands differently. Indexes are those of [`Changes::incidents`].
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the fields are those of the episode")]
pub enum EpisodeChange<'a> {
    /// A new one.
    New { alert: &'a Alert, severity: Severity, flaps: u32, phase: Phase },
    /// It fires on: an earlier beginning, or back in its group.
    Touched { id: i64, starts_at: Timestamp },
    /// It was held, and is open now; the table of severities may have changed meanwhile.
    Admitted { id: i64, severity: Severity, starts_at: Timestamp, incident: Option<usize> },
    /// It ended. The annotations carry the last evaluated text.
    Closed { id: i64, alert: &'a Alert, ends_at: Timestamp },
    /// It ended without a word: Alertmanager has it no more.
    Gone { id: i64, ends_at: Timestamp },
    /// It was held, and was stale.
    Dropped { id: i64 },
}

/// How a new episode begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of the episode")]
pub enum Phase {
    /// It fires. Severity none, which is not for people, opens no incident.
    Open { incident: Option<usize> },
    /// It looks stale; at this time it is decided.
    Held { until: Timestamp },
    /// It is over, and was never seen firing.
    Ended { ends_at: Timestamp },
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.received += other.received;
        self.opened += other.opened;
        self.repeated += other.repeated;
        self.closed += other.closed;
        self.stale += other.stale;
        self.held += other.held;
        self.quarantined += other.quarantined;
        self.truncated += other.truncated;
    }
}
