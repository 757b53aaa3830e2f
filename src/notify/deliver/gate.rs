//! How many sends a channel may start now: pace, pauses that the other side asked for, and a breaker. Pure.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::super::{Channel, Limits, Retry, backoff};

/// So many failures in a row open the breaker …
const FAILURES: u32 = 5;
/// … for this long; then one message at a time is tried until one arrives.
const OPEN: Duration = Duration::from_secs(30);

/// The gates of all channels, by name. A reload keeps them: what the other side asked for holds whoever asks again.
/// Clones share them.
#[derive(Clone, Default)]
pub struct Gates(Arc<Mutex<BTreeMap<String, Arc<Mutex<Gate>>>>>);

impl Gates {
    /// A channel's gate, with the limits that it has now.
    pub(super) fn of(&self, channel: &Channel) -> Arc<Mutex<Gate>> {
        let mut gates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let gate = gates.entry(channel.name.clone()).or_insert_with(|| Arc::new(Mutex::new(Gate::new(channel.limits))));
        gate.lock().unwrap_or_else(PoisonError::into_inner).limits = channel.limits;
        Arc::clone(gate)
    }
}

pub(super) struct Gate {
    limits: Limits,
    not_before: Timestamp,
    failures: u32,
    failing: bool,
    alarmed: bool,
    store_failing: bool,
}

impl Gate {
    pub(super) fn new(limits: Limits) -> Self {
        let not_before = Timestamp::MIN;
        Self { limits, not_before, failures: 0, failing: false, alarmed: false, store_failing: false }
    }

    /// How many sends may start beside those at work, and if none may because of the time, when.
    pub(super) fn room(&self, now: Timestamp, at_work: usize) -> (usize, Option<Timestamp>) {
        if now < self.not_before {
            return (0, Some(self.not_before));
        }
        let most = if self.failures >= FAILURES { 1 } else { self.limits.parallel };
        let paced = if self.limits.pace.is_zero() { most } else { 1 };
        (most.saturating_sub(at_work).min(paced), None)
    }

    /// A send starts.
    pub(super) fn started(&mut self, now: Timestamp) {
        self.store_failing = false;
        if !self.limits.pace.is_zero() {
            self.hold(now, self.limits.pace);
        }
    }

    /// A message arrived. Whether that is news.
    pub(super) fn succeeded(&mut self) -> bool {
        self.failures = 0;
        self.alarmed = false;
        std::mem::take(&mut self.failing)
    }

    /// A message did not arrive. Whether that is news.
    pub(super) fn failed(&mut self, retry: Retry, now: Timestamp) -> bool {
        match retry {
            // It says something about the message, not about the channel's reachability.
            Retry::Never => {}
            Retry::After(pause) => self.hold(now, backoff::asked(pause)),
            Retry::Later | Retry::Ambiguous => {
                self.failures = self.failures.saturating_add(1);
                if self.failures >= FAILURES {
                    self.hold(now, OPEN);
                }
            }
        }
        !std::mem::replace(&mut self.failing, true)
    }

    /// Whether the breaker is open.
    pub(super) fn is_open(&self, now: Timestamp) -> bool {
        self.failures >= FAILURES && now < self.not_before
    }

    /// Whether a dead message is to be told to the others: once until something arrives again.
    pub(super) fn alarm(&mut self) -> bool {
        !std::mem::replace(&mut self.alarmed, true)
    }

    /// The store failed. Whether that is news.
    pub(super) fn store_failed(&mut self) -> bool {
        !std::mem::replace(&mut self.store_failing, true)
    }

    fn hold(&mut self, now: Timestamp, by: Duration) {
        self.not_before = self.not_before.max(super::later(now, by));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn five_failures_open_the_breaker_and_one_probe_closes_it() {
        let mut gate = Gate::new(Limits::default());
        assert_eq!(gate.room(at(0), 1), (3, None));
        let news: Vec<bool> = (0..5).map(|_| gate.failed(Retry::Later, at(0))).collect();
        assert_eq!(news, [true, false, false, false, false], "the change is told once");
        assert_eq!(gate.room(at(29), 0), (0, Some(at(30))));
        assert!(gate.is_open(at(29)));
        assert_eq!(gate.room(at(30), 0), (1, None), "half open: one probe");
        assert_eq!(gate.room(at(30), 1), (0, None));
        assert!(!gate.failed(Retry::Ambiguous, at(31)));
        assert_eq!(gate.room(at(60), 0), (0, Some(at(61))));
        assert!(gate.succeeded());
        assert_eq!(gate.room(at(61), 0), (4, None));
    }

    #[test]
    fn a_pause_that_was_asked_for_holds_the_whole_channel() {
        let mut gate = Gate::new(Limits::default());
        gate.failed(Retry::After(Duration::from_secs(30)), at(0));
        assert_eq!(gate.room(at(29), 0), (0, Some(at(30))));
        assert!(!gate.is_open(at(29)));
        assert_eq!(gate.room(at(30), 0), (4, None));
    }

    #[test]
    fn a_pace_starts_one_at_a_time() {
        let mut gate = Gate::new(Limits { pace: Duration::from_secs(1), ..Limits::default() });
        assert_eq!(gate.room(at(0), 0), (1, None));
        gate.started(at(0));
        assert_eq!(gate.room(at(0), 1), (0, Some(at(1))));
        assert_eq!(gate.room(at(1), 1), (1, None));
    }
}
