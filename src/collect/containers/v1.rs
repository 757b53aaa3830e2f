//! Reading a cgroup of version 1: a folder for each controller.

use std::path::Path;

use super::files::{Buffer, Folder, field, pairs};
use super::options::{Group, Groups};
use super::stats::{Cpu, Io, KERNEL, Memory, Stats};

/// The kernel's clock tick for user space, on every architecture that Docker runs on.
const TICKS: f64 = 100.0;

/// The folders of one cgroup; a host may lack a controller.
pub(super) struct Folders {
    cpu: Option<Folder>,
    cpuacct: Option<Folder>,
    memory: Option<Folder>,
    blkio: Option<Folder>,
    pids: Option<Folder>,
    hugetlb: Option<Folder>,
}

impl Folders {
    /// Those of the cgroup `path`, below the mount of the hierarchies; `None` if no controller has it.
    pub(super) fn open(mount: &Path, path: &str, groups: &Groups) -> Option<Self> {
        let of = |controller: &str, wanted: bool| {
            wanted.then(|| Folder::open(&mount.join(controller).join(path.trim_start_matches('/'))).ok()).flatten()
        };
        let memory = of("memory", true);
        let cpuacct = of("cpuacct", groups.has(Group::Cpu));
        if memory.is_none() && cpuacct.is_none() {
            return None;
        }
        Some(Self {
            cpu: of("cpu", groups.has(Group::Cpu)),
            cpuacct,
            memory,
            blkio: of("blkio", groups.has(Group::DiskIo)),
            pids: of("pids", groups.has(Group::Process)),
            hugetlb: of("hugetlb", groups.has(Group::HugeTlb)),
        })
    }

    /// Everything that is asked for.
    pub(super) fn read(&self, groups: &Groups, buffer: &mut Buffer) -> Stats {
        let mut stats = Stats { cpu: self.cpu(buffer), ..Stats::default() };
        if let Some(folder) = &self.memory {
            let kills = |text: &str| field(text, "oom_kill").unwrap_or(0);
            stats.oom_kills = folder.read("memory.oom_control", buffer).map(kills);
            if groups.has(Group::Memory) {
                stats.memory = memory(folder, buffer);
            }
        }
        if let Some(folder) = &self.blkio {
            stats.io = Some(io(folder, buffer));
        }
        if let Some(folder) = &self.pids {
            let limit = folder.limit("pids.max", buffer).unwrap_or(0);
            stats.tasks = folder.number("pids.current", buffer).map(|tasks| [tasks, limit]);
        }
        if let Some(folder) = &self.hugetlb {
            let mut number = |size: &str, name| folder.number(&format!("hugetlb.{size}.{name}"), buffer).unwrap_or(0);
            let row = |size: String| {
                let values = ["usage_in_bytes", "max_usage_in_bytes", "failcnt"].map(|name| number(&size, name));
                (size, values)
            };
            let sizes = folder.names("hugetlb.", ".usage_in_bytes").filter(|size| !size.contains('.'));
            stats.huge_pages = sizes.map(row).collect();
        }
        if groups.has(Group::Pressure) {
            // Version 1 has no pressure; cAdvisor writes noughts, and so the series are there.
            stats.pressure = Some(Default::default());
        }
        stats
    }

    fn cpu(&self, buffer: &mut Buffer) -> Option<Cpu> {
        let folder = self.cpuacct.as_ref()?;
        let usage: Vec<u64> = folder
            .read("cpuacct.usage_percpu", buffer)
            .map(|text| text.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect())
            .unwrap_or_default();
        let ticks = folder.read("cpuacct.stat", buffer).unwrap_or_default();
        let seconds = |name| field(ticks, name).unwrap_or(0) as f64 / TICKS;
        let (user, system) = (seconds("user"), seconds("system"));
        let throttling = self.cpu.as_ref().and_then(|folder| {
            let text = folder.read("cpu.stat", buffer)?;
            let of = |name| field(text, name).unwrap_or(0) as f64;
            field(text, "nr_periods").map(|periods| {
                let (throttled, time) = (of("nr_throttled"), of("throttled_time") / 1e9);
                [periods as f64, throttled, time, of("nr_bursts"), of("burst_time") / 1e9]
            })
        });
        let by_processor = !usage.is_empty();
        let usage = if by_processor { usage } else { vec![folder.number("cpuacct.usage", buffer)?] };
        Some(Cpu { usage, by_processor, user, system, throttling })
    }
}

fn memory(folder: &Folder, buffer: &mut Buffer) -> Option<Memory> {
    let mut memory = Memory::default();
    let text = folder.read("memory.stat", buffer)?;
    memory.take(false, pairs(text));
    memory.swap = Some(field(text, "total_swap").unwrap_or(0));
    memory.usage = folder.number("memory.usage_in_bytes", buffer);
    memory.peak = folder.number("memory.max_usage_in_bytes", buffer);
    memory.failures = folder.number("memory.failcnt", buffer);
    memory.fields[KERNEL] = folder.number("memory.kmem.usage_in_bytes", buffer);
    memory.events = Some([0; 2]);
    for field in &mut memory.fields {
        field.get_or_insert(0);
    }
    Some(memory)
}

/// What was let through by the throttling layer, which all I/O passes; `blkio.io_*` is that of one old scheduler.
fn io(folder: &Folder, buffer: &mut Buffer) -> Vec<Io> {
    let mut rows: Vec<Io> = Vec::new();
    for (name, bytes) in [("blkio.throttle.io_service_bytes", true), ("blkio.throttle.io_serviced", false)] {
        let recursive = format!("{name}_recursive");
        let text = match folder.read(&recursive, buffer).map(str::to_owned) {
            Some(text) => text,
            None => folder.read(name, buffer).unwrap_or_default().to_owned(),
        };
        for line in text.lines() {
            let [device, operation, value] = line.split_ascii_whitespace().collect::<Vec<_>>()[..] else { continue };
            let Some((Ok(major), Ok(minor))) = device.split_once(':').map(|(a, b)| (a.parse(), b.parse())) else {
                continue;
            };
            let Ok(value) = value.parse() else { continue };
            let at = rows.iter().position(|row| (row.major, row.minor) == (major, minor)).unwrap_or_else(|| {
                rows.push(Io { major, minor, ..Io::default() });
                rows.len() - 1
            });
            let row = &mut rows[at];
            match (operation, bytes) {
                ("Read", true) => row.read_bytes = value,
                ("Write", true) => row.write_bytes = value,
                ("Read", false) => row.reads = value,
                ("Write", false) => row.writes = value,
                _ => {}
            }
        }
    }
    rows
}
