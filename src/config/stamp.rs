//! By what a change of a file is seen.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

/// A file's identity and content, as far as its directory entry tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileStamp {
    inode: u64,
    length: u64,
    modified: (i64, i64),
    /// Changes with the owner and the mode, too.
    changed: (i64, i64),
}

impl FileStamp {
    /// That of a file.
    pub fn of(metadata: &Metadata) -> Self {
        let modified = (metadata.mtime(), metadata.mtime_nsec());
        let changed = (metadata.ctime(), metadata.ctime_nsec());
        Self { inode: metadata.ino(), length: metadata.len(), modified, changed }
    }
}
