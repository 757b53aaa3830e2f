//! `tidewatch backup` and `tidewatch restore`.

use std::path::Path;

use serde_json::Value;

use crate::support::program::{Program, alert, post, run, tidewatch};

async fn told(server: &Program, name: &str) {
    let body = post(&[alert(&[("alertname", name)], "2026-11-21T02:00:00Z", None)]);
    assert_eq!(server.ask("POST", "/webhook/alerts", &body).await.status, 200);
}

/// The causes of the incidents in a folder, the first one first.
async fn causes(data: &Path) -> Vec<String> {
    let server = Program::start(data, &[]).await;
    let incidents = server.json("/api/incidents").await;
    server.stop().await;
    let cause = |incident: &Value| incident["cause"].as_str().unwrap().to_owned();
    incidents.as_array().unwrap().iter().rev().map(cause).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_is_whole_and_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let (online, offline) = (folder.path().join("online.db"), folder.path().join("offline.db"));
    let (online, offline) = (online.to_str().unwrap(), offline.to_str().unwrap());
    let command = |words: &[&str]| run(tidewatch(words).arg("--data-dir").arg(&data));

    let server = Program::start(&data, &[]).await;
    told(&server, "First").await;
    let done = command(&["backup", online]);
    assert_eq!((done.code, done.out), (Some(0), format!("{online}: written by the running server\n")), "{}", done.err);
    let again = command(&["backup", online]);
    assert_eq!(again.code, Some(1), "an existing file is not overwritten: {again:?}");
    assert!(again.err.contains(online), "{}", again.err);
    told(&server, "Second").await;

    let refused = command(&["restore", online]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.err.contains("another tidewatch works in this folder"), "{}", refused.err);
    server.stop().await;

    let done = command(&["backup", offline]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.out.contains(offline) && done.out.contains("where no server runs"), "{}", done.out);
    let done = command(&["restore", online]);
    assert_eq!((done.code, done.err.as_str()), (Some(0), ""), "{done:?}");
    assert_eq!(causes(&data).await, ["First"]);
    assert_eq!(command(&["restore", offline]).code, Some(0));
    assert_eq!(causes(&data).await, ["First", "Second"]);

    // What is no backup changes nothing.
    let notes = folder.path().join("notes");
    std::fs::write(&notes, "my notes").unwrap();
    let wrong = command(&["restore", notes.to_str().unwrap()]);
    assert!(wrong.code == Some(1) && wrong.err.contains("is not a database of tidewatch"), "{wrong:?}");
    assert_eq!(causes(&data).await, ["First", "Second"]);
    let nothing = run(tidewatch(&["backup", "/tmp/never.db", "--data-dir"]).arg(folder.path().join("empty")));
    assert!(nothing.code == Some(1) && nothing.err.contains("nothing is kept there yet"), "{nothing:?}");
}
