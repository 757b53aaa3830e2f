//! The real program as a child process, its commands, and questions to it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::eventually;
use super::process::Running;
use super::site::Reply;

/// Long enough for a machine that has much else to do.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// `tidewatch` with these words, and nothing of our environment.
pub(crate) fn tidewatch(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidewatch"));
    command.env_clear().args(words);
    command
}

/// What a command did.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Done {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Done { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// A server that serves.
pub(crate) struct Program {
    pub(crate) running: Running,
    pub(crate) port: u16,
    data: PathBuf,
}

impl Program {
    /// Starts it on a data folder and a free port; its output goes beside the folder. Ready when this returns.
    pub(crate) async fn start(data: &Path, words: &[&str]) -> Self {
        Self::spawn(data, tidewatch(&["serve", "--listen", "127.0.0.1:0"]).args(words)).await
    }

    /// The same with a command of one's own.
    pub(crate) async fn spawn(data: &Path, command: &mut Command) -> Self {
        let beside = data.parent().unwrap();
        let mut running = Running::start(beside, "server", command.arg("--data-dir").arg(data));
        let port = eventually("the start's lines", SOON, async || {
            let said = running.output();
            assert!(running.ended().is_none(), "it ended: {said}");
            let (served, _) = said.split_once("try next")?;
            let (_, rest) = served.split_once("://127.0.0.1:")?;
            rest.split('/').next()?.parse().ok()
        })
        .await;
        Self { running, port, data: data.to_owned() }
    }

    /// One request on a connection of its own; it must be answered.
    pub(crate) async fn ask(&self, method: &str, target: &str, body: &str) -> Reply {
        ask(self.port, method, target, body).await.unwrap_or_else(|| panic!("{target}: {}", self.running.output()))
    }

    /// The JSON that a GET is answered.
    pub(crate) async fn json(&self, target: &str) -> Value {
        let reply = self.ask("GET", target, "").await;
        assert_eq!(reply.status, 200, "{target}: {}", reply.text());
        reply.json()
    }

    /// One sample of `/metrics`; `None` where it is not there.
    pub(crate) async fn sample(&self, series: &str) -> Option<f64> {
        let reply = self.ask("GET", "/metrics", "").await;
        let line = reply.text().lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map(|value| value.parse().unwrap())
    }

    /// A command on this server's data folder.
    pub(crate) fn command(&self, words: &[&str]) -> Done {
        run(tidewatch(words).arg("--data-dir").arg(&self.data))
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.running.pid().try_into().unwrap()).unwrap(), signal).unwrap();
    }

    /// Tells it to end, and waits; it must end well.
    pub(crate) async fn stop(mut self) {
        self.signal(Signal::TERM);
        let ended = eventually("the end", SOON, async || self.running.ended()).await;
        assert!(ended.success(), "{}", self.running.output());
    }
}

/// One request on a connection of its own; `None` where the server is gone before its whole answer.
pub(crate) async fn ask(port: u16, method: &str, target: &str, body: &str) -> Option<Reply> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    let length = body.len();
    let head = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}");
    stream.write_all(head.as_bytes()).await.ok()?;
    Reply::read(&mut stream, method == "HEAD").await
}

/// An alert as Alertmanager posts it: firing, unless it is given an end.
pub(crate) fn alert(labels: &[(&str, &str)], starts: &str, ends: Option<&str>) -> Value {
    let labels: serde_json::Map<_, _> = labels.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    json!({
        "status": if ends.is_some() { "resolved" } else { "firing" },
        "labels": labels,
        "annotations": { "summary": "a summary" },
        "startsAt": starts,
        "endsAt": ends.unwrap_or("0001-01-01T00:00:00Z"),
        "generatorURL": "",
    })
}

/// A post of alerts.
pub(crate) fn post(alerts: &[Value]) -> String {
    json!({ "version": "4", "receiver": "tidewatch", "groupKey": "{}:{}", "truncatedAlerts": 0, "alerts": alerts })
        .to_string()
}
