//! The kernel's files that stay open between runs: to open and close one costs up to ten times as much as to read it.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::Path;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// So many stay open; a host may have more network devices than a process may have files.
const MOST: usize = 128;

/// After so many reads a file is opened anew: an open file of sysfs follows its device, whose name may have become
/// another's.
const READS: u32 = 20;

/// Files of procfs and sysfs by their path.
#[derive(Default)]
pub(super) struct Kept(HashMap<OsString, Open>);

struct Open {
    file: File,
    reads: u32,
    /// In this run.
    used: bool,
}

impl Kept {
    /// Closes what was not read since the last call.
    pub(super) fn sweep(&mut self) {
        self.0.retain(|_, open| std::mem::take(&mut open.used));
    }

    /// Reads a file with `read`, which begins at its beginning. A file whose device or process is gone fails; it is then
    /// opened anew, because another may have its name.
    pub(super) fn read<T>(&mut self, path: &Path, mut read: impl FnMut(&File) -> io::Result<T>) -> io::Result<T> {
        if let Some(open) = self.0.get_mut(path.as_os_str()) {
            open.used = true;
            open.reads += 1;
            if let (true, Ok(result)) = (open.reads < READS, read(&open.file)) {
                return Ok(result);
            }
            self.0.remove(path.as_os_str());
        }
        let file = File::open(path)?;
        let result = read(&file)?;
        if self.0.len() < MOST && is_of_kernel(&file) {
            self.0.insert(path.into(), Open { file, reads: 0, used: true });
        }
        Ok(result)
    }

    /// Whether a table of mounts that was read is still as it was, as far as the kernel announces changes
    /// (proc_pid_mountinfo(5)). That counts as a read.
    pub(super) fn is_unchanged(&mut self, path: &Path) -> bool {
        let Some(open) = self.0.get_mut(path.as_os_str()) else { return false };
        open.used = true;
        open.reads += 1;
        let announced = poll(&mut [PollFd::new(&open.file, PollFlags::PRI)], Some(&Timespec::default()));
        announced == Ok(0) && open.reads < READS
    }
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

/// Whether the file is written by the kernel as it is read. Any other may be replaced by a new one under its name.
#[cfg(target_os = "linux")]
fn is_of_kernel(file: &File) -> bool {
    // From linux/magic.h.
    const SYSFS: u64 = 0x6265_6572;
    const PROCFS: u64 = rustix::fs::PROC_SUPER_MAGIC as u64;
    rustix::fs::fstatfs(file).is_ok_and(|found| [PROCFS, SYSFS].contains(&(found.f_type as u64)))
}

#[cfg(not(target_os = "linux"))]
fn is_of_kernel(_: &File) -> bool {
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
            assert_eq!(kept.0.len(), 1);
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
        assert!(kept.0.is_empty());
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
        assert!(kept.0.is_empty());
    }

    #[test]
    fn what_a_run_does_not_read_is_closed_and_few_stay_open() {
        let mut kept = Kept::default();
        for path in ["/proc/stat", "/proc/loadavg"] {
            read(&mut kept, Path::new(path)).unwrap();
        }
        kept.sweep();
        read(&mut kept, Path::new("/proc/stat")).unwrap();
        kept.sweep();
        assert_eq!(kept.0.keys().collect::<Vec<_>>(), ["/proc/stat"]);
        for number in 0..2 * MOST {
            read(&mut kept, &Path::new("/proc").join("./".repeat(number)).join("uptime")).unwrap();
        }
        assert_eq!(kept.0.len(), MOST);
    }
}
