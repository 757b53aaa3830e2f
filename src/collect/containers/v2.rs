//! Reading a cgroup of version 2, the unified hierarchy.

use super::files::{Buffer, Folder, field, pairs};
use super::options::{Group, Groups};
use super::stats::{CACHE, Cpu, Io, KERNEL, Memory, Pressure, RSS, Stats};

/// Everything that is asked for. The root lacks many files, as it lacks limits; `swap` is what the host uses.
pub(super) fn read(folder: &Folder, groups: &Groups, buffer: &mut Buffer) -> Stats {
    let mut stats = Stats::default();
    if groups.has(Group::Cpu) {
        stats.cpu = folder.read("cpu.stat", buffer).map(cpu);
    }
    let events = folder.read("memory.events", buffer).map(|text| {
        let event = |name| field(text, name).unwrap_or(0);
        (event("oom_kill"), [event("high"), event("max")])
    });
    stats.oom_kills = events.map(|(kills, _)| kills);
    if groups.has(Group::Memory) {
        stats.memory = memory(folder, events.map(|(_, events)| events), buffer);
    }
    if groups.has(Group::Pressure) {
        let mut of = |name| folder.read(name, buffer).map(pressure);
        if let (Some(cpu), Some(memory), Some(io)) = (of("cpu.pressure"), of("memory.pressure"), of("io.pressure")) {
            stats.pressure = Some([cpu, memory, io]);
        }
    }
    if groups.has(Group::DiskIo) {
        stats.io = folder.read("io.stat", buffer).map(|text| text.lines().filter_map(io).collect());
    }
    if groups.has(Group::HugeTlb) {
        stats.huge_pages = folder
            .names("hugetlb.", ".current")
            // Pages that are only reserved are counted beside those in use.
            .filter(|size| !size.contains('.'))
            .map(|size| {
                let used = folder.number(&format!("hugetlb.{size}.current"), buffer).unwrap_or(0);
                let events = folder.read(&format!("hugetlb.{size}.events"), buffer);
                (size, [used, 0, events.and_then(|text| field(text, "max")).unwrap_or(0)])
            })
            .collect();
    }
    if groups.has(Group::Process) {
        let limit = folder.limit("pids.max", buffer).unwrap_or(0);
        stats.tasks = folder.number("pids.current", buffer).map(|tasks| [tasks, limit]);
    }
    stats
}

fn cpu(text: &str) -> Cpu {
    let micros = |name| field(text, name).unwrap_or(0);
    let seconds = |name| micros(name) as f64 / 1e6;
    let throttling = field(text, "nr_periods").map(|periods| {
        [
            periods as f64,
            micros("nr_throttled") as f64,
            seconds("throttled_usec"),
            micros("nr_bursts") as f64,
            seconds("burst_usec"),
        ]
    });
    Cpu {
        usage: vec![micros("usage_usec").saturating_mul(1000)],
        by_processor: false,
        user: seconds("user_usec"),
        system: seconds("system_usec"),
        throttling,
    }
}

fn memory(folder: &Folder, events: Option<[u64; 2]>, buffer: &mut Buffer) -> Option<Memory> {
    let mut memory = Memory::default();
    let text = folder.read("memory.stat", buffer)?;
    memory.take(true, pairs(text));
    if memory.fields[KERNEL].is_none() {
        // Before Linux 5.18 the sum was not told.
        let parts = ["kernel_stack", "pagetables", "percpu", "slab", "vmalloc"];
        memory.fields[KERNEL] = Some(parts.iter().filter_map(|part| field(text, part)).sum());
    }
    memory.usage = folder.number("memory.current", buffer);
    // The root has no figure of its own: what it would count is what its processes hold.
    memory.usage = memory.usage.or_else(|| Some(memory.fields[CACHE]? + memory.fields[RSS]?));
    memory.swap = folder.number("memory.swap.current", buffer);
    memory.peak = Some(folder.number("memory.peak", buffer).unwrap_or(0));
    memory.failures = Some(events.map_or(0, |[_, max]| max));
    memory.events = Some(events.unwrap_or_default());
    Some(memory)
}

/// `some avg10=0.00 … total=25817336`, and a second line for `full`, which the root lacks for processors on old kernels.
pub(super) fn pressure(text: &str) -> Pressure {
    let total = |kind: &str| {
        let line = text.lines().find(|line| line.starts_with(kind))?;
        line.rsplit_once("total=")?.1.trim().parse().ok()
    };
    [total("some").unwrap_or(0), total("full").unwrap_or(0)]
}

/// `254:0 rbytes=524288 wbytes=… rios=… wios=… dbytes=0 dios=0 cost.usage=711185`; a device without I/O has no pairs.
fn io(line: &str) -> Option<Io> {
    let mut words = line.split_ascii_whitespace();
    let (major, minor) = words.next()?.split_once(':')?;
    let mut io = Io { major: major.parse().ok()?, minor: minor.parse().ok()?, ..Io::default() };
    let mut any = false;
    for (name, value) in words.filter_map(|word| word.split_once('=')) {
        let Ok(value) = value.parse() else { continue };
        any = true;
        match name {
            "rbytes" => io.read_bytes = value,
            "wbytes" => io.write_bytes = value,
            "rios" => io.reads = value,
            "wios" => io.writes = value,
            "cost.usage" => io.cost[0] = Some(value),
            "cost.wait" => io.cost[1] = Some(value),
            "cost.indebt" => io.cost[2] = Some(value),
            "cost.indelay" => io.cost[3] = Some(value),
            _ => {}
        }
    }
    any.then_some(io)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_without_io_is_left_out() {
        assert_eq!(io("7:7 "), None);
        assert_eq!(io("garbage"), None);
        let row = io("254:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6 cost.vrate=100.00 cost.usage=7").unwrap();
        assert_eq!((row.major, row.minor, row.read_bytes, row.writes, row.cost[0]), (254, 0, 1, 4, Some(7)));
    }

    #[test]
    fn pressure_is_read_with_and_without_its_second_line() {
        assert_eq!(pressure("some avg10=0.00 total=12\nfull avg10=0.00 total=3\n"), [12, 3]);
        assert_eq!(pressure("some avg10=0.00 total=12\n"), [12, 0]);
    }
}
