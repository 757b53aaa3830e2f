//! The server from its first line to its last: what it says, becomes ready, reloads, and ends.

mod log;
mod reload;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use rustix::process::Signal;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::eventually;
use crate::support::http_stub::{HttpStub, Reply as Answer};
use crate::support::program::{Program, SOON, alert, post, tidewatch};
use crate::support::site::Reply;

fn one(name: &str) -> String {
    post(&[alert(&[("alertname", name)], "2026-11-21T02:00:00Z", None)])
}

#[tokio::test]
async fn the_start_says_what_it_serves_watches_and_lacks_and_what_to_try() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut command = tidewatch(&["serve", "--listen", "127.0.0.1:0"]);
    let server = Program::spawn(
        &data,
        command.env("REDIS_URL", "redis://:secret@127.0.0.1:1").env("LITELLM_URL", "http://secret@somewhere"),
    )
    .await;
    let health = format!("tidewatch health --data-dir {}", data.display());
    let said =
        eventually("the last line", SOON, async || Some(server.running.output()).filter(|said| said.contains(&health)))
            .await;
    let at = format!("http://127.0.0.1:{}", server.port);
    for part in [
        &format!(
            "tidewatch {} is ready (exporter and receiver), data in {}",
            env!("CARGO_PKG_VERSION"),
            data.display()
        ),
        &format!("{at}/metrics "),
        &format!("{at}/webhook/alerts "),
        "\nwatched\n  agents ",
        "\n  host        /\n",
        "\nnotified\n  console\n",
        "\n  redis       redis\n",
        "probes ([[collectors.probes.targets]]), postgres (DATABASE_URL or DATA_SOURCE_NAME)\n",
        "\nnot watched: this version has no collector yet for\n  the OpenClaw gateway, LiteLLM (LITELLM_URL is set)\n",
        &format!("curl -X POST {at}/api/v1/agents/steward/heartbeat"),
        "`external_url`: not set, so messages carry no links; set it to ",
    ] {
        assert!(said.contains(part), "{part:?} is missing in:\n{said}");
    }
    assert!(!said.contains("secret"), "{said}");

    // What it says to try works.
    let beat = server.ask("POST", "/api/v1/agents/steward/heartbeat", "").await;
    assert_eq!(beat.status, 202, "{}", beat.text());
    let health = server.command(&["health"]);
    assert!(health.out.contains("agents"), "{health:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_role_serves_its_half_and_says_what_it_does_not_use() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("tidewatch.toml");
    let text = "[collectors.host]\n[collectors.agents]\n[notify.console.here]\n[incidents]\ncooldown = '1m'\n";
    std::fs::write(&config, text).unwrap();
    let words = ["--config", config.to_str().unwrap(), "--role"];

    let exporter = Program::start(&folder.path().join("exporter"), &[words[0], words[1], words[2], "exporter"]).await;
    let said = exporter.running.output();
    assert!(said.contains("not used in this role\n  incidents, notify\n"), "{said}");
    assert!(said.contains("is ready (exporter)") && !said.contains("/webhook/alerts") && !said.contains("notified"));
    assert!(exporter.sample("node_load1").await.is_some());
    assert!(exporter.sample("tidewatch_store_up").await.is_none());
    assert_eq!(exporter.ask("POST", "/api/v1/agents/a/heartbeat", "").await.status, 202);
    // Alertmanager repeats a 5xx: an address that is wrong for a while loses nothing.
    for (method, target) in [("POST", "/webhook/alerts"), ("GET", "/api/incidents"), ("GET", "/api/outbox")] {
        assert_eq!(exporter.ask(method, target, &one("X")).await.status, 501, "{target}");
    }
    assert!(!folder.path().join("exporter/tidewatch.db").exists());
    let health = exporter.json("/health").await;
    assert!(!health["endpoints"].as_array().unwrap().contains(&"/webhook/alerts".into()), "{health}");
    assert!(health["services"]["host"].is_string() && health["services"]["store"].is_null(), "{health}");
    exporter.stop().await;

    let receiver = Program::start(&folder.path().join("receiver"), &[words[0], words[1], words[2], "receiver"]).await;
    let said = receiver.running.output();
    assert!(said.contains("not used in this role\n  collectors.host\n"), "{said}");
    assert!(said.contains("is ready (receiver)") && !said.contains("host        "), "{said}");
    assert_eq!(receiver.ask("POST", "/webhook/alerts", &one("X")).await.status, 200);
    assert_eq!(receiver.sample("node_load1").await, None);
    assert_eq!(receiver.sample("tidewatch_store_up").await, Some(1.0));
    receiver.stop().await;
}

#[tokio::test]
async fn it_is_ready_once_everything_is_and_stays_so() {
    let folder = tempfile::tempdir().unwrap();
    let server = Program::start(&folder.path().join("data"), &[]).await;
    for _ in 0..2 {
        let ready = server.ask("GET", "/-/ready", "").await;
        assert_eq!((ready.status, ready.text()), (200, "tidewatch is ready\n"));
        // What goes wrong later is told by health: a restart would not help.
        assert_eq!(server.ask("POST", "/webhook/alerts", "no JSON").await.status, 400);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_store_that_takes_no_writes_is_said_to_be_down_until_it_does() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Program::start(&data, &[]).await;
    let file = data.join("tidewatch.db");
    let lock = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap();
    lock.busy_timeout(SOON).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let ready = async || server.ask("GET", "/-/ready", "").await;
    eventually("it is not ready", SOON, async || {
        let reply = ready().await;
        (reply.status == 503 && reply.text().contains("the store is not up")).then_some(())
    })
    .await;
    assert_eq!(server.sample("tidewatch_store_up").await, Some(0.0));
    assert_eq!(server.sample("tidewatch_outbox_pending{channel=\"console\"}").await, Some(0.0), "it still reads");
    let health = server.json("/health").await;
    assert_eq!(health["services"]["store"], "critical", "{health}");
    assert_eq!(server.ask("GET", "/-/healthy", "").await.status, 200);
    lock.execute_batch("ROLLBACK").unwrap();
    eventually("it is ready again", SOON, async || (ready().await.status == 200).then_some(())).await;
    assert_eq!(server.sample("tidewatch_store_up").await, Some(1.0));
    server.stop().await;
}

#[tokio::test]
async fn the_request_at_work_is_finished_when_it_is_told_to_end() {
    for signal in [Signal::TERM, Signal::INT] {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let mut server = Program::start(&data, &[]).await;
        let body = one("AtTheEnd");
        let mut stream = TcpStream::connect(("127.0.0.1", server.port)).await.unwrap();
        let head =
            format!("POST /webhook/alerts HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", body.len());
        let (start, rest) = body.split_at(20);
        stream.write_all((head + start).as_bytes()).await.unwrap();
        // An answer on another connection: this one is at work by now.
        assert_eq!(server.ask("GET", "/-/healthy", "").await.status, 200);
        let connections = "tidewatch_http_connections";
        eventually("the request has begun", SOON, async || (server.sample(connections).await? > 1.5).then_some(()))
            .await;

        server.signal(signal);
        let port = server.port;
        eventually("nobody new is let in", SOON, async || TcpStream::connect(("127.0.0.1", port)).await.err()).await;
        stream.write_all(rest.as_bytes()).await.unwrap();
        let reply = tokio::time::timeout(SOON, Reply::read(&mut stream, false)).await.unwrap().expect("an answer");
        assert_eq!(reply.status, 200, "{}", reply.text());
        let began = std::time::Instant::now();
        let ended = eventually("the end", SOON, async || server.running.ended()).await;
        assert!(ended.success(), "{}", server.running.output());
        assert!(began.elapsed() < Duration::from_secs(10));

        let server = Program::start(&data, &[]).await;
        assert_eq!(server.json("/api/incidents").await[0]["cause"], "AtTheEnd");
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_hangs_does_not_hold_up_the_end_and_goes_out_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let (data, config) = (folder.path().join("data"), folder.path().join("tidewatch.toml"));
    let hangs = Arc::new(AtomicBool::new(true));
    let hanging = Arc::clone(&hangs);
    let stub =
        HttpStub::start(move |_| if hanging.load(Ordering::Relaxed) { Answer::Hang } else { Answer::status(200, "") })
            .await;
    std::fs::write(&config, format!("[notify.webhook.ops]\nurl = '{}'\n", stub.url("/"))).unwrap();
    let words = ["--config", config.to_str().unwrap()];
    let server = Program::start(&data, &words).await;
    assert_eq!(server.ask("POST", "/webhook/alerts", &one("Hangs")).await.status, 200);
    eventually("it is on its way", SOON, async || (stub.asked().len() == 1).then_some(())).await;
    server.stop().await;

    hangs.store(false, Ordering::Relaxed);
    let server = Program::start(&data, &words).await;
    eventually("it is sent again", SOON, async || (stub.asked().len() == 2).then_some(())).await;
    let messages: Vec<Value> = stub.asked().iter().map(|it| serde_json::from_slice(&it.body).unwrap()).collect();
    assert_eq!(messages[0]["id"], messages[1]["id"]);
    assert_eq!((&messages[0]["maybe_duplicate"], &messages[1]["maybe_duplicate"]), (&false.into(), &true.into()));
    server.stop().await;
}
