//! As an operator does it: the program on redis_exporter's port and paths, with its environment.

use std::time::Duration;

use super::value;
use crate::support::program::{Program, ask, tidewatch};
use crate::support::redis::{Kind, Server};
use crate::support::{eventually, free_port};

#[tokio::test]
async fn an_existing_job_finds_its_port_its_paths_and_its_environment() {
    let (own, other) = (Server::start(Kind::Redis, ""), Server::start(Kind::Valkey, ""));
    let folder = tempfile::tempdir().unwrap();
    let (config, port) = (folder.path().join("tidewatch.toml"), free_port());
    let text = format!(
        "[[listeners]]\naddress = \"127.0.0.1:{port}\"\ncollectors = [\"redis\"]\n\
         [collectors.redis.scrape]\nallow = [\"127.0.0.1:{}\"]\n",
        other.port
    );
    std::fs::write(&config, text).unwrap();
    let mut command = tidewatch(&["serve", "--listen", "127.0.0.1:0"]);
    command
        .arg("--config")
        .arg(&config)
        .env("REDIS_ADDR", own.address())
        .env("REDIS_EXPORTER_INCL_SYSTEM_METRICS", "true");
    let program = Program::spawn(&folder.path().join("data"), &mut command).await;

    let metrics = ask(port, "GET", "/metrics", "").await.unwrap();
    assert_eq!(metrics.status, 200, "{}", program.running.output());
    let text = metrics.text();
    assert_eq!(value(text, "redis_up"), Some(1.0), "{text}");
    assert!(value(text, "redis_total_system_memory_bytes").is_some() && !text.contains("node_cpu_seconds_total"));
    assert_eq!(value(text, "tidewatch_compatible{exporter=\"redis_exporter\",version=\"1.88.0\"}"), Some(1.0));
    let scrape =
        |target: String| async move { ask(port, "GET", &format!("/scrape?target={target}"), "").await.unwrap() };
    let allowed = scrape(other.address().replace(':', "%3A").replace('/', "%2F")).await;
    assert_eq!((allowed.status, value(allowed.text(), "redis_up")), (200, Some(1.0)), "{}", allowed.text());
    assert_eq!(scrape("127.0.0.1:1".into()).await.status, 403);
    assert_eq!(scrape(String::new()).await.status, 400);
    program.stop().await;
}

#[tokio::test]
async fn the_log_says_once_what_changes() {
    let server = Server::launch(Kind::Redis, "requirepass hunter2", &[], &["-a", "hunter2"]);
    server.ready();
    let folder = tempfile::tempdir().unwrap();
    let mut command = tidewatch(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("REDIS_ADDR", server.address()).env("REDIS_PASSWORD", "hunter3");
    let program = Program::spawn(&folder.path().join("data"), &mut command).await;
    for _ in 0..5 {
        eventually("a scrape", Duration::from_secs(10), async || program.sample("redis_up").await).await;
    }
    let log = program.running.output();
    assert_eq!(log.matches("the target cannot be collected from").count(), 1, "{log}");
    assert!(log.contains("WRONGPASS") && !log.contains("hunter3"), "{log}");
    server.cli(&["config", "set", "requirepass", "hunter3"]);
    assert_eq!(program.sample("redis_up").await, Some(1.0));
    program.sample("redis_up").await;
    assert_eq!(program.running.output().matches("the target works again").count(), 1);
    program.stop().await;
}
