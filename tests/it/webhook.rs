//! What Alertmanager posts, and what it is answered: 200 for what is kept, 503 for what may be kept later, 400 for what
//! never can.

mod trouble;
mod waiting;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::program::{Program, alert, post};
use crate::support::site::Reply;

const SOURCES: &str = "[sources.berlin]\nrepeat_interval = '1h'\n[sources.lisbon]\nrepeat_interval = '1h'\n";

/// A receiver on a folder of its own.
async fn receiver(config: &str) -> (Program, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tidewatch.toml");
    std::fs::write(&file, config).unwrap();
    let program = Program::start(&folder.path().join("data"), &["--config", file.to_str().unwrap()]).await;
    (program, folder)
}

async fn sent(program: &Program, body: &str) -> Reply {
    program.ask("POST", "/webhook/alerts", body).await
}

/// Posts what must be taken; what became of the alerts, without what did not happen.
async fn counts(program: &Program, body: &str) -> Value {
    let reply = sent(program, body).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let mut counts = reply.json()["counts"].take();
    counts.as_object_mut().unwrap().retain(|_, count| *count != 0);
    counts
}

fn fixture(name: &str) -> String {
    let file = format!("{}/tests/fixtures/alertmanager/{name}.json", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(file).unwrap()
}

/// The agents of an incident's alerts that fire.
fn firing(incident: &Value) -> Vec<&str> {
    let members = incident["members"].as_array().unwrap().iter();
    let mut agents: Vec<_> = members
        .filter(|member| member["ends_at"].is_null())
        .map(|member| member["labels"]["agent_id"].as_str().unwrap())
        .collect();
    agents.sort_unstable();
    agents
}

#[tokio::test]
async fn a_group_of_two_alertmanagers_is_kept_alert_by_alert() {
    let first = ["0.25.0-01-firing-n-truncated1", "0.34.0-01-firing-first-notification-truncated1"];
    let some = ["0.25.0-03-firing-n-truncated1", "0.34.0-02-firing-some-alerts-resolved-truncated1"];
    let end = ["0.25.0-04-resolved-n-truncated0", "0.34.0-03-resolved-all-alerts-resolved-truncated0"];
    for version in 0..2 {
        let (program, _folder) = receiver("").await;
        let opened = counts(&program, &fixture(first[version])).await;
        assert_eq!(opened, json!({ "received": 3, "opened": 2, "truncated": 1 }), "{}", first[version]);
        let incidents = program.json("/api/incidents").await;
        assert_eq!(incidents.as_array().unwrap().len(), 1);
        assert_eq!(firing(&program.json("/api/incidents/1").await), ["alpha", "beta"]);

        // The group says "firing", its first alert says "resolved": only the alert's own word counts.
        let some = counts(&program, &fixture(some[version])).await;
        assert_eq!((&some["closed"], &some["truncated"]), (&json!(1), &json!(1)), "{some}");
        assert_eq!(firing(&program.json("/api/incidents/1").await), ["beta"]);

        // One of the resolved was cut off by max_alerts while it fired: it is known by its end only.
        let end = counts(&program, &fixture(end[version])).await;
        assert_eq!(end["closed"], 1, "{end}");
        let incident = program.json("/api/incidents/1").await;
        assert_eq!(firing(&incident), Vec::<&str>::new());
        assert!(!incident["resolved_at"].is_null(), "{incident}");
        program.stop().await;
    }
}

#[tokio::test]
async fn r9_e15_a_retry_is_a_repeat_and_tells_nobody_again() {
    for version in ["0.25.0", "0.34.0"] {
        let (program, _folder) = receiver("").await;
        let first = counts(&program, &fixture(&format!("{version}-retry-1-answered-503"))).await;
        assert_eq!(first, json!({ "received": 1, "opened": 1 }));
        let again = sent(&program, &fixture(&format!("{version}-retry-2-answered-200"))).await.json();
        assert_eq!((&again["accepted"], &again["duplicates"]), (&json!(0), &json!(1)), "{again}");
        assert_eq!(program.json("/api/outbox").await.as_array().unwrap().len(), 1);
        program.stop().await;
    }
}

#[tokio::test]
async fn r12_a_truncated_group_that_says_resolved_closes_only_what_it_names() {
    let (program, _folder) = receiver("").await;
    let labels = |agent| [("alertname", "AgentOffline"), ("agent_id", agent)];
    let (start, end) = ("2026-11-21T02:00:00Z", "2026-11-21T02:05:00Z");
    counts(&program, &post(&[alert(&labels("a-first"), start, None), alert(&labels("z-last"), start, None)])).await;
    let mut group: Value = serde_json::from_str(&post(&[alert(&labels("a-first"), start, Some(end))])).unwrap();
    (group["status"], group["truncatedAlerts"]) = (json!("resolved"), json!(1));
    assert_eq!(counts(&program, &group.to_string()).await, json!({ "received": 2, "closed": 1, "truncated": 1 }));
    let incident = program.json("/api/incidents/1").await;
    assert_eq!(firing(&incident), ["z-last"]);
    assert!(incident["resolved_at"].is_null());
}

#[tokio::test]
async fn bodies_of_other_senders() {
    let (program, _folder) = receiver("").await;
    // The least that may stand in a body, and groups of nothing.
    let minimal =
        r#"{"status":"firing","alerts":[{"status":"firing","labels":{"alertname":"Minimal"},"annotations":{}}]}"#;
    assert_eq!(counts(&program, minimal).await, json!({ "received": 1, "opened": 1 }));
    for nothing in [r#"{"alerts":null}"#, r#"{"alerts":[]}"#] {
        assert_eq!(counts(&program, nothing).await, json!({}), "{nothing}");
    }
    // One that is wrong costs none of the others.
    let mixed =
        r#"{"alerts":[{"status":"strange","labels":{"a":"b"}},{"status":"firing","labels":{"alertname":"Good"}}]}"#;
    assert_eq!(counts(&program, mixed).await, json!({ "received": 2, "opened": 1, "quarantined": 1 }));

    let quarantined = "tidewatch_ingest_alerts_total{result=\"quarantined\"}";
    let refused = "tidewatch_ingest_requests_total{code=\"400\",source=\"default\"}";
    assert_eq!((program.sample(quarantined).await, program.sample(refused).await), (Some(1.0), Some(0.0)));
    // A `payload:` of one's own, something else than JSON, and a body that ends too early although it is whole.
    let custom = r#"{"text":"AgentOffline","priority":5}"#;
    for (number, body) in [custom, "alertname=AgentOffline", r#"{"alerts":[{"status":"firing""#].iter().enumerate() {
        let reply = sent(&program, body).await;
        assert_eq!(reply.status, 400, "{body}");
        assert!(!reply.json()["error"].as_str().unwrap().is_empty());
        let number = number as f64 + 1.0;
        assert_eq!(program.sample(quarantined).await, Some(number + 1.0), "{body}");
        assert_eq!(program.sample(refused).await, Some(number), "{body}");
    }
    assert!(sent(&program, custom).await.text().contains("custom `payload`"));
    let ledger = program.json("/api/ledger").await;
    assert_eq!(ledger["alerts"]["quarantined"], 5, "{ledger}");

    for (method, target, status) in [("GET", "/webhook/alerts", 405), ("POST", "/webhook/alert", 404)] {
        assert_eq!(program.ask(method, target, "").await.status, status, "{method} {target}");
    }
}

/// Nothing that looks like a credential is in the store, on a page or in a message; and a secret that changes makes no
/// other alert.
#[tokio::test]
async fn credentials_are_redacted_before_anything_is_kept() {
    let (program, folder) = receiver("").await;
    let secret = |number: u32| format!("canary{number}X9");
    for number in [1, 1] {
        let mut leaky = alert(
            &[("alertname", "Leaky"), ("target", &format!("postgres://watch:{}@db/app", secret(number)))],
            "2026-11-21T02:00:00Z",
            None,
        );
        leaky["annotations"] = json!({ "summary": format!("curl -H 'Authorization: Bearer {}' failed", secret(2)) });
        leaky["generatorURL"] = json!(format!("http://prom/graph?access_token={}", secret(3)));
        assert_eq!(sent(&program, &post(&[leaky])).await.status, 200);
    }
    let other =
        alert(&[("alertname", "Leaky"), ("target", "postgres://watch:canary4X9@db/app")], "2026-11-21T02:00:00Z", None);
    assert_eq!(counts(&program, &post(&[other])).await["opened"], 1, "identity is computed before");
    let bad = r#"{"alerts":[{"status":"canary5X9 password=canary5X9","labels":{"a":"b"}}]}"#;
    assert_eq!(counts(&program, bad).await["quarantined"], 1);
    assert_eq!(sent(&program, r#"{"password":"canary6X9"}"#).await.status, 400);
    let incident = program.json("/api/incidents/1").await.to_string();
    assert!(incident.contains("postgres://watch:[redacted]@db/app"), "{incident}");
    let page = program.ask("GET", "/i/1", "").await;
    let output = program.running.output();
    for (place, text) in [("api", incident.as_str()), ("page", page.text()), ("console", &output)] {
        for number in 1..=4 {
            assert!(!text.contains(&secret(number)), "{place} has {number}: {text}");
        }
    }
    program.stop().await;
    for entry in std::fs::read_dir(folder.path().join("data")).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        for number in [1, 2, 3, 4, 6] {
            let found = bytes.windows(9).any(|window| window == secret(number).as_bytes());
            assert!(!found, "{} has {number}", path.display());
        }
    }
}

#[tokio::test]
async fn a_watchdog_is_heard_on_both_paths_and_opens_nothing() {
    let (program, _folder) = receiver(SOURCES).await;
    let age = |source: &str| format!("tidewatch_watchdog_age_seconds{{source=\"{source}\"}}");
    assert_eq!(program.sample(&age("default")).await, None, "it was never heard");
    let watchdog = alert(&[("alertname", "Watchdog"), ("severity", "none")], "2026-11-21T02:00:00Z", None);
    let other = alert(&[("alertname", "Other")], "2026-11-21T02:00:00Z", None);

    let body = post(std::slice::from_ref(&watchdog));
    assert_eq!(program.ask("POST", "/webhook/watchdog?source=berlin", &body).await.status, 200);
    assert!(program.sample(&age("berlin")).await.unwrap() < 30.0);
    assert_eq!(program.sample(&age("default")).await, None, "each source has its own");
    assert_eq!(program.json("/api/incidents").await, json!([]));

    assert_eq!(counts(&program, &post(&[watchdog, other])).await["opened"], 1);
    assert!(program.sample(&age("default")).await.unwrap() < 30.0);

    // A route that is too wide costs no alert, and what is no Watchdog is no sign of life.
    let lost = post(&[alert(&[("alertname", "Lost"), ("severity", "critical")], "2026-11-21T02:00:00Z", None)]);
    let reply = program.ask("POST", "/webhook/watchdog?source=lisbon", &lost).await;
    assert_eq!((reply.status, &reply.json()["counts"]["opened"]), (200, &json!(1)));
    assert_eq!(program.sample(&age("lisbon")).await, None);
    let named = post(&[alert(&[("alertname", "Alive"), ("severity", "none")], "2026-11-21T02:00:00Z", None)]);
    assert_eq!(program.ask("POST", "/webhook/watchdog?source=lisbon", &named).await.status, 200);
    assert!(program.sample(&age("lisbon")).await.unwrap() < 30.0);
    let incidents = program.json("/api/incidents").await;
    let causes: Vec<&str> = incidents.as_array().unwrap().iter().map(|it| it["cause"].as_str().unwrap()).collect();
    assert_eq!(causes, ["Lost", "Other"]);
}

#[tokio::test]
async fn the_source_is_half_of_an_alerts_identity() {
    let (program, _folder) = receiver(SOURCES).await;
    let body = post(&[alert(&[("alertname", "Same")], "2026-11-21T02:00:00Z", None)]);
    for (query, opened) in [("", 1), ("?source=berlin", 1), ("?source=berlin", 0), ("?source=nowhere", 0)] {
        let reply = program.ask("POST", &format!("/webhook/alerts{query}"), &body).await;
        assert_eq!((reply.status, &reply.json()["counts"]["opened"]), (200, &json!(opened)), "{query}");
    }
    // A query that makes no sense costs no alert.
    let odd = program.ask("POST", "/webhook/alerts?source=a&source=%FF&x", &body).await;
    assert_eq!(odd.status, 200, "{}", odd.text());
    for (source, posts) in [("default", 1.0), ("berlin", 2.0), ("other", 2.0)] {
        let series = format!("tidewatch_ingest_requests_total{{code=\"200\",source=\"{source}\"}}");
        assert_eq!(program.sample(&series).await, Some(posts), "{source}");
    }
}
