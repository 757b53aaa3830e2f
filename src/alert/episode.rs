//! The state machine of one alert. It survives what Alertmanager really sends: repeats, restarts that forget what was
//! sent, peers that disagree, two replicas with different beginnings, and a stale firing after the resolve.

use jiff::Timestamp;

use super::{Alert, Severity};

/// What is known of one alert, by its source and fingerprint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// The episode that has not ended: at most one.
    pub current: Option<Current>,
    /// The newest episode that has.
    pub last: Option<Last>,
}

/// An episode that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Current {
    /// The store's number.
    pub id: i64,
    /// The incident it is a member of; none while it is held, and for the severity none.
    pub incident: Option<i64>,
    /// By the table that was configured when it began.
    pub severity: Severity,
    /// The earliest beginning that was reported.
    pub starts_at: Timestamp,
    /// Nobody has been told: it looked stale.
    pub held: bool,
    /// Its group was posted without it.
    pub absent: bool,
}

/// The newest episode that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Last {
    /// The incident it was a member of.
    pub incident: Option<i64>,
    /// When it ended.
    pub ends_at: Timestamp,
    /// How many episodes came before it.
    pub flaps: u32,
}

impl Known {
    /// How many episodes came before the next one.
    pub fn flaps(&self) -> u32 {
        self.last.as_ref().map_or(0, |last| last.flaps.saturating_add(1))
    }
}

/// What follows for an alert's episode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It fires, and nothing was open: a new episode.
    Open,
    /// It fires on. `changed` says whether the episode's row has anything to take in: a repeat must cost no write.
    Touch {
        /// The earliest beginning so far.
        starts_at: Timestamp,
        /// That is new, or the alert had been missing from its group.
        changed: bool,
    },
    /// It fires with a beginning before its last end: a stale post of another peer, or a genuine re-fire by a clock
    /// that is behind. Held until one or the other is clear.
    Hold,
    /// It is held already.
    HeldOn,
    /// What was held turns out to fire anew.
    Admit,
    /// The open episode ends.
    Close {
        /// When.
        ends_at: Timestamp,
    },
    /// What was held turns out to be stale.
    Drop,
    /// A resolve of what was never seen firing: kept, nobody is told.
    Record {
        /// When it ended.
        ends_at: Timestamp,
    },
    /// Nothing follows: an old post.
    Stale,
}

/// Decides the next step of one alert.
pub fn step(known: &Known, alert: &Alert, now: Timestamp) -> Step {
    let starts_at = storable(alert.starts_at);
    if alert.firing {
        return firing(known, starts_at);
    }
    let ends_at = storable(alert.ends_at.unwrap_or(now));
    match (&known.current, &known.last) {
        (Some(current), _) if ends_at < current.starts_at => Step::Stale,
        (Some(current), _) if current.held => Step::Drop,
        (Some(_), _) => Step::Close { ends_at },
        (None, Some(last)) if starts_at <= last.ends_at => Step::Stale,
        (None, _) => Step::Record { ends_at },
    }
}

fn firing(known: &Known, starts_at: Timestamp) -> Step {
    let stale = known.last.as_ref().is_some_and(|last| starts_at <= last.ends_at);
    match &known.current {
        Some(current) if current.held && stale => Step::HeldOn,
        Some(current) if current.held => Step::Admit,
        Some(current) => Step::Touch {
            starts_at: starts_at.min(current.starts_at),
            changed: starts_at < current.starts_at || current.absent,
        },
        None if stale => Step::Hold,
        None => Step::Open,
    }
}

/// The nearest time that can be kept: nanoseconds in 64 bits reach from the year 1677 to 2262, and a hostile payload
/// says 0001 or 9999. Compared times go through here first, else a repeat would look earlier than what was kept of it.
pub fn storable(at: Timestamp) -> Timestamp {
    let nanos = at.as_nanosecond().clamp(i128::from(i64::MIN), i128::from(i64::MAX));
    Timestamp::from_nanosecond(nanos).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::{Fingerprint, Labels};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn alert(starts: i64, ends: Option<i64>) -> Alert {
        Alert {
            fingerprint: Fingerprint(1),
            firing: ends.is_none(),
            labels: Labels::new(),
            annotations: Labels::new(),
            starts_at: at(starts),
            ends_at: ends.map(at),
            generator_url: String::new(),
        }
    }

    fn current(starts_at: Timestamp, held: bool) -> Current {
        Current { id: 1, incident: None, severity: Severity::Warning, starts_at, held, absent: false }
    }

    fn last(ends: i64) -> Last {
        Last { incident: None, ends_at: at(ends), flaps: 0 }
    }

    #[test]
    fn every_step_of_the_table() {
        let never = Known::default();
        let open = Known { current: Some(current(at(10), false)), last: None };
        let absent = Known { current: Some(Current { absent: true, ..current(at(10), false) }), last: None };
        let ended = Known { current: None, last: Some(last(20)) };
        let held = Known { current: Some(current(at(10), true)), last: Some(last(20)) };
        let touch = |starts, changed| Step::Touch { starts_at: at(starts), changed };
        let cases = [
            ("first", &never, alert(10, None), Step::Open),
            ("a resolve of what was never seen", &never, alert(10, Some(20)), Step::Record { ends_at: at(20) }),
            ("a repeat", &open, alert(10, None), touch(10, false)),
            ("a replica that saw it earlier", &open, alert(8, None), touch(8, true)),
            ("a replica that saw it later", &open, alert(12, None), touch(10, false)),
            ("it had been missing from its group", &absent, alert(10, None), touch(10, true)),
            ("the end", &open, alert(10, Some(20)), Step::Close { ends_at: at(20) }),
            ("the end at the beginning", &open, alert(10, Some(10)), Step::Close { ends_at: at(10) }),
            ("an end before the beginning", &open, alert(5, Some(9)), Step::Stale),
            ("a genuine re-fire", &ended, alert(21, None), Step::Open),
            ("a firing from before the end", &ended, alert(10, None), Step::Hold),
            ("a firing at the very end", &ended, alert(20, None), Step::Hold),
            ("the resolve once more", &ended, alert(10, Some(20)), Step::Stale),
            ("a whole stretch that was missed", &ended, alert(25, Some(30)), Step::Record { ends_at: at(30) }),
            ("the stale firing once more", &held, alert(10, None), Step::HeldOn),
            ("a later beginning after all", &held, alert(25, None), Step::Admit),
            ("the resolve that follows a stale firing", &held, alert(10, Some(20)), Step::Drop),
            ("an end from before what is held", &held, alert(5, Some(9)), Step::Stale),
        ];
        for (name, known, alert, expected) in cases {
            assert_eq!(step(known, &alert, at(100)), expected, "{name}");
        }
    }

    #[test]
    fn a_resolve_without_an_end_ends_now() {
        let open = Known { current: Some(current(at(10), false)), last: None };
        let resolve = Alert { firing: false, ..alert(10, None) };
        assert_eq!(step(&open, &resolve, at(100)), Step::Close { ends_at: at(100) });
    }

    #[test]
    fn a_repeat_of_a_year_that_cannot_be_kept_is_still_a_repeat() {
        let begin = storable(Timestamp::MIN);
        let known = Known { current: Some(current(begin, false)), last: None };
        let repeat = Alert { starts_at: Timestamp::MIN, ..alert(0, None) };
        assert_eq!(step(&known, &repeat, at(100)), Step::Touch { starts_at: begin, changed: false });
    }
}
