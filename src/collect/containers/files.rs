//! Reading the kernel's files: bounded, into one buffer, each with one open.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, open, openat};
use rustix::io::{Errno, read};

/// More than this of a file is not read: `memory.stat` has 2 KiB, `io.stat` of a host with a thousand disks 200.
const LIMIT: usize = 4 << 20;

/// How much is read at once: a whole file, mostly.
const CHUNK: usize = 16 << 10;

/// Version 1 writes the largest multiple of a page for "no limit".
const UNLIMITED: u64 = 0x7fff_ffff_ffff_0000;

/// The buffer that files are read into, one after the other.
#[derive(Default)]
pub(super) struct Buffer(Vec<u8>);

impl Buffer {
    /// The text of a file; nothing if it cannot be read.
    pub(super) fn read(&mut self, path: &Path) -> Option<&str> {
        self.fill(&openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?)
    }

    fn fill(&mut self, file: &OwnedFd) -> Option<&str> {
        let mut length = 0;
        loop {
            if self.0.len() < length + CHUNK {
                self.0.resize(length + CHUNK, 0);
            }
            match read(file, &mut self.0[length..]) {
                Ok(0) => return std::str::from_utf8(&self.0[..length]).ok(),
                Ok(more) if length + more <= LIMIT => length += more,
                Err(Errno::INTR) => {}
                Ok(_) | Err(_) => return None,
            }
        }
    }
}

/// An open folder: a file in it costs no walk along its path.
pub(super) struct Folder(OwnedFd);

impl Folder {
    /// # Errors
    /// It is not there, or is no folder.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?))
    }

    /// What stands between `start` and `end` in the names of files.
    pub(super) fn names(&self, start: &str, end: &str) -> impl Iterator<Item = String> + use<> {
        let listed =
            rustix::fs::openat(&self.0, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
                .and_then(rustix::fs::Dir::new);
        let names =
            listed.into_iter().flatten().flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut found: Vec<String> =
            names.filter_map(|name| Some(name.strip_prefix(start)?.strip_suffix(end)?.to_owned())).collect();
        found.sort();
        found.into_iter()
    }

    /// The text of a file; nothing if it is not there, or went away meanwhile.
    pub(super) fn read<'b>(&self, name: &str, buffer: &'b mut Buffer) -> Option<&'b str> {
        buffer.fill(&openat(&self.0, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?)
    }

    /// The number that a file holds and nothing else.
    pub(super) fn number(&self, name: &str, buffer: &mut Buffer) -> Option<u64> {
        self.read(name, buffer)?.trim().parse().ok()
    }

    /// The limit that a file holds; 0 where it says that there is none.
    pub(super) fn limit(&self, name: &str, buffer: &mut Buffer) -> Option<u64> {
        let text = self.read(name, buffer)?.trim();
        Some(text.parse().ok().filter(|limit| *limit < UNLIMITED).unwrap_or(0))
    }
}

/// The number after `key` in a file of one pair a line.
pub(super) fn field(text: &str, key: &str) -> Option<u64> {
    pairs(text).find(|(name, _)| *name == key).map(|(_, value)| value)
}

/// The pairs of a name and a number, one a line.
pub(super) fn pairs(text: &str) -> impl Iterator<Item = (&str, u64)> {
    text.lines().filter_map(|line| {
        let (name, value) = line.split_once(' ')?;
        Some((name, value.trim().parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_is_none_is_nought_and_a_missing_file_is_nothing() {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in [("max", "max\n"), ("v1", "9223372036854771712\n"), ("set", "67108864\n")] {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let folder = Folder::open(dir.path()).unwrap();
        let mut buffer = Buffer::default();
        let limits = ["max", "v1", "set", "gone"].map(|name| folder.limit(name, &mut buffer));
        assert_eq!(limits, [Some(0), Some(0), Some(67_108_864), None]);
        assert_eq!(folder.number("max", &mut buffer), None);
    }

    #[test]
    fn an_endless_file_is_not_read_to_its_end() {
        assert_eq!(Buffer::default().read(Path::new("/dev/zero")), None);
    }

    #[test]
    fn pairs_skip_what_is_no_pair() {
        assert_eq!(pairs("a 1\nb\nc x\nd 18446744073709551615\n").collect::<Vec<_>>(), [("a", 1), ("d", u64::MAX)]);
        assert_eq!(field("usage_usec 5\nuser_usec 3\n", "user_usec"), Some(3));
    }
}
