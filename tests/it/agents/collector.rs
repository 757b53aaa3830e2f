//! The agents as a scraper, `health` and the pages see them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::SignedDuration;
use tidewatch::agents::{Expectation, Registry, Source};
use tidewatch::clock::Clock;
use tidewatch::collect::agents::Agents;
use tidewatch::collect::{Collector, Declare, Deps, Output};
use tidewatch::config::Document;
use tidewatch::facts::{ServiceState, State};
use tidewatch::metrics::expose::{Format, write};
use tidewatch::task::Tasks;
use tidewatch::telemetry::Telemetry;

use super::{at, beat, id};

/// A collector over a registry of its own, with a clock moved by hand.
struct Bench {
    collector: Agents,
    registry: Arc<Mutex<Registry>>,
    clock: Clock,
}

impl Bench {
    fn new(config: &str) -> Self {
        let (config, problems) = Document::new("t.toml", config).parse();
        assert!(!problems.fatal(), "{problems}");
        let clock = Clock::manual(at(0));
        let registry = Arc::new(Mutex::new(Registry::default()));
        let tasks = Tasks::new(&Telemetry::new());
        let deps = Deps { clock: clock.clone(), tasks, agents: Arc::clone(&registry) };
        Self { collector: Agents::build(&config, &deps), registry, clock }
    }

    fn beat(&self, agent: &str, body: &str) {
        self.registry.lock().unwrap().beat(Source::Push, &id(agent), beat(body), self.clock.now()).unwrap();
    }

    async fn collect(&self) -> Output {
        let mut out = Output::default();
        self.collector.collect(&mut out).await.unwrap();
        out
    }

    async fn text(&self) -> String {
        let out = self.collect().await;
        let batches: Vec<_> = out.parts().map(|(_, batch)| batch).collect();
        let mut text = Vec::new();
        assert!(write(&batches, Format::Text, &mut text).is_empty(), "everything can be written");
        String::from_utf8(text).unwrap()
    }

    async fn service(&self) -> ServiceState {
        self.collect().await.facts.services.remove(0)
    }
}

#[tokio::test]
async fn the_verdict_names_who_and_what_to_do() {
    let bench = Bench::new("");
    let verdict = bench.service().await;
    assert_eq!((verdict.service.as_str(), verdict.state), ("agents", State::Ok));
    assert!(verdict.next.contains("curl"), "{}", verdict.next);

    bench.beat("steward", "");
    let verdict = bench.service().await;
    assert_eq!((verdict.state, verdict.why.as_str()), (State::Ok, "1 of 1 agents online"));

    bench.clock.advance(Duration::from_secs(90));
    let verdict = bench.service().await;
    assert_eq!((verdict.state, verdict.why.as_str()), (State::Warning, "steward late: 90 s (late after 60 s)"));
    assert_eq!(verdict.since, at(90));

    bench.clock.advance(Duration::from_secs(150));
    let verdict = bench.service().await;
    assert_eq!((verdict.state, verdict.why.as_str()), (State::Critical, "steward offline 4 min (timeout 120 s)"));
    assert!(verdict.next.contains("agents expect steward --stop-for"), "{}", verdict.next);

    bench.clock.advance(Duration::from_secs(10));
    assert_eq!(bench.service().await.since, at(240), "since it became critical");
}

#[tokio::test]
async fn the_verdict_puts_a_lost_quorum_first_and_never_grows_long() {
    let names: Vec<String> = (0..40).map(|n| format!("'agent-{n:02}'")).collect();
    let bench = Bench::new(&format!("[groups.triad]\nmembers = [{}]\nrequired = 2", names.join(",")));
    let verdict = bench.service().await;
    assert_eq!(verdict.state, State::Critical);
    assert!(
        verdict.why.starts_with("quorum of triad lost: 0 of 40 online, 2 required; agent-00 never seen"),
        "{}",
        verdict.why
    );
    assert!(verdict.why.ends_with("and 35 more"), "{}", verdict.why);
}

#[tokio::test]
async fn every_agent_yields_its_series_and_its_row() {
    let bench = Bench::new("expected = ['ghost']");
    let full = r#"{"status":"alive","interval_seconds":30,"role":"r","model":"m","health_score":1,"messages_processed":1,
        "deliberations":1,"tasks":{"completed":1,"failed":1},"active_tasks":1,"tokens":{"input":1,"output":1},"cost_usd":1}"#;
    bench.beat("steward", full);
    let out = bench.collect().await;
    let series: usize = out.parts().map(|(_, batch)| batch.series()).sum();
    // 15 of the full agent, 6 of the one that was never seen, 3 totals, 6 sources, 4 reasons.
    assert_eq!(series, 15 + 6 + 3 + 6 + 4);
    let rows: Vec<(&str, bool, Option<f64>, &str)> = out
        .facts
        .agents
        .iter()
        .map(|row| (row.agent_id.as_str(), row.online, row.age_seconds, row.source.as_str()))
        .collect();
    assert_eq!(rows, [("ghost", false, None, ""), ("steward", true, Some(0.0), "push")]);
}

#[tokio::test]
async fn the_facts_survive_json_also_in_a_planned_stop() {
    let bench = Bench::new("expected = ['ghost']");
    let plan = Expectation { stop_until: Some(at(0) + SignedDuration::from_hours(1)), ..Expectation::default() };
    bench.registry.lock().unwrap().expect(&id("ghost"), &plan).unwrap();
    let facts = bench.collect().await.facts;
    let copy = serde_json::from_str(&serde_json::to_string(&facts).unwrap()).unwrap();
    assert_eq!(facts, copy);
    assert_eq!(facts.services[0].state, State::Ok, "{}", facts.services[0].why);
}

#[tokio::test]
async fn the_exposition_is_what_the_design_says() {
    let bench = Bench::new("expected = ['ghost']\n[groups.pair]\nmembers = ['ghost', 'steward']\nrequired = 1");
    let body = r#"{"status":"alive","interval_seconds":300,"role":"steward \"1\"\n","model":"m","health_score":0.5,
        "messages_processed":12,"deliberations":3,"tasks":{"completed":5,"failed":1},"active_tasks":2,
        "tokens":{"input":100,"output":50},"cost_usd":0.25}"#;
    bench.beat("steward", body);
    bench.beat("ops/plain", "");
    bench.clock.advance(Duration::from_millis(1_500));
    let text = bench.text().await;
    for line in [
        "openclaw_agent_status{agent_id=\"ghost\"} 0",
        "openclaw_agent_status{agent_id=\"steward\"} 1",
        "openclaw_agent_heartbeat_age_seconds{agent_id=\"ghost\"} +Inf",
        "openclaw_agent_heartbeat_age_seconds{agent_id=\"steward\"} 1.5",
        "openclaw_agent_heartbeat_timeout_seconds{agent_id=\"ops/plain\"} 120",
        "openclaw_agent_heartbeat_timeout_seconds{agent_id=\"steward\"} 900",
        "openclaw_agent_heartbeat_late_seconds{agent_id=\"steward\"} 450",
        "openclaw_agent_heartbeat_interval_seconds{agent_id=\"steward\"} 300",
        "openclaw_agent_health_score{agent_id=\"steward\"} 0.5",
        "openclaw_agent_health_score{agent_id=\"ghost\"} 0",
        "openclaw_agent_messages_processed_total{agent_id=\"steward\"} 12",
        "openclaw_agent_deliberations_total{agent_id=\"steward\"} 3",
        "openclaw_agent_tasks_total{agent_id=\"steward\",outcome=\"completed\"} 5",
        "openclaw_agent_tasks_total{agent_id=\"steward\",outcome=\"failed\"} 1",
        "openclaw_agent_active_tasks{agent_id=\"steward\"} 2",
        "openclaw_agent_tokens_total{agent_id=\"steward\",token_type=\"input\"} 100",
        "openclaw_agent_tokens_total{agent_id=\"steward\",token_type=\"output\"} 50",
        "openclaw_agent_cost_usd_total{agent_id=\"steward\"} 0.25",
        "openclaw_agent_info{agent_id=\"ghost\",role=\"\",model=\"\",source=\"\"} 1",
        "openclaw_agent_info{agent_id=\"steward\",role=\"steward \\\"1\\\"\",model=\"m\",source=\"push\"} 1",
        "openclaw_agents_expected 2",
        "openclaw_agents_online 2",
        "openclaw_agents_silent 1",
        "openclaw_quorum_members{group=\"pair\"} 2",
        "openclaw_quorum_online{group=\"pair\"} 1",
        "openclaw_quorum_required{group=\"pair\"} 1",
        "openclaw_quorum_met{group=\"pair\"} 1",
        "tidewatch_heartbeats_total{source=\"push\"} 2",
        "tidewatch_heartbeats_refused_total{reason=\"full\"} 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    assert!(!text.contains("openclaw_agent_messages_processed_total{agent_id=\"ops/plain\"}"), "{text}");
    for desc in Agents::descs() {
        assert!(text.contains(&format!("# TYPE {} ", desc.name)), "{} is declared, but never written", desc.name);
    }
    let declared = Agents::descs();
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let name = line.split(' ').next().unwrap();
        assert!(declared.iter().any(|desc| desc.name == name), "{name} is written, but not declared");
    }
}

/// The block of `docs/agents.md` that begins with `fence`.
fn documented(fence: &str) -> String {
    let docs = include_str!("../../../docs/agents.md");
    docs.split(fence).nth(1).unwrap().split("```").next().unwrap().to_owned()
}

#[test]
fn the_documented_configuration_is_right() {
    #[derive(Default, serde::Deserialize)]
    struct File {
        collectors: tidewatch::collect::Config,
    }
    let document = Document::new("agents.md", documented("```toml\n"));
    let (file, mut problems) = document.parse::<File>();
    file.collectors.check(&mut problems);
    assert_eq!(problems.0, [], "{problems}");
    let settings = file.collectors.agents.settings();
    assert_eq!((settings.expected.len(), settings.groups["triad"].required), (6, 2));
}

#[test]
fn the_documented_heartbeat_is_right() {
    let body = documented("steward/heartbeat -d '");
    let beat = beat(body.split('\'').next().unwrap());
    assert_eq!((beat.messages_processed, beat.cost_usd), (Some(1_042), Some(1.37)));
}
