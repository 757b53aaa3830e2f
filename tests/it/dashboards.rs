//! The dashboard: known to Grafana's own models, made of questions that Prometheus understands and of families that exist.

use std::path::Path;

use serde_json::Value;
use tidewatch::config::Environment;

use crate::support::monitoring::{encoded, export, get, prometheus};
use crate::support::{promql, python};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/dashboards/agent-collective-dashboard.json");

fn dashboard(file: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

fn panels(dashboard: &Value) -> impl Iterator<Item = &Value> {
    dashboard["panels"].as_array().unwrap().iter()
}

/// Each panel's title with each of its expressions, its variables filled in as Grafana would.
fn questions() -> Vec<(String, String)> {
    let dashboard = dashboard(Path::new(FILE));
    let mut found = Vec::new();
    for panel in panels(&dashboard).filter(|panel| panel["type"] != "row") {
        for target in panel["targets"].as_array().unwrap() {
            let expression = target["expr"].as_str().unwrap().replace("$__rate_interval", "1m");
            let expression = expression.replace("$instance", ".*").replace("$agent", ".*");
            assert!(!expression.contains('$'), "an unknown variable: {expression}");
            found.push((panel["title"].as_str().unwrap().to_owned(), expression));
        }
    }
    found
}

fn loads(file: &Path) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/dashboard.py");
    let output = python::python().arg(script).arg(file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn grafanas_models_know_every_word_of_it() {
    loads(Path::new(FILE));
}

#[test]
fn an_external_url_becomes_a_link_that_loads_too() {
    let dir = tempfile::tempdir().unwrap();
    let url = "https://watch.example.com/tide/?a=\"b\"";
    export(dir.path(), &["--external-url", url], &Environment::default()).unwrap();
    let file = dir.path().join("dashboards/agent-collective-dashboard.json");
    loads(&file);
    assert_eq!(dashboard(&file)["links"][0]["url"], "https://watch.example.com/tide/?a=%22b%22");
    assert_eq!(dashboard(Path::new(FILE))["links"], Value::Array(Vec::new()), "without an address there is no link");
}

#[test]
fn it_is_the_dashboard_that_the_operators_know() {
    let dashboard = dashboard(Path::new(FILE));
    assert_eq!(dashboard["uid"], "heretek-openclaw-agents");
    let folder = include_str!("../../docker/grafana/dashboards.yml");
    assert!(folder.contains("folder: Heretek OpenClaw\n"));
    let titles: Vec<&str> = panels(&dashboard).map(|panel| panel["title"].as_str().unwrap()).collect();
    for title in [
        "Agent Status",
        "Active Agents",
        "Agent Heartbeat Age",
        "Collective Health Score",
        "CPU Usage",
        "Memory Usage",
        "Disk Usage",
        "Token Usage Rate",
        "Request Rate",
        "LLM Latency",
        "LLM Error Rate",
        "Critical Alerts",
        "Warning Alerts",
        "Active Alerts",
    ] {
        assert!(titles.contains(&title), "no panel {title}");
    }
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let names: Vec<&str> = variables.iter().map(|variable| variable["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["datasource", "instance", "agent"]);
}

#[test]
fn panels_do_not_overlap_and_have_their_own_numbers() {
    let dashboard = dashboard(Path::new(FILE));
    let mut taken = std::collections::BTreeSet::new();
    let mut numbers = std::collections::BTreeSet::new();
    for panel in panels(&dashboard) {
        let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        assert!(numbers.insert(panel["id"].as_u64()), "{}: its id is another's", panel["title"]);
        assert!(at("x") + at("w") <= 24, "{}: wider than the page", panel["title"]);
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                assert!(taken.insert((x, y)), "{}: overlaps another at {x},{y}", panel["title"]);
            }
        }
    }
}

#[test]
fn panels_read_families_that_exist() {
    for (title, expression) in questions() {
        let unknown = promql::unknown(&expression);
        assert!(unknown.is_empty(), "{title}: {unknown:?}");
    }
}

#[tokio::test]
async fn prometheus_answers_every_panel() {
    let dir = tempfile::tempdir().unwrap();
    export(dir.path(), &[], &Environment::default()).unwrap();
    let (_running, port) = prometheus(dir.path()).await;
    for (title, expression) in questions() {
        let path = format!("/api/v1/query?query={}", encoded(&expression));
        assert!(get(port, &path).is_some(), "{title}: Prometheus does not understand {expression}");
    }
}
