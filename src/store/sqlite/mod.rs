//! The store on SQLite: one file, one connection that writes, some that read. Each table's SQL stands beside the
//! functions that use it.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::{Notify, watch};

use super::{
    Balance, Change, Condition, Delivery, Doubts, Handover, Ledger, OutboxFilter, OutboxRow, Receipt, Revised,
    Settlement, Store, StoreError, Subject, Verdict,
};
use crate::alert::policy::Policy;
use crate::alert::reconcile::{Differences, Heard};
use crate::alert::{Counts, Fingerprint, Incident, Kind, Post, Quarantined};
use crate::clock::{Clock, later};
use crate::task::Tasks;
use crate::telemetry::Telemetry;

use checkpoint::Pressure;
use job::{Call, Job, Tx};
use log::Log;
use outcome::After;
use queue::{Operation, Queue};
use transaction::Uncounted;
use writer::Writer;

mod accept;
mod apply;
mod checkpoint;
pub(super) mod connect;
mod convert;
mod handover;
mod incidents;
mod intake;
mod job;
mod ledger;
mod letters;
mod log;
pub(super) mod migrate;
mod outbox;
mod outcome;
mod queue;
mod reader;
mod reconcile;
mod retention;
mod transaction;
mod view;
mod writer;

/// Commits take a tenth of a millisecond on a good disk, and seconds on a sick one.
const COMMIT_BUCKETS: [f64; 12] = [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.5, 2.0, 5.0];

fn no_thread(error: &std::io::Error) -> StoreError {
    StoreError::Unavailable(format!("no thread: {error}"))
}

/// The store in one file of a folder.
pub struct SqliteStore {
    file: PathBuf,
    /// Names this process in its leases.
    owner: String,
    clock: Clock,
    tasks: Tasks,
    queue: Arc<Queue>,
    ended: watch::Receiver<()>,
    readers: SyncSender<Box<dyn Job>>,
    bell: Arc<Notify>,
    doubts: Arc<Doubts>,
    /// When the process before this one last took a write.
    alive_before: Option<Timestamp>,
    /// When is next looked for what has grown old.
    next_look: Mutex<Timestamp>,
}

impl SqliteStore {
    /// Opens the store of a data folder, or begins it; brings an older schema up to date after making a copy. Blocks
    /// while it does. Take the folder by [`super::lock`] first: the leases of whoever worked in it before end here.
    ///
    /// # Errors
    /// The file is of a newer version, of another program, damaged, or cannot be written.
    pub fn open(folder: &Path, clock: Clock, tasks: &Tasks, telemetry: &Telemetry) -> Result<Self, StoreError> {
        let db = connect::prepare(folder)?;
        let file = connect::file(folder);
        let owner = format!("{}-{:016x}", std::process::id(), fastrand::u64(..));
        let alive_before = ledger::alive(&db)?;
        outbox::expire(&Tx::new(&db, clock.now()), &owner)?;

        let help = "How long a commit took, its sync included.";
        let seconds = telemetry.histogram("tidewatch_commit_seconds", help, &[], &COMMIT_BUCKETS);
        let seconds = seconds.with_label_values::<&str>(&[]);
        let (checkpointer, commits) = sync_channel(1);
        let (bell, queue) = <(Arc<Notify>, Arc<Queue>)>::default();
        let (pressure, log) = <(Arc<Pressure>, Arc<Log>)>::default();
        let checkpoints = checkpoint::work(&file, commits, Arc::clone(&pressure))?;
        let readers = reader::start(&file, &clock, tasks)?;
        let (alive, ended) = watch::channel(());
        let after = Arc::new(After::new(Arc::clone(&bell), seconds, Arc::clone(&pressure), checkpointer));
        let uncounted = Uncounted::default();
        let turns = Writer {
            file: file.clone(),
            db,
            clock: clock.clone(),
            queue: Arc::clone(&queue),
            pressure,
            log,
            after,
            uncounted,
        };
        // It ends after the writers, whose signals it takes.
        let checkpoints = move || {
            checkpoints();
            drop(alive);
        };
        drop(tasks.thread("store-checkpoint", checkpoints).map_err(|error| no_thread(&error))?);
        writer::start(turns, tasks)?;
        let (tasks, next_look, doubts) = (tasks.clone(), Mutex::new(Timestamp::MIN), Arc::default());
        Ok(Self { file, owner, clock, tasks, queue, ended, readers, bell, doubts, alive_before, next_look })
    }

    /// Runs `work` on the writer; what it changed is on the disk when this returns. `alerts` is its size.
    async fn write<T, W>(&self, alerts: usize, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnMut(&Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let (job, answered) = Call::boxed(work);
        if !self.queue.push(Operation { job, alerts }) {
            return Err(StoreError::Busy);
        }
        answered.await.unwrap_or(Err(StoreError::Busy))
    }

    /// Runs `work` on a reader.
    async fn read<T, W>(&self, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnMut(&Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let (job, answered) = Call::boxed(work);
        self.readers.try_send(job).map_err(|_| StoreError::Busy)?;
        answered.await.unwrap_or(Err(StoreError::Busy))
    }

    /// Deletes what has grown old, now and then.
    async fn let_go(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        let look_next = |at| *self.next_look.lock().unwrap_or_else(PoisonError::into_inner) = at;
        if now < *self.next_look.lock().unwrap_or_else(PoisonError::into_inner) {
            return Ok(());
        }
        // Also after a failure: what is old has time.
        look_next(later(now, retention::PAUSE));
        let old = self.read(retention::find).await?;
        let more = old.is_full();
        if !old.is_empty() {
            self.write(1, move |tx| retention::delete(tx, &old)).await?;
        }
        if more {
            look_next(now);
        }
        Ok(())
    }

    /// Ends the messages of channels that the configuration has no more: no worker would ever claim them. Looked for at
    /// each tick, since a post may still be kept by the policy that a reload replaces.
    async fn retire(&self, policy: &Policy) -> Result<(), StoreError> {
        let configured = policy.routes.all().to_vec();
        for channel in self.read(move |tx| outbox::orphans(tx.db, &configured)).await? {
            let name = channel.clone();
            let messages = self.write(1, move |tx| outbox::retire(tx, &name)).await?;
            if messages > 0 {
                tracing::warn!(channel, messages, "the channel is no longer configured: its unsent messages are dead");
            }
        }
        Ok(())
    }

    fn bytes(&self) -> u64 {
        let size = |file: &Path| std::fs::metadata(file).map_or(0, |file| file.len());
        size(&self.file) + size(&log::path(&self.file))
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.queue.close();
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn accept(&self, post: Post, policy: Arc<Policy>) -> Result<Receipt, StoreError> {
        let post = Arc::new(post);
        let mut counts = Counts::default();
        let alerts = post.alerts.len();
        for start in (0..alerts.max(1)).step_by(accept::CHUNK) {
            let range = start..(start + accept::CHUNK).min(alerts);
            let (size, post, policy) = (range.len().max(1), Arc::clone(&post), Arc::clone(&policy));
            counts += self.write(size, move |tx| accept::chunk(tx, &post, range.clone(), &policy)).await?;
        }
        if counts.held > 0 || counts.truncated > 0 {
            self.doubts.raise(&post.source, counts.truncated > 0);
        }
        Ok(Receipt { counts })
    }

    async fn heard(&self, source: &str) -> Result<Heard, StoreError> {
        let source = source.to_owned();
        self.read(move |tx| Ok(reconcile::heard(tx.db, &source)?)).await
    }

    async fn reconcile(
        &self,
        source: &str,
        differences: Differences,
        policy: Arc<Policy>,
    ) -> Result<Receipt, StoreError> {
        let mut counts = Counts::default();
        for part in differences.parts(accept::CHUNK) {
            let (size, source, policy) = (part.len(), source.to_owned(), Arc::clone(&policy));
            counts += self.write(size, move |tx| reconcile::settle(tx, &source, &part, &policy)).await?;
        }
        Ok(Receipt { counts })
    }

    fn doubts(&self) -> Arc<Doubts> {
        Arc::clone(&self.doubts)
    }

    fn alive_before(&self) -> Option<Timestamp> {
        self.alive_before
    }

    async fn quarantine(&self, source: &str, body: Quarantined) -> Result<(), StoreError> {
        let source = source.to_owned();
        self.write(1, move |tx| {
            let source = intake::source(tx.db, &source)?;
            intake::quarantine(tx, source, std::slice::from_ref(&body))?;
            tx.count(Counts { received: 1, quarantined: 1, ..Counts::default() });
            Ok(())
        })
        .await
    }

    async fn watchdog(&self, source: &str) -> Result<(), StoreError> {
        let source = source.to_owned();
        self.write(1, move |tx| Ok(intake::watchdog(tx, intake::source(tx.db, &source)?)?)).await
    }

    async fn tick(&self, policy: Arc<Policy>) -> Result<Option<Timestamp>, StoreError> {
        // What is old or for nobody can wait; an alert that was held back cannot.
        for tidied in [self.let_go().await, self.retire(&policy).await] {
            if let Err(error) = tidied {
                tracing::warn!(%error, "the store keeps what it should have let go; it is tried again");
            }
        }
        // Most of the time nothing is due, and a question costs no commit.
        let next = self.read(|tx| accept::next_timer(tx.db)).await?;
        match next {
            Some(at) if at <= self.clock.now() => self.write(1, move |tx| accept::tick(tx, &policy)).await,
            next => Ok(next),
        }
    }

    async fn claim(&self, channel: &str, most: usize, lease: Duration) -> Result<Vec<Delivery>, StoreError> {
        let (channel, owner) = (channel.to_owned(), self.owner.clone());
        let claimed = self.write(1, move |tx| outbox::claim(tx, &owner, &channel, most, lease)).await?;
        let leases: Vec<_> = claimed.iter().map(|delivery| (delivery.id, delivery.attempt)).collect();
        let read = self.read(move |tx| {
            let mut deliveries = claimed.clone();
            for delivery in &mut deliveries {
                if let Subject::Incident(id) = delivery.subject {
                    delivery.incident = incidents::one(tx.db, id)?;
                }
            }
            Ok(deliveries)
        });
        let deliveries = read.await;
        if deliveries.is_err() {
            // Nobody sends them; else they would wait for the leases' end, and be taken for possible duplicates then.
            drop(self.write(1, move |tx| outbox::give_back(tx, &leases)).await);
        }
        deliveries
    }

    async fn settle(&self, delivery: &Delivery, how: Settlement) -> Result<Change, StoreError> {
        let delivery = delivery.clone();
        self.write(1, move |tx| outbox::settle(tx, &delivery, &how)).await
    }

    async fn next_due(&self, channel: &str) -> Result<Option<Timestamp>, StoreError> {
        let channel = channel.to_owned();
        self.read(move |tx| outbox::next_due(tx.db, &channel)).await
    }

    fn bell(&self) -> Arc<Notify> {
        Arc::clone(&self.bell)
    }

    async fn notice(&self, kind: &str, text: &str, channels: &[String]) -> Result<(), StoreError> {
        let (subject, text, channels) = (Subject::Notice(kind.to_owned()), text.to_owned(), channels.to_vec());
        self.write(1, move |tx| {
            channels
                .iter()
                .try_for_each(|channel| outbox::add(tx, &subject, channel, Kind::Notice, tx.now, Some(&text)))
        })
        .await
    }

    async fn hand_over(&self, handover: Handover) -> Result<u64, StoreError> {
        self.write(1, move |tx| handover::hand_over(tx, &handover)).await
    }

    async fn firing_since(&self, source: &str, alert: Fingerprint) -> Result<Option<Timestamp>, StoreError> {
        let source = source.to_owned();
        self.read(move |tx| intake::firing_since(tx.db, &source, alert)).await
    }

    async fn incident(&self, id: i64) -> Result<Option<Incident>, StoreError> {
        self.read(move |tx| incidents::one(tx.db, id)).await
    }

    async fn incidents(&self, open_only: bool, limit: usize) -> Result<Vec<Incident>, StoreError> {
        self.read(move |tx| incidents::list(tx.db, open_only, limit)).await
    }

    async fn outbox(&self, filter: OutboxFilter) -> Result<Vec<OutboxRow>, StoreError> {
        self.read(move |tx| letters::list(tx.db, &filter)).await
    }

    async fn outbox_row(&self, id: i64) -> Result<Option<OutboxRow>, StoreError> {
        self.read(move |tx| letters::row(tx.db, id)).await
    }

    async fn replay(&self, id: i64, actor: &str, note: &str) -> Result<Change, StoreError> {
        let (actor, note) = (actor.to_owned(), note.to_owned());
        self.write(1, move |tx| letters::replay(tx, id, &actor, &note)).await
    }

    async fn discard(&self, id: i64, actor: &str, note: &str) -> Result<Change, StoreError> {
        let (actor, note) = (actor.to_owned(), note.to_owned());
        self.write(1, move |tx| letters::discard(tx, id, &actor, &note)).await
    }

    async fn revise(
        &self,
        filter: OutboxFilter,
        verdict: Verdict,
        actor: &str,
        note: &str,
    ) -> Result<Revised, StoreError> {
        let (actor, note) = (actor.to_owned(), note.to_owned());
        self.write(1, move |tx| letters::revise(tx, &filter, verdict, &actor, &note)).await
    }

    async fn balance(&self, late: Duration) -> Result<Balance, StoreError> {
        self.read(move |tx| Ok(ledger::balance(tx, late)?)).await
    }

    async fn ledger(&self) -> Result<Ledger, StoreError> {
        let counted = |tx: &Tx<'_>| {
            tx.count_now();
            Ok(())
        };
        self.write(1, counted).await?;
        self.read(|tx| Ok(ledger::read(tx.db)?)).await
    }

    async fn condition(&self) -> Result<Condition, StoreError> {
        let bytes = self.bytes();
        self.read(move |tx| {
            let (queues, incidents) = (letters::queues(tx)?, incidents::by_severity(tx.db)?);
            Ok(Condition { queues, incidents, bytes, watchdogs: intake::watchdogs(tx.db)? })
        })
        .await
    }

    async fn backup(&self, file: &Path) -> Result<(), StoreError> {
        let (from, to) = (self.file.clone(), file.to_owned());
        // A thread of its own: it takes as long as the file is big.
        let copying = self.tasks.thread("store-backup", move || migrate::backup(&connect::reader(&from)?, &to));
        let copied = copying.map_err(|error| no_thread(&error))?.await;
        copied.unwrap_or_else(|panic| Err(StoreError::Unavailable(panic.to_string())))
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.write(1, |tx| Ok(ledger::set_alive(tx.db, tx.now)?)).await
    }

    async fn close(&self) {
        self.queue.close();
        let mut ended = self.ended.clone();
        // The other end of the channel goes with the last thread that writes.
        while ended.changed().await.is_ok() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(folder: &Path) -> SqliteStore {
        let telemetry = Telemetry::new();
        SqliteStore::open(folder, Clock::system(), &Tasks::new(&telemetry), &telemetry).unwrap()
    }

    fn name(tx: &Tx<'_>, name: &str) -> Result<(), StoreError> {
        Ok(intake::source(tx.db, name).map(drop)?)
    }

    #[tokio::test]
    async fn an_operation_that_fails_or_panics_takes_no_other_along() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        // The first keeps the writer busy until the others are queued, so that they share one transaction.
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let first = store.write(1, move |_| Ok(wait.recv().is_ok()));
        let good = store.write(1, |tx| {
            tx.count(Counts { received: 1, opened: 1, ..Counts::default() });
            name(tx, "good")
        });
        let bad = store.write(1, |tx| name(tx, "bad").and_then(|()| Ok(tx.db.execute("INSERT INTO nowhere", [])?)));
        let panics = store.write(1, |tx| name(tx, "worse").map(|()| panic!("as it must")));
        let last = store.write(1, |tx| name(tx, "last"));
        let release = async move { drop(go) };
        let (first, good, bad, panics, last, ()) = tokio::join!(first, good, bad, panics, last, release);
        assert!(first.is_ok() && good.is_ok() && last.is_ok());
        assert!(bad.is_err());
        let panics: Result<(), _> = panics;
        assert!(panics.unwrap_err().to_string().contains("as it must"));
        let names = "SELECT group_concat(name) FROM (SELECT name FROM source ORDER BY id)";
        let names: String = store.read(move |tx| Ok(tx.db.query_row(names, [], |row| row.get(0))?)).await.unwrap();
        assert_eq!(names, "good,last");
        assert_eq!(store.ledger().await.unwrap().alerts.opened, 1, "it was done twice, and counts once");
    }

    #[tokio::test]
    async fn what_waits_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let first = store.write(1, move |_| Ok(wait.recv().is_ok()));
        // The writer takes some hundreds into the transaction that waits.
        let rest = futures_util::future::join_all((0..queue::LONGEST + 300).map(|_| store.write(1, |_| Ok(()))));
        let release = async move { drop(go) };
        let (_first, rest, ()) = tokio::join!(first, rest, release);
        let refused = rest.iter().filter(|answer| matches!(answer, Err(StoreError::Busy))).count();
        assert!((1..=301).contains(&refused), "{refused}");
    }
}
