//! `systemd`: the units of the service manager, as it tells over D-Bus (org.freedesktop.systemd1(5)).

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use zbus::OwnedObjectPath;

use super::dbus::{Bus, Question, Service, Value};
use super::filter::Filter;
use super::{HostConfig, Listed, Part, Run, Site, unit};
use crate::collect::CollectError;
use crate::config::{Problem, Problems, Span};
use crate::metrics::{Batch, Desc};

const NAME: &str = "org.freedesktop.systemd1";
const PATH: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";

/// node_exporter 1.12's own default: what the kernel and containers make many of.
const UNITS_EXCLUDED: &str = r".+\.(automount|device|mount|scope|slice)";

/// More units than this are not asked about.
const MOST: usize = 20_000;

/// Which units are taken, and what of them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SystemdConfig {
    /// Only units whose whole name matches.
    pub unit_include: String,
    /// No units whose whole name matches; both hold.
    pub unit_exclude: String,
    /// Gives each service's tasks and their limit.
    pub enable_task_metrics: bool,
    /// Gives how often each service was restarted.
    pub enable_restarts_metrics: bool,
    /// Gives since when each unit is active.
    pub enable_start_time_metrics: bool,
    /// After this the bus is given up, and the part has failed.
    pub timeout: Span,
}

impl Default for SystemdConfig {
    fn default() -> Self {
        Self {
            unit_include: ".+".to_owned(),
            unit_exclude: UNITS_EXCLUDED.to_owned(),
            enable_task_metrics: false,
            enable_restarts_metrics: false,
            enable_start_time_metrics: false,
            timeout: Span(Duration::from_millis(2500)),
        }
    }
}

static VERSION: Desc = Desc::gauge("node_systemd_version", "Detected systemd version", &["version"]);
static VIRTUALIZATION: Desc =
    Desc::gauge("node_systemd_virtualization_info", "Detected virtualization technology", &["virtualization_type"]);
static RUNNING: Desc = Desc::gauge(
    "node_systemd_system_running",
    "Whether the system is operational (see 'systemctl is-system-running')",
    &[],
);
static UNITS: Desc = Desc::gauge("node_systemd_units", "Summary of systemd unit states", &["state"]);

pub(super) struct Systemd {
    bus: Bus,
    include: Filter,
    exclude: Filter,
    config: SystemdConfig,
}

/// A unit as `ListUnits` tells it: name, description, load state, active state, sub state, followed unit, object, job's
/// number, type and object.
type Listing = (String, String, String, String, String, String, OwnedObjectPath, u32, String, OwnedObjectPath);

impl Listed for Systemd {
    fn descs() -> Vec<&'static Desc> {
        let mut descs = vec![&VERSION, &VIRTUALIZATION, &RUNNING, &UNITS];
        descs.extend(unit::descs());
        descs
    }

    fn check(config: &HostConfig, problems: &mut Problems) {
        let systemd = &config.systemd;
        Filter::check_one("systemd.unit_include", Some(&systemd.unit_include), problems);
        Filter::check_one("systemd.unit_exclude", Some(&systemd.unit_exclude), problems);
        if systemd.timeout >= config.schedule.timeout {
            problems.push(
                Problem::warning("systemd.timeout", "not shorter than `schedule.timeout`")
                    .hint("a bus that hangs would cost the host's other series"),
            );
        }
    }

    fn new(site: &Site<'_>) -> Self {
        let config = &site.config.systemd;
        let whole = |pattern: &str| (!pattern.is_empty()).then(|| format!("^(?:{pattern})$"));
        Self {
            bus: Bus::new(&site.roots, config.timeout.0),
            include: Filter::new(whole(&config.unit_include).as_deref(), None, ""),
            exclude: Filter::new(None, whole(&config.unit_exclude).as_deref(), ""),
            config: config.clone(),
        }
    }
}

#[async_trait]
impl Part for Systemd {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        let batch = &mut run.batch;
        self.bus
            .ask(NAME, async |service| {
                manager(&service, batch).await;
                let mut units: Vec<Listing> = service.call(PATH, MANAGER, "ListUnits").await?;
                units.truncate(MOST);
                summary(&units, batch);
                let taken =
                    |unit: &&Listing| unit.2 == "loaded" && self.include.takes(&unit.0) && self.exclude.takes(&unit.0);
                let units = units.iter().filter(taken);
                let units: Vec<_> =
                    units.map(|unit| unit::Unit { name: &unit.0, state: &unit.3, path: &unit.6 }).collect();
                unit::push(&service, &units, &self.config, batch).await;
                Ok(())
            })
            .await
    }
}

/// What the manager tells of itself. A property that it lacks, as old ones do, gives what the original gives then.
async fn manager(service: &Service, batch: &mut Batch) {
    let questions = ["Version", "Virtualization", "SystemState"].map(|property| Question {
        path: PATH.to_owned(),
        interface: MANAGER,
        property,
    });
    let answers = service.get_all(&questions).await;
    let mut texts = answers.into_iter().map(|answer| answer.map(Value::text));
    let (version, virtualization, state) = (texts.next().flatten(), texts.next().flatten(), texts.next().flatten());
    let version = version.unwrap_or_default();
    match number(&version) {
        Some(number) => batch.push(&VERSION, &[&version], number),
        None => batch.push(&VERSION, &[""], 0.0),
    }
    let virtualization = match virtualization.as_deref() {
        None => "unknown",
        Some("") => "none",
        Some(kind) => kind,
    };
    batch.push(&VIRTUALIZATION, &[virtualization], 1.0);
    if let Some(state) = state {
        batch.push(&RUNNING, &[], f64::from(state == "running"));
    }
}

/// `252.39-1~deb12u2` is 252.39: the first three digits or more, with what follows a dot.
fn number(version: &str) -> Option<f64> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let start = version.find(|c: char| c.is_ascii_digit())?;
    let rest = version.get(start..)?;
    let whole = digits(rest);
    let fraction = rest.get(whole..)?.strip_prefix('.').map_or(0, digits);
    let end = if fraction == 0 { whole } else { whole + 1 + fraction };
    (whole >= 3).then(|| rest.get(..end)?.parse().ok()).flatten()
}

fn summary(units: &[Listing], batch: &mut Batch) {
    let mut counts: BTreeMap<&str, u32> = unit::STATES.iter().map(|state| (*state, 0)).collect();
    for unit in units {
        *counts.entry(&unit.3).or_default() += 1;
    }
    for (state, count) in counts {
        batch.push(&UNITS, &[state], f64::from(count));
    }
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn a_version_begins_with_three_digits() {
        assert_eq!(number("252.39-1~deb12u2"), Some(252.39));
        assert_eq!(number("systemd 239 (239-78.el8)"), Some(239.0));
        assert_eq!(number("v257~rc2"), Some(257.0));
        assert_eq!(number("257."), Some(257.0));
        assert_eq!(number("12"), None);
        assert_eq!(number("unknown"), None);
    }
}
