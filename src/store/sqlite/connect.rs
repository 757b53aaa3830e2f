//! The database's file and connections to it. The only place that opens one.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::super::StoreError;
use super::log::{self, Log};
use super::migrate;

/// How long a lock that another program holds is waited for. A post is answered within 5 s: what is queued behind the
/// one that waits may wait as long again.
pub(super) const LOCK_PATIENCE: Duration = Duration::from_secs(2);

/// A file up to this size is checked whole at each start, in a fraction of a second.
const CHECKED_AT_START: u64 = 64 << 20;

/// A commit writes each page that it changes: an alert changes some ten pages, a few bytes in most of them, so small pages
/// are half the work. Three alerts of the usual length fit into one.
const PAGE: i64 = 2 << 10;

/// The log begins with so many bytes: to write over what is there takes the disk half the time of making a file longer.
const RESERVE: i64 = 8 << 20;

/// A log that has grown beyond this, in bytes, is cut when it begins anew.
const LONGEST_LOG: i64 = 64 << 20;

/// What the writer keeps of the file in memory, at most, in KiB: an index of a million alerts is about so long, and each
/// new alert has a place of its own in it.
const CACHE: i64 = 16 << 10;

/// SQLite's header of 100 bytes: <https://sqlite.org/fileformat2.html#the_database_header>.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
const USER_VERSION: usize = 60;
const APPLICATION_ID: usize = 68;

/// The database in a data folder.
pub(in super::super) fn file(folder: &Path) -> PathBuf {
    folder.join("tidewatch.db")
}

/// Opens the database of a folder for the first time in this process: makes what is missing, checks what is there,
/// and brings its schema up to date.
pub(super) fn prepare(folder: &Path) -> Result<Connection, StoreError> {
    let file = file(folder);
    if !file.exists() {
        create(folder, &file).map_err(|error| StoreError::Unavailable(format!("{}: {error}", file.display())))?;
    }
    peek(&file)?;
    let mut db = open(&file, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // The header may lag behind the log: until the version is known to be ours, closing must not touch the file.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    let found = migrate::version(&db)?;
    if found > migrate::KNOWN {
        return Err(StoreError::Newer { file, found, known: migrate::KNOWN });
    }
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    // Of a new file; one that exists keeps its own.
    db.pragma_update(None, "page_size", PAGE)?;
    durable(&db)?;
    reserve(&db, &file)?;
    if std::fs::metadata(&file).is_ok_and(|file| file.len() <= CHECKED_AT_START) {
        let verdict: String = db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if verdict != "ok" {
            return Err(StoreError::Damaged(format!("{}: {verdict}", file.display())));
        }
    }
    migrate::migrate(&mut db, &file, migrate::MIGRATIONS)?;
    Ok(db)
}

/// The same for whoever syncs the log's file itself before it says that a commit is done.
pub(super) fn sync_later(db: &Connection) -> Result<(), StoreError> {
    Ok(db.pragma_update(None, "synchronous", "NORMAL")?)
}

/// A connection that writes.
pub(in super::super) fn writer(file: &Path) -> Result<Connection, StoreError> {
    let db = open(file, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    durable(&db)?;
    Ok(db)
}

/// A connection that reads.
pub(in super::super) fn reader(file: &Path) -> Result<Connection, StoreError> {
    open(file, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

/// Makes a new empty file that only its owner reads, durable in its folder.
pub(in super::super) fn create(folder: &Path, file: &Path) -> std::io::Result<()> {
    if !folder.as_os_str().is_empty() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?.sync_all()?;
    sync_folder(file)
}

/// Makes the entry of a file in its folder durable.
pub(in super::super) fn sync_folder(file: &Path) -> std::io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// Refuses what is not ours before SQLite touches it.
pub(in super::super) fn peek(file: &Path) -> Result<(), StoreError> {
    let unavailable = |error: std::io::Error| StoreError::Unavailable(format!("{}: {error}", file.display()));
    let mut header = Vec::new();
    File::open(file).map_err(unavailable)?.take(100).read_to_end(&mut header).map_err(unavailable)?;
    if header.is_empty() {
        return Ok(());
    }
    let number = |at: usize| {
        let bytes = header.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        bytes.map(u32::from_be_bytes).unwrap_or_default()
    };
    let application = number(APPLICATION_ID);
    if !header.starts_with(MAGIC) || (application != 0 && application != migrate::APPLICATION) {
        return Err(StoreError::Damaged(format!("{} is not a database of tidewatch", file.display())));
    }
    let found = i64::from(number(USER_VERSION));
    if found > migrate::KNOWN {
        return Err(StoreError::Newer { file: file.to_owned(), found, known: migrate::KNOWN });
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "the one place that opens a connection")]
fn open(file: &Path, mode: OpenFlags) -> Result<Connection, StoreError> {
    let db = Connection::open_with_flags(file, mode | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .map_err(|error| StoreError::Unavailable(format!("{}: {error}", file.display())))?;
    db.busy_timeout(LOCK_PATIENCE)?;
    db.set_prepared_statement_cache_capacity(128);
    // Plans by the statement alone: else each new value would plan anew whatever a partial index might answer.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    db.pragma_update(None, "foreign_keys", true)?;
    db.pragma_update(None, "trusted_schema", false)?;
    Ok(db)
}

/// A commit is on the disk when it returns. The log is copied back by the checkpointer alone.
fn durable(db: &Connection) -> Result<(), StoreError> {
    let mode: String = db.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(StoreError::Unavailable(format!("the file system has no write-ahead log (journal mode {mode})")));
    }
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "wal_autocheckpoint", 0)?;
    // Not updated but asked for: it answers with the limit.
    db.query_row(&format!("PRAGMA journal_size_limit = {LONGEST_LOG}"), [], |_| Ok(()))?;
    // Negative: in KiB, not in pages.
    db.pragma_update(None, "cache_size", -CACHE)?;
    Ok(())
}

/// Makes the log long: what is written beyond a small cache and taken back leaves its room in the file.
fn reserve(db: &Connection, file: &Path) -> Result<(), StoreError> {
    db.pragma_update(None, "cache_size", 16)?;
    let written = db.execute_batch(&format!(
        "BEGIN IMMEDIATE; CREATE TABLE reserve (room BLOB); INSERT INTO reserve VALUES (zeroblob({RESERVE})); ROLLBACK"
    ));
    if !db.is_autocommit() {
        drop(db.execute_batch("ROLLBACK"));
    }
    db.pragma_update(None, "cache_size", -CACHE)?;
    if let Err(error) = written {
        // A disk that is nearly full takes some alerts yet.
        tracing::warn!(%error, "there is no room to make the store's log long");
        return Ok(db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?);
    }
    let synced = Log::open(file).and_then(|log| log.sync_all());
    synced.map_err(|error| StoreError::Unavailable(format!("{}: {error}", log::path(file).display())))
}
