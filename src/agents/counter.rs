//! Counters that go on where an agent that restarted begins again.
//!
//! A counter is what was counted before the last restart, plus the last report. It is kept in the journal in this form,
//! so it goes on over a restart of ours too, and over both at once.

use serde::{Deserialize, Serialize};

/// A count of things: whole and exact up to 2⁵³, which is as far as a sample is exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    before: u64,
    last: u64,
}

impl Count {
    /// Takes a report; one below the last means that the agent began again.
    pub fn report(&mut self, value: u64) {
        if value < self.last {
            self.before = self.before.saturating_add(self.last);
        }
        self.last = value;
    }

    /// What was counted in all. Never goes down.
    pub fn total(&self) -> u64 {
        self.before.saturating_add(self.last)
    }
}

/// An amount of money.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Amount {
    before: f64,
    last: f64,
}

/// A sum that is computed anew may come out this much lower without a restart: 0.1 + 0.2 against 0.3.
const ROUNDING: f64 = 1e-9;

impl Amount {
    /// Takes a report; one clearly below the last means that the agent began again.
    pub fn report(&mut self, value: f64) {
        if value >= self.last {
            self.last = value;
        } else if value < self.last * (1.0 - ROUNDING) {
            self.before += self.last;
            self.last = value;
        }
    }

    /// What was spent in all. Never goes down.
    pub fn total(&self) -> f64 {
        self.before + self.last
    }
}

/// All counters that one source reported of one agent; `None` where it never did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Totals {
    /// Messages processed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages: Option<Count>,
    /// Deliberations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deliberations: Option<Count>,
    /// Tasks that were completed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed: Option<Count>,
    /// Tasks that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<Count>,
    /// Tokens read by the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<Count>,
    /// Tokens written by the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Count>,
    /// US dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<Amount>,
}

/// Takes a report into a counter that exists from its first report on. Returns by how much it rose.
pub(super) fn report(counter: &mut Option<Count>, value: Option<u64>) -> u64 {
    let Some(value) = value else { return 0 };
    // What an agent counted before it was first heard is no news.
    let first = counter.is_none();
    let counter = counter.get_or_insert_default();
    let before = counter.total();
    counter.report(value);
    if first { 0 } else { counter.total() - before }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lower_report_is_added() {
        let mut count = Count::default();
        let totals: Vec<u64> = [10, 12, 3, 3, 0, 5]
            .iter()
            .map(|value| {
                count.report(*value);
                count.total()
            })
            .collect();
        assert_eq!(totals, [10, 12, 15, 15, 15, 20]);
    }

    #[test]
    fn rounding_is_no_restart() {
        let mut cost = Amount::default();
        cost.report(0.1 + 0.2);
        cost.report(0.3);
        assert!((cost.total() - 0.3).abs() < 1e-9);
        cost.report(0.1);
        assert!((cost.total() - 0.4).abs() < 1e-9);
    }

    #[test]
    fn a_hostile_count_saturates() {
        let mut count = Count::default();
        for value in [u64::MAX, 0, u64::MAX] {
            count.report(value);
        }
        assert_eq!(count.total(), u64::MAX);
    }

    #[test]
    fn the_first_report_is_no_rise() {
        let mut counter = None;
        assert_eq!(report(&mut counter, Some(40)), 0);
        assert_eq!(report(&mut counter, None), 0);
        assert_eq!(report(&mut counter, Some(42)), 2);
        assert_eq!(report(&mut counter, Some(1)), 1);
    }
}
