//! One transaction of many operations.

use std::time::{Duration, Instant};

use rusqlite::ErrorCode;

use super::job::Tx;
use super::ledger;
use super::queue::Operation;
use super::writer::Writer;
use crate::alert::Counts;

/// So many operations share one commit at most, and so many alerts: the last of them waits for all.
const MOST_OPERATIONS: usize = 256;
const MOST_ALERTS: usize = 4_000;

/// Counts that nothing else was committed with are in the ledger after so long: a repeat changes nothing that a crash
/// could take, so it need not wait for the disk.
const COUNTED_WITHIN: Duration = Duration::from_secs(1);

/// What the ledger lacks, and by when it is to be there; all of it was answered, none of it changed anything else.
#[derive(Default)]
pub(super) struct Uncounted {
    counts: Counts,
    pub(super) due: Option<Instant>,
}

/// How operations share a transaction.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    /// One that fails takes all along. What comes while the disk is at work joins.
    Together,
    /// Each in a savepoint of its own.
    Apart,
}

/// What follows from a transaction that ended well.
#[derive(Clone, Copy, Default)]
pub(super) struct Done {
    /// The bell is to ring.
    pub(super) rings: bool,
    /// The log has grown.
    pub(super) wrote: bool,
}

/// Why a commit failed, and what follows.
pub(super) struct Failure {
    pub(super) why: String,
    /// The lock was not to be had: whoever waits behind would wait as long again.
    pub(super) locked: bool,
    /// The connection itself is in doubt.
    pub(super) broken: bool,
}

fn failure(error: &rusqlite::Error) -> Failure {
    let locked = matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked));
    Failure { why: error.to_string(), locked, broken: !locked }
}

impl Writer {
    /// Runs all in one transaction, and what comes until it can be committed. When one fails, the others are done again,
    /// each in a savepoint: that costs a copy of each page for each of them, so it is not how they begin.
    pub(super) fn commit(&mut self, batch: &mut Vec<Operation>) -> Result<Done, Failure> {
        if let Some(done) = self.transact(batch, Sharing::Together)? {
            return Ok(done);
        }
        self.execute("ROLLBACK")?;
        Ok(self.transact(batch, Sharing::Apart)?.unwrap_or_default())
    }

    /// `None`, and the transaction is open, when one failed that shares it with others.
    fn transact(&mut self, batch: &mut Vec<Operation>, sharing: Sharing) -> Result<Option<Done>, Failure> {
        self.execute("BEGIN IMMEDIATE")?;
        let before = self.db.total_changes();
        let (mut counts, mut counts_now) = (self.uncounted.counts, batch.is_empty());
        let (mut rings, mut kept) = (false, batch.is_empty());
        let (mut place, mut alerts) = (0, 0);
        loop {
            if place == batch.len() && sharing == Sharing::Together && place < MOST_OPERATIONS && alerts < MOST_ALERTS {
                batch.extend(self.queue.more());
            }
            let Some(operation) = batch.get_mut(place) else { break };
            (place, alerts) = (place + 1, alerts + operation.alerts);
            if sharing == Sharing::Apart {
                self.execute("SAVEPOINT operation")?;
            }
            let tx = Tx::new(&self.db, self.clock.now());
            let keep = operation.job.run(&tx);
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
            } else if batch.len() > 1 {
                return Ok(None);
            } else {
                break;
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
        let due = now || self.uncounted.due.is_some_and(|due| due <= Instant::now());
        if due && !none {
            ledger::alerts(&self.db, &counts).map_err(|error| failure(&error))?;
        }
        self.execute("COMMIT")?;
        self.uncounted = if due || none {
            Uncounted::default()
        } else {
            Uncounted { counts, due: Some(self.uncounted.due.unwrap_or_else(in_time)) }
        };
        Ok(())
    }

    /// What was to be counted has its time again.
    pub(super) fn count_later(&mut self) {
        self.uncounted.due = self.uncounted.due.map(|_| in_time());
    }

    fn execute(&self, sql: &'static str) -> Result<(), Failure> {
        let done = self.db.prepare_cached(sql).and_then(|mut statement| statement.execute([]));
        done.map(drop).map_err(|error| failure(&error))
    }
}

fn in_time() -> Instant {
    Instant::now() + COUNTED_WITHIN
}
