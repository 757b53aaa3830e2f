//! The outbox in memory: what the worker needs of a store, by the contract of `store::Store`.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tidewatch::alert::policy::Policy;
use tidewatch::alert::reconcile::{Differences, Heard};
use tidewatch::alert::{Fingerprint, Incident, Post, Quarantined};
use tidewatch::clock::Clock;
use tidewatch::store::{
    Balance, Change, Condition, Delivery, Doubts, Handover, Ledger, OutboxFilter, OutboxRow, Receipt, Revised,
    Settlement, Store, StoreError, Verdict,
};
use tokio::sync::Notify;

#[derive(Clone, Debug)]
struct Row {
    delivery: Delivery,
    due_at: Timestamp,
    leased_until: Option<Timestamp>,
    settled: Vec<Settlement>,
    done: bool,
}

/// Rows, and how the worker settled them.
pub(crate) struct OutboxStub {
    clock: Clock,
    rows: Mutex<Vec<Row>>,
    bell: Arc<Notify>,
    notices: Mutex<Vec<(String, String, Vec<String>)>>,
    broken: Mutex<bool>,
    claims: Mutex<usize>,
    late: Mutex<Option<Delivery>>,
}

impl OutboxStub {
    pub(crate) fn new(clock: &Clock) -> Arc<Self> {
        Arc::new(Self {
            clock: clock.clone(),
            rows: Mutex::default(),
            bell: Arc::default(),
            notices: Mutex::default(),
            broken: Mutex::default(),
            claims: Mutex::default(),
            late: Mutex::default(),
        })
    }

    /// A message falls due now; rings only if asked to.
    pub(crate) fn add(&self, delivery: Delivery, ring: bool) {
        let due_at = self.clock.now();
        self.rows.lock().unwrap().push(Row { delivery, due_at, leased_until: None, settled: Vec::new(), done: false });
        if ring {
            self.bell.notify_waiters();
        }
    }

    /// This message falls due, and rings, just after its channel's worker was told that nothing is due.
    pub(crate) fn add_behind_the_next_claim(&self, delivery: Delivery) {
        *self.late.lock().unwrap() = Some(delivery);
    }

    /// Rings without a reason.
    pub(crate) fn bell_rings(&self) {
        self.bell.notify_waiters();
    }

    /// How a row was settled so far.
    pub(crate) fn settled(&self, id: i64) -> Vec<Settlement> {
        let rows = self.rows.lock().unwrap();
        rows.iter().find(|row| row.delivery.id == id).map(|row| row.settled.clone()).unwrap_or_default()
    }

    /// How many rows are finished.
    pub(crate) fn done(&self) -> usize {
        self.rows.lock().unwrap().iter().filter(|row| row.done).count()
    }

    /// Notices: kind, text, channels.
    pub(crate) fn notices(&self) -> Vec<(String, String, Vec<String>)> {
        self.notices.lock().unwrap().clone()
    }

    /// Whether every call fails from now on.
    pub(crate) fn break_down(&self, broken: bool) {
        *self.broken.lock().unwrap() = broken;
    }

    /// How often messages were asked for.
    pub(crate) fn claims(&self) -> usize {
        *self.claims.lock().unwrap()
    }

    fn works(&self) -> Result<(), StoreError> {
        if *self.broken.lock().unwrap() { Err(StoreError::Unavailable("the disk is full".into())) } else { Ok(()) }
    }
}

#[async_trait]
impl Store for OutboxStub {
    async fn claim(&self, channel: &str, most: usize, lease: Duration) -> Result<Vec<Delivery>, StoreError> {
        *self.claims.lock().unwrap() += 1;
        self.works()?;
        let now = self.clock.now();
        let mut rows = self.rows.lock().unwrap();
        let free = |row: &Row| row.leased_until.is_none_or(|until| until <= now);
        let busy: Vec<_> =
            rows.iter().filter(|row| !row.done && !free(row)).map(|row| row.delivery.subject.clone()).collect();
        let mut claimed: Vec<Delivery> = Vec::new();
        for row in rows.iter_mut().filter(|row| !row.done && row.due_at <= now && row.delivery.channel == channel) {
            let subject = &row.delivery.subject;
            let taken = busy.contains(subject) || claimed.iter().any(|other| other.subject == *subject);
            if !taken && claimed.len() < most && row.leased_until.is_none_or(|until| until <= now) {
                row.leased_until = Some(now.saturating_add(lease).unwrap());
                claimed.push(row.delivery.clone());
            }
        }
        drop(rows);
        let late = self.late.lock().unwrap().take_if(|late| late.channel == channel);
        if let Some(late) = late {
            self.add(late, true);
        }
        Ok(claimed)
    }

    async fn settle(&self, delivery: &Delivery, how: Settlement) -> Result<Change, StoreError> {
        self.works()?;
        let mut rows = self.rows.lock().unwrap();
        let row = rows.iter_mut().find(|row| row.delivery.id == delivery.id).unwrap();
        if row.delivery.attempt != delivery.attempt {
            return Ok(Change::Nothing);
        }
        row.leased_until = None;
        match &how {
            Settlement::Retry { at, ambiguous, .. } => {
                row.due_at = *at;
                row.delivery.attempt += 1;
                row.delivery.maybe_duplicate |= *ambiguous;
            }
            Settlement::Delivered { .. } | Settlement::Dead { .. } => row.done = true,
        }
        row.settled.push(how);
        Ok(Change::Done)
    }

    async fn next_due(&self, channel: &str) -> Result<Option<Timestamp>, StoreError> {
        self.works()?;
        let rows = self.rows.lock().unwrap();
        let waiting = rows.iter().filter(|row| !row.done && row.leased_until.is_none());
        Ok(waiting.filter(|row| row.delivery.channel == channel).map(|row| row.due_at).min())
    }

    fn bell(&self) -> Arc<Notify> {
        Arc::clone(&self.bell)
    }

    async fn notice(&self, kind: &str, text: &str, channels: &[String]) -> Result<(), StoreError> {
        self.notices.lock().unwrap().push((kind.to_owned(), text.to_owned(), channels.to_vec()));
        Ok(())
    }

    async fn accept(&self, _: Post, _: Arc<Policy>) -> Result<Receipt, StoreError> {
        Err(StoreError::Busy)
    }
    async fn quarantine(&self, _: &str, _: Quarantined) -> Result<(), StoreError> {
        Err(StoreError::Busy)
    }
    async fn watchdog(&self, _: &str) -> Result<(), StoreError> {
        Err(StoreError::Busy)
    }
    async fn heard(&self, _: &str) -> Result<Heard, StoreError> {
        Err(StoreError::Busy)
    }

    async fn reconcile(&self, _: &str, _: Differences, _: Arc<Policy>) -> Result<Receipt, StoreError> {
        Err(StoreError::Busy)
    }

    fn doubts(&self) -> Arc<Doubts> {
        Arc::default()
    }

    fn alive_before(&self) -> Option<Timestamp> {
        None
    }

    async fn tick(&self, _: Arc<Policy>) -> Result<Option<Timestamp>, StoreError> {
        Err(StoreError::Busy)
    }
    async fn hand_over(&self, _: Handover) -> Result<u64, StoreError> {
        self.works().map(|()| 0)
    }
    async fn firing_since(&self, _: &str, _: Fingerprint) -> Result<Option<Timestamp>, StoreError> {
        Err(StoreError::Busy)
    }
    async fn incident(&self, _: i64) -> Result<Option<Incident>, StoreError> {
        Err(StoreError::Busy)
    }
    async fn incidents(&self, _: bool, _: usize) -> Result<Vec<Incident>, StoreError> {
        Err(StoreError::Busy)
    }
    async fn outbox(&self, _: OutboxFilter) -> Result<Vec<OutboxRow>, StoreError> {
        Err(StoreError::Busy)
    }
    async fn outbox_row(&self, _: i64) -> Result<Option<OutboxRow>, StoreError> {
        Err(StoreError::Busy)
    }
    async fn replay(&self, _: i64, _: &str, _: &str) -> Result<Change, StoreError> {
        Err(StoreError::Busy)
    }
    async fn discard(&self, _: i64, _: &str, _: &str) -> Result<Change, StoreError> {
        Err(StoreError::Busy)
    }
    async fn revise(&self, _: OutboxFilter, _: Verdict, _: &str, _: &str) -> Result<Revised, StoreError> {
        Err(StoreError::Busy)
    }
    async fn balance(&self, _: Duration) -> Result<Balance, StoreError> {
        Err(StoreError::Busy)
    }
    async fn ledger(&self) -> Result<Ledger, StoreError> {
        Err(StoreError::Busy)
    }
    async fn condition(&self) -> Result<Condition, StoreError> {
        Err(StoreError::Busy)
    }
    async fn backup(&self, _: &Path) -> Result<(), StoreError> {
        Err(StoreError::Busy)
    }
    async fn probe(&self) -> Result<(), StoreError> {
        Err(StoreError::Busy)
    }
    async fn close(&self) {}
}
