//! The shipped Alertmanager configuration, judged by amtool and by a running Alertmanager.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tidewatch::config::Environment;

use crate::support::eventually;
use crate::support::monitoring::{alertmanager, check, export, passes};

const MAIL: [&str; 4] = ["--smtp", "mail.example.com:587", "--mail-to", "ops@example.com"];

fn exported(arguments: &[&str]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    export(dir.path(), arguments, &Environment::default()).unwrap();
    dir
}

fn config(dir: &Path) -> String {
    dir.join("alertmanager.yml").to_str().unwrap().to_owned()
}

fn receiver(dir: &Path, labels: &[&str]) -> String {
    let file = config(dir);
    let mut arguments = vec!["config", "routes", "test", "--config.file", &file];
    arguments.extend(labels);
    let output = check("amtool", &arguments);
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn the_file_in_the_repository_is_valid_as_it_stands() {
    let dir = tempfile::tempdir().unwrap();
    let file = config(dir.path());
    std::fs::write(&file, include_str!("../../alertmanager/alertmanager.yml")).unwrap();
    passes("amtool", &["check-config", &file]);
}

#[test]
fn what_is_exported_is_valid_whatever_is_chosen() {
    let login = ["--smtp", "smtp://me%40example.com:it%27s%20%22%7B%7B%3A%20%23@mail", "--mail-to", "ops@example.com"];
    let token = ["--token-file", "/tmp/it's a token: #1"];
    let addresses = ["--tidewatch", "[::1]:9480", "--group-wait", "0", "--group-interval", "1h30m"];
    for arguments in [&[] as &[&str], &MAIL, &login, &addresses] {
        passes("amtool", &["check-config", &config(exported(arguments).path())]);
    }
    let dir = tempfile::tempdir().unwrap();
    let odd = dir.path().join("it's a token: #1");
    export(dir.path(), &[token[0], odd.to_str().unwrap()], &Environment::default()).unwrap();
    passes("amtool", &["check-config", &config(dir.path())]);
}

#[test]
fn each_alert_goes_to_its_receiver() {
    let dir = exported(&MAIL);
    assert_eq!(receiver(dir.path(), &["alertname=AgentOffline", "severity=critical"]), "tidewatch");
    assert_eq!(receiver(dir.path(), &["alertname=Watchdog", "severity=none"]), "tidewatch-watchdog");
    assert_eq!(receiver(dir.path(), &["alertname=TidewatchDown", "via=fallback"]), "fallback");
}

#[test]
fn without_a_mail_server_tidewatch_gets_what_concerns_itself() {
    let dir = exported(&[]);
    assert_eq!(receiver(dir.path(), &["alertname=TidewatchDLQNotEmpty", "via=fallback"]), "tidewatch");
    assert_eq!(receiver(dir.path(), &["alertname=Watchdog", "severity=none"]), "tidewatch-watchdog");
}

/// Only the warning of the very thing that is critical is held back.
#[tokio::test]
async fn a_critical_alert_inhibits_the_warning_of_the_same_thing_only() {
    let dir = exported(&[]);
    let (_running, port) = alertmanager(dir.path()).await;
    let url = format!("--alertmanager.url=http://127.0.0.1:{port}");
    let alerts: [(&str, &[&str]); 8] = [
        ("AgentOffline", &["severity=critical", "cause=agent", "instance=a", "agent_id=alpha"]),
        ("AgentHeartbeatLate", &["severity=warning", "cause=agent", "instance=a", "agent_id=alpha"]),
        ("OtherAgentLate", &["severity=warning", "cause=agent", "instance=a", "agent_id=beta"]),
        ("CriticalDiskUsage", &["severity=critical", "cause=disk", "instance=a", "mountpoint=/data"]),
        ("HighDiskUsage", &["severity=warning", "cause=disk", "instance=a", "mountpoint=/data"]),
        ("OtherMountHigh", &["severity=warning", "cause=disk", "instance=a", "mountpoint=/"]),
        ("OtherHostHigh", &["severity=warning", "cause=disk", "instance=b", "mountpoint=/data"]),
        ("HighCPUUsage", &["severity=warning", "cause=cpu", "instance=a"]),
    ];
    for (name, labels) in alerts {
        passes("amtool", &[&[url.as_str(), "alert", "add", name], labels].concat());
    }
    let inhibited = eventually("all alerts are judged", Duration::from_secs(20), async || {
        let text =
            passes("amtool", &[&url, "--output=json", "alert", "query", "--inhibited", "--active", "--unprocessed"]);
        let found: Vec<Value> = serde_json::from_str(&text).unwrap();
        let judged = found.iter().filter(|alert| alert["status"]["state"] != "unprocessed").count();
        (judged == alerts.len()).then_some(found)
    });
    let mut names: Vec<String> = inhibited
        .await
        .iter()
        .filter(|alert| !alert["status"]["inhibitedBy"].as_array().unwrap().is_empty())
        .map(|alert| alert["labels"]["alertname"].as_str().unwrap().to_owned())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["AgentHeartbeatLate", "HighDiskUsage"]);
}
