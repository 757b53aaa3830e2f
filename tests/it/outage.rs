//! Slack is down for a while: nothing is lost, it is not pestered, and what arrives late says so.

use std::time::Duration;

use tidewatch::config::{Document, Environment};
use tidewatch::notify::deliver::{self, Gates, Meters, Post, Rules};
use tidewatch::notify::{self, Config};
use tidewatch::store::{Delivery, Subject};
use tidewatch::task::Tasks;
use tidewatch::telemetry::Telemetry;

use crate::support::deliveries::{SOON, deps, opened};
use crate::support::eventually;
use crate::support::outbox_stub::OutboxStub;
use crate::support::slack_stub::SlackStub;

#[tokio::test]
async fn what_slack_missed_arrives_once_and_says_that_it_is_late() {
    let deps = deps("02:49");
    let began = deps.clock.now();
    let slack = SlackStub::start().await;
    let (config, _) = Document::new("t.toml", format!("[slack.ops]\n{}", slack.bot())).parse::<Config>();
    let mut channels = notify::build(&config, &Environment::default(), &deps).unwrap();
    channels.retain(|channel| channel.name == "ops");
    let telemetry = Telemetry::new();
    let outbox = OutboxStub::new(&deps.clock);
    let post = Post {
        store: outbox.clone(),
        tasks: Tasks::new(&telemetry),
        clock: deps.clock.clone(),
        meters: Meters::new(&telemetry),
        gates: Gates::default(),
        rules: Rules::default(),
    };
    slack.down(true);
    deliver::start(&channels, &post);
    for id in 1..=30 {
        let incident = opened().incident.map(|incident| tidewatch::alert::Incident { id, ..incident });
        outbox.add(Delivery { id, subject: Subject::Incident(id), incident, ..opened() }, true);
    }
    let pass = async |what: &str, done: &dyn Fn() -> bool| {
        eventually(what, SOON, async || {
            deps.clock.advance(Duration::from_secs(5));
            done().then_some(())
        })
        .await;
    };
    pass("a long outage", &|| slack.http.asked().len() >= 20).await;
    let lasted = deps.clock.now().duration_since(began).as_secs();
    assert!(lasted >= 15 * 30, "after five failures one attempt in 30 s, but 20 took {lasted} s");
    assert!(slack.shown().is_empty());
    slack.down(false);
    pass("everything", &|| outbox.done() == 30).await;
    let shown = slack.shown();
    assert_eq!(shown.len(), 30, "each once");
    assert!(shown.iter().all(|message| message.text.starts_with("delayed ")), "{:?}", shown[0].text);
}
