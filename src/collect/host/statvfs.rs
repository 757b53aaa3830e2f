//! How full a file system is, and which file systems may never answer.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::mounts::Mount;

/// What a file system tells about its space, in bytes and in files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Space {
    /// All of it.
    pub size: u64,
    /// What nobody uses.
    pub free: u64,
    /// What somebody other than root may still use.
    pub avail: u64,
    /// How many files it can hold; 0 where it does not count them.
    pub files: u64,
    /// How many more files it can hold.
    pub files_free: u64,
    /// It, or its mount as we see it, is read-only.
    pub read_only: bool,
}

/// Asks a file system about its space: the system's `statvfs`, or a test's.
pub type Statvfs = Arc<dyn Fn(&Path) -> io::Result<Space> + Send + Sync>;

/// The system's own.
pub(super) fn system() -> Statvfs {
    Arc::new(|path| {
        let space = rustix::fs::statvfs(path)?;
        // Blocks are counted in fragments; `f_bsize` is only the size that the system likes to transfer.
        let bytes = |blocks: u64| blocks.saturating_mul(space.f_frsize);
        Ok(Space {
            size: bytes(space.f_blocks),
            free: bytes(space.f_bfree),
            avail: bytes(space.f_bavail),
            files: space.f_files,
            files_free: space.f_ffree,
            read_only: space.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY),
        })
    })
}

/// The types whose server, or whose process on this host, may be gone: a call then waits for ever.
const REMOTE: [&str; 24] = [
    "9p",
    "acfs",
    "afs",
    "autofs",
    "beegfs",
    "ceph",
    "cifs",
    "coda",
    "fuse",
    "fuseblk",
    "gfs",
    "gfs2",
    "glusterfs",
    "gpfs",
    "lustre",
    "ncpfs",
    "nfs",
    "nfs4",
    "ocfs2",
    "orangefs",
    "smb3",
    "smbfs",
    "vboxsf",
    "virtiofs",
];

/// Whether a file system of this type may never answer.
pub(in crate::collect) fn is_remote(kind: &str) -> bool {
    REMOTE.contains(&kind) || kind.starts_with("fuse.")
}

/// For each mount whether asking it may hang: it is remote, or the way to it leads through one that is.
pub(super) fn may_hang(mounts: &[Mount]) -> Vec<bool> {
    let remote = mounts.iter().filter(|mount| is_remote(&mount.kind));
    let points: Vec<&Path> = remote.map(|mount| mount.point.as_path()).collect();
    mounts.iter().map(|mount| points.iter().any(|point| mount.point.starts_with(point))).collect()
}

/// The error as node_exporter's label spells it: the system's words, without a capital and without a number.
pub(super) fn words(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_ascii_lowercase());
    first.into_iter().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_local_mount_below_a_remote_one_may_hang_too() {
        let table =
            b"1 0 8:1 / / rw - ext4 a rw\n2 1 0:9 / /net rw - nfs4 s:/ rw\n3 2 8:2 / /net/disk rw - ext4 b rw\n\
            4 1 8:3 / /network rw - ext4 c rw\n5 1 0:7 / /ssh rw - fuse.sshfs d rw\n";
        let mounts = super::super::mounts::parse(table, Path::new("/"));
        assert_eq!(may_hang(&mounts), [false, true, true, false, true]);
    }

    #[test]
    fn errors_are_spelled_as_the_original_spells_them() {
        let error = io::Error::from_raw_os_error(rustix::io::Errno::ACCESS.raw_os_error());
        assert_eq!(words(&error), "permission denied");
        assert_eq!(words(&io::Error::other("")), "");
    }

    #[test]
    fn the_system_tells_of_its_root() {
        let space = system()(Path::new("/")).unwrap();
        assert!(space.size > 0 && space.avail <= space.free && space.free <= space.size, "{space:?}");
        assert!(system()(Path::new("/nowhere at all")).is_err());
    }
}
