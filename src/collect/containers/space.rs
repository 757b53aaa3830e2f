//! The host's file systems: the one that holds the containers, and those of the root.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::collect::host::is_remote;

/// How full a file system is, in bytes and in files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Space {
    /// All of it.
    pub size: u64,
    /// What is used.
    pub used: u64,
    /// How many files it can hold, and how many more.
    pub files: u64,
    /// How many more files it can hold.
    pub files_free: u64,
}

/// Asks a file system about its space: the system's `statvfs`, or a test's.
pub type Statvfs = Arc<dyn Fn(&Path) -> Option<Space> + Send + Sync>;

/// The system's own.
pub(super) fn system() -> Statvfs {
    Arc::new(|path| {
        let space = rustix::fs::statvfs(path).ok()?;
        let bytes = |blocks: u64| blocks.saturating_mul(space.f_frsize);
        Some(Space {
            size: bytes(space.f_blocks),
            used: bytes(space.f_blocks.saturating_sub(space.f_bfree)),
            files: space.f_files,
            files_free: space.f_ffree,
        })
    })
}

/// The types that cAdvisor looks at and that always answer: remote ones may hang, and are `host`'s business.
const TYPES: [&str; 7] = ["ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "tmpfs"];

/// More than these are not looked at.
const MOST: usize = 200;

/// A mounted file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mount {
    /// Its device file; of one in memory its mount point, as in cAdvisor.
    pub(super) device: String,
    pub(super) number: (u32, u32),
    /// Where it is mounted on the host.
    pub(super) point: PathBuf,
}

/// What is mounted on the host.
#[derive(Debug, Default)]
pub(super) struct Mounts {
    /// The local file systems, each once, those left out to which the way leads through a remote one.
    pub(super) local: Vec<Mount>,
    /// Where calls may hang.
    remote: Vec<PathBuf>,
}

impl Mounts {
    /// Reads `mountinfo`.
    pub(super) fn parse(mountinfo: &str) -> Self {
        let rows: Vec<Row> = mountinfo.lines().filter_map(Row::parse).collect();
        // Of several mounts on one point the last one is to be seen: an automounter's has the real one on top.
        let last: HashMap<&str, bool> = rows.iter().map(|row| (row.point.as_str(), is_remote(row.kind))).collect();
        // Where the root hangs, so does all else.
        let remote = last.into_iter().filter(|(point, remote)| *remote && *point != "/").map(|(point, _)| point.into());
        let mut mounts = Self { local: Vec::new(), remote: remote.collect() };
        for Row { kind, source, number, point } in rows {
            let device = if kind == "tmpfs" { point.clone() } else { unescaped(source) };
            let known = mounts.local.iter().any(|mount| mount.device == device || mount.number == number);
            if TYPES.contains(&kind) && !known && mounts.local.len() < MOST && !mounts.may_hang(Path::new(&point)) {
                mounts.local.push(Mount { device, number, point: point.into() });
            }
        }
        mounts
    }

    /// The file system that holds `path`: the one with the longest mount point that leads there. `None` where that is a
    /// remote one.
    pub(super) fn holding(&self, path: &Path) -> Option<&Mount> {
        let leads = self.local.iter().filter(|mount| path.starts_with(&mount.point));
        leads.max_by_key(|mount| mount.point.as_os_str().len()).filter(|_| !self.may_hang(path))
    }

    fn may_hang(&self, path: &Path) -> bool {
        self.remote.iter().any(|point| path.starts_with(point))
    }
}

/// What is wanted of a line of `mountinfo`.
struct Row<'l> {
    kind: &'l str,
    source: &'l str,
    number: (u32, u32),
    point: String,
}

impl<'l> Row<'l> {
    fn parse(line: &'l str) -> Option<Self> {
        let (left, right) = line.split_once(" - ")?;
        let (mut left, mut right) = (left.split(' ').skip(2), right.split(' '));
        let (major, minor) = left.next()?.split_once(':')?;
        let number = (major.parse().ok()?, minor.parse().ok()?);
        Some(Self { kind: right.next()?, source: right.next()?, number, point: unescaped(left.nth(1)?) })
    }
}

/// The kernel writes blanks and backslashes as `\040`.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        let octal = more.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()).filter(|_| *first == b'\\');
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &more[3..] } else { more };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_local_file_system_is_taken_once() {
        let mounts = Mounts::parse(
            "1 0 254:0 / / rw shared:1 - ext4 /dev/vda rw\n2 1 0:5 / /proc rw - proc proc rw\n\
            3 1 0:30 / /run rw - tmpfs tmpfs rw\n4 1 254:0 /a /mnt\\040b rw - ext4 /dev/vda rw\n\
            5 1 0:40 / /var/lib/docker/overlay2/x/merged rw - overlay overlay rw\n6 1 8:1 / /data\\0401 rw - xfs /dev/sda1 rw\n",
        );
        let found: Vec<_> =
            mounts.local.iter().map(|mount| (mount.device.as_str(), mount.point.to_str().unwrap())).collect();
        assert_eq!(found, [("/dev/vda", "/"), ("/run", "/run"), ("/dev/sda1", "/data 1")]);
        assert_eq!(mounts.holding(Path::new("/var/lib/docker")).unwrap().device, "/dev/vda");
        assert_eq!(mounts.holding(Path::new("/data 1/docker")).unwrap().device, "/dev/sda1");
    }

    #[test]
    fn a_local_file_system_behind_a_remote_one_is_left_alone() {
        let mounts = Mounts::parse(
            "1 0 0:20 / / rw - 9p root rw\n2 1 254:0 / /local rw - ext4 /dev/vda rw\n3 1 0:30 / /net rw - nfs4 s:/ rw\n\
            4 3 7:0 / /net/image rw - ext4 /dev/loop0 rw\n5 1 0:31 / /auto rw - autofs systemd-1 rw\n\
            6 5 8:1 / /auto rw - xfs /dev/sda1 rw\n7 1 8:2 / /hidden rw - ext4 /dev/sda2 rw\n\
            8 7 0:32 / /hidden rw - fuse.sshfs s: rw\n",
        );
        let found: Vec<_> = mounts.local.iter().map(|mount| mount.point.to_str().unwrap()).collect();
        assert_eq!(found, ["/local", "/auto"]);
        assert_eq!(mounts.holding(Path::new("/net/image/docker")), None);
        assert_eq!(mounts.holding(Path::new("/auto/docker")).unwrap().device, "/dev/sda1");
    }
}
