//! What holds of the registry whatever happens.

use proptest::prelude::*;
use tidewatch::agents::{Heartbeat, Registry, Settings, Source};

use super::{at, beat, id, push, restarted, view};

/// What happens between two reports of one agent.
#[derive(Clone, Debug)]
enum Event {
    Work(u64),
    AgentRestarts,
    WeRestart,
    Both,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        6 => (0..1_000_u64).prop_map(Event::Work),
        1 => Just(Event::AgentRestarts),
        1 => Just(Event::WeRestart),
        1 => Just(Event::Both),
    ];
    prop::collection::vec(event, 1..60)
}

/// The rule of Prometheus' own `increase`: the last report of each run that does not fall, summed up.
fn model(reports: &[u64]) -> u64 {
    let falls = reports.windows(2).filter(|pair| pair[1] < pair[0]).map(|pair| pair[0]);
    falls.sum::<u64>() + reports.last().copied().unwrap_or_default()
}

proptest! {
    #[test]
    fn counters_never_go_down_over_any_restart(events in events()) {
        let mut registry = Registry::default();
        let (mut agent, mut cents, mut reports, mut shown) = (0_u64, 0_u64, Vec::new(), 0);
        for (second, event) in (0..).zip(&events) {
            match event {
                Event::Work(done) => { agent += done; cents += done; }
                Event::AgentRestarts => (agent, cents) = (0, 0),
                Event::WeRestart => registry = restarted(&registry, Settings::default()),
                Event::Both => { (agent, cents) = (0, 0); registry = restarted(&registry, Settings::default()); }
            }
            let body = format!(
                r#"{{"messages_processed":{agent},"deliberations":{agent},"tasks":{{"completed":{agent},"failed":{agent}}},
                "tokens":{{"input":{agent},"output":{agent}}},"cost_usd":{}}}"#, cents as f64 / 100.0);
            push(&mut registry, "a", &body, second);
            reports.push(agent);
            let view = view(&registry, "a", second);
            let total = model(&reports);
            for count in [view.messages, view.deliberations, view.tasks_completed, view.tasks_failed, view.tokens_input, view.tokens_output] {
                prop_assert_eq!(count, Some(total));
            }
            prop_assert!((view.cost_usd.unwrap() - total as f64 / 100.0).abs() < 1e-6);
            prop_assert!(total >= shown);
            prop_assert!((0.0..=1.0).contains(&view.health_score));
            shown = total;
        }
    }

    #[test]
    fn a_restart_of_ours_changes_nothing_that_is_shown(beats in prop::collection::vec((0..4_u8, 0..3_usize, 0..500_i64), 1..80), later in 0..10_000_i64) {
        let mut registry = Registry::default();
        let mut now = 0;
        for (agent, source, gap) in beats {
            now += gap;
            let body = beat(&format!(r#"{{"messages_processed":{},"tasks":{{"failed":{agent}}},"model":"m{source}"}}"#, gap % 7));
            registry.beat(Source::ALL[source], &id(&format!("agent-{agent}")), body, at(now)).unwrap();
        }
        let mut next = restarted(&registry, Settings::default());
        prop_assert_eq!(registry.snapshot(at(now + later)).agents, next.snapshot(at(now + later)).agents);
    }

    #[test]
    fn no_body_breaks_the_registry(body in ".{0,200}", fields in prop::collection::btree_map("status|timestamp|interval_seconds|role|model|health_score|messages_processed|tasks|tokens|cost_usd|active_tasks", "-?[0-9]{1,20}(\\.5)?|null|true|\"[a-z]{0,9}\"|\\{\\}|\\[\\]|\\{\"failed\":9e15\\}", 0..6)) {
        let json = fields.iter().map(|(key, value)| format!("{key:?}:{value}")).collect::<Vec<_>>().join(",");
        for text in [body, format!("{{{json}}}")] {
            if let Ok(beat) = Heartbeat::parse(text.as_bytes()) {
                let mut registry = Registry::default();
                registry.beat(Source::Push, &id("a"), beat, at(0)).unwrap();
                let view = registry.view(&id("a"), at(5)).unwrap();
                prop_assert!(view.age_seconds.unwrap() >= 0.0 && view.late_seconds < view.timeout_seconds);
                prop_assert!((0.0..=1.0).contains(&view.health_score));
                restarted(&registry, Settings::default());
            }
        }
    }
}
