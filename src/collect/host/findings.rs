//! How the host is, in a sentence: the worst of processor, memory and disks decides.

use jiff::Timestamp;

use crate::facts::{ServiceState, State};

/// From these shares on it is a warning, or critical: the thresholds of the shipped alerts.
const CPU: (f64, f64) = (0.70, 0.95);
const MEMORY: (f64, f64) = (0.75, 0.95);
const DISK: (f64, f64) = (0.80, 0.95);

/// One thing that was seen.
#[derive(Clone, Debug, PartialEq)]
struct Finding {
    state: State,
    /// How full or busy it is, as a share: the larger of two equally bad ones is told.
    share: f64,
    why: String,
    next: &'static str,
}

/// What the parts of one run saw.
#[derive(Debug, Default)]
pub(super) struct Findings {
    cpu: Option<Finding>,
    memory: Option<Finding>,
    /// The fullest.
    disk: Option<Finding>,
    mount: Option<Finding>,
}

impl Findings {
    /// The share of time in which the processors did something.
    pub(super) fn cpu(&mut self, busy: f64) {
        let why = format!("cpu {} busy", percent(busy));
        self.cpu = finding(busy, CPU, why, "find the process that uses it: top");
    }

    /// Memory in bytes: all of it, and what programs can still have.
    pub(super) fn memory(&mut self, total: f64, available: f64) {
        let used = 1.0 - available / total;
        let why = format!("memory {} of {} used", percent(used), size(total));
        self.memory = finding(used, MEMORY, why, "find the process that uses it: ps aux --sort=-rss");
    }

    /// A file system that can be written to, in bytes: its size, and what somebody other than root can still have.
    pub(super) fn disk(&mut self, point: &str, bytes: u64, avail: u64) {
        let used = 1.0 - avail as f64 / bytes as f64;
        // As the shipped alerts compute it: what is reserved for root counts as used.
        if self.disk.as_ref().is_none_or(|fullest| used > fullest.share) {
            let why = format!("disk {point} {} of {} used", percent(used), size(bytes as f64));
            let disk =
                finding(used, DISK, why, "find what fills it: du -xh --max-depth=2, beginning at its mount point");
            self.disk = disk.or(self.disk.take());
        }
    }

    /// A mount that gave an error, or nothing in time.
    pub(super) fn silent_mount(&mut self, point: &str, error: &str) {
        self.mount.get_or_insert_with(|| Finding {
            state: State::Warning,
            share: 0.0,
            why: format!("mount {point}: {error}"),
            next: "look at the server or the process behind the mount",
        });
    }

    /// The state of the service `host`. Since when it has been so, the engine knows.
    pub(super) fn state(&self, now: Timestamp) -> ServiceState {
        let all: Vec<&Finding> = [&self.cpu, &self.memory, &self.disk, &self.mount].into_iter().flatten().collect();
        let worst = all.iter().max_by(|a, b| a.state.cmp(&b.state).then(a.share.total_cmp(&b.share)));
        let (state, why, next) = match worst {
            None => (State::Unknown, "neither processor, memory nor disks could be read".to_owned(), READ),
            Some(worst) if worst.state == State::Ok => {
                let seen: Vec<&str> = all.iter().map(|finding| finding.why.as_str()).collect();
                (State::Ok, seen.join(", "), "")
            }
            Some(worst) => (worst.state, worst.why.clone(), worst.next),
        };
        ServiceState { service: "host".to_owned(), state, since: now, why, next: next.to_owned() }
    }
}

const READ: &str = "look at node_scrape_collector_success and at the log";

/// Nothing where the share is none: a file system of no size, a division by 0.
fn finding(share: f64, (warning, critical): (f64, f64), why: String, next: &'static str) -> Option<Finding> {
    let state = match share {
        share if !share.is_finite() => return None,
        share if share >= critical => State::Critical,
        share if share >= warning => State::Warning,
        _ => State::Ok,
    };
    Some(Finding { state, share, why, next })
}

/// Rounded down, so that what is said never crosses a threshold that was not reached.
fn percent(share: f64) -> String {
    format!("{} %", (share.clamp(0.0, 1.0) * 100.0 + 1e-9).floor())
}

fn size(bytes: f64) -> String {
    let units = [("TiB", 40), ("GiB", 30), ("MiB", 20)];
    let (unit, shift) = units.into_iter().find(|(_, shift)| bytes >= (1_u64 << shift) as f64).unwrap_or(("KiB", 10));
    let number = bytes / (1_u64 << shift) as f64;
    if number < 10.0 { format!("{number:.1} {unit}") } else { format!("{number:.0} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: f64 = (1_u64 << 30) as f64;

    fn state(see: impl FnOnce(&mut Findings)) -> (State, String) {
        let mut findings = Findings::default();
        see(&mut findings);
        let state = findings.state(Timestamp::UNIX_EPOCH);
        assert_eq!(state.next.is_empty(), state.state == State::Ok);
        (state.state, state.why)
    }

    #[test]
    fn a_calm_host_tells_all_three() {
        let (state, why) = state(|findings| {
            findings.cpu(0.12);
            findings.memory(16.0 * GIB, 9.0 * GIB);
            findings.disk("/", 50 << 30, 20 << 30);
            findings.disk("/var", 2 << 40, 1 << 40);
        });
        assert_eq!(state, State::Ok);
        assert_eq!(why, "cpu 12 % busy, memory 43 % of 16 GiB used, disk / 60 % of 50 GiB used");
    }

    #[test]
    fn the_worst_decides_and_of_two_the_fuller() {
        let seen = state(|findings| {
            findings.cpu(0.80);
            findings.memory(4.0 * GIB, GIB / 10.0);
            findings.disk("/var", 50 << 30, 4 << 30);
        });
        assert_eq!(seen, (State::Critical, "memory 97 % of 4.0 GiB used".to_owned()));
        let seen = state(|findings| {
            findings.cpu(0.80);
            findings.disk("/var", 50 << 30, 4 << 30);
            findings.disk("/", 50 << 30, 40 << 30);
        });
        assert_eq!(seen, (State::Warning, "disk /var 92 % of 50 GiB used".to_owned()));
    }

    #[test]
    fn thresholds_are_reached_at_their_value_and_not_below() {
        let cpu = |busy| state(|findings| findings.cpu(busy)).0;
        assert_eq!(
            [0.6999, 0.70, 0.9499, 0.95, 1.0].map(cpu),
            [State::Ok, State::Warning, State::Warning, State::Critical, State::Critical]
        );
        assert_eq!(state(|findings| findings.cpu(0.6999)).1, "cpu 69 % busy");
    }

    #[test]
    fn a_mount_that_does_not_answer_is_a_warning() {
        let seen = state(|findings| {
            findings.cpu(0.1);
            findings.silent_mount("/net", "mountpoint timeout");
        });
        assert_eq!(seen, (State::Warning, "mount /net: mountpoint timeout".to_owned()));
    }

    #[test]
    fn nothing_seen_is_unknown_and_no_size_is_nothing() {
        assert_eq!(state(|_| ()).0, State::Unknown);
        assert_eq!(state(|findings| findings.disk("/", 0, 0)).0, State::Unknown);
        assert_eq!(state(|findings| findings.memory(0.0, 0.0)).0, State::Unknown);
    }
}
