//! What any store must do: each behaviour is one test over [`OPEN`], so that a second backend runs the same ones.
//! Only `file` is about SQLite.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tidewatch::alert::policy::Policy;
use tidewatch::alert::{Alert, Counts, Kind};
use tidewatch::clock::Clock;
use tidewatch::store::{Change, Delivery, Ledger, OutboxFilter, RowState, Settlement, Store, StoreError};

use crate::support::alerts::{at, open, policy, post};

mod alerts;
mod file;
mod handover;
mod outbox;
mod reconcile;
mod schema;

/// Opens the store under test, as a process does that starts.
const OPEN: Open = open;

type Open = fn(&Path, &Clock) -> Result<Arc<dyn Store>, StoreError>;

const LEASE: Duration = Duration::from_mins(1);
const MINUTE: Duration = Duration::from_mins(1);

/// A store whose clock stands at second 100 until a test moves it.
struct Bench {
    store: Arc<dyn Store>,
    clock: Clock,
    policy: Arc<Policy>,
    folder: tempfile::TempDir,
}

impl Bench {
    fn new(channels: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::manual(at(100));
        let store = OPEN(folder.path(), &clock).unwrap();
        Self { store, clock, policy: policy(channels), folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The process ends, as far as the store can tell, and another begins.
    async fn restart(&mut self) {
        self.store.close().await;
        self.store = OPEN(self.path(), &self.clock).unwrap();
    }

    async fn accept(&self, alerts: Vec<Alert>) -> Counts {
        self.store.accept(post(alerts), Arc::clone(&self.policy)).await.unwrap().counts
    }

    async fn tick(&self) -> Option<i64> {
        let next = self.store.tick(Arc::clone(&self.policy)).await.unwrap();
        next.map(|next| next.as_second() - at(0).as_second())
    }

    async fn claim(&self, channel: &str) -> Vec<Delivery> {
        self.store.claim(channel, 10, LEASE).await.unwrap()
    }

    async fn claim_one(&self, channel: &str) -> Delivery {
        let mut claimed = self.claim(channel).await;
        assert_eq!(claimed.len(), 1, "{claimed:?}");
        claimed.remove(0)
    }

    async fn settle(&self, delivery: &Delivery, how: Settlement) -> Change {
        self.store.settle(delivery, how).await.unwrap()
    }

    async fn deliver(&self, channel: &str) -> Delivery {
        let delivery = self.claim_one(channel).await;
        assert_eq!(self.settle(&delivery, Settlement::Delivered { anchor: None }).await, Change::Done);
        delivery
    }

    /// The one message that is due now, delivered.
    async fn told(&self, channel: &str) -> Option<Kind> {
        let claimed = self.claim(channel).await;
        assert!(claimed.len() <= 1, "{claimed:?}");
        let delivery = claimed.first()?;
        assert_eq!(self.settle(delivery, Settlement::Delivered { anchor: None }).await, Change::Done);
        Some(delivery.kind)
    }

    /// The ledger, once it is seen that both equations hold and that its counters are what is in the outbox.
    async fn ledger(&self) -> Ledger {
        let ledger = self.store.ledger().await.unwrap();
        let Counts { received, opened, repeated, closed, stale, held, quarantined, truncated } = ledger.alerts;
        assert_eq!(received, opened + repeated + closed + stale + held + quarantined + truncated);
        let Ledger { due, delivered, superseded, dead, discarded, suppressed, pending, .. } = ledger;
        assert_eq!(due, delivered + superseded + dead + discarded + suppressed + pending);
        let states = [
            (RowState::Pending, pending),
            (RowState::Delivered, delivered),
            (RowState::Superseded, superseded),
            (RowState::Dead, dead),
            (RowState::Discarded, discarded),
            (RowState::Suppressed, suppressed),
        ];
        for (state, count) in states {
            let filter = OutboxFilter { state: Some(state), limit: Some(1_000), ..OutboxFilter::default() };
            assert_eq!(self.store.outbox(filter).await.unwrap().len() as u64, count, "{state:?}");
        }
        ledger
    }
}
