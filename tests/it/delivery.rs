//! Deliveries by the real store, workers and notifiers, on a clock that the test moves: what becomes of messages while
//! the other side is down, asks for patience, or takes them and does not say so.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tidewatch::alert::policy::Policy;
use tidewatch::alert::route::{self, Routes};
use tidewatch::alert::{Alert, Fingerprint};
use tidewatch::clock::Clock;
use tidewatch::config::{Document, Environment, Problems};
use tidewatch::net::client::Client;
use tidewatch::notify::deliver::{self, Gates, Meters, Post, Rules};
use tidewatch::notify::{self, Config, Deps};
use tidewatch::store::{Ledger, OutboxFilter, OutboxRow, RowState, Store};
use tidewatch::task::Tasks;
use tidewatch::telemetry::Telemetry;

use crate::support::alerts::{at, firing, labelled, open, post};
use crate::support::eventually;
use crate::support::http_stub::{HttpStub, Reply};
use crate::support::program::{Program, SOON, alert, post as whole};
use crate::support::slack_stub::SlackStub;
use crate::support::smtp::ScriptedMail;

/// The machine may have much else to do.
const PATIENCE: Duration = Duration::from_mins(5);

/// While messages are on their way the clock must not run ahead of their leases.
const SECOND: Duration = Duration::from_secs(1);

/// A store, its workers, and a clock.
struct House {
    clock: Clock,
    store: Arc<dyn Store>,
    policy: Arc<Policy>,
    tasks: Tasks,
    _folder: tempfile::TempDir,
}

impl House {
    /// With these channels; every alert is for `to`.
    fn new(sections: &str, to: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::manual(at(100));
        let store = open(folder.path(), &clock).unwrap();
        let telemetry = Telemetry::new();
        let tasks = Tasks::new(&telemetry);
        let deps = Deps {
            clock: clock.clone(),
            tasks: tasks.clone(),
            client: Client::new().unwrap(),
            external_url: None,
            zone: jiff::tz::TimeZone::UTC,
        };
        let (config, problems) = Document::new("t.toml", sections).parse::<Config>();
        assert!(problems.0.is_empty(), "{problems}");
        let channels = notify::build(&config, &Environment::default(), &deps).unwrap();
        let names: Vec<String> = channels.iter().map(|channel| channel.name.clone()).collect();
        let routed = route::Config { channels: to.iter().map(ToString::to_string).collect(), ..Default::default() };
        let routes = Routes::new(&[routed], names, Vec::new(), &mut Problems::default());
        let post = Post {
            store: Arc::clone(&store),
            tasks: tasks.clone(),
            clock: clock.clone(),
            meters: Meters::new(&telemetry),
            gates: Gates::default(),
            rules: Rules::default(),
        };
        deliver::start(&channels, &post);
        Self { clock, store, policy: Arc::new(Policy { routes, ..Policy::default() }), tasks, _folder: folder }
    }

    async fn accept(&self, alerts: Vec<Alert>) {
        self.store.accept(post(alerts), Arc::clone(&self.policy)).await.unwrap();
    }

    fn second(&self) -> i64 {
        self.clock.now().duration_since(at(100)).as_secs()
    }

    /// Moves the clock in steps until the condition holds.
    async fn pass(&self, what: &str, step: Duration, mut done: impl AsyncFnMut() -> bool) {
        eventually(what, PATIENCE, async || {
            if done().await {
                return Some(());
            }
            self.clock.advance(step);
            None
        })
        .await;
    }

    /// The ledger; both equations hold.
    async fn ledger(&self) -> Ledger {
        let balance = self.store.balance(Duration::from_mins(5)).await.unwrap();
        assert_eq!(balance.faults(), Vec::<String>::new());
        balance.ledger
    }

    async fn rows(&self, state: RowState, channel: &str) -> Vec<OutboxRow> {
        let filter = OutboxFilter {
            state: Some(state),
            channel: Some(channel.into()),
            limit: Some(1_000),
            ..Default::default()
        };
        self.store.outbox(filter).await.unwrap()
    }

    async fn ended(self) {
        assert_eq!(self.tasks.drain(PATIENCE).await, 0);
        self.store.close().await;
    }
}

/// One alert that is an incident of its own.
fn alone(number: u64) -> Alert {
    let mut alert = labelled(firing(number, 90), "cause", &format!("cause-{number}"));
    alert.fingerprint = Fingerprint(number);
    alert
}

fn over(number: u64, ended: Timestamp) -> Alert {
    Alert { firing: false, ends_at: Some(ended), ..alone(number) }
}

/// `[WARNING] AgentHeartbeatLate agent-7 (#7)` by its number.
fn incidents(subjects: &[String]) -> BTreeSet<u64> {
    let number = |subject: &String| subject.rsplit_once("(#")?.1.trim_end_matches(')').parse().ok();
    subjects.iter().filter_map(number).collect()
}

/// Slack is down for an hour; 300 incidents begin, and the first 150 of them end meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r3_slack_down_1h() {
    const COUNT: u64 = 300;
    let slack = SlackStub::start().await;
    let mail = ScriptedMail::start(BTreeMap::new()).await;
    let sections = format!(
        "[slack.ops]\n{}[email.oncall]\nurl = 'smtp://{}?tls=none'\nfrom = 'tw@ops.test'\nto = ['a@ops.test']\n",
        slack.bot(),
        mail.address
    );
    let house = House::new(&sections, &["ops"]);
    let subjects = || -> Vec<String> {
        let lines = mail.heard().into_iter();
        lines.filter_map(|line| line.strip_prefix("Subject: ").map(str::to_owned)).collect()
    };
    slack.down(true);
    house.accept((1..=COUNT).map(alone).collect()).await;

    // Five failures, half a minute between tries, and nobody else is told before five minutes are over.
    house.pass("a first mail", SECOND, async || !subjects().is_empty()).await;
    assert!(house.second() >= 300, "after {} s", house.second());
    let all = (1..=COUNT).collect::<BTreeSet<u64>>();
    let announced = || subjects().iter().any(|subject| subject.contains("channel ops"));
    house.pass("all and the fault by mail", SECOND, async || incidents(&subjects()) == all && announced()).await;
    assert_eq!(subjects().iter().filter(|subject| subject.contains("(#")).count() as u64, COUNT, "each once");
    assert!(mail.heard().iter().any(|line| line.contains("ops has not delivered it")), "why it comes by mail");
    assert!(slack.shown().is_empty());
    let tries = slack.http.asked().len();
    assert!(i64::try_from(tries).unwrap() <= 5 + house.second() / 30 + 1, "{tries} tries in {} s", house.second());

    let ended = house.clock.now();
    house.accept((1..=COUNT / 2).map(|number| over(number, ended)).collect()).await;
    let resolved = || subjects().iter().filter(|subject| subject.starts_with("[RESOLVED]")).count() as u64;
    house.pass("the ends by mail", SECOND, async || resolved() == COUNT / 2).await;
    house.pass("an hour", Duration::from_secs(30), async || house.second() >= 3_600).await;
    house.ledger().await;

    // Slack is back: each incident once, one a second, each saying how late it is.
    slack.down(false);
    let (began, mut most) = (house.second(), 0);
    house
        .pass("all in Slack", SECOND, async || {
            let shown = slack.shown().len();
            most = most.max(i64::try_from(shown).unwrap() - (house.second() - began + 1));
            // The next second begins when this one's message has been dealt with.
            house.rows(RowState::Pending, "ops").await.is_empty()
        })
        .await;
    assert!(most <= 0, "more than one a second");
    let shown = slack.shown();
    let about: Vec<_> = shown.iter().filter(|message| !message.text.contains("tidewatch: ")).collect();
    assert_eq!(about.len() as u64, COUNT, "each once: the end stands for the beginning");
    assert!(about.iter().all(|message| message.text.starts_with("delayed ")));
    let ends: Vec<_> = about.iter().filter(|message| message.text.contains("RESOLVED")).collect();
    assert_eq!(ends.len() as u64, COUNT / 2);
    for message in ends {
        let (head, _) = message.text.split_once(" · ").unwrap();
        assert!(head.contains(": fired ") && head.contains(", resolved "), "{head}");
    }
    house.pass("the mails", SECOND, async || house.ledger().await.pending == 0).await;
    assert_eq!(resolved(), COUNT / 2, "whoever was told hears the end, once");
    assert!(mail.heard().iter().any(|line| line.contains("delivers again")), "and that the channel works");
    let ledger = house.ledger().await;
    assert_eq!((ledger.dead, ledger.pending, ledger.alerts.received), (0, 0, COUNT + COUNT / 2));
    house.ended().await;
}

/// Slack asks for 30 s, three times.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r4_429_storm() {
    let clock: Arc<Mutex<Option<Clock>>> = Arc::default();
    let (times, asked_at) = (Arc::new(Mutex::new(Vec::new())), Arc::clone(&clock));
    let seen = Arc::clone(&times);
    let stub = HttpStub::start(move |_| {
        let now = asked_at.lock().unwrap().as_ref().unwrap().now();
        let mut seen = seen.lock().unwrap();
        seen.push(now);
        let limited = r#"{"retry_after":30,"ok":false,"error":"rate_limited"}"#;
        if seen.len() <= 3 { Reply::status(429, limited).with("retry-after", "30") } else { Reply::status(200, "ok") }
    })
    .await;
    let house = House::new(&format!("[slack.ops]\nwebhook_url = '{}'\n", stub.url("/services/x")), &["ops"]);
    *clock.lock().unwrap() = Some(house.clock.clone());
    house.accept((1..=20).map(alone).collect()).await;
    house.pass("all of them", SECOND, async || house.ledger().await.delivered == 20).await;
    let times = times.lock().unwrap().clone();
    assert_eq!(times.len(), 23, "nothing is lost, nothing is sent twice");
    for pair in times.windows(2).take(3) {
        assert!(pair[1].duration_since(pair[0]).as_secs() >= 30, "{pair:?}");
    }
    // The clock goes on while a message is on its way, so the pace is counted from where the patience ends.
    for (place, time) in times.iter().skip(3).enumerate() {
        let since = time.duration_since(times[2]).as_secs();
        assert!(since >= 30 + i64::try_from(place).unwrap(), "message {place} after {since} s");
    }
    house.ended().await;
}

/// Slack takes the message, and the connection ends before it says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r6_ambiguous() {
    let posted: Arc<Mutex<Vec<Value>>> = Arc::default();
    let taken = Arc::clone(&posted);
    let stub = HttpStub::start(move |asked| {
        let mut taken = taken.lock().unwrap();
        taken.push(serde_json::from_slice(&asked.body).unwrap());
        if taken.len() == 1 { Reply::Drop } else { Reply::status(200, "ok") }
    })
    .await;
    let house = House::new(&format!("[slack.ops]\nwebhook_url = '{}'\n", stub.url("/services/x")), &["ops"]);
    house.accept(vec![alone(1)]).await;
    house.pass("it is delivered", SECOND, async || house.ledger().await.delivered == 1).await;
    house.clock.advance(Duration::from_mins(10));
    let posted = posted.lock().unwrap().clone();
    let [first, second] = &posted[..] else { panic!("{} copies", posted.len()) };
    assert!(!first["blocks"].to_string().contains("second copy"));
    assert!(second["blocks"].to_string().contains("may be a second copy"), "{second}");
    for copy in [first, second] {
        assert!(copy["text"].as_str().unwrap().ends_with("(#1.1)"), "the same number: {copy}");
    }
    house.ended().await;
}

/// A token that was revoked: nothing waits, so the next channel is told at once, and of the fault once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_channel_refuses_for_good_is_told_on_the_next() {
    let slack = SlackStub::start().await;
    let sections = slack.bot().replace("canary-token", "revoked");
    let mail = ScriptedMail::start(BTreeMap::new()).await;
    let sections = format!(
        "[slack.ops]\n{sections}[email.oncall]\nurl = 'smtp://{}?tls=none'\nfrom = 'tw@ops.test'\nto = ['a@ops.test']\n",
        mail.address
    );
    let house = House::new(&sections, &["ops"]);
    house.accept(vec![alone(1), alone(2)]).await;
    house.pass("both are told", SECOND, async || house.ledger().await.delivered >= 3).await;
    let heard = mail.heard();
    let subjects: Vec<&String> = heard.iter().filter(|line| line.starts_with("Subject: ")).collect();
    assert_eq!(subjects.iter().filter(|line| line.contains("(#")).count(), 2, "{subjects:?}");
    assert_eq!(subjects.iter().filter(|line| line.contains("channel ops")).count(), 1, "{subjects:?}");
    assert!(heard.iter().any(|line| line.contains("ops cannot deliver it")));
    assert_eq!(house.rows(RowState::Dead, "ops").await.len(), 2, "a person decides about them");
    house.ended().await;
}

/// An incident that the next channel has anyway is not told there a second time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_told_twice_because_a_channel_fails() {
    let slack = SlackStub::start().await;
    let mail = ScriptedMail::start(BTreeMap::new()).await;
    let sections = format!(
        "[slack.ops]\n{}[email.oncall]\nurl = 'smtp://{}?tls=none'\nfrom = 'tw@ops.test'\nto = ['a@ops.test']\n",
        slack.bot(),
        mail.address
    );
    let house = House::new(&sections, &["ops", "oncall"]);
    slack.down(true);
    house.accept((1..=6).map(alone).collect()).await;
    let announced = async || mail.heard().iter().any(|line| line.contains("has delivered nothing for"));
    house.pass("the announcement", Duration::from_secs(5), announced).await;
    assert!(house.second() >= 300);
    let subjects = mail.heard().into_iter().filter(|line| line.starts_with("Subject: ") && line.contains("(#"));
    assert_eq!(subjects.count(), 6);
    house.ended().await;
}

/// Nothing that stands in an alert is ever asked for: each address of it is one that listens.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r19_ssrf() {
    let folder = tempfile::tempdir().unwrap();
    let victim = HttpStub::start(|_| Reply::status(200, "secret")).await;
    let moved = victim.url("/moved");
    let hook = HttpStub::start(move |_| Reply::status(302, "").with("location", &moved)).await;
    let slack = SlackStub::start().await;
    let config = folder.path().join("tidewatch.toml");
    let text = format!(
        "[notify.slack.ops]\n{}[notify.webhook.hook]\nurl = '{}'\n[notify.file.kept]\npath = '{}'\n",
        slack.bot(),
        hook.url("/x"),
        folder.path().join("kept").display()
    );
    std::fs::write(&config, text).unwrap();
    let program = Program::start(&folder.path().join("data"), &["--config", config.to_str().unwrap()]).await;
    let bad = [
        victim.url("/latest/meta-data/"),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "file:///etc/passwd".to_owned(),
        victim.url("/x").replace("127.0.0.1", "localhost"),
    ];
    let alerts: Vec<Value> = bad
        .iter()
        .enumerate()
        .map(|(number, url)| {
            let name = format!("Ssrf{number}");
            let mut alert = alert(&[("alertname", &name), ("instance", url)], "2026-11-21T02:00:00Z", None);
            alert["generatorURL"] = url.clone().into();
            for annotation in ["runbook_url", "description", "dashboard", "image", "next"] {
                alert["annotations"][annotation] = url.clone().into();
            }
            alert
        })
        .collect();
    let mut body: Value = serde_json::from_str(&whole(&alerts)).unwrap();
    body["externalURL"] = bad[0].clone().into();
    assert_eq!(program.ask("POST", "/webhook/alerts", &body.to_string()).await.status, 200);
    eventually("all are told", SOON, async || (slack.shown().len() >= 4).then_some(())).await;
    eventually("the redirect", SOON, async || (hook.asked().len() >= 4).then_some(())).await;
    for page in ["/", "/i/1", "/api/incidents", "/metrics", "/health"] {
        assert_eq!(program.ask("GET", page, "").await.status, 200, "{page}");
    }
    program.stop().await;
    let asked: Vec<String> = victim.asked().into_iter().map(|asked| asked.path).collect();
    assert_eq!(asked, Vec::<String>::new(), "neither fetched nor followed");
}
