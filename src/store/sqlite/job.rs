//! One piece of work on a connection, and the answer to whoever waits for it.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use jiff::Timestamp;
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::super::StoreError;
use crate::alert::Counts;
use crate::task::words;

/// What a piece of work works with: the connection, within a transaction, and the time.
pub(super) struct Tx<'c> {
    pub(super) db: &'c Connection,
    pub(super) now: Timestamp,
    rings: Cell<bool>,
    counts: Cell<Counts>,
    counts_now: Cell<bool>,
}

impl<'c> Tx<'c> {
    pub(super) fn new(db: &'c Connection, now: Timestamp) -> Self {
        let (rings, counts, counts_now) = <(Cell<bool>, Cell<Counts>, Cell<bool>)>::default();
        Self { db, now, rings, counts, counts_now }
    }

    /// What became of alerts. The writer adds it to the ledger: with this transaction if it changes anything else, else
    /// within a second.
    pub(super) fn count(&self, counts: Counts) {
        let mut sum = self.counts.get();
        sum += counts;
        self.counts.set(sum);
    }

    /// All that was counted so far is in the ledger once this is committed.
    pub(super) fn count_now(&self) {
        self.counts_now.set(true);
    }

    pub(super) fn counted(&self) -> (Counts, bool) {
        (self.counts.get(), self.counts_now.get())
    }

    /// Once this is committed, somebody may have work to do.
    pub(super) fn ring(&self) {
        self.rings.set(true);
    }

    pub(super) fn rings(&self) -> bool {
        self.rings.get()
    }
}

/// Work in a queue.
pub(super) trait Job: Send {
    /// Does it. Whether its changes are to be kept. It is done again when the transaction was rolled back.
    fn run(&mut self, tx: &Tx<'_>) -> bool;

    /// Answers, once what it changed is committed, or could not be.
    fn answer(self: Box<Self>, commit: Result<(), String>);
}

/// The job of one method of the store.
pub(super) struct Call<T, W> {
    work: W,
    result: Option<Result<T, StoreError>>,
    answer: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, W> Call<T, W>
where
    T: Send + 'static,
    W: FnMut(&Tx<'_>) -> Result<T, StoreError> + Send + 'static,
{
    pub(super) fn boxed(work: W) -> (Box<dyn Job>, oneshot::Receiver<Result<T, StoreError>>) {
        let (answer, answered) = oneshot::channel();
        (Box::new(Self { work, result: None, answer }), answered)
    }
}

impl<T, W> Job for Call<T, W>
where
    T: Send,
    W: FnMut(&Tx<'_>) -> Result<T, StoreError> + Send,
{
    fn run(&mut self, tx: &Tx<'_>) -> bool {
        let work = &mut self.work;
        // A panic costs its own work only: the caller rolls back to the savepoint, and the connection stays whole.
        let result = catch_unwind(AssertUnwindSafe(|| work(tx))).unwrap_or_else(|panic| {
            let what = words(panic.as_ref());
            tracing::error!(what, "an operation of the store panicked");
            Err(StoreError::Unavailable(format!("an operation panicked: {what}")))
        });
        let keep = result.is_ok();
        self.result = Some(result);
        keep
    }

    fn answer(self: Box<Self>, commit: Result<(), String>) {
        let Self { work, result, answer } = *self;
        // Whoever asked has the rest of what the work held: to free it here would take the time of the next commit.
        drop(work);
        let result = match (commit, result) {
            (Ok(()), Some(result)) => result,
            (Err(_), Some(Err(error))) => Err(error),
            (Err(why), _) => Err(StoreError::Unavailable(why)),
            (Ok(()), None) => Err(StoreError::Busy),
        };
        // Whoever asked may have left.
        drop(answer.send(result));
    }
}
