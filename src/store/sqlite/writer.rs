//! The one thread that writes. It commits all that is queued in one transaction and never waits for more: whoever
//! comes while the disk syncs is in the next one.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use prometheus::Histogram;
use rusqlite::{Connection, ErrorCode};
use tokio::sync::Notify;

use super::checkpoint::Pressure;
use super::connect;
use super::job::{Job, Tx};
use super::ledger;
use crate::alert::Counts;
use crate::clock::Clock;

/// So many operations share one commit at most, and so many alerts: the last of them waits for all.
const MOST_OPERATIONS: usize = 256;
const MOST_ALERTS: usize = 4_000;

/// Counts that nothing else was committed with are in the ledger after so long: a repeat changes nothing that a crash
/// could take, so it need not wait for the disk.
const COUNTED_WITHIN: Duration = Duration::from_secs(1);

/// Work and its size in alerts.
pub(super) struct Operation {
    pub(super) job: Box<dyn Job>,
    pub(super) alerts: usize,
}

pub(super) struct Writer {
    pub(super) file: PathBuf,
    pub(super) db: Connection,
    pub(super) clock: Clock,
    pub(super) queue: Receiver<Operation>,
    pub(super) bell: Arc<Notify>,
    pub(super) seconds: Histogram,
    /// Wakes the checkpointer.
    pub(super) committed: SyncSender<()>,
    pub(super) pressure: Arc<Pressure>,
    pub(super) uncounted: Uncounted,
    /// Whether the last commit failed: it was said.
    pub(super) failing: bool,
}

/// What the ledger lacks, and since when; all of it was answered, none of it changed anything else.
#[derive(Default)]
pub(super) struct Uncounted {
    counts: Counts,
    since: Option<Instant>,
}

impl Uncounted {
    /// How long the ledger can still wait.
    fn patience(&self) -> Option<Duration> {
        self.since.map(|since| COUNTED_WITHIN.saturating_sub(since.elapsed()))
    }
}

/// How operations share a transaction.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    /// One that fails takes all along.
    Together,
    /// Each in a savepoint of its own.
    Apart,
}

/// What follows from a transaction that ended well.
#[derive(Clone, Copy, Default)]
struct Done {
    /// The bell is to ring.
    rings: bool,
    /// The log has grown.
    wrote: bool,
}

/// Why a commit failed, and what follows.
struct Failure {
    why: String,
    /// The lock was not to be had: whoever waits behind would wait as long again.
    locked: bool,
    /// The connection itself is in doubt.
    broken: bool,
}

fn failure(error: &rusqlite::Error) -> Failure {
    let locked = matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked));
    Failure { why: error.to_string(), locked, broken: !locked }
}

impl Writer {
    /// Works until the last sender is gone and the queue is empty.
    pub(super) fn run(mut self) {
        loop {
            let first = match self.uncounted.patience() {
                None => self.queue.recv().map_err(RecvTimeoutError::from),
                Some(patience) => self.queue.recv_timeout(patience),
            };
            let batch = match first {
                Ok(first) => self.queued(first),
                Err(RecvTimeoutError::Timeout) => Vec::new(),
                Err(RecvTimeoutError::Disconnected) => break,
            };
            self.batch(batch);
        }
        if self.uncounted.since.is_some() {
            self.batch(Vec::new());
        }
    }

    /// All that waits, up to what one commit may have.
    fn queued(&self, first: Operation) -> Vec<Box<dyn Job>> {
        let (mut alerts, mut batch) = (first.alerts, vec![first.job]);
        while batch.len() < MOST_OPERATIONS
            && alerts < MOST_ALERTS
            && let Ok(next) = self.queue.try_recv()
        {
            alerts += next.alerts;
            batch.push(next.job);
        }
        batch
    }

    fn batch(&mut self, mut batch: Vec<Box<dyn Job>>) {
        self.pressure.relieve(&self.db);
        let begun = Instant::now();
        match self.commit(&mut batch) {
            Ok(done) => {
                self.seconds.observe(begun.elapsed().as_secs_f64());
                for job in batch {
                    job.answer(Ok(()));
                }
                if done.rings {
                    self.bell.notify_waiters();
                }
                if done.wrote {
                    if std::mem::take(&mut self.failing) {
                        tracing::info!("the store commits again");
                    }
                    // It is awake already when the channel is full.
                    let _awake = self.committed.try_send(());
                }
            }
            Err(failure) => self.fail(batch, &failure),
        }
    }

    /// Runs all in one transaction. When one fails, the others are done again, each in a
    /// savepoint: that costs a copy of each page for each of them, so it is not how they begin.
    fn commit(&mut self, batch: &mut [Box<dyn Job>]) -> Result<Done, Failure> {
        if let Some(done) = self.transact(batch, Sharing::Together)? {
            return Ok(done);
        }
        self.execute("ROLLBACK")?;
        Ok(self.transact(batch, Sharing::Apart)?.unwrap_or_default())
    }

    /// `None`, and the transaction is open, when one failed that shares it with others.
    fn transact(&mut self, batch: &mut [Box<dyn Job>], sharing: Sharing) -> Result<Option<Done>, Failure> {
        let alone = batch.len() == 1;
        self.execute("BEGIN IMMEDIATE")?;
        let before = self.db.total_changes();
        let (mut counts, mut counts_now) = (self.uncounted.counts, batch.is_empty());
        let (mut rings, mut kept) = (false, batch.is_empty());
        for job in batch {
            if sharing == Sharing::Apart {
                self.execute("SAVEPOINT operation")?;
            }
            let tx = Tx::new(&self.db, self.clock.now());
            let keep = job.run(&tx);
            if self.db.is_autocommit() {
                // A full disk or a failed read ends the whole transaction, what came before included.
                return Err(Failure { why: "the transaction was rolled back".into(), locked: false, broken: true });
            }
            if keep {
                let (counted, now) = tx.counted();
                counts += counted;
                counts_now |= now;
                rings |= tx.rings();
                kept = true;
            } else if sharing == Sharing::Apart {
                self.execute("ROLLBACK TO operation")?;
            } else if !alone {
                return Ok(None);
            }
            if sharing == Sharing::Apart {
                self.execute("RELEASE operation")?;
            }
        }
        if !kept {
            self.execute("ROLLBACK")?;
            return Ok(Some(Done::default()));
        }
        self.count(counts, counts_now || self.db.total_changes() > before)?;
        Ok(Some(Done { rings, wrote: self.db.total_changes() > before }))
    }

    /// Commits, with what was counted if there is anything else to commit or it has waited for long enough.
    fn count(&mut self, counts: Counts, now: bool) -> Result<(), Failure> {
        let none = counts == Counts::default();
        let due = now || self.uncounted.patience().is_some_and(|patience| patience.is_zero());
        if due && !none {
            ledger::alerts(&self.db, &counts).map_err(|error| failure(&error))?;
        }
        self.execute("COMMIT")?;
        self.uncounted = if due || none {
            Uncounted::default()
        } else {
            Uncounted { counts, since: self.uncounted.since.or_else(|| Some(Instant::now())) }
        };
        Ok(())
    }

    fn execute(&self, sql: &'static str) -> Result<(), Failure> {
        let done = self.db.prepare_cached(sql).and_then(|mut statement| statement.execute([]));
        done.map(drop).map_err(|error| failure(&error))
    }

    fn fail(&mut self, batch: Vec<Box<dyn Job>>, failure: &Failure) {
        if self.uncounted.since.is_some() {
            self.uncounted.since = Some(Instant::now());
        }
        // Once for each change: the log is often on the disk that is full.
        if !std::mem::replace(&mut self.failing, true) {
            tracing::error!(why = failure.why, operations = batch.len(), "the store could not commit");
        }
        if !self.db.is_autocommit() {
            drop(self.db.execute_batch("ROLLBACK"));
        }
        let mut refused = batch;
        while failure.locked
            && let Ok(waiting) = self.queue.try_recv()
        {
            refused.push(waiting.job);
        }
        for job in refused {
            job.answer(Err(failure.why.clone()));
        }
        if failure.broken {
            match connect::writer(&self.file) {
                Ok(db) => self.db = db,
                Err(error) => tracing::error!(%error, "the store could not be opened again"),
            }
        }
    }
}
