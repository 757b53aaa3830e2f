//! Writing the series of one container: its labels with every sample.

use super::container::Container;
use super::families::{
    ABOUT, ADVANCED_TCP, BLKIO, CPU, CPU_USAGE, FAULTS, FS_COST, FS_IO, HUGE_PAGES, LIFE, LOAD, MEMORY, MEMORY_EVENTS,
    MEMORY_FIELDS, NETWORK, OOM, PRESSURE, PROCESS, QUOTA, SCHED, SPEC, TASKS, TASKS_STATE, TCP, THROTTLING, UDP,
    ULIMITS,
};
use super::sockets::{Sockets, TCP_STATES, UDP_STATES};
use super::stats::{Cpu, Io, Memory, Stats};
use crate::metrics::{Batch, Desc};

/// The states that cAdvisor counts tasks by.
const TASK_STATES: [&str; 5] = ["iowaiting", "running", "sleeping", "stopped", "uninterruptible"];

/// A cgroup in a batch.
pub(super) struct Series<'a> {
    batch: &'a mut Batch,
    labels: Vec<(&'a str, &'a str)>,
}

impl<'a> Series<'a> {
    /// A container. `shown` are the names of its labels as they are written.
    pub(super) fn of_container(
        batch: &'a mut Batch,
        shown: &'a [String],
        container: &'a Container,
        id: &'a str,
    ) -> Self {
        Self::new(batch, shown, container.labels.iter().map(String::as_str), [id, &container.image, &container.name])
    }

    /// A cgroup that is no container's: its labels are empty.
    pub(super) fn of_cgroup(batch: &'a mut Batch, shown: &'a [String], id: &'a str) -> Self {
        Self::new(batch, shown, std::iter::repeat(""), [id, "", ""])
    }

    fn new(
        batch: &'a mut Batch,
        shown: &'a [String],
        values: impl Iterator<Item = &'a str>,
        [id, image, name]: [&'a str; 3],
    ) -> Self {
        let mut labels = vec![("id", id), ("image", image), ("name", name), ("container_name", name)];
        // A container of which nothing is known yet has no values.
        labels.extend(shown.iter().map(String::as_str).zip(values.chain(std::iter::repeat(""))));
        Self { batch, labels }
    }

    /// One sample.
    pub(super) fn push(&mut self, desc: &Desc, value: f64) {
        self.batch.push_labelled(desc, &self.labels, value);
    }

    /// One sample with further labels.
    pub(super) fn push_with(&mut self, desc: &Desc, more: &[(&str, &str)], value: f64) {
        let mut labels: Vec<(&str, &str)> = Vec::with_capacity(self.labels.len() + more.len());
        labels.extend(&self.labels);
        labels.extend(more);
        self.batch.push_labelled(desc, &labels, value);
    }

    /// A sample of each of the families of which the source told a value.
    fn push_known<const N: usize>(&mut self, descs: &[Desc; N], values: [Option<u64>; N]) {
        for (desc, value) in descs.iter().zip(values) {
            if let Some(value) = value {
                self.push(desc, value as f64);
            }
        }
    }

    /// What is known without the cgroup. cAdvisor tells times in whole seconds.
    pub(super) fn about(&mut self, now: i64, created: i64, started: Option<i64>, health: f64) {
        for (desc, value) in
            ABOUT.iter().zip([Some(now as f64), Some(created as f64), started.map(|at| at as f64), Some(health)])
        {
            if let Some(value) = value {
                self.push(desc, value);
            }
        }
    }

    /// How often it was started again, and how it ended.
    pub(super) fn life(&mut self, restarts: Option<u64>, exit_code: Option<i64>) {
        for (desc, value) in LIFE.iter().zip([restarts.map(|count| count as f64), exit_code.map(|code| code as f64)]) {
            if let Some(value) = value {
                self.push(desc, value);
            }
        }
    }

    /// Kills for lack of memory.
    pub(super) fn oom(&mut self, kills: u64) {
        self.push(&OOM[0], kills as f64);
    }

    /// The limits: period, shares, memory, reservation, swap; and the quota, where there is one.
    pub(super) fn spec(&mut self, limits: [u64; 5], quota: u64) {
        self.push_known(&SPEC, limits.map(Some));
        self.push_known(&QUOTA, [Some(quota).filter(|quota| *quota > 0)]);
    }

    /// What is always 0.
    pub(super) fn load(&mut self) {
        for desc in &LOAD {
            self.push(desc, 0.0);
        }
        for state in TASK_STATES {
            self.push_with(&TASKS_STATE[0], &[("state", state)], 0.0);
        }
    }

    /// All that the cgroup told but its I/O, which needs the host's disks. Throttling only with a quota.
    pub(super) fn stats(&mut self, stats: &Stats, quota: bool) {
        if let Some(cpu) = &stats.cpu {
            self.cpu(cpu, quota);
        }
        if let Some(memory) = &stats.memory {
            self.memory(memory);
        }
        if let Some(pressure) = stats.pressure {
            for (desc, micros) in PRESSURE.iter().zip(pressure.as_flattened()) {
                self.push(desc, *micros as f64 / 1e6);
            }
        }
        for interface in &stats.network {
            for (desc, count) in NETWORK.iter().zip(interface.counts) {
                self.push_with(desc, &[("interface", &interface.name)], count as f64);
            }
        }
        self.optional(stats);
    }

    /// The groups that are not given by default.
    fn optional(&mut self, stats: &Stats) {
        if let Some([tasks, limit]) = stats.tasks {
            self.push_known(&TASKS, [Some(tasks), Some(limit)]);
        }
        if let Some(processes) = &stats.processes {
            self.push_known(&PROCESS, [processes.count, processes.descriptors, processes.sockets].map(Some));
            if let Some(limit) = processes.open_files {
                self.push_with(&ULIMITS[0], &[("ulimit", "max_open_files")], limit as f64);
            }
        }
        if let Some([run, waited, periods]) = stats.scheduled {
            for (desc, value) in SCHED.iter().zip([run as f64 / 1e9, waited as f64 / 1e9, periods as f64]) {
                self.push(desc, value);
            }
        }
        for (size, values) in &stats.huge_pages {
            for (desc, value) in HUGE_PAGES.iter().zip(values) {
                self.push_with(desc, &[("pagesize", size)], *value as f64);
            }
        }
        self.sockets(&stats.sockets);
    }

    fn sockets(&mut self, sockets: &Sockets) {
        for (desc, counts) in TCP.iter().zip(&sockets.tcp) {
            for (state, count) in TCP_STATES.iter().zip(counts.iter().flatten()) {
                self.push_with(desc, &[("tcp_state", state)], *count as f64);
            }
        }
        for (desc, counts) in UDP.iter().zip(&sockets.udp) {
            for (state, count) in UDP_STATES.iter().zip(counts.iter().flatten()) {
                self.push_with(desc, &[("udp_state", state)], *count as f64);
            }
        }
        for (name, value) in &sockets.counters {
            self.push_with(&ADVANCED_TCP[0], &[("tcp_state", name)], *value as f64);
        }
    }

    fn cpu(&mut self, cpu: &Cpu, quota: bool) {
        for (at, nanos) in cpu.usage.iter().enumerate() {
            let name = if cpu.by_processor { format!("cpu{at:02}") } else { "total".to_owned() };
            self.push_with(&CPU_USAGE[0], &[("cpu", &name)], *nanos as f64 / 1e9);
        }
        for (desc, seconds) in CPU.iter().zip([cpu.user, cpu.system]) {
            self.push(desc, seconds);
        }
        if let Some(values) = cpu.throttling.filter(|_| quota) {
            for (desc, value) in THROTTLING.iter().zip(values) {
                self.push(desc, value);
            }
        }
    }

    fn memory(&mut self, memory: &Memory) {
        self.push_known(&MEMORY_FIELDS, memory.fields);
        let own = [memory.usage, memory.working_set(), memory.swap, memory.peak, memory.failures];
        self.push_known(&MEMORY, own);
        if let Some(events) = memory.events {
            self.push_known(&MEMORY_EVENTS, events.map(Some));
        }
        for (scope, faults) in [("container", memory.faults), ("hierarchy", memory.faults_below)] {
            for (kind, count) in ["pgfault", "pgmajfault"].into_iter().zip(faults.into_iter().flatten()) {
                self.push_with(&FAULTS[0], &[("failure_type", kind), ("scope", scope)], count as f64);
            }
        }
    }

    /// What it did on one device.
    pub(super) fn io(&mut self, device: &str, io: &Io) {
        let (major, minor) = (io.major.to_string(), io.minor.to_string());
        for (operation, bytes) in [("Read", io.read_bytes), ("Write", io.write_bytes)] {
            let labels = [("device", device), ("major", &major), ("minor", &minor), ("operation", operation)];
            self.push_with(&BLKIO[0], &labels, bytes as f64);
        }
        self.fs_io(device, io);
        for (desc, micros) in FS_COST.iter().zip(io.cost) {
            if let Some(micros) = micros {
                self.push_with(desc, &[("device", device)], micros as f64 / 1e6);
            }
        }
    }

    /// The same as of a file system; a container that did nothing on the device that holds it did that 0 times.
    pub(super) fn fs_io(&mut self, device: &str, io: &Io) {
        for (desc, value) in FS_IO.iter().zip([io.read_bytes, io.write_bytes, io.reads, io.writes]) {
            self.push_with(desc, &[("device", device)], value as f64);
        }
    }
}
