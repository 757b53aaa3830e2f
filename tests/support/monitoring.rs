//! The files of `assets export`, and the real programs on them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use clap::Parser;
use tidewatch::cli::assets;
use tidewatch::config::Environment;

use super::process::{Running, program};
use super::{eventually, free_port};

#[derive(Parser)]
#[command(name = "tidewatch assets")]
struct Line {
    #[command(flatten)]
    args: assets::Args,
}

/// `tidewatch assets export DIR ARGUMENTS` in this process: what it prints, or what is wrong.
pub(crate) fn export(dir: &Path, arguments: &[&str], environment: &Environment) -> Result<String, String> {
    let dir = dir.to_str().unwrap();
    let words = ["tidewatch assets", "export", dir].into_iter().chain(arguments.iter().copied());
    let line = Line::try_parse_from(words).map_err(|error| error.to_string())?;
    let mut out = Vec::new();
    assets::run(&line.args, environment, &mut out).map_err(|error| format!("{error:#}"))?;
    Ok(String::from_utf8(out).unwrap())
}

/// Runs a checking program to its end.
pub(crate) fn check(name: &str, arguments: &[&str]) -> Output {
    Command::new(program(name)).args(arguments).output().unwrap()
}

/// Runs a checking program that must be content; what it printed.
pub(crate) fn passes(name: &str, arguments: &[&str]) -> String {
    let output = check(name, arguments);
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{name} {arguments:?}: {text}");
    text
}

/// A real Prometheus on the files below `dir`, once it answers, and its port.
pub(crate) async fn prometheus(dir: &Path) -> (Running, u16) {
    let port = free_port();
    (prometheus_on(dir, port, &[]).await, port)
}

/// The same on a port that its configuration names already, with more arguments.
pub(crate) async fn prometheus_on(dir: &Path, port: u16, arguments: &[&str]) -> Running {
    let running = Running::start(
        dir,
        "prometheus",
        Command::new(program("prometheus"))
            .arg(format!("--config.file={}", dir.join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", dir.join("prometheus-data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .args(arguments),
    );
    eventually("Prometheus answers", Duration::from_secs(30), async || get(port, "/-/ready")).await;
    running
}

/// A real Alertmanager on the files below `dir`, once it answers, and its port.
pub(crate) async fn alertmanager(dir: &Path) -> (Running, u16) {
    let port = free_port();
    (alertmanager_on(dir, port).await, port)
}

/// The same on a port that another's configuration names already.
pub(crate) async fn alertmanager_on(dir: &Path, port: u16) -> Running {
    let running = Running::start(
        dir,
        "alertmanager",
        Command::new(program("prometheus-alertmanager"))
            .arg(format!("--config.file={}", dir.join("alertmanager.yml").display()))
            .arg(format!("--storage.path={}", dir.join("alertmanager-data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--cluster.listen-address="),
    );
    eventually("Alertmanager answers", Duration::from_secs(30), async || get(port, "/-/ready")).await;
    running
}

/// The body of a GET on loopback, if it was answered 200.
pub(crate) fn get(port: u16, path: &str) -> Option<String> {
    ask(port, "GET", path, None, "").filter(|(status, _)| *status == 200).map(|(_, body)| body)
}

/// Status and body of a request on loopback with a JSON body, and a bearer token if there is one; `None` where nobody
/// answers.
pub(crate) fn ask(port: u16, method: &str, path: &str, token: Option<&str>, body: &str) -> Option<(u16, String)> {
    let token = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    let length = body.len();
    // HTTP/1.0: no chunks, and the connection's end is the body's.
    let fields = format!("{token}Content-Type: application/json\r\nContent-Length: {length}\r\n");
    let head = format!("{method} {path} HTTP/1.0\r\nHost: localhost\r\n{fields}\r\n");
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(format!("{head}{body}").as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

/// `text` as it may stand in a query.
pub(crate) fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
