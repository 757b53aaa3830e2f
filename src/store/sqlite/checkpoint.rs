//! Copies the write-ahead log back into the file, on a thread of its own, so that no commit waits for it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::super::StoreError;
use super::connect;

/// Between two checkpoints under load: each syncs the file, and the disk is shared with the commits.
const PAUSE: Duration = Duration::from_millis(500);

/// A log of so many pages (64 MiB) is cut by the writer itself: under load without a gap it would grow for ever,
/// because a checkpoint that does not stop the writer cannot start the log anew.
const MOST_PAGES: i64 = 16 * 1024;

/// How long the writer waits for readers then.
const READER_PATIENCE: Duration = Duration::from_millis(50);

/// Whether the log has grown too long.
#[derive(Default)]
pub(super) struct Pressure(AtomicBool);

impl Pressure {
    /// Starts the log anew if it has grown too long; between two commits, by the writer.
    pub(super) fn relieve(&self, db: &Connection) {
        if self.0.swap(false, Ordering::Relaxed) {
            // A reader may be in the way, for as long as a backup takes: posts do not wait for it, the next checkpoint
            // asks again.
            drop(db.busy_timeout(READER_PATIENCE));
            drop(truncate(db));
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
            let log = db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get::<_, i64>(1));
            match log {
                Ok(pages) if pages > MOST_PAGES => pressure.0.store(true, Ordering::Relaxed),
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

fn truncate(db: &Connection) -> rusqlite::Result<()> {
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
}
