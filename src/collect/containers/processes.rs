//! What the processes of a cgroup have open, from `/proc/PID`: the group `process`.

use std::path::Path;

use super::files::Buffer;

/// More processes of a cgroup than this are not looked into.
const MOST: usize = 10_000;

/// Sums over the processes of a cgroup.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Processes {
    pub(super) count: u64,
    pub(super) descriptors: u64,
    pub(super) sockets: u64,
    /// The soft limit of open files of the first one; -1 for none.
    pub(super) open_files: Option<i64>,
}

/// Looks at the processes in `procs`, the text of `cgroup.procs`. One that ends meanwhile counts as one without files.
pub(super) fn read(procs: &[u32], procfs: &Path, buffer: &mut Buffer) -> Processes {
    let mut found = Processes { count: procs.len() as u64, ..Processes::default() };
    // A process of another namespace than ours has the number 0 here.
    for pid in procs.iter().filter(|pid| **pid != 0).take(MOST) {
        let process = procfs.join(pid.to_string());
        for entry in std::fs::read_dir(process.join("fd")).into_iter().flatten().flatten() {
            found.descriptors += 1;
            let target = std::fs::read_link(entry.path()).unwrap_or_default();
            found.sockets += u64::from(target.as_os_str().as_encoded_bytes().starts_with(b"socket:"));
        }
    }
    found.open_files =
        procs.first().and_then(|pid| open_files(buffer.read(&procfs.join(pid.to_string()).join("limits"))?));
    found
}

/// Nanoseconds run and waited, and times scheduled: sums over the processes.
pub(super) fn scheduled(procs: &[u32], procfs: &Path, buffer: &mut Buffer) -> [u64; 3] {
    let mut sums = [0; 3];
    for pid in procs.iter().filter(|pid| **pid != 0).take(MOST) {
        let text = buffer.read(&procfs.join(pid.to_string()).join("schedstat")).unwrap_or_default();
        for (sum, word) in sums.iter_mut().zip(text.split_ascii_whitespace()) {
            *sum += word.parse::<u64>().unwrap_or(0);
        }
    }
    sums
}

/// The numbers in `cgroup.procs`.
pub(super) fn pids(procs: &str) -> Vec<u32> {
    procs.lines().filter_map(|line| line.trim().parse().ok()).collect()
}

fn open_files(limits: &str) -> Option<i64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    let soft = line.split_ascii_whitespace().next()?;
    if soft == "unlimited" { Some(-1) } else { soft.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_of_open_files_is_read() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
            Max open files            2048                 4096                 files\n";
        assert_eq!(open_files(limits), Some(2048));
        assert_eq!(open_files("Max open files unlimited unlimited files\n"), Some(-1));
        assert_eq!(open_files(""), None);
        assert_eq!(pids("994\n2927\n0\n"), [994, 2927, 0]);
    }
}
