//! What a cgroup used, whatever told it: its files of version 1 or 2, or the Docker daemon. What a source does not tell
//! stays `None`, and gives no series.

/// Processor time.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Cpu {
    /// Nanoseconds by processor, where the kernel counts so (version 1), else one entry for all.
    pub(super) usage: Vec<u64>,
    /// Whether `usage` is by processor.
    pub(super) by_processor: bool,
    /// Seconds in user mode and in the kernel.
    pub(super) user: f64,
    pub(super) system: f64,
    /// Enforced periods, those throttled, the seconds throttled; periods with a burst, and the seconds of them.
    pub(super) throttling: Option<[f64; 5]>,
}

/// The fields of `memory.stat` that become families, in the order of [`FIELDS`].
pub(super) type Fields = [Option<u64>; FIELDS.len()];

/// The names of the fields in version 2 and in version 1. What version 1 does not count is 0 there, as cAdvisor has it.
pub(super) const FIELDS: [(&str, &str); 12] = [
    ("file", "total_cache"),
    ("anon", "total_rss"),
    ("file_mapped", "total_mapped_file"),
    ("active_file", "total_active_file"),
    ("inactive_file", "total_inactive_file"),
    ("file_dirty", "total_dirty"),
    ("file_writeback", "total_writeback"),
    ("kernel", ""),
    ("pgscan", ""),
    ("pgsteal", ""),
    ("workingset_refault_anon", "workingset_refault_anon"),
    ("workingset_refault_file", "workingset_refault_file"),
];

/// Places in [`Fields`].
pub(super) const CACHE: usize = 0;
pub(super) const RSS: usize = 1;
pub(super) const INACTIVE_FILE: usize = 4;
pub(super) const KERNEL: usize = 7;

/// Memory, in bytes, and its events.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Memory {
    pub(super) fields: Fields,
    pub(super) usage: Option<u64>,
    pub(super) swap: Option<u64>,
    pub(super) peak: Option<u64>,
    /// How often the limit was hit.
    pub(super) failures: Option<u64>,
    /// Throttled for passing `memory.high`; about to pass `memory.max`.
    pub(super) events: Option<[u64; 2]>,
    /// Page faults of itself and with all below: minor and major together, and major.
    pub(super) faults: Option<[u64; 2]>,
    pub(super) faults_below: Option<[u64; 2]>,
}

impl Memory {
    /// Takes its fields and faults from what `memory.stat` holds.
    pub(super) fn take<'t>(&mut self, unified: bool, pairs: impl Iterator<Item = (&'t str, u64)>) {
        let (mut own, mut below) = ([0; 2], [0; 2]);
        for (name, value) in pairs {
            match name {
                "pgfault" => own[0] = value,
                "pgmajfault" => own[1] = value,
                "total_pgfault" => below[0] = value,
                "total_pgmajfault" => below[1] = value,
                // Before Linux 5.9 there was one figure, of files.
                "workingset_refault" => self.fields[FIELDS.len() - 1] = Some(value),
                _ => {
                    let known = |(v2, v1): &(&str, &str)| name == if unified { *v2 } else { *v1 };
                    if let Some(at) = FIELDS.iter().position(known) {
                        self.fields[at] = Some(value);
                    }
                }
            }
        }
        (self.faults, self.faults_below) = (Some(own), Some(if unified { own } else { below }));
    }

    /// What the kernel cannot simply drop: usage less the file pages that nobody used lately.
    pub(super) fn working_set(&self) -> Option<u64> {
        Some(self.usage?.saturating_sub(self.fields[INACTIVE_FILE].unwrap_or(0)))
    }
}

/// What a cgroup did on one device.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Io {
    pub(super) major: u32,
    pub(super) minor: u32,
    pub(super) read_bytes: u64,
    pub(super) write_bytes: u64,
    pub(super) reads: u64,
    pub(super) writes: u64,
    /// The I/O cost controller's microseconds: used, waited, in debt, delayed for debt.
    pub(super) cost: [Option<u64>; 4],
}

/// A network interface: received bytes, packets, errors, dropped; then the same sent.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Interface {
    pub(super) name: String,
    pub(super) counts: [u64; 8],
}

/// Microseconds in which some, and in which all of the tasks waited.
pub(super) type Pressure = [u64; 2];

/// All of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Stats {
    pub(super) cpu: Option<Cpu>,
    pub(super) memory: Option<Memory>,
    /// For processors, memory and I/O.
    pub(super) pressure: Option<[Pressure; 3]>,
    pub(super) io: Option<Vec<Io>>,
    pub(super) network: Vec<Interface>,
    /// Processes killed for memory since the cgroup was made.
    pub(super) oom_kills: Option<u64>,
    /// Tasks, and how many there may be (0: no limit).
    pub(super) tasks: Option<[u64; 2]>,
    pub(super) processes: Option<super::processes::Processes>,
    /// Nanoseconds run and waited, and times scheduled, of the processes that are there now.
    pub(super) scheduled: Option<[u64; 3]>,
    pub(super) sockets: super::sockets::Sockets,
    /// By page size: in use, most ever in use, hits of the limit.
    pub(super) huge_pages: Vec<(String, [u64; 3])>,
}
