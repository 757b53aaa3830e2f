//! The log when nobody reads it.

use std::process::Command;

use crate::support::program::{Program, SOON, ask, tidewatch};

/// Standard error is a pipe that the program itself holds open and nobody reads: it fills and stays full.
const UNREAD: &str = r#"mkfifo "$1" && exec 3<>"$1" && shift && exec "$@" 2>&3"#;

#[tokio::test]
async fn a_log_that_nobody_reads_stops_nothing_but_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let program = tidewatch(&["serve", "--listen", "127.0.0.1:0"]);
    let mut command = Command::new("/bin/sh");
    command.env_clear().args(["-c", UNREAD, "sh"]).arg(folder.path().join("pipe"));
    command.arg(program.get_program()).args(program.get_args());
    let server = Program::spawn(&folder.path().join("data"), &mut command).await;
    let lost = async || server.sample("tidewatch_log_lines_dropped_total").await.unwrap();
    assert!(lost().await < 1.0);
    let filled = tokio::time::timeout(SOON, async {
        for post in 0_u32.. {
            // Each is told in a line of the log.
            let answer = ask(server.port, "POST", "/webhook/alerts", "no JSON").await;
            assert!(answer.is_some(), "the post {post} is answered");
            if post.is_multiple_of(200) && lost().await > 0.0 {
                break;
            }
        }
    });
    filled.await.expect("the program answers until the log is full, and then");
    assert_eq!(server.ask("GET", "/-/healthy", "").await.status, 200);
    server.stop().await;
}

#[tokio::test]
async fn the_last_lines_are_written_before_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Program::start(&folder.path().join("data"), &[]).await;
    server.signal(rustix::process::Signal::TERM);
    let end = crate::support::eventually("the end", SOON, async || server.running.ended()).await;
    let said = server.running.output();
    assert!(end.success() && said.contains("told to end"), "{said}");
}

#[tokio::test]
async fn series_that_are_left_out_are_said_once() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("x.prom"), "# TYPE node_uname_info counter\nnode_uname_info 7\n").unwrap();
    let config = folder.path().join("config.toml");
    let text = format!("[collectors.host.textfile]\ndirectory = [{:?}]\n", folder.path().display().to_string());
    std::fs::write(&config, text).unwrap();
    let server = Program::start(&folder.path().join("data"), &["--config", config.to_str().unwrap()]).await;
    for _ in 0..3 {
        let text = String::from_utf8(server.ask("GET", "/metrics", "").await.body).unwrap();
        assert!(text.contains("# TYPE node_uname_info gauge\n"), "ours stands: {text}");
    }
    // The log's own thread writes in the order of the lines: this one is written after the others.
    server.ask("POST", "/webhook/alerts", "no JSON").await;
    let said = crate::support::eventually("the last line", SOON, async || {
        let said = server.running.output();
        said.contains("in quarantine").then_some(said)
    });
    let said = said.await;
    let lines: Vec<&str> = said.lines().filter(|line| line.contains("left out")).collect();
    assert!(matches!(lines[..], [line] if line.contains("WARN") && line.contains("node_uname_info")), "{said}");
    server.stop().await;
}
