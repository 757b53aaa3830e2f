//! What is expected of agents, and from which age on one is late or offline.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{AgentId, Group};
use crate::config::Span;

/// What the operator settled about all agents.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Agents that the configuration names, the members of its groups among them.
    pub expected: BTreeMap<AgentId, Expectation>,
    /// Groups that need a quorum.
    pub groups: BTreeMap<String, Group>,
    /// More agents than this are refused.
    pub max_agents: usize,
    /// No agent is late before this age, unless it is configured itself.
    pub late_floor: Span,
    /// No agent is offline before this age, unless it is configured itself.
    pub timeout_floor: Span,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            expected: BTreeMap::new(),
            groups: BTreeMap::new(),
            max_agents: 10_000,
            late_floor: Span::seconds(60),
            timeout_floor: Span::seconds(120),
        }
    }
}

/// What is expected of one agent, by the configuration or by `agents expect`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Expectation {
    /// It reports this often.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<Span>,
    /// After this age it is late.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub late: Option<Span>,
    /// After this age it is offline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// Its role, where it does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// It may be silent until then: a planned stop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_until: Option<Timestamp>,
}

/// The longest role, as in a heartbeat.
const LONGEST_ROLE: usize = 128;

impl Expectation {
    /// What cannot be meant: each with its field.
    pub fn faults(&self) -> Vec<(&'static str, String)> {
        let mut faults = Vec::new();
        for (key, span) in [("interval", self.interval), ("late", self.late), ("timeout", self.timeout)] {
            if span.is_some_and(|span| span.0.is_zero()) {
                faults.push((key, "must be longer than nothing".to_owned()));
            }
        }
        if self.role.as_ref().is_some_and(|role| role.len() > LONGEST_ROLE || role.chars().any(char::is_control)) {
            faults.push(("role", format!("has at most {LONGEST_ROLE} bytes, and no control characters")));
        }
        faults
    }

    /// This one, with `other` where it says nothing.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        Self {
            interval: self.interval.or(other.interval),
            late: self.late.or(other.late),
            timeout: self.timeout.or(other.timeout),
            role: self.role.clone().or_else(|| other.role.clone()),
            stop_until: self.stop_until.or(other.stop_until),
        }
    }
}

/// The ages, in seconds, after which an agent is late and offline.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Late.
    pub late: f64,
    /// Offline.
    pub timeout: f64,
}

impl Limits {
    /// Each as expected, else from the interval: late after 1.5 of them and offline after 3, but not before the floors.
    /// Where only one of the two is configured, the other keeps its order: late before offline.
    pub fn of(expectation: &Expectation, interval: Option<f64>, settings: &Settings) -> Self {
        let seconds = |span: Span| span.0.as_secs_f64();
        let derived = |floor: Span, factor: f64| seconds(floor).max(interval.unwrap_or(0.0) * factor);
        let late = expectation.late.map_or_else(|| derived(settings.late_floor, 1.5), seconds);
        let timeout = expectation.timeout.map_or_else(|| derived(settings.timeout_floor, 3.0), seconds);
        match (expectation.late, expectation.timeout) {
            (Some(_), None) if timeout <= late => Self { late, timeout: 2.0 * late },
            (None, _) if late >= timeout => Self { late: timeout / 2.0, timeout },
            _ => Self { late, timeout },
        }
    }

    /// Both moved by `seconds`.
    #[must_use]
    pub fn plus(self, seconds: f64) -> Self {
        Self { late: self.late + seconds, timeout: self.timeout + seconds }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_follow_the_interval_above_the_floors() {
        let settings = Settings::default();
        for (interval, late, timeout) in [
            (None, 60.0, 120.0),
            (Some(10.0), 60.0, 120.0),
            (Some(40.0), 60.0, 120.0),
            (Some(60.0), 90.0, 180.0),
            (Some(1_800.0), 2_700.0, 5_400.0),
        ] {
            assert_eq!(Limits::of(&Expectation::default(), interval, &settings), Limits { late, timeout });
        }
    }

    #[test]
    fn what_is_configured_wins_and_late_stays_before_offline() {
        let of = |late: Option<u64>, timeout: Option<u64>| {
            let expectation = Expectation {
                late: late.map(Span::seconds),
                timeout: timeout.map(Span::seconds),
                ..Expectation::default()
            };
            let limits = Limits::of(&expectation, Some(30.0), &Settings::default());
            (limits.late, limits.timeout)
        };
        assert_eq!(of(Some(5), Some(10)), (5.0, 10.0));
        assert_eq!(of(None, Some(300)), (60.0, 300.0));
        assert_eq!(of(None, Some(5)), (2.5, 5.0));
        assert_eq!(of(Some(30), None), (30.0, 120.0));
        assert_eq!(of(Some(600), None), (600.0, 1_200.0));
    }
}
