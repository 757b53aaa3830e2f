//! Everything that is kept. The interface speaks the domain's operations, never SQL or transactions, so that a second
//! backend can stand beside SQLite and pass the same conformance tests.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::alert::policy::Policy;
use crate::alert::reconcile::{Differences, Heard};
use crate::alert::{Counts, Fingerprint, Incident, Kind, Post, Quarantined};

pub mod heartbeats;
pub use doubts::Doubts;
pub use folder::{Lock, exists, lock, restore};
pub use room::{Reserve, Room};
pub use sqlite::SqliteStore;

mod doubts;
mod folder;
mod room;
mod sqlite;

/// Why the store could not do what was asked. Whatever may succeed later is answered 503.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The queue of writes is full, or the store is stopping.
    #[error("the store is busy")]
    Busy,
    /// Another process works in the data folder.
    #[error("{}: another tidewatch works in this folder; end it, or use another --data-dir", .0.display())]
    Held(PathBuf),
    /// The disk is full, the file is locked or read-only, or it failed in another way.
    #[error("the store cannot write: {0}")]
    Unavailable(String),
    /// The file was written by a newer version of tidewatch.
    #[error("{} has schema {found}, this tidewatch knows up to {known}: it was written by a newer version", .file.display())]
    Newer {
        /// The database.
        file: PathBuf,
        /// Its schema.
        found: i64,
        /// The newest schema known here.
        known: i64,
    },
    /// What is in the file cannot be what was written.
    #[error("the store is damaged: {0}")]
    Damaged(String),
}

/// What a post became, once it is committed and fsynced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// What became of its alerts.
    pub counts: Counts,
}

/// What a message is about; with channel and sequence it is an outbox row's unique key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// `incident:123`.
    Incident(i64),
    /// `notice:intake_refused`.
    Notice(String),
}

/// A due message, leased to a worker.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The row.
    pub id: i64,
    /// The lease: which attempt this is, from 1. Checked when it is settled.
    pub attempt: u32,
    /// Where to.
    pub channel: String,
    /// What about.
    pub subject: Subject,
    /// Counts the messages of this subject on this channel: shown, so that a person sees a duplicate.
    pub sequence: i64,
    /// Why it is due.
    pub kind: Kind,
    /// Since when a message about this subject has been waiting on this channel: older messages that this one stands
    /// for are counted in.
    pub waiting_since: Timestamp,
    /// An earlier attempt ended without an answer: the message may have arrived already.
    pub maybe_duplicate: bool,
    /// The incident as it is now.
    pub incident: Option<Incident>,
    /// tidewatch's own words: the text of a notice, or why an incident is told on this channel.
    pub notice: Option<String>,
    /// Where this subject's first message stands on this channel, in the notifier's own words.
    pub anchor: Option<String>,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// It arrived. The anchor is kept for the next message of the subject.
    Delivered {
        /// In the notifier's own words; `None` keeps what is there.
        anchor: Option<String>,
    },
    /// It may succeed later.
    Retry {
        /// Not before.
        at: Timestamp,
        /// What happened, without secrets.
        error: String,
        /// The other side may have taken it.
        ambiguous: bool,
    },
    /// It never will: the row is dead, and shown.
    Dead {
        /// What happened, without secrets.
        error: String,
    },
}

/// Incidents that wait on one channel, to be told on another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handover {
    /// The channel that does not deliver.
    pub from: String,
    /// Only the incident of this row; else of all that are due.
    pub row: Option<i64>,
    /// The channels that could. An incident that one of them was told of goes to none, else to the first.
    pub to: Vec<String>,
    /// Why the message comes there: it is shown.
    pub words: String,
}

/// Where an outbox row stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names are the ledger's")]
pub enum RowState {
    Pending,
    Delivered,
    Superseded,
    Dead,
    Discarded,
    Suppressed,
}

/// An outbox row as a person sees it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are the table's")]
pub struct OutboxRow {
    pub id: i64,
    pub subject: Subject,
    pub channel: String,
    pub sequence: i64,
    pub kind: Kind,
    pub state: RowState,
    pub attempts: u32,
    pub created_at: Timestamp,
    pub due_at: Timestamp,
    pub settled_at: Option<Timestamp>,
    pub error: Option<String>,
    pub note: Option<String>,
}

/// What `outbox list` asks for.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OutboxFilter {
    /// Only rows in this state.
    pub state: Option<RowState>,
    /// Only rows of this channel.
    pub channel: Option<String>,
    /// Only rows about this incident.
    pub incident: Option<i64>,
    /// At most so many, newest first; 100 if not said, 1 000 at most.
    pub limit: Option<usize>,
}

/// What was asked of one outbox row, and whether it was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It was done.
    Done,
    /// There was nothing to do: it had been done before, or the row is in another state.
    Nothing,
    /// There is no such row.
    Missing,
}

/// What a person decides about dead rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They are sent again.
    Replay,
    /// They are given up.
    Discard,
}

/// What became of the dead rows that a verdict was about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revised {
    /// It was done.
    pub done: Vec<i64>,
    /// They are not sent again, because a newer message of the same subject has arrived on the same channel: they are
    /// superseded now.
    pub skipped: Vec<i64>,
}

/// Every alert and every message is in one of these, at any moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are the ledger's")]
pub struct Ledger {
    pub alerts: Counts,
    pub due: u64,
    pub delivered: u64,
    pub superseded: u64,
    pub dead: u64,
    pub discarded: u64,
    pub suppressed: u64,
    pub pending: u64,
}

/// The ledger beside what it counts, of one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// What was counted.
    pub ledger: Ledger,
    /// Rows that wait.
    pub pending: u64,
    /// Rows that are dead.
    pub dead: u64,
    /// Rows that have waited for longer than they may.
    pub late: u64,
}

impl Balance {
    /// Which equations do not hold, each with its terms; none when the ledger balances.
    pub fn faults(&self) -> Vec<String> {
        let Ledger { alerts, due, delivered, superseded, dead, discarded, suppressed, pending } = &self.ledger;
        let Counts { received, opened, repeated, closed, stale, held, quarantined, truncated } = alerts;
        let sides = [
            (
                "received = opened + repeated + closed + stale + held + quarantined + truncated",
                *received,
                opened + repeated + closed + stale + held + quarantined + truncated,
            ),
            (
                "due = delivered + superseded + dead + discarded + suppressed + pending",
                *due,
                delivered + superseded + dead + discarded + suppressed + pending,
            ),
            ("pending = rows that wait", *pending, self.pending),
            ("dead = rows that are dead", *dead, self.dead),
        ];
        let wrong = sides.into_iter().filter(|(_, left, right)| left != right);
        wrong.map(|(equation, left, right)| format!("{equation}: {left} is not {right}")).collect()
    }
}

/// A channel's queue, for metrics and `health`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are the families'")]
pub struct Queue {
    pub channel: String,
    pub pending: u64,
    pub dead: u64,
    pub oldest: Option<Timestamp>,
}

/// How the store is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are the families'")]
pub struct Condition {
    pub queues: Vec<Queue>,
    /// Open incidents by severity's name.
    pub incidents: Vec<(String, u64)>,
    pub bytes: u64,
    /// When each source's Watchdog was last heard.
    pub watchdogs: Vec<(String, Timestamp)>,
}

/// What is kept of alerts, incidents and messages.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Decides what follows from a post and keeps all of it. When it returns, each alert is committed and fsynced
    /// together with its own episode and due messages. What repeats all of them changes nothing but counts, which are
    /// kept within a second.
    async fn accept(&self, post: Post, policy: Arc<Policy>) -> Result<Receipt, StoreError>;

    /// Keeps a body, or a part of one, that could not be understood.
    async fn quarantine(&self, source: &str, body: Quarantined) -> Result<(), StoreError>;

    /// A Watchdog was heard.
    async fn watchdog(&self, source: &str) -> Result<(), StoreError>;

    /// What is open of a source, and who posted for it.
    async fn heard(&self, source: &str) -> Result<Heard, StoreError>;

    /// Keeps what a comparison with an Alertmanager's list says.
    async fn reconcile(
        &self,
        source: &str,
        differences: Differences,
        policy: Arc<Policy>,
    ) -> Result<Receipt, StoreError>;

    /// What posts left open.
    fn doubts(&self) -> Arc<Doubts>;

    /// When the process before this one last took a write, as far as is known.
    fn alive_before(&self) -> Option<Timestamp>;

    /// Does what has fallen due by now: alerts held back, and the end of messages whose channel is not configured any
    /// more. Returns when it is next needed.
    async fn tick(&self, policy: Arc<Policy>) -> Result<Option<Timestamp>, StoreError>;

    /// Leases up to `most` due messages of a channel for `lease`, at most one a subject, oldest first. Older unsent
    /// messages of the same subject and channel are superseded by the newest.
    async fn claim(&self, channel: &str, most: usize, lease: Duration) -> Result<Vec<Delivery>, StoreError>;

    /// Ends a lease. [`Change::Nothing`] when it had been lost to another attempt meanwhile.
    async fn settle(&self, delivery: &Delivery, how: Settlement) -> Result<Change, StoreError>;

    /// When the next message of a channel falls due.
    async fn next_due(&self, channel: &str) -> Result<Option<Timestamp>, StoreError>;

    /// Rings when messages may have fallen due. Arm it before looking, and look now and then anyway.
    fn bell(&self) -> Arc<Notify>;

    /// A message of tidewatch itself to all of `channels`.
    async fn notice(&self, kind: &str, text: &str, channels: &[String]) -> Result<(), StoreError>;

    /// Makes messages due on another channel, a bounded number at once. Returns how many. Those of the first channel
    /// stay as they are.
    async fn hand_over(&self, handover: Handover) -> Result<u64, StoreError>;

    /// Since when an alert fires; `None` when it does not.
    async fn firing_since(&self, source: &str, alert: Fingerprint) -> Result<Option<Timestamp>, StoreError>;

    /// One incident.
    async fn incident(&self, id: i64) -> Result<Option<Incident>, StoreError>;

    /// Incidents, newest first: open ones only, or all.
    async fn incidents(&self, open_only: bool, limit: usize) -> Result<Vec<Incident>, StoreError>;

    /// Outbox rows.
    async fn outbox(&self, filter: OutboxFilter) -> Result<Vec<OutboxRow>, StoreError>;

    /// One outbox row.
    async fn outbox_row(&self, id: i64) -> Result<Option<OutboxRow>, StoreError>;

    /// Makes a dead row pending again. A second time is [`Change::Nothing`].
    async fn replay(&self, id: i64, actor: &str, note: &str) -> Result<Change, StoreError>;

    /// Gives a dead or pending row up.
    async fn discard(&self, id: i64, actor: &str, note: &str) -> Result<Change, StoreError>;

    /// The same, or giving up, for dead rows that a filter finds, oldest first and at most as many as it says.
    async fn revise(
        &self,
        filter: OutboxFilter,
        verdict: Verdict,
        actor: &str,
        note: &str,
    ) -> Result<Revised, StoreError>;

    /// The ledger beside the rows themselves; late is what has waited for longer than `late`.
    async fn balance(&self, late: Duration) -> Result<Balance, StoreError>;

    /// Both equations' terms, of one moment.
    async fn ledger(&self) -> Result<Ledger, StoreError>;

    /// For metrics and `health`.
    async fn condition(&self) -> Result<Condition, StoreError>;

    /// Writes a consistent copy to a new file.
    async fn backup(&self, file: &Path) -> Result<(), StoreError>;

    /// Whether a write would be taken now.
    async fn probe(&self) -> Result<(), StoreError>;

    /// Commits what is queued and ends the writer.
    async fn close(&self);
}
