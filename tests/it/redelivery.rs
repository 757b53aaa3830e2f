//! What a real Alertmanager does with tidewatch's answers, and what its posts leave out: no alert is lost to a store that
//! could not write, and no incident ends because a post was cut short.

use std::process::Command;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use tempfile::TempDir;

use crate::support::docker::said;
use crate::support::monitoring::{alertmanager_on, ask, get};
use crate::support::process::Running;
use crate::support::{eventually, free_port};

const TIDEWATCH: &str = env!("CARGO_BIN_EXE_tidewatch");
const PATIENCE: Duration = Duration::from_secs(30);

/// tidewatch and an Alertmanager that posts to it by the shipped configuration.
struct Pair {
    folder: TempDir,
    port: u16,
    alertmanager: u16,
    token: String,
    tidewatch: Running,
    _alertmanager: Running,
}

impl Pair {
    /// `max_alerts` is how many alerts a post holds at most; 0, the shipped value, is all.
    async fn start(max_alerts: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [port, alertmanager] = [free_port(), free_port()];
        let monitoring = folder.path().join("monitoring");
        let mut export = Command::new(TIDEWATCH);
        export.args(["assets", "export"]).arg(&monitoring).args(["--group-wait", "0", "--group-interval", "1s"]);
        said(export.args(["--tidewatch", &format!("127.0.0.1:{port}")]));
        let config = monitoring.join("alertmanager.yml");
        let text = std::fs::read_to_string(&config).unwrap();
        assert!(text.contains("max_alerts: 0"));
        std::fs::write(&config, text.replace("max_alerts: 0", &format!("max_alerts: {max_alerts}"))).unwrap();
        let token = monitoring.join("tidewatch.token");
        let mut tidewatch = Command::new(TIDEWATCH);
        tidewatch.args(["--listen", &format!("127.0.0.1:{port}"), "--data-dir"]).arg(folder.path().join("data"));
        tidewatch.env("TIDEWATCH_TOKEN_FILE", &token);
        let tidewatch = Running::start(folder.path(), "tidewatch", &mut tidewatch);
        eventually("tidewatch is ready", PATIENCE, async || get(port, "/-/ready")).await;
        let running = alertmanager_on(&monitoring, alertmanager).await;
        let token = std::fs::read_to_string(token).unwrap().trim().to_owned();
        Self { folder, port, alertmanager, token, tidewatch, _alertmanager: running }
    }

    /// Tells Alertmanager of an alert, as Prometheus would.
    fn tell(&self, instance: &str, began: Timestamp, ended: Option<Timestamp>) {
        let labels = json!({ "alertname": "Short", "severity": "critical", "cause": "short", "instance": instance });
        let mut alert = json!({ "labels": labels, "startsAt": began });
        if let Some(ended) = ended {
            alert["endsAt"] = json!(ended);
        }
        let (status, answer) =
            ask(self.alertmanager, "POST", "/api/v2/alerts", None, &json!([alert]).to_string()).unwrap();
        assert_eq!(status, 200, "{answer}");
    }

    async fn counted(&self, result: &str, count: f64) {
        let series = format!("tidewatch_ingest_alerts_total{{result=\"{result}\"}}");
        self.reaches(&series, count).await;
    }

    async fn reaches(&self, series: &str, least: f64) {
        eventually(series, PATIENCE, async || self.metric(series).filter(|value| *value >= least)).await;
    }

    fn metric(&self, series: &str) -> Option<f64> {
        get(self.port, "/metrics")?.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
    }

    fn page(&self) -> String {
        ask(self.port, "GET", "/i/1", Some(&self.token), "").unwrap().1
    }

    /// The console has the end of the incident, once.
    async fn ended(&self) {
        eventually("the end is told", PATIENCE, async || self.tidewatch.output().contains("RESOLVED").then_some(()))
            .await;
        assert_eq!(self.tidewatch.output().matches("RESOLVED").count(), 1);
        assert!(self.page().contains(">resolved</span>, critical, from "));
    }
}

/// Alertmanager repeats within seconds what was answered 503; what is answered 4xx it forgets once the alert is over.
#[tokio::test]
async fn what_could_not_be_stored_is_sent_again() {
    let pair = Pair::start(0).await;
    let database = rusqlite::Connection::open(pair.folder.path().join("data/tidewatch.db")).unwrap();
    database.execute_batch("BEGIN IMMEDIATE").unwrap();
    let began = Timestamp::now();
    pair.tell("alpha", began, None);
    pair.reaches("tidewatch_ingest_requests_total{code=\"503\",source=\"default\"}", 1.0).await;
    assert_eq!(pair.metric("tidewatch_ingest_alerts_total{result=\"opened\"}"), Some(0.0));
    database.execute_batch("ROLLBACK").unwrap();

    pair.counted("opened", 1.0).await;
    pair.tell("alpha", began, Some(Timestamp::now()));
    pair.counted("closed", 1.0).await;
    pair.ended().await;
    assert_eq!(pair.metric("tidewatch_ingest_alerts_total{result=\"opened\"}"), Some(1.0), "once");
    assert_eq!(pair.metric("tidewatch_ingest_requests_total{code=\"400\",source=\"default\"}"), Some(0.0));
}

/// With one alert a post, the firing one is cut off behind the one that ends, and the group calls itself resolved.
#[tokio::test]
async fn a_post_that_is_cut_short_ends_only_what_it_names() {
    let pair = Pair::start(1).await;
    let began = Timestamp::now();
    pair.tell("z-last", began, None);
    pair.counted("opened", 1.0).await;
    pair.tell("a-first", began, None);
    pair.counted("opened", 2.0).await;
    pair.tell("a-first", began, Some(Timestamp::now()));
    pair.counted("closed", 1.0).await;
    assert!(pair.metric("tidewatch_ingest_alerts_total{result=\"truncated\"}") >= Some(2.0));
    assert!(pair.tidewatch.output().contains("a post came without some of its alerts"));
    let page = pair.page();
    assert!(page.contains(">firing</span>, critical, since ") && page.contains("1 of 2 alerts fire"), "{page}");
    assert_eq!(pair.metric("tidewatch_incidents{severity=\"critical\"}"), Some(1.0));

    pair.tell("z-last", began, Some(Timestamp::now()));
    pair.counted("closed", 2.0).await;
    pair.ended().await;
}
