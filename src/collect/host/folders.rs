//! Folders of procfs and sysfs that are listed in every run. They stay open between runs, as files do.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use foldhash::fast::RandomState;
use rustix::fs::{Dir, FileType, Mode, OFlags};

use super::absent::{AGAIN, Absent, not_found};
use super::kept;
use crate::collect::CollectError;

/// So many entries of a folder are looked at: no kernel has as many devices of a kind.
const ENTRIES: usize = 1 << 16;

/// So many stay open; the parts that run by default list a dozen.
const MOST: usize = 32;

/// The folders that parts list.
#[derive(Default)]
pub(super) struct Folders {
    now: Option<Instant>,
    open: HashMap<OsString, Open, RandomState>,
    absent: Absent,
}

struct Open {
    folder: Dir,
    since: Instant,
    /// What this run found; nothing before it looked.
    entries: Option<Arc<[Entry]>>,
    /// What the last listing found was nothing.
    was_empty: bool,
}

/// An entry of a folder.
pub(super) struct Entry {
    pub(super) name: String,
    /// Sysfs gives each a number of its own, which stays when a device is renamed.
    pub(super) inode: u64,
    /// A plain file: no device, and no folder of one.
    pub(super) is_file: bool,
}

impl Folders {
    /// Begins a run: what the last one did not list is closed. A folder that was removed with its module and made anew
    /// reads as empty through the old handle, so none stays open for longer than a minute.
    pub(super) fn begin(&mut self) {
        let now = Instant::now();
        self.now = Some(now);
        self.open.retain(|_, open| open.entries.take().is_some() && now.duration_since(open.since) < AGAIN);
    }

    /// The entries of a folder, in the order of their names; what is no text is left out. A folder is listed once a run.
    pub(super) fn entries(&mut self, folder: &Path) -> Result<Arc<[Entry]>, CollectError> {
        self.list(folder).map_err(|source| CollectError::Io { what: folder.display().to_string(), source })
    }

    /// The names in a folder, in their order.
    pub(super) fn names(&mut self, folder: &Path) -> Result<Vec<String>, CollectError> {
        Ok(self.entries(folder)?.iter().map(|entry| entry.name.clone()).collect())
    }

    /// The names in a folder that begin with `prefix` and go on with a digit, and what follows the prefix; in the order
    /// of the numbers.
    pub(super) fn numbered(&mut self, folder: &Path, prefix: &str) -> Result<Vec<(String, String)>, CollectError> {
        Ok(super::attribute::in_order(&self.names(folder)?, prefix))
    }

    /// Whether a folder is there.
    pub(super) fn has(&mut self, folder: &Path) -> bool {
        let now = *self.now.get_or_insert_with(Instant::now);
        if self.absent.has(folder, now) {
            return false;
        }
        let found = std::fs::metadata(folder).inspect_err(|error| self.absent.note(folder, error, now));
        found.is_ok_and(|found| found.is_dir())
    }

    fn list(&mut self, folder: &Path) -> io::Result<Arc<[Entry]>> {
        let now = *self.now.get_or_insert_with(Instant::now);
        if let Some(open) = self.open.get_mut(folder.as_os_str()) {
            if let Some(entries) = &open.entries {
                return Ok(Arc::clone(entries));
            }
            open.folder.rewind();
            let entries = read(&mut open.folder)?;
            // Removed with all that was in it, it reads as empty; another may be there by now.
            if !entries.is_empty() || open.was_empty {
                open.was_empty = entries.is_empty();
                open.entries = Some(Arc::clone(&entries));
                return Ok(entries);
            }
            self.open.remove(folder.as_os_str());
        }
        if self.absent.has(folder, now) {
            return Err(not_found());
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let file = rustix::fs::open(folder, flags, Mode::empty()).map_err(io::Error::from);
        let file = file.inspect_err(|error| self.absent.note(folder, error, now))?;
        let stays = self.open.len() < MOST && kept::is_of_kernel(&file);
        let mut opened = Dir::new(file)?;
        let entries = read(&mut opened)?;
        if stays {
            let (listed, was_empty) = (Some(Arc::clone(&entries)), entries.is_empty());
            self.open.insert(folder.into(), Open { folder: opened, since: now, entries: listed, was_empty });
        }
        Ok(entries)
    }
}

fn read(folder: &mut Dir) -> io::Result<Arc<[Entry]>> {
    let mut entries = Vec::new();
    for entry in folder.take(ENTRIES) {
        let entry = entry?;
        if let Ok(name) = entry.file_name().to_str()
            && !matches!(name, "." | "..")
        {
            let is_file = entry.file_type() == FileType::RegularFile;
            entries.push(Entry { name: name.to_owned(), inode: entry.ino(), is_file });
        }
    }
    entries.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    Ok(entries.into())
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_stays_open_is_listed_anew_in_each_run() {
        // The threads of this process: a folder of procfs whose entries come and go.
        let (mut folders, tasks) = (Folders::default(), Path::new("/proc/self/task"));
        folders.begin();
        let before = folders.names(tasks).unwrap();
        let (told, tell) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let (end, ended) = std::sync::mpsc::channel::<()>();
            scope.spawn(move || {
                told.send(std::fs::read_link("/proc/thread-self").unwrap()).unwrap();
                ended.recv().unwrap_err();
            });
            let thread = tell.recv().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
            assert!(!before.contains(&thread));
            assert!(!folders.names(tasks).unwrap().contains(&thread), "once a run");
            folders.begin();
            assert_eq!(folders.open.len(), 1);
            assert!(folders.names(tasks).unwrap().contains(&thread));
            drop(end);
        });
    }

    #[test]
    fn a_folder_that_was_removed_is_looked_for_anew() {
        let mut folders = Folders::default();
        let (told, tell) = std::sync::mpsc::channel();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let folder = std::thread::scope(|scope| {
            let thread = scope.spawn(move || {
                told.send(std::fs::read_link("/proc/thread-self").unwrap()).unwrap();
                ended.recv().unwrap_err();
            });
            let folder = Path::new("/proc").join(tell.recv().unwrap());
            assert!(folders.names(&folder).unwrap().contains(&"comm".to_owned()));
            drop(end);
            thread.join().unwrap();
            folder
        });
        let deadline = Instant::now() + std::time::Duration::from_secs(10);
        // A thread's folder may outlive it by a moment.
        while folder.exists() {
            assert!(Instant::now() < deadline, "{}", folder.display());
        }
        folders.begin();
        assert!(folders.names(&folder).is_err());
        assert!(folders.open.is_empty());
    }

    #[test]
    fn what_a_run_does_not_list_is_closed_and_few_stay_open() {
        let mut folders = Folders::default();
        folders.names(Path::new("/proc/self")).unwrap();
        folders.begin();
        assert_eq!(folders.open.len(), 1);
        folders.begin();
        assert_eq!(folders.open.len(), 0);
        for number in 0..2 * MOST {
            folders.names(&Path::new("/proc").join("./".repeat(number)).join("self")).unwrap();
        }
        assert_eq!(folders.open.len(), MOST);
    }

    #[test]
    fn a_folder_of_another_file_system_is_opened_each_time() {
        let (mut folders, folder) = (Folders::default(), tempfile::tempdir().unwrap());
        let (path, next) = (folder.path().join("a"), folder.path().join("b"));
        for is_file in [true, false] {
            std::fs::create_dir(&next).unwrap();
            if is_file {
                std::fs::write(next.join("one"), "").unwrap();
            } else {
                std::fs::create_dir(next.join("one")).unwrap();
                std::fs::remove_dir_all(&path).unwrap();
            }
            std::fs::rename(&next, &path).unwrap();
            let entries = folders.entries(&path).unwrap();
            assert_eq!((entries[0].name.as_str(), entries[0].is_file, entries.len()), ("one", is_file, 1));
        }
        assert!(folders.open.is_empty() && folders.has(&path) && !folders.has(&next));
    }
}
