//! `cpu`: the seconds that each processor spent in each mode (proc_stat(5)).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use super::cpuinfo::{self, CpuInfo};
use super::files::malformed;
use super::topology::{self, Topology};
use super::{HostConfig, Listed, Part, Run, Site};
use crate::collect::CollectError;
use crate::config::Problems;
use crate::metrics::Desc;

pub(super) static SECONDS: Desc =
    Desc::counter("node_cpu_seconds_total", "Seconds the CPUs spent in each mode.", &["cpu", "mode"]);
pub(super) static GUEST: Desc = Desc::counter(
    "node_cpu_guest_seconds_total",
    "Seconds the CPUs spent in guests (VMs) for each mode.",
    &["cpu", "mode"],
);

/// The first eight columns. A guest's time is in `user` and `nice` as well.
const MODES: [&str; 8] = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"];
/// The last two columns.
const GUEST_MODES: [&str; 2] = ["user", "nice"];
const IDLE: usize = 3;

/// The kernel's unit of these columns on every architecture that is still alive.
const TICKS_PER_SECOND: f64 = 100.0;

/// When idle time falls by this much, the processor was taken out and put back, and all its counters begin anew.
const RESET: u64 = 300;

/// The use is computed over at least this long: over a second, every start of a program looks like a busy processor.
const WINDOW: u64 = 1_000;

/// Ticks in each column.
type Ticks = [u64; 10];

pub(super) struct Cpu {
    file: PathBuf,
    guest: bool,
    info: Option<CpuInfo>,
    seen: Mutex<Seen>,
}

/// What has to be kept: the highest count that was told, per processor, and the totals that the use is computed from.
#[derive(Default)]
struct Seen {
    told: BTreeMap<u32, Ticks>,
    topology: Topology,
    total: Ticks,
    busy: Option<f64>,
}

impl Listed for Cpu {
    fn descs() -> Vec<&'static Desc> {
        let topology = [&topology::ISOLATED, &topology::CORE_THROTTLES, &topology::PACKAGE_THROTTLES];
        // The frequency is described by the part `cpufreq`.
        let info = [&cpuinfo::INFO, &cpuinfo::FLAG, &cpuinfo::BUG];
        [&SECONDS, &GUEST].into_iter().chain(topology).chain(info).collect()
    }

    fn check(config: &HostConfig, problems: &mut Problems) {
        CpuInfo::check(config, problems);
    }

    fn new(site: &Site<'_>) -> Self {
        let seen = Seen { topology: Topology::new(&site.roots), ..Seen::default() };
        let config = &site.config.cpu;
        Self {
            file: site.roots.procfs.join("stat"),
            guest: config.guest,
            info: CpuInfo::new(config, &site.roots),
            seen: Mutex::new(seen),
        }
    }
}

#[async_trait]
impl Part for Cpu {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut online = Vec::new();
        for line in run.stat.text(&self.file)?.lines() {
            // The kernel writes the processors before all else.
            let Some(rest) = line.strip_prefix("cpu") else { break };
            let (name, columns) = rest.split_once(' ').unwrap_or((rest, ""));
            let now = ticks(columns).ok_or_else(|| malformed(&self.file, line))?;
            if name.is_empty() {
                seen.total(now);
                continue;
            }
            let cpu: u32 = name.parse().map_err(|_| malformed(&self.file, line))?;
            online.push(cpu);
            let told = seen.told.entry(cpu).or_default();
            advance(told, now);
            let (modes, guest) = told.split_at(MODES.len());
            for (mode, ticks) in MODES.iter().zip(modes) {
                run.batch.push(&SECONDS, &[name, mode], *ticks as f64 / TICKS_PER_SECOND);
            }
            for (mode, ticks) in GUEST_MODES.iter().zip(guest).filter(|_| self.guest) {
                run.batch.push(&GUEST, &[name, mode], *ticks as f64 / TICKS_PER_SECOND);
            }
        }
        if online.is_empty() {
            return Err(malformed(&self.file, "no processor in it"));
        }
        if let Some(busy) = seen.busy {
            run.findings.cpu(busy);
        }
        seen.topology.collect(&online, run);
        self.info.as_ref().map_or(Ok(()), |info| info.collect(run))
    }
}

impl Seen {
    /// Computes the share of the time since an earlier run in which the processors did something. Within the window the
    /// earlier value stays.
    fn total(&mut self, now: Ticks) {
        let sum = |ticks: &Ticks| ticks.iter().take(MODES.len()).fold(0_u64, |sum, ticks| sum.saturating_add(*ticks));
        let first = self.total == Ticks::default();
        let (passed, idle) = (sum(&now).checked_sub(sum(&self.total)), now[IDLE].checked_sub(self.total[IDLE]));
        match (passed, idle) {
            (Some(passed), Some(idle)) if !first => {
                let processors = self.told.len().max(1) as u64;
                if passed < processors * WINDOW {
                    return;
                }
                self.busy = Some(1.0 - idle as f64 / passed as f64);
            }
            _ => self.busy = None,
        }
        self.total = now;
    }
}

/// Ten columns; those that an old kernel lacks are 0, those that a newer one adds have no name yet.
fn ticks(columns: &str) -> Option<Ticks> {
    let mut ticks = Ticks::default();
    let mut fields = columns.split_ascii_whitespace();
    for (index, column) in ticks.iter_mut().enumerate() {
        match fields.next() {
            Some(field) => *column = field.parse().ok()?,
            None if index > IDLE => break,
            None => return None,
        }
    }
    Some(ticks)
}

/// Moves what was told on to what is now. The kernel lets idle and iowait fall by a little now and then (it adds them
/// up without a lock); a scraper would take that for a restart of the counter, so the highest count stays.
fn advance(told: &mut Ticks, now: Ticks) {
    if told[IDLE].saturating_sub(now[IDLE]) >= RESET {
        *told = Ticks::default();
    }
    for (told, now) in told.iter_mut().zip(now) {
        *told = (*told).max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_step_back_is_held_and_a_large_one_is_a_restart() {
        let mut told = [50, 0, 9, 1000, 70, 0, 0, 0, 0, 0];
        advance(&mut told, [51, 0, 9, 998, 60, 0, 0, 0, 0, 0]);
        assert_eq!(told, [51, 0, 9, 1000, 70, 0, 0, 0, 0, 0]);
        advance(&mut told, [52, 0, 9, 700, 3, 0, 0, 0, 0, 0]);
        assert_eq!(told, [52, 0, 9, 700, 3, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn columns_may_be_fewer_or_more_but_not_words() {
        assert_eq!(ticks("1 2 3 4"), Some([1, 2, 3, 4, 0, 0, 0, 0, 0, 0]));
        assert_eq!(ticks(" 1 2 3 4 5 6 7 8 9 10 11 12"), Some([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]));
        for garbage in ["", "1 2 3", "1 2 3 -4", "1 2 3 x 5"] {
            assert_eq!(ticks(garbage), None, "{garbage}");
        }
    }

    #[test]
    fn use_is_the_share_of_time_that_was_not_idle() {
        let mut seen = Seen::default();
        let at = |busy, idle| [busy, 0, 0, idle, 0, 0, 0, 0, 0, 0];
        seen.total(at(100, 10_000));
        assert_eq!(seen.busy, None);
        seen.total(at(850, 10_250));
        assert_eq!(seen.busy, Some(0.75));
        seen.total(at(1_848, 10_251));
        assert_eq!(seen.busy, Some(0.75), "too short a time");
        seen.total(at(1_850, 10_250));
        assert_eq!(seen.busy, Some(1.0));
        seen.total(at(5, 10));
        assert_eq!(seen.busy, None, "the counters began anew");
    }
}
