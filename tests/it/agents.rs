//! The registry of agents: what is online, late, offline, expected, lost.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tidewatch::agents::{
    AgentId, Change, Condition, Expectation, Group, Heartbeat, Refusal, Registry, Row, Settings, Source, View,
};
use tidewatch::config::Span;

mod collector;
mod properties;

pub(crate) fn id(text: &str) -> AgentId {
    text.parse().unwrap()
}

pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

pub(crate) fn beat(body: &str) -> Heartbeat {
    Heartbeat::parse(body.as_bytes()).unwrap()
}

pub(crate) fn push(registry: &mut Registry, agent: &str, body: &str, seconds: i64) {
    registry.beat(Source::Push, &id(agent), beat(body), at(seconds)).unwrap();
}

pub(crate) fn view(registry: &Registry, agent: &str, seconds: i64) -> View {
    registry.view(&id(agent), at(seconds)).unwrap()
}

#[track_caller]
pub(crate) fn close(left: f64, right: f64) {
    assert!((left - right).abs() < 1e-9 || left.total_cmp(&right).is_eq(), "{left} is not {right}");
}

pub(crate) fn expecting(agents: &[&str]) -> Settings {
    Settings {
        expected: agents.iter().map(|agent| (id(agent), Expectation::default())).collect(),
        ..Settings::default()
    }
}

/// What a restart of ours does: the journal's rows, read into a new registry.
pub(crate) fn restarted(registry: &Registry, settings: Settings) -> Registry {
    let mut next = Registry::new(settings);
    for row in registry.rows() {
        next.restore(serde_json::from_str(&serde_json::to_string(&row).unwrap()).unwrap());
    }
    next
}

#[test]
fn an_agent_is_online_then_late_then_offline() {
    let mut registry = Registry::default();
    push(&mut registry, "steward", "", 0);
    for (seconds, online, condition) in [
        (0, true, Condition::Online),
        (60, true, Condition::Online),
        (61, true, Condition::Late),
        (120, true, Condition::Late),
        (121, false, Condition::Offline),
        (1_000_000, false, Condition::Offline),
    ] {
        let view = view(&registry, "steward", seconds);
        assert_eq!((view.online, view.condition), (online, condition), "{seconds} s");
        assert_eq!(view.age_seconds, Some(seconds as f64));
    }
    push(&mut registry, "steward", "", 2_000_000);
    assert!(view(&registry, "steward", 2_000_001).online);
}

#[test]
fn an_interval_is_configured_else_reported_else_learnt() {
    let mut registry = Registry::default();
    for beat in 0..4 {
        push(&mut registry, "a", "", beat * 1_800);
    }
    assert_eq!(view(&registry, "a", 5_400).interval_seconds, Some(1_800.0));
    assert_eq!(
        (view(&registry, "a", 5_400).late_seconds, view(&registry, "a", 5_400).timeout_seconds),
        (2_700.0, 5_400.0)
    );
    push(&mut registry, "a", r#"{"interval_seconds":300}"#, 5_500);
    push(&mut registry, "a", "", 5_600);
    close(view(&registry, "a", 5_600).timeout_seconds, 900.0);
    let configured = Expectation { interval: Some(Span::seconds(100)), ..Expectation::default() };
    registry.configure(Settings { expected: BTreeMap::from([(id("a"), configured)]), ..Settings::default() });
    close(view(&registry, "a", 5_600).timeout_seconds, 300.0);
}

#[test]
fn an_agents_own_time_counts_only_where_it_is_older() {
    let mut registry = Registry::default();
    let stamped = |seconds: i64| format!(r#"{{"timestamp":"{}"}}"#, at(seconds));
    push(&mut registry, "old", &stamped(-50), 0);
    push(&mut registry, "future", &stamped(5_000), 0);
    push(&mut registry, "absurd", r#"{"timestamp":12}"#, 0);
    push(&mut registry, "unreadable", r#"{"timestamp":"soon"}"#, 0);
    for (agent, age) in [("old", 60.0), ("future", 10.0), ("absurd", 10.0), ("unreadable", 10.0)] {
        assert_eq!(view(&registry, agent, 10).age_seconds, Some(age), "{agent}");
    }
}

#[test]
fn a_heartbeat_that_arrives_out_of_order_changes_nothing() {
    let mut registry = Registry::default();
    let stamped =
        |seconds: i64, messages: u64| format!(r#"{{"timestamp":"{}","messages_processed":{messages}}}"#, at(seconds));
    push(&mut registry, "a", &stamped(-10, 50), 0);
    push(&mut registry, "a", &stamped(-20, 40), 0);
    assert_eq!((view(&registry, "a", 0).messages, view(&registry, "a", 0).age_seconds), (Some(50), Some(10.0)));
}

#[test]
fn the_newest_source_wins_and_counters_of_two_sources_do_not_add_up() {
    let mut registry = Registry::default();
    for round in 0..50 {
        let seconds = round * 30;
        let pushed = beat(&format!(r#"{{"messages_processed":{},"role":"pushed"}}"#, 100 + round));
        registry.beat(Source::Push, &id("a"), pushed, at(seconds)).unwrap();
        let asked = beat(&format!(r#"{{"messages_processed":{},"role":"asked"}}"#, 10 + round));
        registry.beat(Source::Gateway, &id("a"), asked, at(seconds + 10)).unwrap();
    }
    let shown = view(&registry, "a", 1_490);
    assert_eq!((shown.source, shown.role.as_deref()), (Some(Source::Gateway), Some("asked")));
    assert_eq!((shown.messages, shown.age_seconds), (Some(149), Some(10.0)));
    assert_eq!(shown.interval_seconds, Some(30.0));
}

#[test]
fn our_clock_may_be_set_back() {
    let mut registry = Registry::default();
    push(&mut registry, "a", "", 100_000);
    push(&mut registry, "b", "", 100_000);
    push(&mut registry, "a", r#"{"messages_processed":1}"#, 10);
    assert_eq!(view(&registry, "a", 40).age_seconds, Some(30.0));
    registry.snapshot(at(10));
    assert_eq!(view(&registry, "b", 200).condition, Condition::Offline);
}

#[test]
fn an_expected_agent_that_was_never_seen_is_there_and_offline() {
    let mut registry = Registry::new(expecting(&["ghost", "steward"]));
    push(&mut registry, "steward", "", 0);
    push(&mut registry, "guest", "", 0);
    let snapshot = registry.snapshot(at(1));
    let ghost = &snapshot.agents[0];
    assert_eq!((ghost.agent_id.as_str(), ghost.age_seconds, ghost.condition), ("ghost", None, Condition::NeverSeen));
    assert_eq!((snapshot.expected(), snapshot.online(), snapshot.silent()), (2, 2, 1));
    let snapshot = registry.snapshot(at(500));
    assert_eq!((snapshot.expected(), snapshot.online(), snapshot.silent()), (2, 0, 2), "a guest is not expected");
}

#[test]
fn a_planned_stop_moves_the_limits_to_its_end() {
    let mut registry = Registry::new(expecting(&["ghost"]));
    push(&mut registry, "a", "", 0);
    let until = |seconds: i64| Expectation { stop_until: Some(at(seconds)), ..Expectation::default() };
    registry.expect(&id("a"), &until(3_600)).unwrap();
    registry.expect(&id("ghost"), &until(3_600)).unwrap();
    for (seconds, condition) in [(10, Condition::Online), (600, Condition::Planned), (3_700, Condition::Planned)] {
        let shown = view(&registry, "a", seconds);
        assert_eq!(shown.condition, condition, "{seconds}");
        assert_eq!((shown.timeout_seconds, shown.online), (3_720.0, seconds <= 120));
        close(view(&registry, "ghost", seconds).timeout_seconds, f64::INFINITY);
    }
    assert_eq!(registry.snapshot(at(600)).silent(), 0);
    assert_eq!(view(&registry, "a", 3_721).condition, Condition::Offline);
    assert_eq!(view(&registry, "ghost", 3_721).condition, Condition::NeverSeen);
    push(&mut registry, "a", "", 4_000);
    close(view(&registry, "a", 4_000).timeout_seconds, 120.0);
    registry.expect(&id("a"), &until(9_000)).unwrap();
    registry.expect(&id("a"), &until(4_100)).unwrap();
    assert_eq!(view(&registry, "a", 4_300).condition, Condition::Offline, "a plan can be taken back");
}

#[test]
fn a_goodbye_is_offline_at_once() {
    let mut registry = Registry::default();
    push(&mut registry, "a", r#"{"status":"stopped"}"#, 0);
    assert_eq!((view(&registry, "a", 1).online, view(&registry, "a", 1).condition), (false, Condition::Offline));
    push(&mut registry, "a", r#"{"status":"alive"}"#, 2);
    assert!(view(&registry, "a", 2).online);
}

#[test]
fn the_score_is_reported_else_derived_and_zero_when_offline() {
    let mut registry = Registry::default();
    push(&mut registry, "a", r#"{"health_score":0.4}"#, 0);
    close(view(&registry, "a", 100).health_score, 0.4);
    close(view(&registry, "a", 121).health_score, 0.0);
    push(&mut registry, "a", r#"{"tasks":{"completed":10,"failed":0}}"#, 200);
    push(&mut registry, "a", r#"{"tasks":{"completed":16,"failed":2}}"#, 210);
    close(view(&registry, "a", 210).health_score, 0.75);
    close(view(&registry, "a", 210 + 90).health_score, 0.375);
}

#[test]
fn forgotten_means_gone_until_it_reports_again() {
    let settings = || expecting(&["steward"]);
    let mut registry = Registry::new(settings());
    for agent in ["steward", "guest"] {
        push(&mut registry, agent, r#"{"messages_processed":7}"#, 0);
        registry.forget(&id(agent)).unwrap();
    }
    assert_eq!(registry.forget(&id("guest")), Err(Change::Unknown(id("guest"))));
    assert_eq!(registry.snapshot(at(1)).agents, []);
    registry.configure(settings());
    assert_eq!(registry.snapshot(at(1)).agents, [], "a reload does not bring it back");
    let mut registry = restarted(&registry, settings());
    registry.configure(settings());
    assert_eq!(registry.snapshot(at(1)).agents, [], "nor does a restart");
    push(&mut registry, "steward", r#"{"messages_processed":9}"#, 2);
    assert_eq!(view(&registry, "steward", 2).messages, Some(9));
    assert!(view(&registry, "steward", 2).expected);
    assert_eq!(restarted(&registry, settings()).snapshot(at(2)).agents.len(), 1);
}

#[test]
fn renamed_means_that_everything_stays() {
    let mut registry = Registry::new(expecting(&["new", "fixed"]));
    push(&mut registry, "old", r#"{"messages_processed":7}"#, 0);
    push(&mut registry, "other", "", 0);
    assert_eq!(registry.rename(&id("old"), &id("other")), Err(Change::Taken(id("other"))));
    assert_eq!(registry.rename(&id("fixed"), &id("x")), Err(Change::Configured(id("fixed"))));
    assert_eq!(registry.rename(&id("none"), &id("new")), Err(Change::Unknown(id("none"))));
    registry.rename(&id("old"), &id("new")).unwrap();
    assert_eq!(registry.view(&id("old"), at(1)), None);
    push(&mut registry, "new", r#"{"messages_processed":3}"#, 1);
    assert_eq!(view(&registry, "new", 1).messages, Some(10));
    let rows: Vec<Row> = registry.take_changes();
    assert!(rows.iter().any(|row| row.id == id("old") && row.agent.is_none()));
}

#[test]
fn the_number_of_agents_is_capped_and_configured_ones_have_their_places() {
    let mut registry = Registry::new(Settings { max_agents: 5, ..expecting(&["steward", "alpha"]) });
    let mut refused = 0;
    for n in 0..1_000 {
        let result = registry.beat(Source::Push, &id(&format!("flood-{n}")), Heartbeat::default(), at(0));
        refused += u64::from(result.is_err());
    }
    assert_eq!(refused, 997);
    push(&mut registry, "steward", "", 0);
    push(&mut registry, "flood-0", "", 1);
    assert!(registry.expect(&id("late-comer"), &Expectation::default()).is_err());
    let snapshot = registry.snapshot(at(1));
    assert_eq!(snapshot.agents.len(), 5);
    assert_eq!(snapshot.tally.refused().find(|(reason, _)| *reason == Refusal::Full).unwrap().1, 997);
}

#[test]
fn a_quorum_is_lost_when_too_few_are_online() {
    let members = ["alpha", "beta", "charlie"].map(id).into_iter().collect();
    let groups = BTreeMap::from([("triad".to_owned(), Group { members, required: 2 })]);
    let mut registry = Registry::new(Settings { groups, ..expecting(&["alpha", "beta", "charlie"]) });
    push(&mut registry, "alpha", "", 0);
    assert!(!registry.snapshot(at(1)).quorums[0].met);
    push(&mut registry, "charlie", "", 100);
    let quorum = registry.snapshot(at(100)).quorums[0].clone();
    assert_eq!((quorum.members, quorum.online, quorum.required, quorum.met), (3, 2, 2, true));
    assert_eq!(quorum.missing, [id("beta")]);
    assert!(!registry.snapshot(at(121)).quorums[0].met);
}
