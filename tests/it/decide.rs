//! Random histories against a small model of what the state machine and the incidents must do. The model knows
//! neither SQL nor the code that decides.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use tidewatch::alert::{Alert, Counts};
use tidewatch::clock::Clock;
use tidewatch::store::{Settlement, Store, Subject};

use crate::support::alerts::{at, firing, labelled, open, policy, post, resolved};

const HOLD: i64 = 30;
const DEDUP: i64 = 600;

/// What one alert of a post says: its number, its beginning, and its end if it is resolved.
type Said = (u64, i64, Option<i64>);

#[derive(Clone, Debug)]
enum Event {
    Post(Vec<Said>),
    Wait(i64),
    Restart,
}

#[derive(Clone, Debug, Default)]
struct One {
    open: Option<(i64, usize)>,
    /// Its beginning, when it is decided, and its place in the queue.
    held: Option<(i64, i64, u64)>,
    end: Option<i64>,
    last: Option<usize>,
}

/// The model: alerts by number, and how many members of each incident fire.
#[derive(Default)]
struct Model {
    now: i64,
    alerts: BTreeMap<u64, One>,
    incidents: Vec<(u64, usize)>,
    holds: u64,
    counts: Counts,
}

impl Model {
    fn join(&mut self, number: u64, start: i64, joinable: &mut BTreeMap<u64, usize>) {
        let one = self.alerts.entry(number).or_default();
        let again = one.end.filter(|end| start <= end + DEDUP).and(one.last);
        let cause = number % 2;
        let incident = *joinable.entry(cause).or_insert_with(|| {
            again.unwrap_or_else(|| {
                self.incidents.push((cause, 0));
                self.incidents.len() - 1
            })
        });
        one.open = Some((start, incident));
        one.held = None;
        self.incidents[incident].1 += 1;
    }

    /// The open incident of each cause.
    fn joinable(&self) -> BTreeMap<u64, usize> {
        let open = self.incidents.iter().enumerate().filter(|(_, (_, firing))| *firing > 0);
        open.map(|(incident, (cause, _))| (*cause, incident)).collect()
    }

    fn post(&mut self, said: &[Said]) {
        let mut joinable = self.joinable();
        self.counts.received += said.len() as u64;
        for (place, (number, start, end)) in said.iter().enumerate() {
            if said[place + 1..].iter().any(|(later, ..)| later == number) {
                self.counts.repeated += 1;
                continue;
            }
            let one = self.alerts.entry(*number).or_default();
            let stale = one.end.is_some_and(|end| *start <= end);
            match (end, one.open, one.held) {
                (None, Some((began, incident)), _) => {
                    one.open = Some((began.min(*start), incident));
                    self.counts.repeated += 1;
                }
                (None, None, held) if stale => {
                    self.holds += 1;
                    one.held = held.or(Some((*start, self.now + HOLD, self.holds)));
                    self.counts.held += 1;
                }
                (None, None, _) => {
                    self.join(*number, *start, &mut joinable);
                    self.counts.opened += 1;
                }
                (Some(end), Some((began, incident)), _) if *end >= began => {
                    (one.open, one.end, one.last) = (None, Some(*end), Some(incident));
                    self.incidents[incident].1 -= 1;
                    self.counts.closed += 1;
                }
                (Some(end), None, Some((began, ..))) if *end >= began => {
                    one.held = None;
                    self.counts.stale += 1;
                }
                (Some(end), None, None) if !stale => {
                    (one.end, one.last) = (Some(*end), None);
                    self.counts.stale += 1;
                }
                _ => self.counts.stale += 1,
            }
        }
    }

    fn wait(&mut self, seconds: i64) {
        self.now += seconds;
        let mut due: Vec<_> = self.alerts.iter().filter_map(|(number, one)| Some((one.held?, *number))).collect();
        due.retain(|((_, until, _), _)| *until <= self.now);
        due.sort_by_key(|((_, until, place), _)| (*until, *place));
        for ((start, ..), number) in due {
            self.join(number, start, &mut self.joinable());
        }
    }
}

fn alert((number, start, end): Said) -> Alert {
    let alert = end.map_or_else(|| firing(number, start), |end| resolved(number, start, end));
    labelled(alert, "cause", &format!("cause-{}", number % 2))
}

/// What can be seen of the store: the firing alerts with their beginnings, and how many fire in each incident.
async fn seen(store: &dyn Store) -> (BTreeMap<u64, i64>, Vec<(u64, usize)>) {
    let mut incidents = store.incidents(false, 1_000).await.unwrap();
    incidents.sort_by_key(|incident| incident.id);
    let members = incidents.iter().flat_map(|incident| &incident.members).filter(|it| it.ends_at.is_none());
    let open = members.map(|it| (it.fingerprint.0, it.starts_at.as_second() - at(0).as_second())).collect();
    let cause = |text: &str| u64::from(text == "cause-1");
    (open, incidents.iter().map(|it| (cause(&it.cause), it.open as usize)).collect())
}

/// Delivers all that is due, and remembers how many members each incident was last said to have.
async fn deliver(store: &dyn Store, told: &mut BTreeMap<i64, u64>) {
    loop {
        let claimed = store.claim("slack", 10, Duration::from_mins(1)).await.unwrap();
        if claimed.is_empty() {
            return;
        }
        for delivery in claimed {
            let Subject::Incident(id) = delivery.subject else { panic!("{delivery:?}") };
            told.insert(id, delivery.incident.as_ref().unwrap().open);
            store.settle(&delivery, Settlement::Delivered { anchor: None }).await.unwrap();
        }
    }
}

async fn run(events: Vec<Event>, folder: &Path) {
    let clock = Clock::manual(at(100));
    let policy = policy(&["slack"]);
    let mut store: Arc<dyn Store> = open(folder, &clock).unwrap();
    let mut model = Model { now: 100, ..Model::default() };
    let mut told = BTreeMap::new();
    for (place, event) in events.iter().enumerate() {
        match event {
            Event::Post(said) => {
                let alerts = said.iter().copied().map(alert).collect();
                store.accept(post(alerts), Arc::clone(&policy)).await.unwrap();
                model.post(said);
            }
            Event::Wait(seconds) => {
                clock.advance(Duration::from_secs(seconds.unsigned_abs()));
                store.tick(Arc::clone(&policy)).await.unwrap();
                model.wait(*seconds);
            }
            Event::Restart => {
                store.close().await;
                store = open(folder, &clock).unwrap();
            }
        }
        deliver(&*store, &mut told).await;
        let (open, incidents) = seen(&*store).await;
        let expected = model.alerts.iter().filter_map(|(number, one)| Some((*number, one.open?.0))).collect();
        assert_eq!(open, expected, "alerts after {:?}", &events[..=place]);
        assert_eq!(incidents, model.incidents, "incidents after {:?}", &events[..=place]);
        assert_eq!(store.ledger().await.unwrap().alerts, model.counts, "counts after {:?}", &events[..=place]);
    }
    // Once the cooldown has passed, the channel's last word about each incident is the truth.
    clock.advance(Duration::from_mins(15));
    deliver(&*store, &mut told).await;
    let incidents = store.incidents(false, 1_000).await.unwrap();
    let truth: BTreeMap<i64, u64> = incidents.iter().map(|it| (it.id, it.open)).collect();
    assert_eq!(told, truth, "what was told after {events:?}");
    let ledger = store.ledger().await.unwrap();
    assert_eq!((ledger.pending, ledger.due), (0, ledger.delivered + ledger.superseded));
    store.close().await;
}

fn event() -> impl Strategy<Value = Event> {
    let end = |start: i64| proptest::option::of((start - 5)..(start + 25));
    let said = (0_u64..5, 0_i64..120).prop_flat_map(move |(number, start)| (Just(number), Just(start), end(start)));
    prop_oneof![
        10 => proptest::collection::vec(said, 1..5).prop_map(Event::Post),
        4 => (1_i64..40).prop_map(Event::Wait),
        1 => Just(Event::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn r26_random_histories_end_as_the_model_says(events in proptest::collection::vec(event(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        // What is tested here is what is decided, not the disk: memory is quicker where there is a file system in it.
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
        runtime.block_on(run(events, folder.path()));
    }
}

#[test]
fn the_model_tells_alerts_apart() {
    let mut model = Model::default();
    model.post(&[(1, 10, None), (3, 10, None), (2, 10, None), (1, 10, Some(20))]);
    model.post(&[(1, 10, None)]);
    let open: BTreeSet<u64> = model.alerts.iter().filter(|(_, one)| one.open.is_some()).map(|it| *it.0).collect();
    assert_eq!((open, model.incidents), (BTreeSet::from([2, 3]), vec![(1, 1), (0, 1)]));
}
