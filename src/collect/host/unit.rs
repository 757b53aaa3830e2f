//! What is asked about each unit of systemd.

use super::dbus::{Question, Service, Value};
use super::systemd::SystemdConfig;
use crate::metrics::{Batch, Desc};

/// The states that a unit's family has a series for.
pub(super) const STATES: [&str; 5] = ["active", "activating", "deactivating", "inactive", "failed"];

/// The manager counts time in microseconds.
const MICROSECONDS: f64 = 1e6;

const UNIT: &[&str] = &["name"];

static STATE: Desc = Desc::gauge("node_systemd_unit_state", "Systemd unit", &["name", "state", "type"]);

/// A property of a kind of units, its family, and what its value is divided by.
struct Row {
    ending: &'static str,
    interface: &'static str,
    property: &'static str,
    desc: Desc,
    unit: f64,
    /// Whether it is asked for.
    wanted: fn(&SystemdConfig) -> bool,
}

const SERVICE: (&str, &str) = (".service", "org.freedesktop.systemd1.Service");
const SOCKET: (&str, &str) = (".socket", "org.freedesktop.systemd1.Socket");
const TIMER: (&str, &str) = (".timer", "org.freedesktop.systemd1.Timer");
const MOUNT: (&str, &str) = (".mount", "org.freedesktop.systemd1.Mount");
/// Every unit.
const ANY: (&str, &str) = ("", "org.freedesktop.systemd1.Unit");

const fn row(
    (ending, interface): (&'static str, &'static str),
    property: &'static str,
    desc: Desc,
    unit: f64,
    wanted: fn(&SystemdConfig) -> bool,
) -> Row {
    Row { ending, interface, property, desc, unit, wanted }
}

const fn always(_: &SystemdConfig) -> bool {
    true
}

const fn starts(config: &SystemdConfig) -> bool {
    config.enable_start_time_metrics
}

const fn tasks(config: &SystemdConfig) -> bool {
    config.enable_task_metrics
}

const fn restarts(config: &SystemdConfig) -> bool {
    config.enable_restarts_metrics
}

#[rustfmt::skip]
static ROWS: [Row; 8] = [
    row(ANY, "ActiveEnterTimestamp", Desc::gauge("node_systemd_unit_start_time_seconds", "Start time of the unit since unix epoch in seconds.", UNIT), MICROSECONDS, starts),
    row(SERVICE, "TasksCurrent", Desc::gauge("node_systemd_unit_tasks_current", "Current number of tasks per Systemd unit", UNIT), 1.0, tasks),
    row(SERVICE, "TasksMax", Desc::gauge("node_systemd_unit_tasks_max", "Maximum number of tasks per Systemd unit", UNIT), 1.0, tasks),
    row(SERVICE, "NRestarts", Desc::counter("node_systemd_service_restart_total", "Service unit count of Restart triggers", UNIT), 1.0, restarts),
    row(TIMER, "LastTriggerUSec", Desc::gauge("node_systemd_timer_last_trigger_seconds", "Seconds since epoch of last trigger.", UNIT), MICROSECONDS, always),
    row(SOCKET, "NAccepted", Desc::counter("node_systemd_socket_accepted_connections_total", "Total number of accepted socket connections", UNIT), 1.0, always),
    row(SOCKET, "NConnections", Desc::gauge("node_systemd_socket_current_connections", "Current number of socket connections", UNIT), 1.0, always),
    row(SOCKET, "NRefused", Desc::gauge("node_systemd_socket_refused_connections_total", "Total number of refused socket connections", UNIT), 1.0, always),
];

pub(super) fn descs() -> impl Iterator<Item = &'static Desc> {
    ROWS.iter().map(|row| &row.desc).chain([&STATE])
}

/// A unit that is taken.
pub(super) struct Unit<'a> {
    pub(super) name: &'a str,
    pub(super) state: &'a str,
    pub(super) path: &'a str,
}

/// Asks about all units at once, and writes what they answer.
pub(super) async fn push(service: &Service, units: &[Unit<'_>], config: &SystemdConfig, batch: &mut Batch) {
    states(service, units, batch).await;
    let rows: Vec<_> = ROWS.iter().filter(|row| (row.wanted)(config)).collect();
    let asked = units.iter().flat_map(|unit| {
        let rows = rows.iter().filter(|row| unit.name.ends_with(row.ending));
        rows.map(move |row| (unit, *row))
    });
    // One that is not active did not start: the manager remembers when it last did.
    let never = |unit: &Unit, row: &Row| row.ending.is_empty() && unit.state != "active";
    let (stopped, asked): (Vec<_>, Vec<_>) = asked.partition(|(unit, row)| never(unit, row));
    for (unit, row) in stopped {
        batch.push(&row.desc, &[unit.name], 0.0);
    }
    let question = |(unit, row): &(&Unit<'_>, &Row)| Question {
        path: unit.path.to_owned(),
        interface: row.interface,
        property: row.property,
    };
    let questions: Vec<_> = asked.iter().map(question).collect();
    for ((unit, row), answer) in asked.iter().zip(service.get_all(&questions).await) {
        if let Some(number) = answer.and_then(Value::number) {
            batch.push(&row.desc, &[unit.name], number as f64 / row.unit);
        }
    }
}

/// Each unit's state, with the type of services and mounts.
async fn states(service: &Service, units: &[Unit<'_>], batch: &mut Batch) {
    let interface = |unit: &Unit| {
        [SERVICE, MOUNT].into_iter().find(|(ending, _)| unit.name.ends_with(ending)).map(|(_, interface)| interface)
    };
    let question =
        |unit: &Unit| Some(Question { path: unit.path.to_owned(), interface: interface(unit)?, property: "Type" });
    let questions: Vec<_> = units.iter().filter_map(question).collect();
    let mut answers = service.get_all(&questions).await.into_iter();
    for unit in units {
        let answer = interface(unit).and_then(|_| answers.next()).flatten();
        let kind = answer.map(Value::text).unwrap_or_default();
        for state in STATES {
            batch.push(&STATE, &[unit.name, state, &kind], f64::from(state == unit.state));
        }
    }
}
