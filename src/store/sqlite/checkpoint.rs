//! Copies the write-ahead log back into the file, on a thread of its own, so that no commit waits for it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::super::StoreError;
use super::connect;

/// Between two checkpoints under load: each syncs the file, and the disk is shared with the commits; but a log that is
/// begun anew soon need not grow.
const PAUSE: Duration = Duration::from_millis(150);

/// A log of so many pages (64 MiB) is begun anew by the writer itself: under load without a gap it would grow for ever,
/// because a checkpoint that does not stop the writer cannot do it.
const MOST_PAGES: i64 = 32 * 1024;

/// How long the writer waits for readers then.
const READER_PATIENCE: Duration = Duration::from_millis(50);

/// A log of so many pages (1 MiB) is begun anew after a checkpoint: to write over what is there takes the disk half the
/// time of making a file longer.
const WORTH_REUSE: i64 = 512;

/// What the writer and the checkpointer tell each other.
#[derive(Default)]
pub(super) struct Pressure {
    /// What the writer is to do about the log, between two commits.
    wanted: AtomicU8,
    /// A checkpoint follows in any case: the next commit need not ask for one, which would wake a thread.
    asked: AtomicBool,
}

/// Copy what was committed during the checkpoint: the next commit then begins the log anew, unless a reader is in it.
const FINISH: u8 = 1;
/// Begin it anew, and wait for readers.
const RESTART: u8 = 2;

impl Pressure {
    /// Asks for a checkpoint, after a commit.
    pub(super) fn ask(&self, checkpointer: &SyncSender<()>) {
        if !self.asked.swap(true, Ordering::AcqRel) {
            // It is awake already when the channel is full.
            let _awake = checkpointer.try_send(());
        }
    }

    /// Does what the last checkpoint could not, because commits went on.
    pub(super) fn relieve(&self, db: &Connection) {
        let wanted = self.wanted.swap(0, Ordering::Relaxed);
        if wanted == FINISH {
            drop(checkpoint(db));
        }
        if wanted == RESTART {
            // A reader may be in the way, for as long as a backup takes: posts do not wait for it, the next checkpoint
            // asks again.
            drop(db.busy_timeout(READER_PATIENCE));
            drop(db.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(())));
            drop(db.busy_timeout(connect::LOCK_PATIENCE));
        }
    }
}

/// Opens the connection and gives the work of the thread, which ends with the last sender of `committed`.
pub(super) fn work(
    file: &Path,
    committed: Receiver<()>,
    pressure: Arc<Pressure>,
) -> Result<impl FnOnce() + Send + use<>, StoreError> {
    let db = connect::writer(file)?;
    Ok(move || {
        let mut signal = committed.recv().is_ok();
        while signal {
            // What is committed from here on asks for the next.
            pressure.asked.store(false, Ordering::Release);
            match checkpoint(&db) {
                Ok(pages) if pages > MOST_PAGES => pressure.wanted.store(RESTART, Ordering::Relaxed),
                Ok(pages) if pages > WORTH_REUSE => pressure.wanted.store(FINISH, Ordering::Relaxed),
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "the log could not be copied back"),
            }
            signal = next(&committed);
        }
        // The file alone is complete then. Where a reader is in the way, the next start does it.
        drop(truncate(&db));
    })
}

/// Waits for the next commit and for the pause; what is committed within the pause is one signal. False when there
/// will be none any more.
fn next(committed: &Receiver<()>) -> bool {
    let until = Instant::now() + PAUSE;
    let mut signal = false;
    loop {
        match committed.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(()) => signal = true,
            Err(RecvTimeoutError::Timeout) => return signal || committed.recv().is_ok(),
            Err(RecvTimeoutError::Disconnected) => return false,
        }
    }
}

/// Copies what it can without waiting for anybody. How many pages the log has.
fn checkpoint(db: &Connection) -> rusqlite::Result<i64> {
    db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(1))
}

fn truncate(db: &Connection) -> rusqlite::Result<()> {
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
}
