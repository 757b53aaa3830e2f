//! The `process_*` families, under the names that every Prometheus client library gives them, from procfs (proc(5)).
//! Other systems have none.

use std::fs;

use rustix::process::{Resource, getrlimit};

use crate::metrics::{Batch, Desc};

static CPU: Desc =
    Desc::counter("process_cpu_seconds_total", "Processor time of this program, user and system, in seconds.", &[]);
static START: Desc =
    Desc::gauge("process_start_time_seconds", "When this program was started, in seconds since 1970.", &[]);
static RESIDENT: Desc = Desc::gauge("process_resident_memory_bytes", "Memory of this program in RAM.", &[]);
static VIRTUAL: Desc = Desc::gauge("process_virtual_memory_bytes", "Address space of this program.", &[]);
static THREADS: Desc = Desc::gauge("process_threads", "Threads of this program.", &[]);
static OPEN_FDS: Desc = Desc::gauge("process_open_fds", "Open file descriptors.", &[]);
static MAX_FDS: Desc = Desc::gauge("process_max_fds", "Limit of open file descriptors.", &[]);

/// All of them, in the order in which they are pushed.
pub(super) static DESCS: [&Desc; 7] = [&CPU, &START, &RESIDENT, &VIRTUAL, &THREADS, &OPEN_FDS, &MAX_FDS];

/// When this process was started, in seconds since 1970. Asked once: the answer lies in a long file.
pub(super) fn started() -> Option<f64> {
    let read = |file: &str| fs::read_to_string(file).ok();
    let ticks = Stat::parse(&read("/proc/self/stat")?)?.start_ticks as f64;
    Some(boot_time(&read("/proc/stat")?)? as f64 + ticks / rustix::param::clock_ticks_per_second() as f64)
}

/// Pushes what procfs tells of this process, which was [`started`] then.
pub(super) fn collect(started: Option<f64>, batch: &mut Batch) {
    let tick = 1.0 / rustix::param::clock_ticks_per_second() as f64;
    let page = rustix::param::page_size() as f64;
    let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
    if let Some(stat) = Stat::parse(&read("/proc/self/stat")) {
        batch.push(&CPU, &[], stat.cpu_ticks as f64 * tick);
        if let Some(started) = started {
            batch.push(&START, &[], started);
        }
        batch.push(&RESIDENT, &[], stat.resident_pages as f64 * page);
        batch.push(&VIRTUAL, &[], stat.virtual_bytes as f64);
        batch.push(&THREADS, &[], stat.threads as f64);
    }
    if let Some(open) = open_files() {
        batch.push(&OPEN_FDS, &[], open as f64);
        let limit = getrlimit(Resource::Nofile).current;
        batch.push(&MAX_FDS, &[], limit.map_or(f64::INFINITY, |limit| limit as f64));
    }
}

/// How many files are open. Since Linux 6.2 that is the folder's size; to list it takes many times as long.
fn open_files() -> Option<u64> {
    let folder = "/proc/self/fd";
    match fs::metadata(folder).ok()?.len() {
        // One of them is the folder that is being read.
        0 => Some(fs::read_dir(folder).ok()?.count().saturating_sub(1) as u64),
        open => Some(open),
    }
}

/// The fields of `/proc/PID/stat` that are told.
#[derive(Debug, PartialEq)]
struct Stat {
    cpu_ticks: u64,
    threads: u64,
    start_ticks: u64,
    virtual_bytes: u64,
    resident_pages: u64,
}

impl Stat {
    fn parse(text: &str) -> Option<Self> {
        // The second field is the program's name in parentheses, which may hold anything; the third follows the last one.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            cpu_ticks: field(14)? + field(15)?,
            threads: field(20)?,
            start_ticks: field(22)?,
            virtual_bytes: field(23)?,
            resident_pages: field(24)?,
        })
    }
}

/// When the system was started, in seconds since 1970: the line `btime` of `/proc/stat`.
fn boot_time(stat: &str) -> Option<u64> {
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_moves_no_field() {
        let text =
            "7 (a ) b) S 1 7 7 0 -1 4194560 100 0 0 0 30 12 0 0 20 0 5 0 4242 1000000 250 18446744073709551615 1";
        let stat = Stat { cpu_ticks: 42, threads: 5, start_ticks: 4242, virtual_bytes: 1_000_000, resident_pages: 250 };
        assert_eq!(Stat::parse(text), Some(stat));
        assert_eq!(Stat::parse("7 (a"), None);
        assert_eq!(Stat::parse(""), None);
    }

    #[test]
    fn the_boot_time_is_one_line_of_many() {
        assert_eq!(boot_time("cpu  1 2 3\nbtime 1700000000\nprocesses 9\n"), Some(1_700_000_000));
        assert_eq!(boot_time("cpu  1 2 3\n"), None);
    }
}
