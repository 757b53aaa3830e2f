//! One piece of work on a connection, and the answer to whoever waits for it.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use jiff::Timestamp;
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::super::StoreError;
use crate::task::words;

/// What a piece of work works with: the connection, within a transaction, and the time.
pub(super) struct Tx<'c> {
    pub(super) db: &'c Connection,
    pub(super) now: Timestamp,
    rings: Cell<bool>,
}

impl<'c> Tx<'c> {
    pub(super) fn new(db: &'c Connection, now: Timestamp) -> Self {
        Self { db, now, rings: Cell::new(false) }
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
    /// Does it. Whether its changes are to be kept.
    fn run(&mut self, tx: &Tx<'_>) -> bool;

    /// Answers, once what it changed is committed, or could not be.
    fn answer(self: Box<Self>, commit: Result<(), String>);
}

/// The job of one method of the store.
pub(super) struct Call<T, W> {
    work: Option<W>,
    result: Option<Result<T, StoreError>>,
    answer: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, W> Call<T, W>
where
    T: Send + 'static,
    W: FnOnce(&Tx<'_>) -> Result<T, StoreError> + Send + 'static,
{
    pub(super) fn boxed(work: W) -> (Box<dyn Job>, oneshot::Receiver<Result<T, StoreError>>) {
        let (answer, answered) = oneshot::channel();
        (Box::new(Self { work: Some(work), result: None, answer }), answered)
    }
}

impl<T, W> Job for Call<T, W>
where
    T: Send,
    W: FnOnce(&Tx<'_>) -> Result<T, StoreError> + Send,
{
    fn run(&mut self, tx: &Tx<'_>) -> bool {
        let Some(work) = self.work.take() else { return false };
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
        let result = match (commit, self.result) {
            (Ok(()), Some(result)) => result,
            (Err(_), Some(Err(error))) => Err(error),
            (Err(why), _) => Err(StoreError::Unavailable(why)),
            (Ok(()), None) => Err(StoreError::Busy),
        };
        // Whoever asked may have left.
        drop(self.answer.send(result));
    }
}
