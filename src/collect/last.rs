//! The last known state: what `health`, the pages and an incident's evidence show.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use crate::facts::{AgentRow, Facts, ServiceState, State};

/// What each collector told last. As JSON it is the evidence of an incident.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Last {
    /// The enabled collectors that have run, in the order of the list.
    pub collectors: Vec<LastRun>,
}

/// What one collector told last.
#[derive(Clone, Debug, Serialize)]
pub struct LastRun {
    /// The collector's name.
    pub collector: &'static str,
    /// When the run ended.
    pub at: Timestamp,
    /// Whether it succeeded.
    pub success: bool,
    /// What it told. After a failure its services are unknown, and say why.
    pub facts: Arc<Facts>,
}

impl Last {
    /// All services.
    pub fn services(&self) -> impl Iterator<Item = &ServiceState> {
        self.collectors.iter().flat_map(|run| &run.facts.services)
    }

    /// All agents.
    pub fn agents(&self) -> impl Iterator<Item = &AgentRow> {
        self.collectors.iter().flat_map(|run| &run.facts.agents)
    }
}

/// The facts after a run that succeeded. A service keeps the time since when its state has been so.
pub(super) fn succeeded(before: Option<&Facts>, mut facts: Facts) -> Facts {
    for service in &mut facts.services {
        service.since = since(before, service).unwrap_or(service.since);
    }
    facts
}

/// The facts after a run that failed: what is not seen is unknown. A collector that never told of a service stands in
/// under its own name, so that nobody takes its silence for health.
pub(super) fn failed(before: Option<&Facts>, collector: &str, why: &str, now: Timestamp) -> Facts {
    let mut names: Vec<&str> =
        before.iter().flat_map(|facts| facts.services.iter().map(|service| service.service.as_str())).collect();
    if names.is_empty() {
        names.push(collector);
    }
    let unknown = |name: &str| {
        let mut service = ServiceState {
            service: name.to_owned(),
            state: State::Unknown,
            since: now,
            why: format!("the collector {collector} failed: {why}"),
            next: "run `tidewatch metrics` to see it fail, and read the log".to_owned(),
        };
        service.since = since(before, &service).unwrap_or(now);
        service
    };
    Facts { services: names.into_iter().map(unknown).collect(), ..Facts::default() }
}

fn since(before: Option<&Facts>, now: &ServiceState) -> Option<Timestamp> {
    let mut known = before?.services.iter();
    known.find(|known| known.service == now.service && known.state == now.state).map(|known| known.since)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn told(state: State, second: i64) -> Facts {
        let service =
            ServiceState { service: "host".into(), state, since: at(second), why: String::new(), next: String::new() };
        Facts { services: vec![service], ..Facts::default() }
    }

    #[test]
    fn a_state_that_lasts_keeps_its_beginning() {
        let first = succeeded(None, told(State::Warning, 10));
        let second = succeeded(Some(&first), told(State::Warning, 20));
        assert_eq!(second.services[0].since, at(10));
        let third = succeeded(Some(&second), told(State::Ok, 30));
        assert_eq!(third.services[0].since, at(30));
    }

    #[test]
    fn what_is_not_seen_is_unknown_since_the_first_failure() {
        let first = failed(Some(&told(State::Ok, 10)), "linux", "no /proc", at(20));
        let second = failed(Some(&first), "linux", "no /proc", at(30));
        let service = &second.services[0];
        assert_eq!((service.service.as_str(), service.state, service.since), ("host", State::Unknown, at(20)));
        assert!(service.why.contains("no /proc"), "{}", service.why);
    }

    #[test]
    fn a_collector_that_never_worked_stands_in_itself() {
        let facts = failed(None, "linux", "no /proc", at(20));
        assert_eq!((facts.services[0].service.as_str(), facts.services[0].state), ("linux", State::Unknown));
        assert_eq!(succeeded(Some(&facts), told(State::Ok, 30)), told(State::Ok, 30));
    }
}
