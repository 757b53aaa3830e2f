//! What the daemon's stats call tells, where the cgroup files are out of reach. It tells less: no pressure, no swap of
//! version 2, no events.

use bollard::models::{ContainerBlkioStats, ContainerMemoryStats, ContainerNetworkStats, ContainerStatsResponse};

use super::stats::{Cpu, Interface, Io, KERNEL, Memory, Stats};

/// The figures of one reply. A container that does not run has none.
pub(super) fn stats(answer: &ContainerStatsResponse) -> Stats {
    let networks = answer.networks.iter().flatten();
    Stats {
        cpu: cpu(answer),
        memory: answer.memory_stats.as_ref().and_then(memory),
        io: answer.blkio_stats.as_ref().and_then(io),
        network: networks.map(|(name, counts)| interface(name, counts)).collect(),
        tasks: answer.pids_stats.as_ref().and_then(|pids| {
            // No limit is told as the largest number.
            Some([pids.current?, pids.limit.filter(|limit| *limit < u64::MAX / 2).unwrap_or(0)])
        }),
        ..Stats::default()
    }
}

fn cpu(answer: &ContainerStatsResponse) -> Option<Cpu> {
    let cpu = answer.cpu_stats.as_ref()?;
    let usage = cpu.cpu_usage.as_ref()?;
    let total = usage.total_usage.filter(|total| *total > 0)?;
    let seconds = |nanos: Option<u64>| nanos.unwrap_or(0) as f64 / 1e9;
    let processors = usage.percpu_usage.as_ref().filter(|processors| !processors.is_empty());
    let throttling = cpu.throttling_data.as_ref().map(|data| {
        let count = |count: Option<u64>| count.unwrap_or(0) as f64;
        [count(data.periods), count(data.throttled_periods), seconds(data.throttled_time), 0.0, 0.0]
    });
    Some(Cpu {
        by_processor: processors.is_some(),
        usage: processors.cloned().unwrap_or_else(|| vec![total]),
        user: seconds(usage.usage_in_usermode),
        system: seconds(usage.usage_in_kernelmode),
        throttling,
    })
}

fn memory(memory: &ContainerMemoryStats) -> Option<Memory> {
    let fields = memory.stats.as_ref().filter(|fields| !fields.is_empty())?;
    let unified = fields.contains_key("anon");
    let mut told =
        Memory { usage: memory.usage, peak: memory.max_usage, failures: memory.failcnt, ..Memory::default() };
    told.take(unified, fields.iter().map(|(name, value)| (name.as_str(), *value)));
    told.swap = fields.get("total_swap").copied();
    if unified && told.fields[KERNEL].is_none() {
        let parts = ["kernel_stack", "slab"].map(|name| fields.get(name).copied());
        told.fields[KERNEL] = parts[0].zip(parts[1]).map(|(stack, slab)| stack + slab);
    }
    Some(told)
}

fn io(stats: &ContainerBlkioStats) -> Option<Vec<Io>> {
    let mut rows: Vec<Io> = Vec::new();
    let tables = [(&stats.io_service_bytes_recursive, true), (&stats.io_serviced_recursive, false)];
    if tables.iter().all(|(table, _)| table.is_none()) {
        return None;
    }
    for (table, bytes) in tables {
        for entry in table.iter().flatten() {
            let (Some(major), Some(minor), Some(value)) = (entry.major, entry.minor, entry.value) else { continue };
            let (major, minor) = (major as u32, minor as u32);
            let at = rows.iter().position(|row| (row.major, row.minor) == (major, minor)).unwrap_or_else(|| {
                rows.push(Io { major, minor, ..Io::default() });
                rows.len() - 1
            });
            let row = &mut rows[at];
            match (entry.op.as_deref().unwrap_or_default().to_ascii_lowercase().as_str(), bytes) {
                ("read", true) => row.read_bytes = value,
                ("write", true) => row.write_bytes = value,
                ("read", false) => row.reads = value,
                ("write", false) => row.writes = value,
                _ => {}
            }
        }
    }
    Some(rows)
}

fn interface(name: &str, stats: &ContainerNetworkStats) -> Interface {
    let received = [stats.rx_bytes, stats.rx_packets, stats.rx_errors, stats.rx_dropped];
    let sent = [stats.tx_bytes, stats.tx_packets, stats.tx_errors, stats.tx_dropped];
    let mut counts = [0; 8];
    for (count, told) in counts.iter_mut().zip(received.into_iter().chain(sent)) {
        *count = told.unwrap_or(0);
    }
    Interface { name: name.to_owned(), counts }
}
