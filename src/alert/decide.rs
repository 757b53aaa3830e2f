//! What follows from a post: first each alert's episode takes its step, then each incident that was touched takes its
//! own, and messages fall due. Pure: the store answers through a [`View`] and keeps the [`Changes`], both within the
//! transaction of the post.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::changes::{Changes, EpisodeChange, IncidentChange, Message, Phase, Thread, View};
use super::episode::{Current, Known, Step, step, storable};
use super::incident::{Key, Standing, host, key, kind, stands_for};
use super::policy::Policy;
use super::reconcile::Differences;
use super::{Alert, Fingerprint, Kind, Severity};
use crate::clock::later;

/// Decides what follows from alerts of one source. A fingerprint that stands in `alerts` twice counts by its last
/// place; the others are repeats.
pub fn decide<'a, V: View>(
    view: &mut V,
    source: &str,
    alerts: &'a [Alert],
    policy: &Policy,
    now: Timestamp,
) -> Result<Changes<'a>, V::Error> {
    let places: BTreeMap<Fingerprint, usize> =
        alerts.iter().enumerate().map(|(place, alert)| (alert.fingerprint, place)).collect();
    let mut decision = Decision::new(view, source, policy, now);
    decision.changes.counts.received = alerts.len() as u64;
    for (place, alert) in alerts.iter().enumerate() {
        if places.get(&alert.fingerprint) == Some(&place) {
            decision.take(alert)?;
        } else {
            decision.changes.counts.repeated += 1;
        }
    }
    decision.finish()
}

/// Decides about an alert that was held until now: no resolve has come, so it is a genuine re-fire by a clock that is
/// behind, and a clock must not silence it. `alert` is the one that was kept. It was counted when it came.
pub fn release<'a, V: View>(
    view: &mut V,
    source: &str,
    alert: &'a Alert,
    policy: &Policy,
    now: Timestamp,
) -> Result<Changes<'a>, V::Error> {
    let known = view.alert(alert.fingerprint)?;
    let mut decision = Decision::new(view, source, policy, now);
    if let Some(held) = known.current.as_ref().filter(|current| current.held) {
        decision.admit(held.id, &known, alert)?;
    }
    decision.finish()
}

/// Decides what follows from an Alertmanager's list. What a post has told meanwhile is told; what it counts as, the
/// counts say.
pub fn settle<'a, V: View>(
    view: &mut V,
    source: &str,
    differences: &'a Differences,
    policy: &Policy,
    now: Timestamp,
) -> Result<Changes<'a>, V::Error> {
    let mut decision = Decision::new(view, source, policy, now);
    decision.changes.by_list = true;
    decision.changes.counts.received = differences.found.len() as u64;
    for alert in &differences.found {
        decision.take(alert)?;
    }
    for gone in &differences.gone {
        let known = decision.view.alert(gone.fingerprint)?;
        if let Some(open) = known.current.filter(|open| !open.held) {
            let ends_at = storable(gone.ends_at).max(open.starts_at);
            decision.changes.episodes.push(EpisodeChange::Gone { id: open.id, ends_at });
            decision.leave(&open, ends_at)?;
        }
    }
    for alert in &differences.fires {
        let known = decision.view.alert(alert.fingerprint)?;
        if let Some(held) = known.current.as_ref().filter(|current| current.held) {
            decision.admit(held.id, &known, alert)?;
        }
    }
    for fingerprint in &differences.stale {
        if let Some(held) = decision.view.alert(*fingerprint)?.current.filter(|current| current.held) {
            decision.changes.episodes.push(EpisodeChange::Dropped { id: held.id });
        }
    }
    decision.finish()
}

/// An incident while the post is worked through.
struct Work<'a> {
    id: Option<i64>,
    key: Key,
    before: Option<Standing>,
    after: Standing,
    joined: Vec<&'a Alert>,
    hosts: BTreeSet<&'a str>,
    elsewhere: bool,
}

struct Decision<'a, 'v, V> {
    view: &'v mut V,
    source: &'v str,
    policy: &'v Policy,
    now: Timestamp,
    works: Vec<Work<'a>>,
    by_id: BTreeMap<i64, usize>,
    by_key: BTreeMap<Key, usize>,
    changes: Changes<'a>,
}

impl<'a, 'v, V: View> Decision<'a, 'v, V> {
    fn new(view: &'v mut V, source: &'v str, policy: &'v Policy, now: Timestamp) -> Self {
        let (works, by_id, by_key) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        Self { view, source, policy, now, works, by_id, by_key, changes: Changes::default() }
    }

    fn take(&mut self, alert: &'a Alert) -> Result<(), V::Error> {
        let known = self.view.alert(alert.fingerprint)?;
        let step = step(&known, alert, self.now);
        let counts = &mut self.changes.counts;
        match step {
            Step::Open | Step::Admit => counts.opened += 1,
            Step::Touch { .. } => counts.repeated += 1,
            Step::Hold | Step::HeldOn => counts.held += 1,
            Step::Close { .. } => counts.closed += 1,
            Step::Drop | Step::Record { .. } | Step::Stale => counts.stale += 1,
        }
        match (step, &known.current) {
            (Step::Open, _) => {
                let incident = self.join(&known, alert)?;
                self.begin(&known, alert, Phase::Open { incident });
            }
            (Step::Hold, _) => {
                let until = storable(later(self.now, self.policy.hold(self.source)));
                self.begin(&known, alert, Phase::Held { until });
            }
            (Step::Record { ends_at }, _) => self.begin(&known, alert, Phase::Ended { ends_at }),
            (Step::Admit, Some(held)) => self.admit(held.id, &known, alert)?,
            (Step::Touch { starts_at, changed: true }, Some(open)) => {
                self.changes.episodes.push(EpisodeChange::Touched { id: open.id, starts_at });
                if let Some(work) = self.member_of(open.incident)? {
                    self.works[work].after.began(starts_at);
                }
            }
            (Step::Close { ends_at }, Some(open)) => {
                self.changes.episodes.push(EpisodeChange::Closed { id: open.id, alert, ends_at });
                self.leave(open, ends_at)?;
            }
            (Step::Drop, Some(held)) => self.changes.episodes.push(EpisodeChange::Dropped { id: held.id }),
            _ => {}
        }
        Ok(())
    }

    /// An open episode ends.
    fn leave(&mut self, open: &Current, ends_at: Timestamp) -> Result<(), V::Error> {
        if let Some(work) = self.member_of(open.incident)? {
            self.works[work].after.leave(open.severity, ends_at);
        }
        Ok(())
    }

    fn begin(&mut self, known: &Known, alert: &'a Alert, phase: Phase) {
        let (severity, flaps) = (self.policy.severity(&alert.labels), known.flaps());
        self.changes.episodes.push(EpisodeChange::New { alert, severity, flaps, phase });
    }

    fn admit(&mut self, id: i64, known: &Known, alert: &'a Alert) -> Result<(), V::Error> {
        let incident = self.join(known, alert)?;
        let (severity, starts_at) = (self.policy.severity(&alert.labels), storable(alert.starts_at));
        self.changes.episodes.push(EpisodeChange::Admitted { id, severity, starts_at, incident });
        Ok(())
    }

    /// Makes an alert that begins to fire a member of its incident.
    fn join(&mut self, known: &Known, alert: &'a Alert) -> Result<Option<usize>, V::Error> {
        let severity = self.policy.severity(&alert.labels);
        if severity == Severity::None {
            return Ok(None);
        }
        let starts_at = storable(alert.starts_at);
        let key = key(self.source, &alert.labels);
        let place = match self.by_key.get(&key) {
            Some(place) => *place,
            None => self.find(known, key, starts_at)?,
        };
        let host = host(&alert.labels);
        let work = &mut self.works[place];
        if work.hosts.insert(host) && !work.elsewhere {
            work.elsewhere = match work.id {
                Some(id) => !self.view.has_host(id, host)?,
                None => true,
            };
        }
        let anew = work.id.is_some() && known.last.as_ref().is_some_and(|last| last.incident == work.id);
        work.after.join(severity, starts_at, anew);
        work.joined.push(alert);
        Ok(Some(place))
    }

    /// The incident that an alert joins: the open one of its key, else the one it was in a short while ago, else a new
    /// one.
    fn find(&mut self, known: &Known, key: Key, starts_at: Timestamp) -> Result<usize, V::Error> {
        if let Some((id, standing)) = self.view.open_incident(&key)? {
            let place = self.by_id.get(&id).copied().unwrap_or_else(|| self.begin_work(id, standing));
            self.by_key.insert(key, place);
            return Ok(place);
        }
        if let Some(last) = &known.last
            && starts_at <= later(last.ends_at, self.policy.dedup)
            && let Some(id) = last.incident
            && let Some(place) = self.load(id, &key)?
        {
            return Ok(place);
        }
        let place = self.works.len();
        self.by_key.insert(key.clone(), place);
        self.works.push(Work::new(None, key, None, Standing::new(starts_at)));
        Ok(place)
    }

    /// The incident that an open episode is a member of.
    fn member_of(&mut self, incident: Option<i64>) -> Result<Option<usize>, V::Error> {
        let Some(id) = incident else { return Ok(None) };
        if let Some(place) = self.by_id.get(&id) {
            return Ok(Some(*place));
        }
        let standing = self.view.standing(id)?;
        Ok(standing.map(|standing| self.begin_work(id, standing)))
    }

    fn begin_work(&mut self, id: i64, standing: Standing) -> usize {
        // The key of an incident that exists is not written again, so its cause need not be known.
        let key = Key { source: self.source.to_owned(), cause: String::new() };
        let place = self.works.len();
        self.works.push(Work::new(Some(id), key, Some(standing.clone()), standing));
        self.by_id.insert(id, place);
        place
    }

    fn load(&mut self, id: i64, key: &Key) -> Result<Option<usize>, V::Error> {
        let place = self.member_of(Some(id))?;
        if let Some(place) = place {
            self.by_key.insert(key.clone(), place);
        }
        Ok(place)
    }

    fn finish(mut self) -> Result<Changes<'a>, V::Error> {
        for work in std::mem::take(&mut self.works) {
            let messages = self.messages(&work)?;
            // One that stands as before stays in the list: the episodes name incidents by their place.
            self.changes.incidents.push(IncidentChange { id: work.id, key: work.key, standing: work.after, messages });
        }
        Ok(self.changes)
    }

    fn messages(&mut self, work: &Work<'_>) -> Result<Vec<Message>, V::Error> {
        let Some(kind) = kind(work.before.as_ref(), &work.after) else { return Ok(Vec::new()) };
        let mut messages = Vec::new();
        let mut threads = work.id.map_or_else(|| Ok(Vec::new()), |id| self.view.threads(id))?;
        // Nobody sends for a channel that the configuration has no more.
        threads.retain(|thread| self.policy.routes.all().contains(&thread.channel));
        let told: BTreeSet<&str> = threads.iter().map(|thread| thread.channel.as_str()).collect();
        // Whoever was told hears the rest of the story; what joined may bring channels of its own.
        if kind != Kind::Resolved && !work.joined.is_empty() {
            let joined = work.joined.iter().map(|alert| &alert.labels);
            let channels = self.policy.routes.channels(joined);
            messages.extend(
                channels.into_iter().filter(|channel| !told.contains(channel.as_str())).map(|channel| Message::New {
                    channel,
                    kind: Kind::Opened,
                    due_at: self.now,
                }),
            );
        }
        messages.extend(threads.into_iter().filter_map(|thread| self.next(thread, kind, work.elsewhere)));
        Ok(messages)
    }

    /// The next message to a channel that was told before.
    fn next(&self, thread: Thread, kind: Kind, elsewhere: bool) -> Option<Message> {
        let cools = kind == Kind::Changed && !elsewhere;
        let due_at = if cools { later(thread.last_due, self.policy.cooldown).max(self.now) } else { self.now };
        let due_at = storable(due_at);
        match thread.unsent {
            Some(unsent) if stands_for(unsent.kind, kind) => {
                (!unsent.tried && due_at < unsent.due_at).then_some(Message::Hasten { id: unsent.id, due_at })
            }
            _ => Some(Message::New { channel: thread.channel, kind, due_at }),
        }
    }
}

impl Work<'_> {
    fn new(id: Option<i64>, key: Key, before: Option<Standing>, after: Standing) -> Self {
        Self { id, key, before, after, joined: Vec::new(), hosts: BTreeSet::new(), elsewhere: false }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::alert::Labels;
    use crate::alert::changes::Phase;
    use crate::alert::route::Routes;

    /// A store that knows nothing yet.
    struct Nothing;

    impl View for Nothing {
        type Error = Infallible;

        fn alert(&mut self, _: Fingerprint) -> Result<Known, Infallible> {
            Ok(Known::default())
        }

        fn standing(&mut self, _: i64) -> Result<Option<Standing>, Infallible> {
            Ok(None)
        }

        fn open_incident(&mut self, _: &Key) -> Result<Option<(i64, Standing)>, Infallible> {
            Ok(None)
        }

        fn has_host(&mut self, _: i64, _: &str) -> Result<bool, Infallible> {
            Ok(false)
        }

        fn threads(&mut self, _: i64) -> Result<Vec<Thread>, Infallible> {
            Ok(Vec::new())
        }
    }

    fn alert(number: u64, cause: &str, severity: &str) -> Alert {
        let labels = [("cause", cause), ("severity", severity)];
        Alert {
            fingerprint: Fingerprint(number),
            firing: true,
            labels: labels.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            annotations: Labels::new(),
            starts_at: Timestamp::UNIX_EPOCH,
            ends_at: None,
            generator_url: String::new(),
        }
    }

    #[test]
    fn one_post_opens_one_incident_a_cause_with_one_message_a_channel() {
        let policy =
            Policy { routes: Routes::everything(vec!["slack".to_owned(), "mail".to_owned()]), ..Policy::default() };
        let alerts = [
            alert(1, "agent", "warning"),
            alert(2, "disk", "info"),
            alert(3, "agent", "no such word"),
            alert(4, "agent", "none"),
        ];
        let now = Timestamp::from_second(100).unwrap();
        let Ok(changes) = decide(&mut Nothing, "default", &alerts, &policy, now);
        assert_eq!((changes.counts.received, changes.counts.opened), (4, 4));
        let incidents: Vec<_> = changes.incidents.iter().map(|it| (it.key.cause.as_str(), &it.standing)).collect();
        assert_eq!(incidents.iter().map(|(cause, _)| *cause).collect::<Vec<_>>(), ["agent", "disk"]);
        assert_eq!(
            (incidents[0].1.severity(), incidents[0].1.firing()),
            (Severity::Critical, 2),
            "unknown is critical"
        );
        let told = ["slack", "mail"].map(|channel| {
            let (channel, kind) = (channel.to_owned(), Kind::Opened);
            Message::New { channel, kind, due_at: now }
        });
        assert!(changes.incidents.iter().all(|incident| incident.messages == told));
        let place = |change: &EpisodeChange<'_>| match change {
            EpisodeChange::New { phase: Phase::Open { incident }, .. } => *incident,
            other => panic!("{other:?}"),
        };
        let places: Vec<_> = changes.episodes.iter().map(place).collect();
        assert_eq!(places, [Some(0), Some(1), Some(0), None], "severity none is for nobody");
    }
}
