//! What sysfs tells about the processors: which are isolated, and how often heat slowed them down.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::files::{Reader, number};
use super::{Roots, Run};
use crate::metrics::Desc;

pub(super) static ISOLATED: Desc = Desc::gauge(
    "node_cpu_isolated",
    "Whether each core is isolated, information from /sys/devices/system/cpu/isolated.",
    &["cpu"],
);
pub(super) static CORE_THROTTLES: Desc = Desc::counter(
    "node_cpu_core_throttles_total",
    "Number of times this CPU core has been throttled.",
    &["core", "package"],
);
pub(super) static PACKAGE_THROTTLES: Desc = Desc::counter(
    "node_cpu_package_throttles_total",
    "Number of times this CPU package has been throttled.",
    &["package"],
);

/// More isolated processors than any host has: bounds a broken range.
const MOST: u32 = 16_384;

/// Found once, and again when other processors are online.
#[derive(Default)]
pub(super) struct Topology {
    folder: PathBuf,
    online: Vec<u32>,
    isolated: Vec<u32>,
    cores: Vec<(String, String, PathBuf)>,
    packages: Vec<(String, PathBuf)>,
}

impl Topology {
    pub(super) fn new(roots: &Roots) -> Self {
        Self { folder: roots.sysfs.join("devices/system/cpu"), ..Self::default() }
    }

    /// Writes what there is; a virtual machine has none of it.
    pub(super) fn collect(&mut self, online: &[u32], run: &mut Run) {
        if self.online != online {
            self.find(online, &mut run.files);
        }
        for cpu in &self.isolated {
            run.batch.push(&ISOLATED, &[&cpu.to_string()], 1.0);
        }
        for (core, package, file) in &self.cores {
            if let Some(count) = run.files.number(file) {
                run.batch.push(&CORE_THROTTLES, &[core, package], count as f64);
            }
        }
        for (package, file) in &self.packages {
            if let Some(count) = run.files.number(file) {
                run.batch.push(&PACKAGE_THROTTLES, &[package], count as f64);
            }
        }
    }

    fn find(&mut self, online: &[u32], files: &mut Reader) {
        self.online = online.to_vec();
        self.isolated = files.attribute(&self.folder.join("isolated")).map(ranges).unwrap_or_default();
        (self.cores, self.packages) = (Vec::new(), Vec::new());
        // Two threads of a core, and all cores of a package, show the same counter.
        let (mut cores, mut packages) = (BTreeSet::new(), BTreeSet::new());
        for cpu in online {
            let folder = self.folder.join(format!("cpu{cpu}"));
            let package = number(&folder.join("topology/physical_package_id"));
            let core = number(&folder.join("topology/core_id"));
            let (Some(package), Some(core)) = (package, core) else { continue };
            let file = folder.join("thermal_throttle/core_throttle_count");
            if file.is_file() && cores.insert((package, core)) {
                self.cores.push((core.to_string(), package.to_string(), file));
            }
            let file = folder.join("thermal_throttle/package_throttle_count");
            if file.is_file() && packages.insert(package) {
                self.packages.push((package.to_string(), file));
            }
        }
    }
}

/// `0-2,5` as numbers.
fn ranges(text: &str) -> Vec<u32> {
    let mut numbers = Vec::new();
    for range in text.trim().split(',').filter(|range| !range.is_empty()) {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        if let (Ok(first), Ok(last)) = (first.parse::<u32>(), last.parse::<u32>()) {
            numbers.extend(first..=last.min(first.saturating_add(MOST)));
        }
    }
    numbers.truncate(MOST as usize);
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_counted_out_and_bounded() {
        assert_eq!(ranges("0-2,5\n"), [0, 1, 2, 5]);
        assert_eq!(ranges("\n"), [0_u32; 0]);
        assert_eq!(ranges("x,3-1,7"), [7]);
        assert_eq!(ranges("0-4294967295").len(), MOST as usize);
    }
}
