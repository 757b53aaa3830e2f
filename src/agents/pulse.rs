//! How often an agent reports, learnt from its heartbeats.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// So many gaps are remembered: odd, so that the median is one of them.
const REMEMBERED: usize = 9;
/// From so many gaps on an interval is believed: one long outage among them does not move the median.
const ENOUGH: usize = 3;
/// Heartbeats closer than this are one: a retry, or a batch.
const SHORTEST_MS: i64 = 1_000;
/// A longer gap says nothing about an interval.
const LONGEST_MS: i64 = 7 * 86_400_000;

/// The last gaps between heartbeats.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Pulse {
    #[serde(skip_serializing_if = "Option::is_none")]
    mark: Option<Timestamp>,
    /// In milliseconds, the oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    gaps: Vec<u32>,
}

impl Pulse {
    /// Takes a heartbeat's time.
    pub(super) fn beat(&mut self, at: Timestamp) {
        let Some(mark) = self.mark else {
            self.mark = Some(at);
            return;
        };
        let gap = at.as_millisecond() - mark.as_millisecond();
        if (0..SHORTEST_MS).contains(&gap) {
            return;
        }
        self.mark = Some(at);
        if (SHORTEST_MS..=LONGEST_MS).contains(&gap) {
            if self.gaps.len() >= REMEMBERED {
                self.gaps.remove(0);
            }
            self.gaps.push(gap as u32);
        }
    }

    /// The median of the gaps, in seconds, once there are enough.
    pub(super) fn interval(&self) -> Option<f64> {
        if self.gaps.len() < ENOUGH {
            return None;
        }
        let mut sorted = self.gaps.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).map(|gap| f64::from(*gap) / 1_000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pulse(seconds: &[f64]) -> Pulse {
        let mut pulse = Pulse::default();
        for second in seconds {
            pulse.beat(Timestamp::from_millisecond((second * 1_000.0) as i64).unwrap());
        }
        pulse
    }

    #[test]
    fn three_gaps_are_enough_and_one_outage_does_not_count() {
        assert_eq!(pulse(&[0.0, 30.0, 60.0]).interval(), None);
        assert_eq!(pulse(&[0.0, 30.0, 60.0, 90.0]).interval(), Some(30.0));
        assert_eq!(pulse(&[0.0, 30.0, 60.0, 7_260.0, 7_290.0]).interval(), Some(30.0));
    }

    #[test]
    fn retries_and_batches_are_one_heartbeat() {
        assert_eq!(pulse(&[0.0, 0.1, 30.0, 30.2, 60.0, 60.9, 90.0]).interval(), Some(30.0));
        assert_eq!(pulse(&[0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0]).interval(), Some(1.0));
    }

    #[test]
    fn a_new_rhythm_is_learnt() {
        let mut times: Vec<f64> = (0..20).map(|beat| f64::from(beat) * 30.0).collect();
        times.extend((1..=5).map(|beat| 570.0 + f64::from(beat) * 1_800.0));
        assert_eq!(pulse(&times).interval(), Some(1_800.0));
        assert!(pulse(&times).gaps.len() <= REMEMBERED);
    }

    #[test]
    fn a_clock_that_was_set_back_is_no_gap() {
        assert_eq!(pulse(&[1_000.0, 1_030.0, 1_060.0, 60.0, 90.0]).interval(), Some(30.0));
    }
}
