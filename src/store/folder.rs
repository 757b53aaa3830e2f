//! The data folder: who works in it, and putting a backup in the place of what is there.

use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::StoreError;
use super::sqlite::{connect, migrate};

/// Held by the one process that works in a data folder; given back when it ends, however it ends.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "the lock lives as long as the open file")] File);

/// Takes a data folder for this process.
///
/// # Errors
/// [`StoreError::Held`] when another process holds it.
pub fn lock(folder: &Path) -> Result<Lock, StoreError> {
    let name = folder.join("tidewatch.lock");
    let failed = |error: std::io::Error| StoreError::Unavailable(format!("{}: {error}", name.display()));
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    let mut options = OpenOptions::new();
    let file = options.create(true).truncate(false).write(true).mode(0o600).open(&name).map_err(failed)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Lock(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(StoreError::Held(folder.to_owned())),
        Err(error) => Err(failed(error.into())),
    }
}

/// Whether something is kept in a data folder.
pub fn exists(folder: &Path) -> bool {
    connect::file(folder).exists()
}

/// Puts the backup `from` in the place of a folder's database. At any moment the folder holds either what was there or
/// the backup, whole.
///
/// # Errors
/// A server runs on the folder; or the backup is damaged, of another program, or of a newer version. Nothing has
/// changed then.
pub fn restore(from: &Path, folder: &Path) -> Result<(), StoreError> {
    let _lock = lock(folder)?;
    let file = connect::file(folder);
    let fresh = file.with_extension("db.restoring");
    let failed = |error: std::io::Error| StoreError::Unavailable(format!("{}: {error}", fresh.display()));
    drop(std::fs::remove_file(&fresh));
    connect::peek(from)?;
    // Through SQLite, so that a log beside the backup is read with it, and all pages are.
    let source = connect::reader(from)?;
    migrate::check(&source, from)?;
    migrate::backup(&source, &fresh)?;
    drop(source);
    if file.exists() {
        // What is in the log belongs to the file that goes: first into it, so that a crash here still finds it whole.
        if let Ok(old) = connect::writer(&file) {
            drop(old.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())));
        }
        for log in ["-wal", "-shm"].map(|suffix| beside(&file, suffix)) {
            match std::fs::remove_file(&log) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
                _ => {}
            }
        }
    }
    std::fs::rename(&fresh, &file).map_err(failed)?;
    connect::sync_folder(&file).map_err(failed)
}

fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.to_owned().into_os_string();
    name.push(suffix);
    name.into()
}
