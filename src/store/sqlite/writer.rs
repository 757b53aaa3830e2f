//! One transaction at a time, of all that is queued; it never waits for more. Two threads take turns: while one waits
//! for the disk, the other makes the next commit, and whoever comes while both wait is in the one after.

use std::fs::File;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};

use super::super::StoreError;
use super::checkpoint::Pressure;
use super::connect;
use super::job::{Job, Tx};
use super::ledger;
use super::log::Log;
use super::no_thread;
use super::outcome::{After, Committed};
use crate::alert::Counts;
use crate::clock::Clock;
use crate::task::Tasks;

/// One fills a transaction while one waits for the disk. A third would split what shares a commit.
pub(super) const THREADS: usize = 2;

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

/// What the threads take turns with.
pub(super) struct Writer {
    pub(super) file: PathBuf,
    pub(super) db: Connection,
    pub(super) clock: Clock,
    pub(super) queue: Receiver<Operation>,
    pub(super) pressure: Arc<Pressure>,
    pub(super) log: Arc<Log>,
    pub(super) after: Arc<After>,
    pub(super) uncounted: Uncounted,
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

/// Starts the threads, which end when the last sender is gone and the queue is empty.
pub(super) fn start(writer: Writer, tasks: &Tasks) -> Result<(), StoreError> {
    connect::sync_later(&writer.db)?;
    let (file, log, after) = (writer.file.clone(), Arc::clone(&writer.log), Arc::clone(&writer.after));
    let turns = Arc::new(Mutex::new(writer));
    for _ in 0..THREADS {
        let (turns, log, after) = (Arc::clone(&turns), Arc::clone(&log), Arc::clone(&after));
        let synced = Log::open(&file).map_err(|error| StoreError::Unavailable(error.to_string()))?;
        drop(tasks.thread("store-writer", move || run(&turns, &log, &after, &synced)).map_err(no_thread)?);
    }
    Ok(())
}

fn run(turns: &Mutex<Writer>, log: &Log, after: &After, file: &File) {
    loop {
        // The lock is held while one waits for work; the other waits for the lock.
        let committed = turns.lock().unwrap_or_else(PoisonError::into_inner).next();
        let Some(committed) = committed else { return };
        let synced = log.sync(file, committed.commits);
        after.answer(committed, synced);
    }
}

impl Writer {
    /// Makes the next commit that succeeds; it is not on the disk yet.
    fn next(&mut self) -> Option<Committed> {
        loop {
            let first = match self.uncounted.patience() {
                None => self.queue.recv().map_err(RecvTimeoutError::from),
                Some(patience) => self.queue.recv_timeout(patience),
            };
            let jobs = match first {
                Ok(first) => self.queued(first),
                Err(RecvTimeoutError::Disconnected) if self.uncounted.since.is_none() => return None,
                Err(_) => Vec::new(),
            };
            if let Some(committed) = self.batch(jobs) {
                return Some(committed);
            }
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

    /// `None` when the commit failed: that is answered already.
    fn batch(&mut self, mut jobs: Vec<Box<dyn Job>>) -> Option<Committed> {
        self.pressure.relieve(&self.db);
        let begun = Instant::now();
        let settled = self.log.settle(&self.db).map_err(|why| Failure { why, locked: false, broken: false });
        match settled.and_then(|()| self.commit(&mut jobs)) {
            Ok(Done { rings, wrote }) => {
                if wrote {
                    self.log.wrote();
                }
                // Also of one that wrote nothing: what it read may not be on the disk yet.
                Some(Committed { jobs, begun, commits: self.log.written(), rings, wrote })
            }
            Err(failure) => {
                self.fail(jobs, &failure);
                None
            }
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

    fn fail(&mut self, jobs: Vec<Box<dyn Job>>, failure: &Failure) {
        if self.uncounted.since.is_some() {
            self.uncounted.since = Some(Instant::now());
        }
        if !self.db.is_autocommit() {
            drop(self.db.execute_batch("ROLLBACK"));
        }
        let mut refused = jobs;
        while failure.locked
            && let Ok(waiting) = self.queue.try_recv()
        {
            refused.push(waiting.job);
        }
        self.after.refuse(refused, &failure.why);
        if failure.broken {
            match connect::writer(&self.file).and_then(|db| connect::sync_later(&db).map(|()| db)) {
                Ok(db) => self.db = db,
                Err(error) => tracing::error!(%error, "the store could not be opened again"),
            }
        }
    }
}
