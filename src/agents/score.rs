//! The health score of an agent that reports none.
//!
//! score = freshness × (1 − share of failed tasks) × (1 − failures in a row ÷ 3)
//!
//! * freshness: 1 until the agent is late, then falling evenly to 0 at its timeout;
//! * share of failed tasks: among about the last 20 that it reported as completed or failed;
//! * failures in a row: tasks that failed since one was completed, or heartbeats whose status is a failure, whichever are
//!   more; three (Heretek's `max_consecutive_failures`) make the score 0.

use serde::{Deserialize, Serialize};

use super::Limits;

/// About so many of the last tasks make the share of failed ones.
const WINDOW: f64 = 20.0;
/// So many failures in a row make the score 0.
const MOST_IN_A_ROW: u8 = 3;

/// The failures that an agent reported lately.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Trouble {
    failed: f64,
    finished: f64,
    failed_tasks_in_a_row: u8,
    failing_beats_in_a_row: u8,
}

impl Trouble {
    /// Takes what one heartbeat told: tasks since the last one, and whether its status is a failure.
    pub(super) fn report(&mut self, completed: u64, failed: u64, failing: bool) {
        self.failed += failed as f64;
        self.finished += (completed.saturating_add(failed)) as f64;
        if self.finished > WINDOW {
            self.failed *= WINDOW / self.finished;
            self.finished = WINDOW;
        }
        let more = |row: u8, by: u64| row.saturating_add(by.min(3) as u8).min(MOST_IN_A_ROW);
        self.failed_tasks_in_a_row = if completed > 0 { 0 } else { more(self.failed_tasks_in_a_row, failed) };
        self.failing_beats_in_a_row = if failing { more(self.failing_beats_in_a_row, 1) } else { 0 };
    }

    /// The score at an age, 0 to 1.
    pub(super) fn score(self, age: f64, limits: Limits) -> f64 {
        let span = (limits.timeout - limits.late).max(f64::MIN_POSITIVE);
        let freshness = (1.0 - (age - limits.late) / span).clamp(0.0, 1.0);
        let failed = if self.finished > 0.0 { (self.failed / self.finished).clamp(0.0, 1.0) } else { 0.0 };
        let in_a_row = self.failed_tasks_in_a_row.max(self.failing_beats_in_a_row);
        freshness * (1.0 - failed) * (1.0 - f64::from(in_a_row) / f64::from(MOST_IN_A_ROW))
    }
}

/// Whether a status word is a failure.
pub(super) fn is_failure(status: &str) -> bool {
    ["error", "failed", "failing", "unhealthy", "crashed"].iter().any(|word| status.eq_ignore_ascii_case(word))
}

/// Whether a status word is a goodbye: the agent says itself that it is offline.
pub(super) fn is_goodbye(status: &str) -> bool {
    ["offline", "stopped", "disconnected", "shutdown"].iter().any(|word| status.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { late: 60.0, timeout: 120.0 };

    fn close(left: f64, right: f64) {
        assert!((left - right).abs() < 1e-9, "{left} != {right}");
    }

    #[test]
    fn freshness_falls_from_late_to_offline() {
        let calm = Trouble::default();
        for (age, score) in [(0.0, 1.0), (60.0, 1.0), (90.0, 0.5), (120.0, 0.0), (1e9, 0.0)] {
            close(calm.score(age, LIMITS), score);
        }
    }

    #[test]
    fn failed_tasks_lower_it_and_later_ones_make_up() {
        let mut trouble = Trouble::default();
        trouble.report(9, 3, false);
        close(trouble.score(0.0, LIMITS), 0.75);
        for _ in 0..10 {
            trouble.report(20, 0, false);
        }
        assert!(trouble.score(0.0, LIMITS) > 0.99);
    }

    #[test]
    fn three_failures_in_a_row_make_it_zero() {
        let mut trouble = Trouble::default();
        for score in [2.0 / 3.0, 1.0 / 3.0, 0.0, 0.0] {
            trouble.report(0, 0, true);
            close(trouble.score(0.0, LIMITS), score);
        }
        trouble.report(0, 0, false);
        close(trouble.score(0.0, LIMITS), 1.0);
        trouble.report(5, 0, false);
        trouble.report(0, 1, false);
        trouble.report(0, 0, false);
        close(trouble.score(0.0, LIMITS), 5.0 / 6.0 * 2.0 / 3.0);
    }

    #[test]
    fn a_hostile_report_stays_within_bounds() {
        let mut trouble = Trouble::default();
        trouble.report(u64::MAX, u64::MAX, true);
        let score = trouble.score(0.0, LIMITS);
        assert!((0.0..=1.0).contains(&score), "{score}");
    }
}
