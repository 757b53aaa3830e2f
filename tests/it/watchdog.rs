//! The Watchdog that stops arriving, and the sign of life to a dead man's switch outside.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use serde_json::Value;

use crate::support::eventually;
use crate::support::http_stub::{HttpStub, Reply};
use crate::support::program::{Program, SOON, alert, post};

/// The messages of the file channel.
fn told(folder: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join("told")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn start(folder: &Path, more: &str) -> Program {
    let config = folder.join("tidewatch.toml");
    let told = folder.join("told");
    // A route that would hold every alert back: it does not hold this one.
    let text = format!(
        "[notify.file.ops]\npath = '{}'\n[[routes]]\nmatchers = ['alertname=\"Nothing\"']\nchannels = ['console']\n\
         [[routes]]\nchannels = ['console']\n{more}",
        told.display()
    );
    std::fs::write(&config, text).unwrap();
    Program::start(&folder.join("data"), &["--config", config.to_str().unwrap()]).await
}

async fn beat(program: &Program, path: &str) {
    let body = post(&[alert(&[("alertname", "Watchdog"), ("severity", "none")], "2026-11-21T02:00:00Z", None)]);
    assert_eq!(program.ask("POST", path, &body).await.status, 200);
}

async fn states(folder: &Path, states: &[&str]) -> Vec<Value> {
    eventually(&format!("{states:?}"), SOON, async || {
        let told = told(folder);
        let is: Vec<&str> = told.iter().map(|message| message["incident"]["status"].as_str().unwrap()).collect();
        (is == states).then_some(told)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watchdog_that_stops_is_told_on_every_channel_and_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let program = start(folder.path(), "[watchdog]\nlate = '2s'\n").await;
    let health = async |program: &Program| {
        let services = program.json("/api/health").await["services"].take();
        let found = services.as_array().unwrap().iter().find(|service| service["service"] == "watchdog").cloned();
        found.unwrap()
    };
    assert!(health(&program).await["why"].as_str().unwrap().starts_with("unarmed"));
    assert_eq!(program.sample("tidewatch_watchdog_silent{source=\"default\"}").await, None);

    beat(&program, "/webhook/alerts").await;
    let messages = states(folder.path(), &["firing"]).await;
    let incident = &messages[0]["incident"];
    assert_eq!((&incident["severity"], &incident["source"]), (&"critical".into(), &"tidewatch".into()));
    assert!(messages[0]["text"].as_str().unwrap().starts_with("CRITICAL WatchdogSilent default"), "{messages:?}");
    assert_eq!(health(&program).await["state"], "critical");
    assert_eq!(program.sample("tidewatch_watchdog_silent{source=\"default\"}").await, Some(1.0));
    program.stop().await;

    let program = start(folder.path(), "[watchdog]\nlate = '2s'\n").await;
    beat(&program, "/webhook/watchdog").await;
    let messages = states(folder.path(), &["firing", "resolved"]).await;
    assert_eq!(messages[1]["incident"]["id"], incident["id"], "the same story");
    states(folder.path(), &["firing", "resolved", "firing"]).await;
    let ledger = program.json("/api/ledger").await;
    assert_eq!(ledger["balanced"], true, "{ledger}");
    program.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_expected_and_never_arrives_is_told_too() {
    let folder = tempfile::tempdir().unwrap();
    let program = start(folder.path(), "[watchdog]\nlate = '1s'\nsources = ['berlin']\n[sources.berlin]\n").await;
    let messages = states(folder.path(), &["firing"]).await;
    assert!(messages[0]["text"].as_str().unwrap().contains("WatchdogSilent berlin"));
    program.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_switch_outside_hears_of_tidewatch_while_it_can_be_relied_on() {
    let folder = tempfile::tempdir().unwrap();
    let status = Arc::new(AtomicU16::new(200));
    let answer = Arc::clone(&status);
    let switch = HttpStub::start(move |_| Reply::status(answer.load(Ordering::Relaxed), "")).await;
    let secret = folder.path().join("ping-url");
    std::fs::write(&secret, format!("{}\n", switch.url("/canary-key/ping"))).unwrap();
    let more = format!(
        "[watchdog]\nlate = '4s'\n[watchdog.ping]\nurl_file = '{}'\nevery = '1s'\ntimeout = '5s'\n",
        secret.display()
    );
    let program = start(folder.path(), &more).await;
    eventually("two signs", SOON, async || (switch.asked().len() >= 2).then_some(())).await;
    let first = switch.asked().remove(0);
    assert_eq!((first.method.as_str(), first.path.as_str()), ("GET", "/canary-key/ping"));
    let counted = async |result: &str, least: f64| {
        let series = format!("tidewatch_pings_total{{result=\"{result}\"}}");
        eventually(&series, SOON, async || program.sample(&series).await.filter(|count| *count >= least)).await;
    };
    counted("ok", 2.0).await;
    assert!(program.sample("tidewatch_ping_last_success_timestamp_seconds").await > Some(0.0));
    status.store(404, Ordering::Relaxed);
    counted("failed", 1.0).await;
    status.store(200, Ordering::Relaxed);

    beat(&program, "/webhook/watchdog").await;
    counted("withheld", 1.0).await;
    let before = switch.asked().len();
    counted("withheld", 3.0).await;
    assert_eq!(switch.asked().len(), before, "while the Watchdog is silent, the switch is to call somebody");
    let said = program.running.output();
    assert!(said.contains("gets no sign of life") && !said.contains("canary-key"), "{said}");
    program.stop().await;
}
