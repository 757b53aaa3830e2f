//! The two threads that write. They take turns at the connection: while one waits for the disk, the other fills the
//! next transaction, with all that is queued and all that comes until the disk is free. Neither waits for anything else.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use rusqlite::Connection;

use super::super::StoreError;
use super::checkpoint::Pressure;
use super::connect;
use super::log::Log;
use super::no_thread;
use super::outcome::{After, Committed};
use super::queue::{Next, Operation, Queue};
use super::transaction::{Done, Failure, Uncounted};
use crate::clock::Clock;
use crate::task::Tasks;

/// One fills a transaction while one waits for the disk. A third would split what shares a commit.
const THREADS: usize = 2;

/// What the threads take turns with.
pub(super) struct Writer {
    pub(super) file: PathBuf,
    pub(super) db: Connection,
    pub(super) clock: Clock,
    pub(super) queue: Arc<Queue>,
    pub(super) pressure: Arc<Pressure>,
    pub(super) log: Arc<Log>,
    pub(super) after: Arc<After>,
    pub(super) uncounted: Uncounted,
}

/// Starts the threads, which end when the queue is closed and empty.
pub(super) fn start(writer: Writer, tasks: &Tasks) -> Result<(), StoreError> {
    connect::sync_later(&writer.db)?;
    let (file, queue) = (writer.file.clone(), Arc::clone(&writer.queue));
    let (log, after) = (Arc::clone(&writer.log), Arc::clone(&writer.after));
    let turns = Arc::new(Mutex::new(writer));
    for _ in 0..THREADS {
        let file = Log::open(&file).map_err(|error| StoreError::Unavailable(error.to_string()))?;
        let (turns, queue) = (Arc::clone(&turns), Arc::clone(&queue));
        let (log, after) = (Arc::clone(&log), Arc::clone(&after));
        let work = move || {
            loop {
                let next = queue.next();
                let closed = matches!(next, Next::Closed);
                let committed = turns.lock().unwrap_or_else(PoisonError::into_inner).turn(next);
                match committed {
                    Some(committed) if log.has(committed.commits) => {
                        after.answer(committed, Ok(()));
                        queue.done();
                    }
                    Some(committed) => {
                        queue.hand_over();
                        let synced = log.sync(&file, committed.commits);
                        queue.synced();
                        after.answer(committed, synced);
                    }
                    None => queue.done(),
                }
                if closed {
                    return;
                }
            }
        };
        drop(tasks.thread("store-writer", work).map_err(|error| no_thread(&error))?);
    }
    Ok(())
}

impl Writer {
    /// One commit, which is not on the disk yet. `None` when there was none, or it failed, which is answered already.
    fn turn(&mut self, next: Next) -> Option<Committed> {
        let mut batch = match next {
            Next::Work(operation) => vec![operation],
            Next::Due | Next::Closed if self.uncounted.due.is_none() => return None,
            Next::Due | Next::Closed => Vec::new(),
        };
        self.pressure.relieve(&self.db);
        let begun = Instant::now();
        let settled = self.log.settle(&self.db).map_err(|why| Failure { why, locked: false, broken: false });
        let outcome = settled.and_then(|()| self.commit(&mut batch));
        if outcome.is_err() {
            self.count_later();
        }
        self.queue.due(self.uncounted.due);
        let Done { rings, wrote } = match outcome {
            Ok(done) => done,
            Err(failure) => {
                self.fail(batch, &failure);
                return None;
            }
        };
        if wrote {
            self.log.wrote();
        }
        // Also of one that wrote nothing: what it read may not be on the disk yet.
        Some(Committed { operations: batch, begun, commits: self.log.written(), rings, wrote })
    }

    fn fail(&mut self, batch: Vec<Operation>, failure: &Failure) {
        if !self.db.is_autocommit() {
            drop(self.db.execute_batch("ROLLBACK"));
        }
        let mut refused = batch;
        while failure.locked
            && let Some(waiting) = self.queue.take()
        {
            refused.push(waiting);
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
