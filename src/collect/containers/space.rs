//! The host's file systems: the one that holds the containers, and those of the root.

use std::path::{Path, PathBuf};
use std::sync::Arc;

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

/// The local file systems in `mountinfo`, each once.
pub(super) fn parse(mountinfo: &str) -> Vec<Mount> {
    let mut mounts: Vec<Mount> = Vec::new();
    for line in mountinfo.lines() {
        let Some((left, right)) = line.split_once(" - ") else { continue };
        let (left, right) = (left.split(' ').collect::<Vec<_>>(), right.split(' ').collect::<Vec<_>>());
        let ([_, _, number, _, point, ..], [kind, source, ..]) = (&left[..], &right[..]) else { continue };
        let Some((Ok(major), Ok(minor))) = number.split_once(':').map(|(a, b)| (a.parse(), b.parse())) else {
            continue;
        };
        let point = unescaped(point);
        let device = if *kind == "tmpfs" { point.clone() } else { unescaped(source) };
        let known = mounts.iter().any(|mount| mount.device == device || mount.number == (major, minor));
        if TYPES.contains(kind) && !known && mounts.len() < MOST {
            mounts.push(Mount { device, number: (major, minor), point: point.into() });
        }
    }
    mounts
}

/// The file system that holds `path`: the one with the longest mount point that leads there.
pub(super) fn holding<'m>(mounts: &'m [Mount], path: &Path) -> Option<&'m Mount> {
    mounts.iter().filter(|mount| path.starts_with(&mount.point)).max_by_key(|mount| mount.point.as_os_str().len())
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
        let mounts = parse(
            "1 0 254:0 / / rw shared:1 - ext4 /dev/vda rw\n2 1 0:5 / /proc rw - proc proc rw\n\
            3 1 0:30 / /run rw - tmpfs tmpfs rw\n4 1 254:0 /a /mnt\\040b rw - ext4 /dev/vda rw\n\
            5 1 0:40 / /var/lib/docker/overlay2/x/merged rw - overlay overlay rw\n6 1 8:1 / /data\\0401 rw - xfs /dev/sda1 rw\n",
        );
        let found: Vec<_> = mounts.iter().map(|mount| (mount.device.as_str(), mount.point.to_str().unwrap())).collect();
        assert_eq!(found, [("/dev/vda", "/"), ("/run", "/run"), ("/dev/sda1", "/data 1")]);
        assert_eq!(holding(&mounts, Path::new("/var/lib/docker")).unwrap().device, "/dev/vda");
        assert_eq!(holding(&mounts, Path::new("/data 1/docker")).unwrap().device, "/dev/sda1");
    }
}
