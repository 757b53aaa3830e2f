//! When to try again. Pure: the random part is an argument.

use std::time::Duration;

/// The shortest and the longest pause between two attempts at one message.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(5));
/// The longest pause that another side may ask for.
const ASKED: Duration = Duration::from_hours(1);
/// A message that waited this long is given up; one about something critical never is.
pub(crate) const GIVE_UP: Duration = Duration::from_hours(24);
/// And it gets so many tries, even where the messages before it used its day up: about an hour of them.
pub(crate) const TRIES: u32 = 20;
/// How often something critical is tried once it has waited that long.
pub(crate) const HOURLY: Duration = Duration::from_hours(1);

/// The pause after the given attempt (from 1), with full jitter: anything from 1 s up to a bound that doubles with each
/// attempt, 5 min at most. `random` is in 0..1. Full jitter spreads many messages that failed together the best.
pub(crate) fn pause(attempt: u32, random: f64) -> Duration {
    let doublings = attempt.saturating_sub(1).min(16);
    let bound = PAUSE.0.saturating_mul(1 << doublings).clamp(PAUSE.0 * 2, PAUSE.1);
    PAUSE.0 + bound.saturating_sub(PAUSE.0).mul_f64(random.clamp(0.0, 1.0))
}

/// What the other side asked for, within reason.
pub(crate) fn asked(pause: Duration) -> Duration {
    pause.clamp(PAUSE.0, ASKED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_grows_and_is_bounded() {
        for (attempt, bound) in [(1, 2), (2, 2), (3, 4), (5, 16), (9, 256), (10, 300), (u32::MAX, 300)] {
            assert_eq!(pause(attempt, 1.0), Duration::from_secs(bound), "attempt {attempt}");
            assert_eq!(pause(attempt, 0.0), Duration::from_secs(1), "attempt {attempt}");
        }
        assert_eq!(pause(3, 0.5), Duration::from_millis(2_500));
    }

    #[test]
    fn nobody_can_ask_for_more_than_an_hour() {
        assert_eq!(asked(Duration::from_secs(30)), Duration::from_secs(30));
        assert_eq!(asked(Duration::from_hours(24)), Duration::from_hours(1));
        assert_eq!(asked(Duration::ZERO), Duration::from_secs(1));
    }
}
