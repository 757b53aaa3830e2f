//! What `health docker` says.

use std::path::Path;

use jiff::Timestamp;

use super::container::{Container, Health, Phase};
use super::watch::About;
use crate::facts::{ServiceState, State};

/// More names than this are not listed: the rest is counted.
const NAMED: usize = 3;

/// The daemon's state, and its containers'.
pub(super) fn of(containers: &[Container], about: &About, socket: &Path, now: Timestamp) -> ServiceState {
    let (state, why, next) = match &about.fault {
        Some(fault) => (State::Critical, fault.to_string(), fault.next(socket)),
        None => found(containers),
    };
    ServiceState { service: "docker".into(), state, since: now, why, next }
}

fn found(containers: &[Container]) -> (State, String, String) {
    let running = containers.iter().filter(|container| container.phase != Phase::Still).count();
    let sick: Vec<&str> = containers
        .iter()
        .filter(|container| container.phase == Phase::Running && container.health == Health::Not)
        .map(|container| container.name.as_str())
        .collect();
    let Some(first) = sick.first() else {
        return (State::Ok, format!("{running} of {} containers running", containers.len()), String::new());
    };
    let more = if sick.len() > NAMED { format!(" and {} more", sick.len() - NAMED) } else { String::new() };
    let names = sick.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    let why = format!("not healthy: {names}{more} ({running} containers running)");
    (State::Warning, why, format!("docker inspect --format '{{{{json .State.Health}}}}' {first}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sick_are_named_and_a_paused_one_is_not_sick() {
        let made = |name: &str, phase, health| Container { name: name.into(), phase, health, ..Container::new(name) };
        let all = [
            made("web", Phase::Running, Health::Healthy),
            made("db", Phase::Running, Health::Not),
            made("paused", Phase::Paused, Health::Not),
            made("done", Phase::Still, Health::Unchecked),
        ];
        let (state, why, next) = found(&all);
        assert_eq!((state, why.as_str()), (State::Warning, "not healthy: db (3 containers running)"));
        assert_eq!(next, "docker inspect --format '{{json .State.Health}}' db");
        assert_eq!(found(&all[..1]), (State::Ok, "1 of 1 containers running".into(), String::new()));
    }
}
