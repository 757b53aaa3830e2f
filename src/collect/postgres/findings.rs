//! How a server is, in a sentence.

use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use super::trouble::Trouble;
use crate::facts::{ServiceState, State};

/// From this share of `max_connections` on it is a warning, or critical: the thresholds of the shipped alerts.
const CONNECTIONS: (f64, f64) = (0.80, 0.95);

/// What a run saw of the server.
#[derive(Clone, Debug, Default)]
pub(super) struct Sight {
    pub(super) version: String,
    pub(super) replica: bool,
    pub(super) connections: f64,
    pub(super) max_connections: f64,
    /// The parts that failed.
    pub(super) failed: Vec<(&'static str, Trouble)>,
}

/// Remembers since when a server has been as it is.
#[derive(Debug, Default)]
pub(super) struct Since(Mutex<Option<(State, Timestamp)>>);

impl Since {
    /// The state as `health` tells it.
    pub(super) fn state(&self, service: String, now: Timestamp, seen: Result<&Sight, &Trouble>) -> ServiceState {
        let (state, why, next) = match seen {
            Ok(sight) => judge(sight),
            Err(trouble) => (State::Critical, trouble.why.clone(), trouble.next.to_owned()),
        };
        self.told(service, now, (state, why, next))
    }

    /// What was judged, with the time since when it has been so.
    pub(super) fn told(
        &self,
        service: String,
        now: Timestamp,
        (state, why, next): (State, String, String),
    ) -> ServiceState {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let since = last.filter(|(before, _)| *before == state).map_or(now, |(_, since)| since);
        *last = Some((state, since));
        ServiceState { service, state, since, why, next }
    }
}

fn judge(sight: &Sight) -> (State, String, String) {
    let Sight { version, replica, connections, max_connections, failed } = sight;
    let role = if *replica { "replica" } else { "primary" };
    let known = *max_connections > 0.0;
    let used = if known { format!(", {connections} of {max_connections} connections") } else { String::new() };
    let seen = format!("version {version}, {role}{used}");
    let share = if known { connections / max_connections } else { 0.0 };
    let holder = "find who holds the connections: SELECT usename, application_name, state, count(*) FROM \
                  pg_stat_activity GROUP BY 1, 2, 3";
    match failed.first() {
        _ if share >= CONNECTIONS.1 => (State::Critical, seen, holder.to_owned()),
        _ if share >= CONNECTIONS.0 => (State::Warning, seen, holder.to_owned()),
        Some((part, trouble)) => {
            let others = failed.len() - 1;
            let more = if others == 0 { String::new() } else { format!(" and {others} more") };
            let why = format!("{seen}; part {part}{more} cannot be read: {}", trouble.why);
            (State::Warning, why, trouble.next.to_owned())
        }
        None => (State::Ok, seen, String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_is_told_with_what_to_do() {
        let since = Since::default();
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut sight = Sight { version: "15.18".into(), connections: 9.0, max_connections: 100.0, ..Sight::default() };
        let state = since.state("postgres".into(), at(1), Ok(&sight));
        assert_eq!((state.state, state.why.as_str()), (State::Ok, "version 15.18, primary, 9 of 100 connections"));
        assert_eq!(since.state("postgres".into(), at(2), Ok(&sight)).since, at(1));
        sight.failed.push(("wal", Trouble::new("permission denied (42501)", "GRANT")));
        let state = since.state("postgres".into(), at(3), Ok(&sight));
        assert_eq!((state.state, state.since), (State::Warning, at(3)));
        assert!(state.why.ends_with("part wal cannot be read: permission denied (42501)"), "{}", state.why);
        sight.connections = 96.0;
        assert_eq!(since.state("postgres".into(), at(4), Ok(&sight)).state, State::Critical);
        let trouble = Trouble::new("no connection", "see");
        let state = since.state("postgres".into(), at(5), Err(&trouble));
        assert_eq!((state.state, state.since, state.next.as_str()), (State::Critical, at(4), "see"));
    }
}
