//! What containers take on disk: their own layer, and their folder with the log. Counting files is work, so a thread of
//! the lowest priority does it now and then, and a scrape tells what was counted last.

use std::collections::{HashMap, HashSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use crate::clock::later;
use crate::task::Tasks;

/// A container is counted this often: cAdvisor does it each minute, and less often where it takes long.
const INTERVAL: Duration = Duration::from_mins(5);

/// A container with more files than this is not counted.
const MOST: usize = 500_000;

/// The lowest priority.
const NICE: i32 = 19;

/// What was counted, by container.
#[derive(Debug, Default)]
pub(super) struct Usage {
    counted: Mutex<HashMap<String, (Timestamp, Option<u64>)>>,
    busy: AtomicBool,
}

/// A container and its folders, as they are seen here.
pub(super) struct Folders {
    pub(super) id: String,
    pub(super) paths: Vec<PathBuf>,
}

impl Usage {
    /// What was counted last.
    pub(super) fn bytes(&self, id: &str) -> Option<u64> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner).get(id)?.1
    }

    /// Begins to count those whose count is old, unless that is going on. Forgets all that are not among them.
    pub(super) fn refresh(self: &Arc<Self>, containers: Vec<Folders>, now: Timestamp, tasks: &Tasks) {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let there: HashSet<&str> = containers.iter().map(|container| container.id.as_str()).collect();
        counted.retain(|id, _| there.contains(id.as_str()));
        let old = |id: &str| counted.get(id).is_none_or(|(at, _)| later(*at, INTERVAL) <= now);
        let due: Vec<Folders> = containers.into_iter().filter(|container| old(&container.id)).collect();
        drop(counted);
        if due.is_empty() || self.busy.swap(true, Ordering::Acquire) {
            return;
        }
        let idle = Idle(Arc::clone(self));
        let work = move || {
            let usage = &idle.0;
            // Only a wish: where it is refused, the work is done all the same.
            if let Err(error) = rustix::process::setpriority_process(None, NICE) {
                tracing::debug!(%error, "counting what containers take keeps its priority");
            }
            for container in due {
                let bytes = count(&container.paths);
                let mut counted = usage.counted.lock().unwrap_or_else(PoisonError::into_inner);
                counted.insert(container.id, (now, bytes));
            }
        };
        // Without a thread the next scrape tries again.
        drop(tasks.thread("containers-usage", work));
    }
}

/// Lets the next count begin when this one is over, however it ends.
struct Idle(Arc<Usage>);

impl Drop for Idle {
    fn drop(&mut self) {
        self.0.busy.store(false, Ordering::Release);
    }
}

/// The bytes that folders take, each file once; `None` if there are too many, or no folder is to be seen. Other file
/// systems that are mounted in them do not count.
fn count(folders: &[PathBuf]) -> Option<u64> {
    let mut seen = HashSet::new();
    let (mut bytes, mut files, mut any) = (0, 0, false);
    for folder in folders {
        let Ok(top) = folder.symlink_metadata() else { continue };
        any = true;
        bytes += top.blocks() * 512;
        let mut open: Vec<PathBuf> = vec![folder.clone()];
        while let Some(folder) = open.pop() {
            for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
                // It may have been removed meanwhile.
                let Ok(found) = entry.metadata() else { continue };
                files += 1;
                if files > MOST {
                    return None;
                }
                if found.dev() != top.dev() || (found.nlink() > 1 && !found.is_dir() && !seen.insert(found.ino())) {
                    continue;
                }
                bytes += found.blocks() * 512;
                if found.is_dir() {
                    open.push(entry.path());
                }
            }
        }
    }
    any.then_some(bytes)
}

/// The folders of a container on the host, as they are seen below `rootfs`: its layer, and the daemon's about it.
pub(super) fn folders(rootfs: &Path, storage: &str, id: &str, layer: &str) -> Vec<PathBuf> {
    let about = format!("{storage}/containers/{id}");
    [layer, &about].map(|path| rootfs.join(path.trim_start_matches('/'))).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_two_names_counts_once() {
        let root = tempfile::tempdir().unwrap();
        let layer = root.path().join("layer");
        std::fs::create_dir_all(layer.join("below")).unwrap();
        std::fs::write(layer.join("below/one"), vec![1; 100_000]).unwrap();
        let alone = count(std::slice::from_ref(&layer)).unwrap();
        assert!((100_000..200_000).contains(&alone), "{alone}");
        std::fs::hard_link(layer.join("below/one"), layer.join("two")).unwrap();
        std::os::unix::fs::symlink("/", layer.join("elsewhere")).unwrap();
        assert!(count(std::slice::from_ref(&layer)).unwrap() < alone + 50_000);
        assert_eq!(count(&[root.path().join("gone")]), None);
    }

    #[test]
    fn both_folders_are_looked_for_below_the_hosts_root() {
        let found = folders(Path::new("/host"), "/var/lib/docker", "ab", "/var/lib/docker/overlay2/x/diff");
        assert_eq!(
            found,
            [Path::new("/host/var/lib/docker/overlay2/x/diff"), Path::new("/host/var/lib/docker/containers/ab")]
        );
    }
}
