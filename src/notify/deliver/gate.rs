//! How many sends a channel may start now: pace and rate, pauses that the other side asked for, and a breaker. Pure.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::super::{Channel, Limits, Retry, backoff};

/// So many failures in a row open the breaker …
const FAILURES: u32 = 5;
/// … for this long; then one message at a time is tried until one arrives.
const OPEN: Duration = Duration::from_secs(30);

const MINUTE: Duration = Duration::from_mins(1);

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

    /// Whether a channel of this name cannot deliver at the moment, as far as is known.
    pub(super) fn is_stuck(&self, channel: &str) -> bool {
        let gates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        gates.get(channel).is_some_and(|gate| gate.lock().unwrap_or_else(PoisonError::into_inner).stuck.is_some())
    }
}

/// What follows when a message arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Arrived {
    /// The ones before it did not.
    pub(super) is_news: bool,
    /// The other channels were told so.
    pub(super) others_wait_to_hear: bool,
}

pub(super) struct Gate {
    limits: Limits,
    not_before: Timestamp,
    /// When the sends of the last minute started, where their rate is bounded.
    starts: VecDeque<Timestamp>,
    failures: u32,
    /// Since when the breaker rests again and again, or the other side asks for patience, without a message between.
    stuck: Option<Timestamp>,
    /// Whether the others were told of that.
    told: bool,
    /// Not before this are messages handed to another channel again.
    next_handover: Timestamp,
    failing: bool,
    alarmed: bool,
    store_failing: bool,
}

impl Gate {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            not_before: Timestamp::MIN,
            starts: VecDeque::new(),
            failures: 0,
            stuck: None,
            told: false,
            next_handover: Timestamp::MIN,
            failing: false,
            alarmed: false,
            store_failing: false,
        }
    }

    /// How many sends may start beside those at work, and if none may because of the time, when.
    pub(super) fn room(&self, now: Timestamp, at_work: usize) -> (usize, Option<Timestamp>) {
        if now < self.not_before {
            return (0, Some(self.not_before));
        }
        let most = if self.failures >= FAILURES { 1 } else { self.limits.parallel };
        let paced = if self.limits.pace.is_zero() { most } else { 1 };
        let (within, next) = self.within_rate(now);
        if within == 0 {
            return (0, next);
        }
        (most.saturating_sub(at_work).min(paced).min(within), None)
    }

    /// How many sends the rate leaves for this minute; if none, when the next.
    fn within_rate(&self, now: Timestamp) -> (usize, Option<Timestamp>) {
        let Some(most) = self.limits.per_minute else { return (usize::MAX, None) };
        let most = most.max(1) as usize;
        let lately = self.starts.iter().filter(|start| super::later(**start, MINUTE) > now).count();
        let oldest_that_counts = self.starts.len().checked_sub(most).and_then(|place| self.starts.get(place));
        (most.saturating_sub(lately), oldest_that_counts.map(|start| super::later(*start, MINUTE)))
    }

    /// A send starts.
    pub(super) fn started(&mut self, now: Timestamp) {
        self.store_failing = false;
        if !self.limits.pace.is_zero() {
            self.hold(now, self.limits.pace);
        }
        if let Some(most) = self.limits.per_minute {
            self.starts.push_back(now);
            while self.starts.len() > most.max(1) as usize {
                self.starts.pop_front();
            }
        }
    }

    /// A message arrived.
    pub(super) fn succeeded(&mut self) -> Arrived {
        self.failures = 0;
        self.stuck = None;
        let alarmed = std::mem::take(&mut self.alarmed);
        let told = std::mem::take(&mut self.told) || alarmed;
        Arrived { is_news: std::mem::take(&mut self.failing), others_wait_to_hear: told }
    }

    /// A message did not arrive. Whether that is news.
    pub(super) fn failed(&mut self, retry: Retry, now: Timestamp) -> bool {
        match retry {
            // It says something about the message, not about the channel's reachability.
            Retry::Never => {}
            Retry::After(pause) => {
                self.hold(now, backoff::asked(pause));
                self.stuck.get_or_insert(now);
            }
            Retry::Later | Retry::Ambiguous => {
                self.failures = self.failures.saturating_add(1);
                if self.failures >= FAILURES {
                    self.hold(now, OPEN);
                    self.stuck.get_or_insert(now);
                }
            }
        }
        !std::mem::replace(&mut self.failing, true)
    }

    /// Whether the breaker is open.
    pub(super) fn is_open(&self, now: Timestamp) -> bool {
        self.failures >= FAILURES && now < self.not_before
    }

    /// Since when nothing has got through.
    pub(super) fn stuck_since(&self) -> Option<Timestamp> {
        self.stuck
    }

    /// Whether messages are to be handed to another channel now; if not, when. Counts as done.
    pub(super) fn hands_over(&mut self, now: Timestamp, every: Duration) -> Result<(), Timestamp> {
        if now < self.next_handover {
            return Err(self.next_handover);
        }
        self.next_handover = super::later(now, every);
        Ok(())
    }

    /// Whether the others are to be told that the channel is stuck: once.
    pub(super) fn tell(&mut self) -> bool {
        !std::mem::replace(&mut self.told, true)
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
        assert!(gate.succeeded().is_news);
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

    #[test]
    fn a_rate_is_kept_over_any_minute() {
        let mut gate = Gate::new(Limits { per_minute: Some(3), ..Limits::default() });
        assert_eq!(gate.room(at(0), 0), (3, None));
        for second in [0, 10, 20] {
            gate.started(at(second));
        }
        assert_eq!(gate.room(at(59), 0), (0, Some(at(60))));
        assert_eq!(gate.room(at(60), 0), (1, None), "the first no longer counts");
        gate.started(at(60));
        assert_eq!(gate.room(at(60), 0), (0, Some(at(70))));
    }

    #[test]
    fn a_channel_is_stuck_from_when_it_rests_until_something_arrives() {
        let mut gate = Gate::new(Limits::default());
        for second in 0..4 {
            gate.failed(Retry::Later, at(second));
        }
        assert_eq!(gate.stuck_since(), None, "it is still tried freely");
        gate.failed(Retry::Later, at(4));
        gate.failed(Retry::Later, at(40));
        assert_eq!(gate.stuck_since(), Some(at(4)));
        assert!(gate.tell() && !gate.tell());
        assert_eq!(gate.succeeded(), Arrived { is_news: true, others_wait_to_hear: true });
        assert_eq!((gate.stuck_since(), gate.succeeded().others_wait_to_hear), (None, false));
        gate.failed(Retry::After(Duration::from_mins(10)), at(50));
        assert_eq!(gate.stuck_since(), Some(at(50)), "asked for patience");
        gate.failed(Retry::Never, at(51));
        assert_eq!(gate.hands_over(at(60), Duration::from_secs(30)), Ok(()));
        assert_eq!(gate.hands_over(at(61), Duration::from_secs(30)), Err(at(90)));
    }
}
