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
    let running = Running::start(
        dir,
        "prometheus",
        Command::new(program("prometheus"))
            .arg(format!("--config.file={}", dir.join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", dir.join("prometheus-data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}")),
    );
    eventually("Prometheus answers", Duration::from_secs(30), async || get(port, "/-/ready")).await;
    (running, port)
}

/// A real Alertmanager on the files below `dir`, once it answers, and its port.
pub(crate) async fn alertmanager(dir: &Path) -> (Running, u16) {
    let port = free_port();
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
    (running, port)
}

/// The body of a GET on loopback, if it was answered 200.
pub(crate) fn get(port: u16, path: &str) -> Option<String> {
    // HTTP/1.0: no chunks, and the connection's end is the body's.
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    (head.split(' ').nth(1) == Some("200")).then(|| body.to_owned())
}

/// `text` as it may stand in a query.
pub(crate) fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
