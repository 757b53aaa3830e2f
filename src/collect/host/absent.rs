//! What the kernel does not have, and what is not looked for again in every run: to try a file that is not there costs
//! more than to read one that is open, and a host lacks most of the hardware that parts ask for.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;

use super::kept;

/// What appears is there in the first run after this: a module that was loaded, a kind of device that there was none of.
pub(super) const AGAIN: Duration = Duration::from_mins(1);

/// So many are remembered.
const MOST: usize = 1_024;

/// Paths in procfs and sysfs that are not there. Elsewhere anybody may make a file at any time.
#[derive(Default)]
pub(super) struct Absent(HashMap<OsString, Instant, RandomState>);

impl Absent {
    /// Whether the path was looked for within the last minute.
    pub(super) fn has(&self, path: &Path, now: Instant) -> bool {
        self.0.get(path.as_os_str()).is_some_and(|since| now.duration_since(*since) < AGAIN)
    }

    /// Remembers a path that could not be opened, if that is because it is not there.
    pub(super) fn note(&mut self, path: &Path, error: &io::Error, now: Instant) {
        if error.kind() != io::ErrorKind::NotFound || !is_of_kernel(path) {
            return;
        }
        if self.0.len() >= MOST {
            self.0.clear();
        }
        self.0.insert(path.into(), now);
    }

    /// Forgets what is below a folder, which has become another's.
    pub(super) fn forget_below(&mut self, folder: &Path) {
        self.0.retain(|path, _| !Path::new(path).starts_with(folder));
    }
}

/// The error of what is not there.
pub(super) fn not_found() -> io::Error {
    io::Error::from_raw_os_error(rustix::io::Errno::NOENT.raw_os_error())
}

/// Whether a path would lie in procfs or sysfs: its nearest folder that is there does.
fn is_of_kernel(path: &Path) -> bool {
    path.ancestors()
        .skip(1)
        .find_map(|folder| File::open(folder).ok())
        .is_some_and(|folder| kept::is_of_kernel(&folder))
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_lacks_is_tried_again_after_a_minute() {
        let (mut absent, begun, path) = (Absent::default(), Instant::now(), Path::new("/proc/none/of/these"));
        assert!(!absent.has(path, begun));
        absent.note(path, &not_found(), begun);
        assert!(absent.has(path, begun + AGAIN / 2));
        assert!(!absent.has(path, begun + AGAIN));
        absent.forget_below(Path::new("/proc/none"));
        assert!(!absent.has(path, begun));
    }

    #[test]
    fn a_file_that_anybody_may_make_is_looked_for_each_time() {
        let (mut absent, now, folder) = (Absent::default(), Instant::now(), tempfile::tempdir().unwrap());
        let path = folder.path().join("file");
        absent.note(&path, &not_found(), now);
        assert!(!absent.has(&path, now));
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        absent.note(Path::new("/proc/none"), &denied, now);
        assert!(!absent.has(Path::new("/proc/none"), now), "it is there");
    }

    #[test]
    fn few_are_remembered() {
        let (mut absent, now) = (Absent::default(), Instant::now());
        for number in 0..2 * MOST {
            absent.note(&Path::new("/proc").join(format!("none{number}")), &not_found(), now);
        }
        assert!(absent.0.len() <= MOST);
    }
}
