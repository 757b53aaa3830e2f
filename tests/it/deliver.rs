//! The worker of a channel, over an outbox in memory and a clock that the test moves.

mod reload;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use prometheus::core::Collector;
use tidewatch::alert::Severity;
use tidewatch::clock::Clock;
use tidewatch::notify::deliver::{self, Gates, Meters, Post, Rules};
use tidewatch::notify::{Anchor, Channel, Limits, Notifier, Retry, SendError};
use tidewatch::store::{Delivery, Settlement, Subject};
use tidewatch::task::Tasks;
use tidewatch::telemetry::Telemetry;
use tokio::sync::Semaphore;

use crate::support::deliveries::{SOON, at, notice, opened};
use crate::support::eventually;
use crate::support::outbox_stub::OutboxStub;

/// What a channel does with the next message.
enum Act {
    Fail(Retry),
    Panic,
}

/// A channel under the test's control.
struct Controlled {
    clock: Clock,
    acts: Mutex<VecDeque<Act>>,
    /// What it was given, and when.
    got: Mutex<Vec<(Timestamp, Delivery)>>,
    /// Sends wait for a permit each.
    permits: Semaphore,
}

#[async_trait]
impl Notifier for Controlled {
    async fn send(&self, delivery: &Delivery) -> Result<Option<Anchor>, SendError> {
        self.got.lock().unwrap().push((self.clock.now(), delivery.clone()));
        self.permits.acquire().await.unwrap().forget();
        let act = self.acts.lock().unwrap().pop_front();
        match act {
            None => Ok(Some("anchor".into())),
            Some(Act::Fail(retry)) => Err(SendError { retry, reason: "test", what: "as told".into() }),
            Some(Act::Panic) => panic!("as told"),
        }
    }
}

struct House {
    clock: Clock,
    outbox: Arc<OutboxStub>,
    tasks: Tasks,
    meters: Meters,
    gates: Gates,
    channel: Arc<Controlled>,
    /// What the last reload started.
    generation: Option<Tasks>,
}

impl House {
    /// A worker for the channel `ops`; nothing waits for a permit unless `held`.
    fn new(limits: Limits, held: bool) -> Self {
        let clock = Clock::manual(at("02:49"));
        let telemetry = Telemetry::new();
        let tasks = Tasks::new(&telemetry);
        let channel = Arc::new(Controlled {
            clock: clock.clone(),
            acts: Mutex::default(),
            got: Mutex::default(),
            permits: Semaphore::new(if held { 0 } else { 1_000_000 }),
        });
        let outbox = OutboxStub::new(&clock);
        let meters = Meters::new(&telemetry);
        let mut house = Self { clock, outbox, tasks, meters, gates: Gates::default(), channel, generation: None };
        house.start(limits);
        house
    }

    fn start(&mut self, limits: Limits) {
        let channels = ["ops", "spare"].map(|name| Channel {
            name: name.into(),
            kind: "slack",
            notifier: Arc::clone(&self.channel) as Arc<dyn Notifier>,
            limits,
        });
        let generation = self.tasks.group();
        let post = Post {
            store: Arc::clone(&self.outbox) as _,
            tasks: generation.clone(),
            clock: self.clock.clone(),
            meters: self.meters.clone(),
            gates: self.gates.clone(),
            rules: Rules::default(),
        };
        deliver::start(&channels, &post);
        if let Some(before) = self.generation.replace(generation) {
            before.stop();
        }
    }

    fn act(&self, act: Act) {
        self.channel.acts.lock().unwrap().push_back(act);
    }

    fn got(&self) -> usize {
        self.channel.got.lock().unwrap().len()
    }

    /// Until so many messages have reached the channel.
    async fn until_got(&self, count: usize) {
        eventually("messages", SOON, async || (self.got() >= count).then_some(())).await;
    }

    /// Until a row has been settled so often; its last settlement.
    async fn until_settled(&self, id: i64, times: usize) -> Settlement {
        let last = async || Some(self.outbox.settled(id)).filter(|all| all.len() >= times)?.pop();
        eventually("a settlement", SOON, last).await
    }

    /// Until the worker has looked again: what it would do at this time, it has begun.
    async fn until_looked(&self) {
        let before = self.outbox.claims();
        eventually("a look", SOON, async || {
            self.outbox.bell_rings();
            (self.outbox.claims() > before + 3).then_some(())
        })
        .await;
    }

    /// A counter or gauge of a channel; it must be there already.
    fn metric(family: &impl Collector, labels: &[&str]) -> f64 {
        let families = family.collect();
        let has = |metric: &&prometheus::proto::Metric| {
            labels.iter().all(|label| metric.get_label().iter().any(|pair| pair.value() == *label))
        };
        let metric = families[0].get_metric().iter().find(has).unwrap_or_else(|| panic!("no series of {labels:?}"));
        metric.get_counter().get_value() + metric.get_gauge().get_value()
    }

    fn attempts(&self, channel: &str, result: &str) -> f64 {
        Self::metric(&self.meters.attempts, &[channel, result])
    }
}

fn message(id: i64, subject: i64) -> Delivery {
    Delivery { id, sequence: id, subject: Subject::Incident(subject), ..opened() }
}

fn seconds(settlement: &Settlement, clock: &Clock) -> i64 {
    let Settlement::Retry { at, .. } = settlement else { panic!("{settlement:?}") };
    at.as_second() - clock.now().as_second()
}

#[tokio::test]
async fn a_message_is_delivered_when_the_bell_rings() {
    let house = House::new(Limits::default(), false);
    house.outbox.add(message(1, 1), true);
    assert_eq!(house.until_settled(1, 1).await, Settlement::Delivered { anchor: Some("anchor".into()) });
    assert!((house.attempts("ops", "delivered") - 1.0).abs() < 0.1);
    assert!((house.attempts("spare", "dead") - 0.0).abs() < 0.1, "counted from 0");
}

#[tokio::test]
async fn a_ring_while_the_worker_looks_is_heard() {
    let house = House::new(Limits::default(), false);
    eventually("a first look", SOON, async || (house.outbox.claims() >= 2).then_some(())).await;
    house.outbox.add_behind_the_next_claim(message(1, 1));
    // The clock stands still: only the ring can bring the worker back.
    house.outbox.bell_rings();
    house.until_settled(1, 1).await;
}

#[tokio::test]
async fn a_lost_ring_costs_a_delay_only() {
    let house = House::new(Limits::default(), false);
    eventually("a first look", SOON, async || (house.outbox.claims() >= 2).then_some(())).await;
    house.outbox.add(message(1, 1), false);
    // The clock may be moved before the worker sleeps on it: it looks at the time then, and not later.
    let mut moved = 0;
    eventually("a poll", SOON, async || {
        house.clock.advance(Duration::from_secs(31));
        moved += 1;
        (house.outbox.done() == 1).then_some(())
    })
    .await;
    assert!(moved < 1_000);
}

#[tokio::test]
async fn at_most_four_are_sent_at_once_and_one_of_a_subject() {
    let house = House::new(Limits::default(), true);
    for id in 1..=3 {
        house.outbox.add(message(id, 70), false);
    }
    for id in 4..=9 {
        house.outbox.add(message(id, id), false);
    }
    house.outbox.add(message(10, 10), true);
    house.until_got(4).await;
    house.until_looked().await;
    assert_eq!(house.got(), 4, "four at once");
    let of_one = |house: &House| {
        let got = house.channel.got.lock().unwrap();
        got.iter()
            .filter(|(_, each)| each.subject == Subject::Incident(70))
            .map(|(_, each)| each.id)
            .collect::<Vec<_>>()
    };
    assert_eq!(of_one(&house), [1], "one of a subject");
    house.channel.permits.add_permits(100);
    eventually("all", SOON, async || (house.outbox.done() == 10).then_some(())).await;
    assert_eq!(of_one(&house), [1, 2, 3], "in order");
}

#[tokio::test]
async fn each_kind_of_failure_is_settled_by_its_kind() {
    let house = House::new(Limits::default(), false);
    for (id, act) in [(1, Retry::Later), (2, Retry::Ambiguous), (3, Retry::Never)] {
        house.act(Act::Fail(act));
        house.outbox.add(message(id, id), true);
        let settlement = house.until_settled(id, 1).await;
        match act {
            Retry::Later => assert!((1..=2).contains(&seconds(&settlement, &house.clock)), "{settlement:?}"),
            Retry::Ambiguous => assert!(matches!(settlement, Settlement::Retry { ambiguous: true, .. })),
            _ => assert_eq!(settlement, Settlement::Dead { error: "test: as told".into() }),
        }
    }
    for result in ["retry", "ambiguous", "dead"] {
        assert!((house.attempts("ops", result) - 1.0).abs() < 0.1, "{result}");
    }
    let notices =
        eventually("a notice", SOON, async || Some(house.outbox.notices()).filter(|all| !all.is_empty())).await;
    assert_eq!((notices[0].0.as_str(), &notices[0].2), ("channel_ops", &vec!["spare".to_owned()]));
    assert!(notices[0].1.contains("test: as told") && notices[0].1.contains("outbox replay 3"), "{notices:?}");
}

#[tokio::test]
async fn a_dead_notice_raises_no_notice() {
    let house = House::new(Limits::default(), false);
    house.act(Act::Fail(Retry::Never));
    house.outbox.add(Delivery { id: 1, ..notice() }, true);
    house.until_settled(1, 1).await;
    house.until_looked().await;
    assert_eq!(house.outbox.notices(), []);
}

#[tokio::test]
async fn nothing_is_sent_before_the_other_side_allows_it() {
    let house = House::new(Limits::default(), false);
    house.act(Act::Fail(Retry::After(Duration::from_secs(30))));
    house.outbox.add(message(1, 1), true);
    assert_eq!(seconds(&house.until_settled(1, 1).await, &house.clock), 30);
    house.outbox.add(message(2, 2), true);
    house.clock.advance(Duration::from_secs(29));
    house.outbox.bell_rings();
    // The spare channel's worker sees the same ring and looks; this one must not send.
    house.until_looked().await;
    assert_eq!(house.got(), 1);
    house.clock.advance(Duration::from_secs(1));
    house.until_got(3).await;
    let got = house.channel.got.lock().unwrap();
    assert!(got[1..].iter().all(|(when, _)| when.duration_since(at("02:49")).as_secs() >= 30));
}

#[tokio::test]
async fn a_pace_is_kept_from_start_to_start() {
    let house = House::new(Limits { pace: Duration::from_secs(1), parallel: 1, ..Limits::default() }, false);
    for id in 1..=5 {
        house.outbox.add(message(id, id), id == 5);
    }
    for count in 1..=5 {
        house.until_got(count).await;
        house.until_settled(i64::try_from(count).unwrap(), 1).await;
        house.until_looked().await;
        assert_eq!(house.got(), count, "one a second");
        house.clock.advance(Duration::from_secs(1));
    }
}

#[tokio::test]
async fn the_breaker_rests_and_probes() {
    let house = House::new(Limits::default(), false);
    for id in 1..=5 {
        house.act(Act::Fail(Retry::Later));
        house.outbox.add(message(id, id), true);
        house.until_settled(id, 1).await;
    }
    assert!((House::metric(&house.meters.circuit, &["ops"]) - 1.0).abs() < 0.1);
    house.act(Act::Fail(Retry::Later));
    house.clock.advance(Duration::from_secs(29));
    house.until_looked().await;
    assert_eq!(house.got(), 5, "it rests");
    house.clock.advance(Duration::from_secs(1));
    house.until_got(6).await;
    house.until_looked().await;
    assert_eq!(house.got(), 6, "one probe, which fails");
    house.clock.advance(Duration::from_secs(30));
    eventually("all", SOON, async || {
        house.clock.advance(Duration::from_secs(1));
        (house.outbox.done() == 5).then_some(())
    })
    .await;
    assert!((House::metric(&house.meters.circuit, &["ops"]) - 0.0).abs() < 0.1);
}

#[tokio::test]
async fn a_panic_costs_one_attempt() {
    let house = House::new(Limits::default(), false);
    house.act(Act::Panic);
    house.outbox.add(message(1, 1), true);
    let settlement = house.until_settled(1, 1).await;
    assert!(matches!(&settlement, Settlement::Retry { ambiguous: true, error, .. } if error.contains("panic")));
    house.clock.advance(Duration::from_secs(3));
    assert!(matches!(house.until_settled(1, 2).await, Settlement::Delivered { .. }));
}

#[tokio::test]
async fn a_send_that_hangs_is_cut_off_as_ambiguous() {
    let house = House::new(Limits { timeout: Duration::from_millis(50), ..Limits::default() }, true);
    house.outbox.add(message(1, 1), true);
    assert!(matches!(house.until_settled(1, 1).await, Settlement::Retry { ambiguous: true, .. }));
}

#[tokio::test]
async fn after_a_day_only_what_is_critical_is_kept() {
    let house = House::new(Limits::default(), false);
    let yesterday = at("02:49").saturating_sub(Duration::from_hours(24)).unwrap();
    let mut warning = Delivery { waiting_since: yesterday, attempt: 20, ..message(1, 1) };
    warning.incident.as_mut().unwrap().severity = Severity::Warning;
    let fresh = Delivery { id: 2, subject: Subject::Incident(2), attempt: 1, ..warning.clone() };
    let critical = Delivery { waiting_since: yesterday, attempt: 20, ..message(3, 3) };
    for (id, delivery) in [(1, warning), (2, fresh), (3, critical)] {
        house.act(Act::Fail(Retry::Later));
        house.outbox.add(delivery, true);
        house.until_settled(id, 1).await;
    }
    let Settlement::Dead { error } = house.until_settled(1, 1).await else { panic!("kept") };
    assert!(error.contains("after a day"), "{error}");
    assert!(seconds(&house.until_settled(2, 1).await, &house.clock) <= 2, "a fresh one has its tries");
    assert_eq!(seconds(&house.until_settled(3, 1).await, &house.clock), 3_600);
}

#[tokio::test]
async fn a_result_waits_for_the_store() {
    let house = House::new(Limits::default(), true);
    house.outbox.add(message(1, 1), true);
    house.until_got(1).await;
    house.outbox.break_down(true);
    house.channel.permits.add_permits(1);
    house.clock.advance(Duration::from_secs(2));
    house.outbox.break_down(false);
    eventually("the result", SOON, async || {
        house.clock.advance(Duration::from_secs(1));
        (house.outbox.done() == 1).then_some(())
    })
    .await;
    assert_eq!(house.got(), 1, "it was sent once");
}

#[tokio::test]
async fn a_stop_finishes_what_is_being_sent_and_begins_nothing() {
    let house = House::new(Limits::default(), true);
    house.outbox.add(message(1, 1), true);
    house.until_got(1).await;
    let (tasks, permits) = (house.tasks.clone(), Arc::clone(&house.channel));
    let drained = tokio::spawn(async move { tasks.drain(SOON).await });
    eventually("the stop", SOON, async || house.tasks.is_stopping().then_some(())).await;
    house.outbox.add(message(2, 2), true);
    permits.permits.add_permits(10);
    assert_eq!(drained.await.unwrap(), 0, "all ended within the drain");
    assert!(matches!(house.until_settled(1, 1).await, Settlement::Delivered { .. }));
    assert_eq!((house.got(), house.outbox.settled(2)), (1, vec![]));
}
