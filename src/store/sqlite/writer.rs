//! The one thread that writes. It commits all that is queued in one transaction and never waits for more: whoever
//! comes while the disk syncs is in the next one.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Instant;

use prometheus::Histogram;
use rusqlite::{Connection, ErrorCode};
use tokio::sync::{Notify, mpsc};

use super::checkpoint::Pressure;
use super::connect;
use super::job::{Job, Tx};
use crate::clock::Clock;

/// So many operations share one commit at most, and so many alerts: the last of them waits for all.
const MOST_OPERATIONS: usize = 256;
const MOST_ALERTS: usize = 4_000;

/// Work and its size in alerts.
pub(super) struct Operation {
    pub(super) job: Box<dyn Job>,
    pub(super) alerts: usize,
}

pub(super) struct Writer {
    pub(super) file: PathBuf,
    pub(super) db: Connection,
    pub(super) clock: Clock,
    pub(super) queue: mpsc::Receiver<Operation>,
    pub(super) bell: Arc<Notify>,
    pub(super) seconds: Histogram,
    /// Wakes the checkpointer.
    pub(super) committed: SyncSender<()>,
    pub(super) pressure: Arc<Pressure>,
}

/// Why a commit failed, and what follows.
struct Failure {
    why: String,
    /// The lock was not to be had: whoever waits behind would wait as long again.
    locked: bool,
    /// The connection itself is in doubt.
    broken: bool,
}

impl Writer {
    /// Works until the last sender is gone and the queue is empty.
    pub(super) fn run(mut self) {
        while let Some(first) = self.queue.blocking_recv() {
            let (mut alerts, mut batch) = (first.alerts, vec![first.job]);
            while batch.len() < MOST_OPERATIONS
                && alerts < MOST_ALERTS
                && let Ok(next) = self.queue.try_recv()
            {
                alerts += next.alerts;
                batch.push(next.job);
            }
            self.batch(batch);
        }
    }

    fn batch(&mut self, mut batch: Vec<Box<dyn Job>>) {
        self.pressure.relieve(&self.db);
        let begun = Instant::now();
        match self.commit(&mut batch) {
            Ok(rings) => {
                self.seconds.observe(begun.elapsed().as_secs_f64());
                for job in batch {
                    job.answer(Ok(()));
                }
                if rings {
                    self.bell.notify_waiters();
                }
                // It is awake already when the channel is full.
                let _awake = self.committed.try_send(());
            }
            Err(failure) => self.fail(batch, &failure),
        }
    }

    /// Runs all in one transaction, each in a savepoint of its own, so that one that fails does not take the others
    /// along. Whether the bell is to ring.
    fn commit(&self, batch: &mut [Box<dyn Job>]) -> Result<bool, Failure> {
        let db = &self.db;
        self.execute("BEGIN IMMEDIATE")?;
        let mut rings = false;
        let mut kept = 0;
        for job in batch {
            self.execute("SAVEPOINT operation")?;
            let tx = Tx::new(db, self.clock.now());
            let keep = job.run(&tx);
            if db.is_autocommit() {
                // A full disk or a failed read ends the whole transaction, what came before included.
                return Err(Failure { why: "the transaction was rolled back".into(), locked: false, broken: true });
            }
            if keep {
                rings |= tx.rings();
                kept += 1;
            } else {
                self.execute("ROLLBACK TO operation")?;
            }
            self.execute("RELEASE operation")?;
        }
        self.execute(if kept > 0 { "COMMIT" } else { "ROLLBACK" })?;
        Ok(rings)
    }

    fn execute(&self, sql: &'static str) -> Result<(), Failure> {
        let done = self.db.prepare_cached(sql).and_then(|mut statement| statement.execute([]));
        done.map(drop).map_err(|error| {
            let locked = matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked));
            Failure { why: error.to_string(), locked, broken: !locked }
        })
    }

    fn fail(&mut self, batch: Vec<Box<dyn Job>>, failure: &Failure) {
        tracing::error!(why = failure.why, operations = batch.len(), "the store could not commit");
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
