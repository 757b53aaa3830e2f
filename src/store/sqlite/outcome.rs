//! What follows from a commit, once it is on the disk or failed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::Instant;

use prometheus::Histogram;
use tokio::sync::Notify;

use super::checkpoint::Pressure;
use super::queue::Operation;

/// A transaction that was committed and not yet synced.
pub(super) struct Committed {
    pub(super) operations: Vec<Operation>,
    pub(super) begun: Instant,
    /// So many commits are to be on the disk before it is answered.
    pub(super) commits: u64,
    /// The bell is to ring.
    pub(super) rings: bool,
    /// The log has grown.
    pub(super) wrote: bool,
}

/// Whoever hears of a commit.
pub(super) struct After {
    bell: Arc<Notify>,
    seconds: Histogram,
    pressure: Arc<Pressure>,
    /// Wakes the checkpointer.
    checkpointer: SyncSender<()>,
    /// Whether the last commit failed: it was said.
    failing: AtomicBool,
}

impl After {
    pub(super) fn new(
        bell: Arc<Notify>,
        seconds: Histogram,
        pressure: Arc<Pressure>,
        checkpointer: SyncSender<()>,
    ) -> Self {
        Self { bell, seconds, pressure, checkpointer, failing: AtomicBool::new(false) }
    }

    /// Answers all operations of a commit.
    pub(super) fn answer(&self, committed: Committed, synced: Result<(), String>) {
        let Committed { operations, begun, rings, wrote, .. } = committed;
        if let Err(why) = synced {
            return self.refuse(operations, &why);
        }
        self.seconds.observe(begun.elapsed().as_secs_f64());
        for operation in operations {
            operation.job.answer(Ok(()));
        }
        if rings {
            self.bell.notify_waiters();
        }
        if wrote {
            if self.failing.swap(false, Ordering::Relaxed) {
                tracing::info!("the store commits again");
            }
            self.pressure.ask(&self.checkpointer);
        }
    }

    /// Tells all operations of a commit that it failed.
    pub(super) fn refuse(&self, operations: Vec<Operation>, why: &str) {
        // Once for each change: the log is often on the disk that is full.
        if !self.failing.swap(true, Ordering::Relaxed) {
            tracing::error!(why, operations = operations.len(), "the store could not commit");
        }
        for operation in operations {
            operation.job.answer(Err(why.to_owned()));
        }
    }
}
