//! `kill -9` of the real program while heartbeats come in.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::parsed;
use crate::support::process::Running;
use crate::support::{eventually, free_port};

const LIMIT: Duration = Duration::from_secs(30);

/// A server on `folder` that answers.
async fn serve(folder: &Path, role: &str, port: u16) -> Running {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidewatch"));
    command.args(["serve", "--role", role, "--listen", &format!("127.0.0.1:{port}"), "--data-dir"]).arg(folder);
    let server = Running::start(folder, "server", &mut command);
    eventually("the server answers", LIMIT, async || {
        ask(port, "GET", "/-/ready", "").is_some_and(|(status, _)| status == 200).then_some(())
    })
    .await;
    server
}

/// One request; `None` once the server is gone.
fn ask(port: u16, method: &str, path: &str, body: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(LIMIT)).ok()?;
    let length = body.len();
    let head =
        format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all((head + body).as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}

/// What the agents' table says was processed, by each agent.
fn processed(port: u16) -> Vec<u64> {
    let (status, body) = ask(port, "GET", "/api/agents", "").unwrap();
    assert_eq!(status, 200, "{body}");
    let table = parsed(&body);
    let agents = table["agents"].as_array().unwrap();
    let row = |n: usize| agents.iter().find(|row| row["agent_id"] == format!("agent-{n}"));
    (0..AGENTS).map(|n| row(n).and_then(|row| row["messages"].as_u64()).unwrap_or(0)).collect()
}

const AGENTS: usize = 3;
const ROUNDS: u64 = 4;

/// Each agent counts on, and starts again from 0 with each round: agent and server restart together.
#[tokio::test]
async fn a_kill_loses_at_most_a_second_and_no_counter_ever_goes_down() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let mut floor = vec![0; AGENTS];
    let mut sent = [0; AGENTS];
    for round in 1..=ROUNDS {
        let role = if round % 2 == 0 { "exporter" } else { "both" };
        let mut server = serve(folder.path(), role, port).await;
        let shown = processed(port);
        for (n, shown) in shown.iter().enumerate() {
            assert!(*shown >= floor[n], "round {round}, agent {n}: {shown} of at least {}", floor[n]);
            assert!(*shown <= sent[n], "round {round}, agent {n}: {shown} of at most {}", sent[n]);
        }
        // Every agent's own count at the time of each answer.
        let mut answered: Vec<(Instant, usize, u64)> = Vec::new();
        let end = Instant::now() + Duration::from_millis(1_400 + fastrand::u64(0..900));
        let mut count = 0;
        while Instant::now() < end {
            count += 1;
            for n in 0..AGENTS {
                let body = format!(r#"{{"messages_processed":{count}}}"#);
                let (status, text) = ask(port, "POST", &format!("/api/v1/agents/agent-{n}/heartbeat"), &body).unwrap();
                assert_eq!(status, 202, "{text}");
                answered.push((Instant::now(), n, count));
            }
        }
        let killed = Instant::now();
        server.kill();
        for n in 0..AGENTS {
            let kept = answered.iter().filter(|(at, agent, _)| *agent == n && killed - *at > Duration::from_secs(1));
            // The agent began again, so its new count comes on top of what was shown.
            floor[n] = shown[n] + kept.map(|(_, _, count)| *count).max().unwrap_or(0);
            sent[n] = shown[n] + count;
        }
    }
    let _server = serve(folder.path(), "both", port).await;
    let shown = processed(port);
    assert!(shown.iter().zip(&floor).all(|(shown, floor)| shown >= floor), "{shown:?} of at least {floor:?}");
}
