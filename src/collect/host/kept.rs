//! The kernel's files that stay open between runs: to open and close one costs up to ten times as much as to read it.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Instant;

use foldhash::fast::RandomState;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::absent::{Absent, not_found};

/// So many stay open; a host may have more network devices than a process may have files.
const MOST: usize = 128;

/// After so many reads a file is opened anew: an open file of sysfs follows its device, whose name may have become
/// another's. That of a network device is noticed at once, by [`Kept::belongs`].
const READS: u32 = 20;

/// Files of procfs and sysfs by their path, and the folders of devices.
#[derive(Default)]
pub(super) struct Kept {
    files: HashMap<OsString, Open, RandomState>,
    folders: HashMap<OsString, Folder, RandomState>,
    absent: Absent,
    now: Option<Instant>,
}

struct Folder {
    /// Of its entry in the class's folder.
    inode: u64,
    /// In this run.
    used: bool,
}

struct Open {
    file: File,
    reads: u32,
    /// In this run.
    used: bool,
}

impl Kept {
    /// Begins a run: closes what was not read in the last one.
    pub(super) fn begin(&mut self) {
        self.files.retain(|_, open| std::mem::take(&mut open.used));
        self.folders.retain(|_, folder| std::mem::take(&mut folder.used));
        self.now = Some(Instant::now());
    }

    /// Takes a device's folder to be the one with this number. What is open below it is closed if it was another
    /// device's in the last run.
    pub(super) fn belongs(&mut self, folder: &Path, inode: u64) {
        if let Some(known) = self.folders.get_mut(folder.as_os_str()) {
            known.used = true;
            if known.inode == inode {
                return;
            }
            known.inode = inode;
            self.files.retain(|file, _| !Path::new(file).starts_with(folder));
            self.absent.forget_below(folder);
        } else {
            self.folders.insert(folder.into(), Folder { inode, used: true });
        }
    }

    /// Reads a file with `read`, which begins at its beginning. A file whose device or process is gone fails; it is then
    /// opened anew, because another may have its name. One that does not apply to its device fails each time, and stays
    /// open as well.
    pub(super) fn read<T>(&mut self, path: &Path, mut read: impl FnMut(&File) -> io::Result<T>) -> io::Result<T> {
        if let Some(open) = self.files.get_mut(path.as_os_str()) {
            open.used = true;
            open.reads += 1;
            if open.reads < READS {
                let result = read(&open.file);
                if stays(&result) {
                    return result;
                }
            }
            self.files.remove(path.as_os_str());
        }
        let now = *self.now.get_or_insert_with(Instant::now);
        if self.absent.has(path, now) {
            return Err(not_found());
        }
        let file = File::open(path).inspect_err(|error| self.absent.note(path, error, now))?;
        let result = read(&file);
        if stays(&result) && self.files.len() < MOST && is_of_kernel(&file) {
            self.files.insert(path.into(), Open { file, reads: 0, used: true });
        }
        result
    }

    /// Whether a table of mounts that was read is still as it was, as far as the kernel announces changes
    /// (proc_pid_mountinfo(5)). That counts as a read.
    pub(super) fn is_unchanged(&mut self, path: &Path) -> bool {
        let Some(open) = self.files.get_mut(path.as_os_str()) else { return false };
        open.used = true;
        open.reads += 1;
        let announced = poll(&mut [PollFd::new(&open.file, PollFlags::PRI)], Some(&Timespec::default()));
        announced == Ok(0) && open.reads < READS
    }
}

/// Whether the next read of the same open file tells of the same thing. `EINVAL` is the kernel's word for an attribute
/// that does not apply, as the speed of `lo`; for one that is gone it says `ENODEV` or `ESRCH`.
fn stays<T>(result: &io::Result<T>) -> bool {
    result.as_ref().err().is_none_or(|error| error.kind() == io::ErrorKind::InvalidInput)
}

/// Reads what is at `offset`, without moving the file's own position.
pub(super) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    loop {
        match std::os::unix::fs::FileExt::read_at(file, buffer, offset) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Whether a file is written by the kernel as it is read, or a folder is its own. Any other may be replaced by a new one under its name.
#[cfg(target_os = "linux")]
pub(super) fn is_of_kernel(file: &impl AsFd) -> bool {
    // From linux/magic.h.
    const SYSFS: u64 = 0x6265_6572;
    const PROCFS: u64 = rustix::fs::PROC_SUPER_MAGIC as u64;
    rustix::fs::fstatfs(file).is_ok_and(|found| [PROCFS, SYSFS].contains(&(found.f_type as u64)))
}

#[cfg(not(target_os = "linux"))]
pub(super) fn is_of_kernel(_: &impl AsFd) -> bool {
    false
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;
    use std::fs;
    use std::path::PathBuf;

    fn read(kept: &mut Kept, path: &Path) -> io::Result<String> {
        kept.read(path, |file| {
            let mut buffer = [0; 64];
            let length = read_at(file, &mut buffer, 0)?;
            Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
        })
    }

    /// The file that holds the name of the thread that calls.
    fn name_of_thread() -> PathBuf {
        Path::new("/proc").join(fs::read_link("/proc/thread-self").unwrap()).join("comm")
    }

    #[test]
    fn a_file_of_the_kernel_stays_open_and_is_read_anew() {
        let (mut kept, path) = (Kept::default(), name_of_thread());
        for number in 0..2 * READS {
            let name = format!("name {number}");
            fs::write(&path, &name).unwrap();
            assert_eq!(read(&mut kept, &path).unwrap(), format!("{name}\n"));
            assert_eq!(kept.files.len(), 1);
        }
    }

    #[test]
    fn what_is_gone_is_not_there_and_is_let_go() {
        let mut kept = Kept::default();
        let (first, second) = std::thread::scope(|scope| {
            let (path, name) = (std::sync::mpsc::channel(), std::sync::mpsc::channel::<()>());
            let thread = scope.spawn(move || {
                path.0.send(name_of_thread()).unwrap();
                name.1.recv().unwrap_err();
            });
            let path = path.1.recv().unwrap();
            let first = read(&mut kept, &path);
            drop(name.0);
            thread.join().unwrap();
            (first, read(&mut kept, &path))
        });
        assert!(first.is_ok());
        assert_eq!(second.unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(kept.files.is_empty());
    }

    #[test]
    fn a_file_that_can_be_replaced_is_opened_each_time() {
        let (mut kept, folder) = (Kept::default(), tempfile::tempdir().unwrap());
        let (path, next) = (folder.path().join("data"), folder.path().join("next"));
        for text in ["one", "two"] {
            fs::write(&next, text).unwrap();
            fs::rename(&next, &path).unwrap();
            assert_eq!(read(&mut kept, &path).unwrap(), text);
        }
        assert!(kept.files.is_empty());
    }

    #[test]
    fn what_became_another_devices_is_read_anew() {
        let (mut kept, folder) = (Kept::default(), tempfile::tempdir().unwrap());
        let device = folder.path().join("eth0");
        // As a device of sysfs is: a link to the folder that has the files.
        let mut becomes = |target: &str, inode| {
            if device.is_symlink() {
                fs::remove_file(&device).unwrap();
            }
            std::os::unix::fs::symlink(target, &device).unwrap();
            kept.begin();
            kept.belongs(&device, inode);
            let id = read(&mut kept, &device.join("stat")).unwrap().split(' ').next().unwrap().to_owned();
            (id, kept.files.len())
        };
        let (own, first) = (std::process::id().to_string(), "1".to_owned());
        assert_eq!(becomes("/proc/self", 7), (own.clone(), 1));
        assert_eq!(becomes("/proc/1", 8), (first.clone(), 1));
        assert_eq!(becomes("/proc/self", 8), (first, 1), "it follows its device");
        assert_eq!(becomes("/proc/self", 9), (own, 1));
    }

    #[test]
    fn what_the_kernel_lacks_is_not_looked_for_again_in_the_next_run() {
        let (mut kept, path) = (Kept::default(), Path::new("/proc/none"));
        for _ in 0..2 {
            assert_eq!(read(&mut kept, path).unwrap_err().kind(), io::ErrorKind::NotFound);
            kept.begin();
            assert!(kept.absent.has(path, Instant::now()));
        }
    }

    #[test]
    fn an_attribute_that_does_not_apply_stays_open() {
        let (mut kept, speed) = (Kept::default(), Path::new("/sys/class/net/lo/speed"));
        for _ in 0..2 {
            assert_eq!(read(&mut kept, speed).unwrap_err().kind(), io::ErrorKind::InvalidInput);
            assert_eq!(kept.files.len(), 1);
        }
    }

    #[test]
    fn what_a_run_does_not_read_is_closed_and_few_stay_open() {
        let mut kept = Kept::default();
        for path in ["/proc/stat", "/proc/loadavg"] {
            read(&mut kept, Path::new(path)).unwrap();
        }
        kept.begin();
        read(&mut kept, Path::new("/proc/stat")).unwrap();
        kept.begin();
        assert_eq!(kept.files.keys().collect::<Vec<_>>(), ["/proc/stat"]);
        for number in 0..2 * MOST {
            read(&mut kept, &Path::new("/proc").join("./".repeat(number)).join("uptime")).unwrap();
        }
        assert_eq!(kept.files.len(), MOST);
    }
}
