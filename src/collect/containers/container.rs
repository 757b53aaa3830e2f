//! What is known of a container, from the daemon's list, its details and its events.

use std::collections::HashMap;

use bollard::models::{ContainerInspectResponse, ContainerSummary, HealthStatusEnum};
use jiff::Timestamp;

use super::oom::Kills;

/// Where it is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It has processes.
    Running,
    /// It has processes, which stand still.
    Paused,
    /// It has none: not yet started, or ended.
    Still,
}

/// A health check's verdict, in cAdvisor's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    /// Its check succeeded last.
    Healthy,
    /// Its check failed several times, or has not run yet.
    Not,
    /// It has no check.
    Unchecked,
}

impl Health {
    /// The value of `container_health_state`.
    pub(super) fn value(self) -> f64 {
        match self {
            Self::Healthy => 1.0,
            Self::Not => 0.0,
            Self::Unchecked => -1.0,
        }
    }

    fn of(told: Option<HealthStatusEnum>) -> Self {
        match told {
            None | Some(HealthStatusEnum::EMPTY | HealthStatusEnum::NONE) => Self::Unchecked,
            Some(HealthStatusEnum::HEALTHY) => Self::Healthy,
            Some(HealthStatusEnum::STARTING | HealthStatusEnum::UNHEALTHY) => Self::Not,
        }
    }
}

/// What a container may use; 0 is "no limit", as cAdvisor has it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Limits {
    /// Of 1024 for an equal share.
    pub(super) cpu_shares: u64,
    /// Microseconds; 0 is no quota.
    pub(super) cpu_quota: u64,
    pub(super) cpu_period: u64,
    pub(super) memory: u64,
    pub(super) reservation: u64,
    /// Memory and swap together, as Docker has it.
    pub(super) memory_and_swap: u64,
}

/// What only a call about this container tells.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Details {
    /// The first process, as the host numbers it; 0 when it does not run.
    pub(super) pid: u32,
    pub(super) started: Option<Timestamp>,
    pub(super) restarts: u64,
    pub(super) limits: Limits,
    /// It has no network namespace of its own but another container's.
    pub(super) shares_network: bool,
    /// The folder of its own layer on the host, where the storage driver has one.
    pub(super) layer: Option<String>,
    /// The cgroup that it was to be put below; empty for the daemon's default.
    pub(super) cgroup_parent: String,
}

/// One container.
#[derive(Clone, Debug)]
pub(super) struct Container {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) image: String,
    /// The values of the labels that are shown, in their order.
    pub(super) labels: Vec<String>,
    pub(super) created: i64,
    pub(super) phase: Phase,
    pub(super) health: Health,
    /// How it ended, once it has.
    pub(super) exit_code: Option<i64>,
    /// `None` while the daemon has not told, or cannot.
    pub(super) details: Option<Details>,
    pub(super) kills: Kills,
    /// Counts its starts and updates as far as we saw: what is remembered of one start does not hold for the next.
    pub(super) generation: u64,
    /// Counts the events that changed it: details that were asked for before the last one are old.
    pub(super) told: u64,
    /// A start was heard that the details do not know yet.
    pub(super) begun: bool,
    /// The details are missing or may be of an earlier life, for the last call for them failed.
    pub(super) unsure: bool,
}

/// Docker writes this for "never".
const NEVER: &str = "0001-01-01T00:00:00Z";

/// The longest name, image or label that is shown: Docker bounds neither.
const LONGEST: usize = 512;

/// Hostile text, cut to a length.
pub(super) fn bounded(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}

impl Container {
    /// One that nothing is known of but its id.
    pub(super) fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            name: String::new(),
            image: String::new(),
            labels: Vec::new(),
            created: 0,
            phase: Phase::Still,
            health: Health::Unchecked,
            exit_code: None,
            details: None,
            kills: Kills::default(),
            generation: 0,
            told: 0,
            begun: false,
            unsure: false,
        }
    }

    /// Takes over what the daemon's list says, which is little. The details stay until they are asked for.
    pub(super) fn take_summary(&mut self, summary: &ContainerSummary, shown: &[String]) {
        use bollard::models::ContainerSummaryStateEnum as State;
        self.name = name(summary.names.iter().flatten().map(String::as_str));
        self.image = bounded(summary.image.as_deref().unwrap_or_default());
        self.labels = values(summary.labels.as_ref(), shown);
        self.created = summary.created.unwrap_or_default();
        self.phase = match summary.state {
            Some(State::RUNNING | State::STOPPING) => Phase::Running,
            Some(State::PAUSED) => Phase::Paused,
            _ => Phase::Still,
        };
        // Only the sentence for people tells it in every version: "Up 2 minutes (healthy)".
        let status = summary.status.as_deref().unwrap_or_default();
        self.health = if status.contains("(healthy)") {
            Health::Healthy
        } else if status.contains("(unhealthy)") || status.contains("(health: starting)") {
            Health::Not
        } else {
            Health::Unchecked
        };
        let code = |text: &str| text.strip_prefix("Exited (")?.split_once(')')?.0.parse().ok();
        self.exit_code = code(status).filter(|_| self.phase == Phase::Still);
    }

    /// Takes over what the daemon tells about it.
    pub(super) fn take_details(&mut self, told: &ContainerInspectResponse, shown: &[String]) {
        if let Some(told) = &told.name {
            self.name = name(std::iter::once(told.as_str()));
        }
        if let Some(config) = &told.config {
            self.image = bounded(config.image.as_deref().unwrap_or_default());
            self.labels = values(config.labels.as_ref(), shown);
        }
        if let Some(created) = told.created.as_deref().and_then(|text| text.parse::<Timestamp>().ok()) {
            self.created = created.as_second();
        }
        let state = told.state.as_ref();
        let is = |flag: Option<bool>| flag.unwrap_or(false);
        let (running, paused) = state.map_or((false, false), |state| (is(state.running), is(state.paused)));
        let restarting = state.is_some_and(|state| is(state.restarting));
        self.phase = match (running && !restarting, paused) {
            (true, true) => Phase::Paused,
            (true, false) => Phase::Running,
            (false, _) => Phase::Still,
        };
        self.health = Health::of(state.and_then(|state| state.health.as_ref()?.status));
        let time = |text: Option<&String>| text.filter(|text| *text != NEVER)?.parse::<Timestamp>().ok();
        let ended = state.and_then(|state| time(state.finished_at.as_ref()));
        self.exit_code =
            state.and_then(|state| state.exit_code).filter(|_| self.phase == Phase::Still && ended.is_some());
        let host = told.host_config.clone().unwrap_or_default();
        let started = state.and_then(|state| time(state.started_at.as_ref()));
        if self.details.as_ref().is_some_and(|known| known.started != started) && !self.begun {
            // It was started anew while nobody listened: the kernel counts from nought again.
            self.kills.end();
        }
        (self.begun, self.unsure) = (false, false);
        self.details = Some(Details {
            pid: state.and_then(|state| u32::try_from(state.pid?).ok()).unwrap_or(0),
            started,
            restarts: told.restart_count.and_then(|count| u64::try_from(count).ok()).unwrap_or(0),
            limits: limits(&host),
            shares_network: host.network_mode.as_deref().is_some_and(|mode| mode.starts_with("container:")),
            layer: told.graph_driver.as_ref().and_then(|driver| driver.data.get("UpperDir").cloned()),
            cgroup_parent: host.cgroup_parent.unwrap_or_default(),
        });
    }
}

fn limits(host: &bollard::models::HostConfig) -> Limits {
    let of = |told: Option<i64>| told.and_then(|told| u64::try_from(told).ok()).unwrap_or(0);
    let or = |told: u64, default: u64| if told == 0 { default } else { told };
    let period = or(of(host.cpu_period), 100_000);
    // `--cpus` is told in billionths of a processor.
    let quota = or(of(host.cpu_quota), of(host.nano_cpus).saturating_mul(period) / 1_000_000_000);
    Limits {
        cpu_shares: or(of(host.cpu_shares), 1024),
        cpu_quota: quota,
        cpu_period: period,
        memory: of(host.memory),
        reservation: of(host.memory_reservation),
        memory_and_swap: of(host.memory_swap),
    }
}

/// The container's own name: of several, which links gave it, the one without a further slash.
fn name<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut names = names.map(|name| name.trim_start_matches('/'));
    let first = names.next().unwrap_or_default();
    let own = if first.contains('/') { names.find(|name| !name.contains('/')).unwrap_or(first) } else { first };
    bounded(own)
}

/// The values of the shown labels; empty where it has none of that name.
pub(super) fn values(labels: Option<&HashMap<String, String>>, shown: &[String]) -> Vec<String> {
    let value = |name| labels.and_then(|labels| labels.get(name)).map(|value| bounded(value)).unwrap_or_default();
    shown.iter().map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_tells_health_and_exit_code_in_a_sentence() {
        let read = |state: &str, status: &str| {
            let summary =
                serde_json::json!({"Id": "a", "Names": ["/web/alias", "/db"], "State": state, "Status": status});
            let mut container = Container::new("a");
            container.take_summary(&serde_json::from_value(summary).unwrap(), &[]);
            (container.name, container.phase, container.health, container.exit_code)
        };
        let db = || "db".to_owned();
        assert_eq!(read("running", "Up 2 minutes (healthy)"), (db(), Phase::Running, Health::Healthy, None));
        assert_eq!(read("running", "Up 2 minutes (health: starting)"), (db(), Phase::Running, Health::Not, None));
        assert_eq!(read("paused", "Up 2 minutes (Paused)"), (db(), Phase::Paused, Health::Unchecked, None));
        assert_eq!(read("exited", "Exited (137) 4 days ago"), (db(), Phase::Still, Health::Unchecked, Some(137)));
        assert_eq!(read("created", "Created"), (db(), Phase::Still, Health::Unchecked, None));
    }

    #[test]
    fn limits_are_those_that_were_asked_for() {
        let read = |host: serde_json::Value| limits(&serde_json::from_value(host).unwrap());
        let none = Limits { cpu_shares: 1024, cpu_period: 100_000, ..Limits::default() };
        assert_eq!(read(serde_json::json!({})), none);
        assert_eq!(read(serde_json::json!({"Memory": 0, "MemorySwap": -1})), none);
        let half = read(serde_json::json!({"NanoCpus": 500_000_000, "CpuShares": 512}));
        assert_eq!((half.cpu_quota, half.cpu_period, half.cpu_shares), (50_000, 100_000, 512));
        assert_eq!(read(serde_json::json!({"CpuQuota": 25_000, "CpuPeriod": 50_000})).cpu_quota, 25_000);
    }
}
