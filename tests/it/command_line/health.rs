//! `tidewatch health`: states, and exit codes of its own.

use std::time::Duration;

use serde_json::Value;

use crate::support::eventually;
use crate::support::http_stub::{HttpStub, Reply};
use crate::support::process::Running;
use crate::support::program::{Program, SOON, alert, post, run, tidewatch};

/// A server that watches no host, so that the machine under the tests has no say.
async fn server(folder: &std::path::Path, more: &str) -> Program {
    let config = folder.join("tidewatch.toml");
    std::fs::write(&config, format!("[collectors.host]\nschedule = {{ enabled = false }}\n{more}")).unwrap();
    Program::start(&folder.join("data"), &["--config", config.to_str().unwrap()]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_says_how_each_service_is_and_ends_with_the_worst() {
    let folder = tempfile::tempdir().unwrap();
    // What nobody mends: the channel refuses for ever.
    let broken = HttpStub::start(|_| Reply::status(404, "gone")).await;
    let channel = format!("[notify.webhook.ops]\nurl = '{}'\n", broken.url("/hook"));
    let server = server(folder.path(), &channel).await;
    // A scrape, because the collectors' states are those of the last one.
    server.ask("GET", "/metrics", "").await;
    let done = server.command(&["health"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let lines: Vec<&str> = done.out.lines().collect();
    for (service, state) in [("agents", "ok"), ("store", "ok"), ("channels", "ok")] {
        assert!(lines.iter().any(|line| line.starts_with(state) && line.contains(service)), "{service}: {}", done.out);
    }
    let only = server.command(&["health", "store", "--json"]);
    assert_eq!(only.code, Some(0), "{only:?}");
    let services: Value = serde_json::from_str(&only.out).unwrap();
    assert_eq!((services.as_array().unwrap().len(), &services[0]["service"]), (1, &"store".into()));
    let unknown = server.command(&["health", "weather"]);
    assert_eq!(unknown.code, Some(2), "1 would be a warning: {unknown:?}");
    assert!(unknown.err.contains("there is no service `weather`; there are: "), "{}", unknown.err);

    let body = post(&[alert(&[("alertname", "A")], "2026-11-21T02:00:00Z", None)]);
    assert_eq!(server.ask("POST", "/webhook/alerts", &body).await.status, 200);
    let warning = eventually("a dead letter", SOON, async || {
        Some(server.command(&["health", "channels"])).filter(|done| done.code != Some(0))
    })
    .await;
    assert_eq!(warning.code, Some(1), "{warning:?}");
    assert!(warning.out.contains("ops 1") && warning.out.contains("tidewatch outbox list --dead"), "{}", warning.out);
    assert_eq!(server.command(&["health"]).code, Some(1), "the worst of all");

    let mut watch = tidewatch(&["health", "--watch", "--data-dir"]);
    let mut watching = Running::start(folder.path(), "watch", watch.arg(folder.path().join("data")));
    eventually("two looks", SOON, async || {
        assert!(watching.ended().is_none(), "{}", watching.output());
        (watching.output().matches("store").count() >= 2).then_some(())
    })
    .await;
    server.stop().await;
    // It goes on, and says that nobody is there.
    let limit = SOON + Duration::from_secs(5);
    eventually("the end is seen", limit, async || watching.output().contains("no server answers").then_some(())).await;
    assert!(watching.ended().is_none());
    let gone = run(tidewatch(&["health", "--json", "--data-dir"]).arg(folder.path().join("data")));
    assert_eq!(gone.code, Some(2), "{gone:?}");
    let services: Value = serde_json::from_str(&gone.out).unwrap();
    assert_eq!((&services[0]["service"], &services[0]["state"]), (&"tidewatch".into(), &"critical".into()));
}

#[tokio::test]
async fn an_agent_that_is_offline_is_critical() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path(), "[collectors.agents]\nexpected = [{ id = 'steward' }]\n").await;
    server.ask("GET", "/metrics", "").await;
    let done = server.command(&["health", "agents"]);
    assert_eq!(done.code, Some(2), "{done:?}");
    assert!(done.out.contains("steward"), "{}", done.out);
    server.stop().await;
}
