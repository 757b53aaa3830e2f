//! What an Alertmanager's list says against what is open here. Pure: a comparison remembers what looked wrong, and says
//! so only once it has looked wrong for long enough to be no post on its way.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::listing::{Listed, Listing, State};
use super::{Alert, Fingerprint};
use crate::clock::later;

/// An Alertmanager that has been up for less may not have heard of all that fires: Prometheus repeats each minute, others
/// within Alertmanager's `resolve_timeout`.
const YOUNG: Duration = Duration::from_mins(5);

/// An episode that has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open {
    /// Which alert.
    pub fingerprint: Fingerprint,
    /// When it began.
    pub starts_at: Timestamp,
    /// It looks stale, and nobody has been told.
    pub held: bool,
    /// Its group was posted without it.
    pub absent: bool,
    /// When its group was last posted, to the minute; `None` where no post told of it.
    pub heard_at: Option<Timestamp>,
}

/// What is open of one source, and the receivers that its posts named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Episodes that have not ended.
    pub open: Vec<Open>,
    /// Receivers.
    pub receivers: BTreeSet<String>,
}

/// What a comparison goes by.
#[derive(Clone, Debug)]
pub struct Rules {
    /// What two looks in a row say counts, if they are so far apart.
    pub settle: Duration,
    /// So long Alertmanager may take until it posts what has changed.
    pub group_interval: Duration,
    /// When this program began to listen: what began before may have been posted to nobody.
    pub listening_since: Timestamp,
}

/// One that Alertmanager has no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone {
    /// Which alert.
    pub fingerprint: Fingerprint,
    /// When it was first missing.
    pub ends_at: Timestamp,
}

/// What is to be done.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Differences {
    /// Fires, and no post told of it.
    pub found: Vec<Alert>,
    /// Is open, and no post told of its end.
    pub gone: Vec<Gone>,
    /// Was held, and does fire.
    pub fires: Vec<Alert>,
    /// Was held, and does not.
    pub stale: Vec<Fingerprint>,
}

impl Differences {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many alerts it is about.
    pub fn len(&self) -> usize {
        self.found.len() + self.gone.len() + self.fires.len() + self.stale.len()
    }

    /// The same in parts of at most `most` alerts of each kind.
    pub fn parts(&self, most: usize) -> Vec<Self> {
        let count = [self.found.len(), self.gone.len(), self.fires.len(), self.stale.len()].map(|it| it.div_ceil(most));
        let part = |number: usize| Self {
            found: self.found.iter().skip(number * most).take(most).cloned().collect(),
            gone: self.gone.iter().skip(number * most).take(most).copied().collect(),
            fires: self.fires.iter().skip(number * most).take(most).cloned().collect(),
            stale: self.stale.iter().skip(number * most).take(most).copied().collect(),
        };
        (0..count.into_iter().max().unwrap_or_default()).map(part).collect()
    }
}

/// What looked wrong at the look before, and since when.
#[derive(Debug, Default)]
pub struct Memory {
    missing: BTreeMap<Fingerprint, Timestamp>,
    unheard: BTreeMap<Fingerprint, Timestamp>,
    /// Suppressed when last seen: of their end nobody is told.
    suppressed: BTreeSet<Fingerprint>,
    /// Until then posts may have left out what fires.
    truncated_until: Option<Timestamp>,
}

impl Memory {
    /// A post came without some of its alerts: until `until` what it left out is looked for.
    pub fn truncated(&mut self, until: Timestamp) {
        self.truncated_until = Some(until);
    }

    /// Compares. `answers` has one place for each peer, `None` for one that did not answer; with no answer at all,
    /// nothing is known.
    pub fn compare(
        &mut self,
        heard: &Heard,
        answers: &[Option<Listing>],
        rules: &Rules,
        now: Timestamp,
    ) -> Differences {
        let mut differences = Differences::default();
        let lists: Vec<&Listing> = answers.iter().flatten().collect();
        if lists.is_empty() {
            return differences;
        }
        let all_answered = lists.len() == answers.len();
        self.suppressed.extend(
            lists
                .iter()
                .flat_map(|list| &list.alerts)
                .filter_map(|(fingerprint, listed)| (listed.state == State::Suppressed).then_some(*fingerprint)),
        );
        let mut missing = BTreeMap::new();
        for open in &heard.open {
            let listed = lists.iter().filter_map(|list| list.alerts.get(&open.fingerprint));
            let listed: Vec<&Listed> = listed.collect();
            let forgotten = |list: &&Listing| open.starts_at < list.started_at && now < later(list.started_at, YOUNG);
            let sure = !lists.iter().any(forgotten);
            if open.held {
                // The peer that is behind still lists what is over: only one voice counts.
                match listed.first() {
                    Some(one) if all_answered && listed.len() == lists.len() => {
                        differences.fires.push(one.alert.clone());
                    }
                    None if all_answered && sure => differences.stale.push(open.fingerprint),
                    _ => {}
                }
            } else if listed.is_empty() && sure {
                let since = self.missing.get(&open.fingerprint).copied().unwrap_or(now);
                missing.insert(open.fingerprint, since);
                // Of what was silenced no end is posted; any other has until Alertmanager's next word, and once more.
                let quiet = open.absent || self.suppressed.contains(&open.fingerprint);
                let wait = if quiet && all_answered { rules.settle } else { rules.group_interval * 2 };
                if now > since && now >= later(since, wait) {
                    let ends_at = since.max(open.starts_at);
                    differences.gone.push(Gone { fingerprint: open.fingerprint, ends_at });
                }
            } else if listed.iter().any(|listed| listed.state == State::Active) {
                self.suppressed.remove(&open.fingerprint);
            }
        }
        self.missing = missing;
        self.find(heard, &lists, rules, now, &mut differences);
        self.suppressed.retain(|fingerprint| {
            self.missing.contains_key(fingerprint) || lists.iter().any(|list| list.alerts.contains_key(fingerprint))
        });
        differences
    }

    /// What fires, would be posted here, and was not.
    fn find(
        &mut self,
        heard: &Heard,
        lists: &[&Listing],
        rules: &Rules,
        now: Timestamp,
        differences: &mut Differences,
    ) {
        let known: BTreeSet<Fingerprint> = heard.open.iter().map(|open| open.fingerprint).collect();
        let left_out = self.truncated_until.is_some_and(|until| now < until);
        let mut unheard = BTreeMap::new();
        for (fingerprint, listed) in lists.iter().flat_map(|list| &list.alerts) {
            let ours = listed.receivers.iter().any(|name| heard.receivers.contains(name));
            if listed.state != State::Active || !ours || known.contains(fingerprint) {
                continue;
            }
            let since = self.unheard.get(fingerprint).copied().unwrap_or(now);
            let fresh = unheard.insert(*fingerprint, since).is_none();
            let began = listed.alert.starts_at;
            // Else Alertmanager still waits for others of its group, and posts it then.
            let overdue =
                began < rules.listening_since || left_out || now >= later(began.max(since), rules.group_interval * 2);
            if fresh && overdue && now > since && now >= later(since, rules.settle) {
                differences.found.push(listed.alert.clone());
            }
        }
        self.unheard = unheard;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::Labels;

    const BEGAN: i64 = 1_000;
    const NAME: &str = "tidewatch";

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn listed(number: u64, starts: i64, state: State) -> Listed {
        let alert = Alert {
            fingerprint: Fingerprint(number),
            firing: true,
            labels: Labels::from([("alertname".to_owned(), format!("A{number}"))]),
            annotations: Labels::new(),
            starts_at: at(starts),
            ends_at: None,
            generator_url: String::new(),
        };
        Listed { alert, state, receivers: vec![NAME.to_owned()] }
    }

    #[expect(clippy::unnecessary_wraps, reason = "it stands for a peer that answered")]
    fn list(alerts: Vec<Listed>) -> Option<Listing> {
        let alerts = alerts.into_iter().map(|listed| (listed.alert.fingerprint, listed)).collect();
        Some(Listing { started_at: at(0), alerts })
    }

    fn heard(open: &[Open]) -> Heard {
        Heard { open: open.to_vec(), receivers: BTreeSet::from([NAME.to_owned()]) }
    }

    fn open(number: u64, starts: i64) -> Open {
        Open { fingerprint: Fingerprint(number), starts_at: at(starts), held: false, absent: false, heard_at: None }
    }

    fn rules() -> Rules {
        let (settle, group_interval) = (Duration::from_secs(10), Duration::from_mins(5));
        Rules { settle, group_interval, listening_since: at(BEGAN) }
    }

    /// Looks at these seconds, each seeing the same; at which of them something was said, and what.
    fn looks(
        memory: &mut Memory,
        heard: &Heard,
        answers: &[Option<Listing>],
        seconds: &[i64],
    ) -> Vec<(i64, &'static str)> {
        let mut said = Vec::new();
        for second in seconds {
            let differences = memory.compare(heard, answers, &rules(), at(*second));
            said.extend(differences.found.iter().map(|_| (*second, "found")));
            said.extend(differences.gone.iter().map(|_| (*second, "gone")));
            said.extend(differences.fires.iter().map(|_| (*second, "fires")));
            said.extend(differences.stale.iter().map(|_| (*second, "stale")));
        }
        said
    }

    #[test]
    fn what_fires_and_was_never_posted_is_found_by_the_second_look() {
        let before = [list(vec![listed(1, BEGAN - 60, State::Active)])];
        let said = looks(&mut Memory::default(), &heard(&[]), &before, &[BEGAN + 1, BEGAN + 5, BEGAN + 11]);
        assert_eq!(said, [(BEGAN + 11, "found")]);
        // What began since then has until Alertmanager's next word, and once more.
        let after = [list(vec![listed(1, BEGAN + 60, State::Active)])];
        let seconds = [BEGAN + 60, BEGAN + 300, BEGAN + 600, BEGAN + 661];
        assert_eq!(looks(&mut Memory::default(), &heard(&[]), &after, &seconds), [(BEGAN + 661, "found")]);
        // Unless a post was cut short.
        let mut memory = Memory::default();
        memory.truncated(at(BEGAN + 120));
        assert_eq!(looks(&mut memory, &heard(&[]), &after, &[BEGAN + 60, BEGAN + 70]), [(BEGAN + 70, "found")]);
    }

    #[test]
    fn two_peers_tell_of_one_alert_and_not_of_anothers() {
        let one = || list(vec![listed(1, BEGAN - 60, State::Active)]);
        let seconds = [BEGAN, BEGAN + 20];
        assert_eq!(looks(&mut Memory::default(), &heard(&[]), &[one(), one()], &seconds).len(), 1);
        let elsewhere = Listed { receivers: vec!["fallback".into()], ..listed(1, BEGAN - 60, State::Active) };
        for not_ours in [elsewhere, listed(1, BEGAN - 60, State::Suppressed), listed(1, 0, State::Unprocessed)] {
            assert_eq!(looks(&mut Memory::default(), &heard(&[]), &[list(vec![not_ours])], &seconds), []);
        }
        assert_eq!(looks(&mut Memory::default(), &heard(&[open(1, BEGAN - 60)]), &[one()], &seconds), []);
    }

    #[test]
    fn what_ended_in_silence_is_gone_soon_and_what_ended_otherwise_may_be_posted_yet() {
        let (mut memory, open) = (Memory::default(), heard(&[open(1, BEGAN + 5)]));
        let silenced = [list(vec![listed(1, BEGAN + 5, State::Suppressed)])];
        assert_eq!(looks(&mut memory, &open, &silenced, &[BEGAN + 10]), []);
        assert_eq!(looks(&mut memory, &open, &[list(vec![])], &[BEGAN + 70, BEGAN + 130]), [(BEGAN + 130, "gone")]);

        let mut memory = Memory::default();
        let active = [list(vec![listed(1, BEGAN + 5, State::Active)])];
        assert_eq!(looks(&mut memory, &open, &active, &[BEGAN + 10]), []);
        let seconds = [BEGAN + 70, BEGAN + 130, BEGAN + 669, BEGAN + 670];
        assert_eq!(looks(&mut memory, &open, &[list(vec![])], &seconds), [(BEGAN + 670, "gone")]);
        // One that is back in between is not.
        assert_eq!(looks(&mut memory, &open, &active, &[BEGAN + 680]), []);
        assert_eq!(looks(&mut memory, &open, &[list(vec![])], &[BEGAN + 690, BEGAN + 1_000]), []);
    }

    #[test]
    fn a_peer_that_does_not_answer_or_has_just_started_proves_no_end() {
        let mut absent = open(1, BEGAN + 5);
        absent.absent = true;
        let open = heard(&[absent]);
        let seconds = [BEGAN + 70, BEGAN + 130];
        assert_eq!(looks(&mut Memory::default(), &open, &[list(vec![])], &seconds), [(BEGAN + 130, "gone")]);
        assert_eq!(looks(&mut Memory::default(), &open, &[None, list(vec![])], &seconds), []);
        assert_eq!(looks(&mut Memory::default(), &open, &[None], &[BEGAN + 70, BEGAN + 9_999]), []);
        let restarted = || list(vec![]).map(|list| Listing { started_at: at(BEGAN + 60), ..list });
        assert_eq!(looks(&mut Memory::default(), &open, &[restarted()], &[BEGAN + 70, BEGAN + 350]), []);
        let later = [BEGAN + 361, BEGAN + 400];
        assert_eq!(looks(&mut Memory::default(), &open, &[restarted()], &later), [(BEGAN + 400, "gone")]);
    }

    #[test]
    fn what_is_held_is_decided_at_once_where_all_peers_agree() {
        let held = heard(&[Open { held: true, ..open(1, BEGAN + 5) }]);
        let (fires, over) = (|| list(vec![listed(1, BEGAN + 5, State::Active)]), || list(vec![]));
        let now = BEGAN + 10;
        let cases = [
            (vec![fires()], vec![(now, "fires")]),
            (vec![fires(), fires()], vec![(now, "fires")]),
            (vec![over(), over()], vec![(now, "stale")]),
            (vec![fires(), over()], vec![]),
            (vec![fires(), None], vec![]),
            (vec![over(), None], vec![]),
        ];
        for (answers, expected) in cases {
            assert_eq!(looks(&mut Memory::default(), &held, &answers, &[now]), expected);
        }
    }
}
