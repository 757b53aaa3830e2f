//! How much of the write-ahead log is on the disk. A commit writes to the log and does not sync it: whoever committed
//! does that, while others fill the next transaction. Nothing is answered before its own sync has ended.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rusqlite::Connection;

/// Counts commits. A sync that begins after a commit takes it and all before it to the disk.
#[derive(Default)]
pub(super) struct Log {
    written: AtomicU64,
    synced: AtomicU64,
    doubtful: AtomicBool,
}

impl Log {
    /// The log's file beside a database: one open file for each thread that syncs, because the system tells a failed
    /// write once to each.
    pub(super) fn open(database: &Path) -> io::Result<File> {
        File::open(path(database))
    }

    /// A commit was written.
    pub(super) fn wrote(&self) {
        self.written.fetch_add(1, Ordering::Release);
    }

    /// How many commits were written.
    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// Whether the first `commits` are on the disk.
    pub(super) fn has(&self, commits: u64) -> bool {
        self.synced.load(Ordering::Acquire) >= commits
    }

    /// Returns when the first `commits` are on the disk, those of other threads included.
    ///
    /// # Errors
    /// The disk did not take them: the log is in doubt.
    pub(super) fn sync(&self, file: &File, commits: u64) -> Result<(), String> {
        if self.has(commits) {
            return Ok(());
        }
        let written = self.written();
        let synced = file.sync_data().map_err(|error| error.to_string());
        match &synced {
            Ok(()) => self.synced.fetch_max(written, Ordering::Release),
            Err(_) => u64::from(self.doubtful.swap(true, Ordering::Release)),
        };
        synced
    }

    /// After a sync that failed, nobody knows what of the log is on the disk, though all of it can be read: no commit
    /// follows until it stands in the database itself.
    pub(super) fn settle(&self, db: &Connection) -> Result<(), String> {
        if !self.doubtful.load(Ordering::Acquire) {
            return Ok(());
        }
        let copied =
            |row: &rusqlite::Row<'_>| Ok(!row.get::<_, bool>(0)? && row.get::<_, i64>(1)? == row.get::<_, i64>(2)?);
        match db.query_row("PRAGMA wal_checkpoint(FULL)", [], copied) {
            Ok(true) => {
                self.doubtful.store(false, Ordering::Release);
                Ok(())
            }
            Ok(false) => Err("a sync has failed, and the log cannot be copied back yet".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// The log's file beside a database.
pub(super) fn path(database: &Path) -> PathBuf {
    let mut name: OsString = database.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

#[cfg(test)]
mod tests {
    use super::super::connect;
    use super::*;

    #[test]
    fn after_a_sync_that_failed_the_log_is_copied_back_before_anything_else() {
        let folder = tempfile::tempdir().unwrap();
        let db = connect::prepare(folder.path()).unwrap();
        let database = connect::file(folder.path());
        let (log, file) = (Log::default(), Log::open(&database).unwrap());
        log.wrote();
        // A device that has nothing to sync says so.
        assert!(log.sync(&File::open("/dev/null").unwrap(), 1).is_err());
        let reader = connect::reader(&database).unwrap();
        let question = reader.unchecked_transaction().unwrap();
        let sources = || question.query_row("SELECT count(*) FROM source", [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(sources(), 0);
        db.busy_timeout(std::time::Duration::ZERO).unwrap();
        db.execute("INSERT INTO source (name) VALUES ('late')", []).unwrap();
        assert!(log.settle(&db).is_err(), "a reader is in what is older than the last commit");
        assert_eq!(sources(), 0);
        drop(question);
        log.settle(&db).unwrap();
        log.sync(&file, 1).unwrap();
        assert_eq!(log.sync(&File::open("/dev/null").unwrap(), 1), Ok(()), "it is on the disk already");
    }
}
