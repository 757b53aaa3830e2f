//! The machine: cAdvisor's `machine_*` families.

use std::collections::BTreeSet;
use std::path::Path;

use super::files::Buffer;
use crate::metrics::{Batch, Desc, Kind};

const IDS: &[&str] = &["boot_id", "machine_id", "system_uuid"];

const fn gauge(name: &'static str, help: &'static str) -> Desc {
    Desc::new(Kind::Gauge, name, help, IDS)
}

/// The families, in the order of [`Machine::values`].
static FAMILIES: [Desc; 8] = [
    gauge("machine_cpu_cores", "Processors as the kernel counts them."),
    gauge("machine_cpu_physical_cores", "Cores."),
    gauge("machine_cpu_sockets", "Sockets with a processor."),
    gauge("machine_cpu_books", "Books of processors, which only s390 has."),
    gauge("machine_cpu_drawers", "Drawers of processors, which only s390 has."),
    gauge("machine_memory_bytes", "Memory that the kernel manages."),
    gauge("machine_swap_bytes", "Swap space."),
    gauge(
        "machine_nvm_avg_power_budget_watts",
        "Power budget of non-volatile memory; 0, as in cAdvisor without its library.",
    ),
];

static NVM: Desc = Desc::gauge(
    "machine_nvm_capacity",
    "Non-volatile memory by mode; 0, as in cAdvisor without its library.",
    &["boot_id", "machine_id", "system_uuid", "mode"],
);

static SCRAPE_ERROR: Desc = Desc::gauge("machine_scrape_error", "1 if the machine could not be read, else 0.", &[]);

static VERSION: Desc = Desc::gauge(
    "cadvisor_version_info",
    "Always 1; the versions of the kernel, the system and Docker. The two of cAdvisor are empty: this is another program.",
    &["kernelVersion", "osVersion", "dockerVersion", "cadvisorVersion", "cadvisorRevision"],
);

pub(super) fn descs() -> impl Iterator<Item = &'static Desc> {
    FAMILIES.iter().chain([&NVM, &SCRAPE_ERROR, &VERSION])
}

/// The versions that `cadvisor_version_info` shows.
#[derive(Debug, Default)]
pub(super) struct Versions<'a> {
    pub(super) kernel: &'a str,
    pub(super) system: &'a str,
    pub(super) docker: &'a str,
}

/// How many processors of which kind there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Topology {
    /// What told which processors are online: the counts hold as long as it says the same.
    online: String,
    /// In the order of the first five families.
    counts: [u64; 5],
}

impl Topology {
    /// Counts again where processors came or went.
    pub(super) fn refresh(&mut self, sysfs: &Path, buffer: &mut Buffer) {
        let root = sysfs.join("devices/system/cpu");
        let online = buffer.read(&root.join("online")).unwrap_or_default().trim().to_owned();
        if online.is_empty() || online == self.online {
            return;
        }
        let mut found: [BTreeSet<Vec<u64>>; 5] = Default::default();
        for cpu in range(&online) {
            let topology = root.join(format!("cpu{cpu}/topology"));
            let mut number = |name| buffer.read(&topology.join(name)).and_then(|text| text.trim().parse().ok());
            let package: u64 = number("physical_package_id").unwrap_or(0);
            let core = number("core_id").unwrap_or(cpu);
            found[0].insert(vec![cpu]);
            // A core's number holds within its socket only.
            found[1].insert(vec![package, core]);
            found[2].insert(vec![package]);
            for (set, name) in [(3, "book_id"), (4, "drawer_id")] {
                found[set].extend(number(name).map(|id| vec![id]));
            }
        }
        *self = Self { online, counts: found.map(|set| set.len() as u64) };
    }
}

/// The numbers of `0-1,4`; a machine has at most some thousand processors.
fn range(text: &str) -> impl Iterator<Item = u64> {
    let parts = text.split(',').filter_map(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse().ok()?..=last.parse::<u64>().ok()?)
    });
    parts.flatten().take(8192)
}

/// What a scrape tells of the machine.
#[derive(Clone, Debug, Default)]
pub(super) struct Machine {
    pub(super) topology: Topology,
    pub(super) memory: u64,
    pub(super) swap: u64,
    /// Used of the swap space.
    pub(super) swap_used: u64,
    /// In the order of the labels.
    pub(super) ids: [String; 3],
}

impl Machine {
    /// Takes over `/proc/meminfo`.
    pub(super) fn take_memory(&mut self, meminfo: &str) {
        let bytes = |name: &str| {
            let line = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            let kibibytes = line.and_then(|rest| rest.split_ascii_whitespace().next()?.parse::<u64>().ok());
            kibibytes.unwrap_or(0) * 1024
        };
        (self.memory, self.swap) = (bytes("MemTotal"), bytes("SwapTotal"));
        self.swap_used = self.swap.saturating_sub(bytes("SwapFree"));
    }

    fn values(&self) -> [u64; 8] {
        let [cores, physical, sockets, books, drawers] = self.topology.counts;
        [cores, physical, sockets, books, drawers, self.memory, self.swap, 0]
    }

    /// Writes the families.
    pub(super) fn write(&self, batch: &mut Batch, versions: &Versions<'_>) {
        let [boot, machine, system] = &self.ids;
        let ids = [boot.as_str(), machine, system];
        for (desc, value) in FAMILIES.iter().zip(self.values()) {
            batch.push(desc, &ids, value as f64);
        }
        for mode in ["app_direct_mode", "memory_mode"] {
            batch.push(&NVM, &[boot, machine, system, mode], 0.0);
        }
        batch.push(&SCRAPE_ERROR, &[], f64::from(u8::from(self.memory == 0)));
        batch.push(&VERSION, &[versions.kernel, versions.system, versions.docker, "", ""], 1.0);
    }
}

/// The machine's three identities. Where firmware gives no number, that of the installation stands in, as in cAdvisor.
pub(super) fn ids(procfs: &Path, sysfs: &Path, rootfs: &Path, buffer: &mut Buffer) -> [String; 3] {
    let mut first = |files: &[std::path::PathBuf]| {
        let read =
            |file: &std::path::PathBuf| buffer.read(file).map(|text| text.trim().trim_end_matches('\0').to_owned());
        let mut read = files.iter().filter_map(read);
        read.find(|text| !text.is_empty()).unwrap_or_default()
    };
    let installation = [rootfs.join("etc/machine-id"), rootfs.join("var/lib/dbus/machine-id")];
    let boot = first(&[procfs.join("sys/kernel/random/boot_id")]);
    let machine = first(&installation);
    let firmware = [
        sysfs.join("class/dmi/id/product_uuid"),
        procfs.join("device-tree/system-id"),
        procfs.join("device-tree/vm,uuid"),
    ];
    let system = first(&[&firmware[..], &installation[..]].concat());
    [boot, machine, system]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_of_two_sockets_with_the_same_number_are_two() {
        let sysfs = tempfile::tempdir().unwrap();
        let root = sysfs.path().join("devices/system/cpu");
        for (cpu, package, core) in [(0, 0, 0), (1, 1, 0), (2, 0, 0), (3, 1, 0)] {
            let topology = root.join(format!("cpu{cpu}/topology"));
            std::fs::create_dir_all(&topology).unwrap();
            std::fs::write(topology.join("physical_package_id"), package.to_string()).unwrap();
            std::fs::write(topology.join("core_id"), core.to_string()).unwrap();
        }
        std::fs::write(root.join("online"), "0-2,3\n").unwrap();
        let mut topology = Topology::default();
        topology.refresh(sysfs.path(), &mut Buffer::default());
        assert_eq!(topology.counts, [4, 2, 2, 0, 0]);
        std::fs::write(root.join("online"), "0\n").unwrap();
        topology.refresh(sysfs.path(), &mut Buffer::default());
        assert_eq!(topology.counts, [1, 1, 1, 0, 0]);
    }
}
