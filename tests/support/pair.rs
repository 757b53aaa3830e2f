//! tidewatch and a real Alertmanager that posts to it by the shipped configuration.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::docker::said;
use super::monitoring::{alertmanager_on, ask, get};
use super::process::Running;
use super::{eventually, free_port};

const TIDEWATCH: &str = env!("CARGO_BIN_EXE_tidewatch");
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Pair {
    pub(crate) folder: TempDir,
    pub(crate) port: u16,
    pub(crate) alertmanager: u16,
    token: String,
    pub(crate) tidewatch: Running,
    _alertmanager: Running,
}

impl Pair {
    /// `max_alerts` is how many alerts a post holds at most; 0, the shipped value, is all.
    pub(crate) async fn start(max_alerts: u32) -> Self {
        Self::configured(max_alerts, |_, _| String::new()).await
    }

    /// One whose tidewatch asks the Alertmanager each second what fires.
    pub(crate) async fn asking(max_alerts: u32) -> Self {
        Self::configured(max_alerts, |_, alertmanager| {
            format!(
                "[sources.default]\nalertmanager = ['http://127.0.0.1:{alertmanager}']\nreconcile_interval = '1s'\n"
            )
        })
        .await
    }

    /// The configuration is made of the folder and Alertmanager's port.
    pub(crate) async fn configured(max_alerts: u32, config: impl Fn(&Path, u16) -> String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [port, alertmanager] = [free_port(), free_port()];
        let monitoring = folder.path().join("monitoring");
        let mut export = Command::new(TIDEWATCH);
        export.args(["assets", "export"]).arg(&monitoring).args(["--group-wait", "0", "--group-interval", "1s"]);
        said(export.args(["--tidewatch", &format!("127.0.0.1:{port}")]));
        let file = monitoring.join("alertmanager.yml");
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains("max_alerts: 0"));
        std::fs::write(&file, text.replace("max_alerts: 0", &format!("max_alerts: {max_alerts}"))).unwrap();
        std::fs::write(folder.path().join("tidewatch.toml"), config(folder.path(), alertmanager)).unwrap();
        let tidewatch = Self::serve(folder.path(), port).await;
        let running = alertmanager_on(&monitoring, alertmanager).await;
        let token = std::fs::read_to_string(token(folder.path())).unwrap().trim().to_owned();
        Self { folder, port, alertmanager, token, tidewatch, _alertmanager: running }
    }

    async fn serve(folder: &Path, port: u16) -> Running {
        let mut tidewatch = Command::new(TIDEWATCH);
        tidewatch.args(["--listen", &format!("127.0.0.1:{port}"), "--data-dir"]).arg(folder.join("data"));
        tidewatch.arg("--config").arg(folder.join("tidewatch.toml")).env("TIDEWATCH_TOKEN_FILE", token(folder));
        let tidewatch = Running::start(folder, "tidewatch", &mut tidewatch);
        eventually("tidewatch is ready", PATIENCE, async || get(port, "/-/ready")).await;
        tidewatch
    }

    /// Ends tidewatch at once, as a power cut would.
    pub(crate) fn cut(&mut self) {
        self.tidewatch.kill();
    }

    /// Starts it again where it was.
    pub(crate) async fn again(&mut self) {
        self.tidewatch = Self::serve(self.folder.path(), self.port).await;
    }

    pub(crate) fn database(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.folder.path().join("data/tidewatch.db")).unwrap()
    }

    /// Tells Alertmanager of an alert, as Prometheus would.
    pub(crate) fn tell(&self, instance: &str, began: Timestamp, ended: Option<Timestamp>) {
        let mut alert = json!({ "labels": labels(instance), "startsAt": began });
        if let Some(ended) = ended {
            alert["endsAt"] = json!(ended);
        }
        self.alertmanager("POST", "/api/v2/alerts", &json!([alert]));
    }

    /// A request of Alertmanager's own API that must succeed.
    pub(crate) fn alertmanager(&self, method: &str, path: &str, body: &Value) -> String {
        let (status, answer) = ask(self.alertmanager, method, path, None, &body.to_string()).unwrap();
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// Posts to tidewatch past Alertmanager, as another peer would; what became of the alerts.
    pub(crate) fn post(&self, instance: &str, began: Timestamp, ended: Option<Timestamp>) -> Value {
        let status = if ended.is_some() { "resolved" } else { "firing" };
        let alert = json!({ "status": status, "labels": labels(instance), "startsAt": began, "endsAt": ended });
        let body = json!({ "groupKey": "{}:{peer}", "alerts": [alert] }).to_string();
        let (status, answer) = ask(self.port, "POST", "/webhook/alerts", Some(&self.token), &body).unwrap();
        assert_eq!(status, 200, "{answer}");
        serde_json::from_str::<Value>(&answer).unwrap()["counts"].take()
    }

    pub(crate) async fn counted(&self, result: &str, count: f64) {
        let series = format!("tidewatch_ingest_alerts_total{{result=\"{result}\"}}");
        self.reaches(&series, count).await;
    }

    /// How many alerts were set right in one way.
    pub(crate) async fn reconciled(&self, result: &str, count: f64) {
        self.reaches(&reconciled(result), count).await;
    }

    /// At least so many more looks at Alertmanager's list.
    pub(crate) async fn looks(&self, more: f64) {
        let series = "tidewatch_reconcile_total{result=\"ok\",source=\"default\"}";
        let now = self.metric(series).unwrap_or_default();
        self.reaches(series, now + more).await;
    }

    pub(crate) async fn reaches(&self, series: &str, least: f64) {
        eventually(series, PATIENCE, async || self.metric(series).filter(|value| *value >= least)).await;
    }

    pub(crate) fn metric(&self, series: &str) -> Option<f64> {
        get(self.port, "/metrics")?.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
    }

    pub(crate) fn page(&self) -> String {
        ask(self.port, "GET", "/i/1", Some(&self.token), "").unwrap().1
    }

    pub(crate) fn json(&self, path: &str) -> Value {
        serde_json::from_str(&ask(self.port, "GET", path, Some(&self.token), "").unwrap().1).unwrap()
    }

    /// The console says this.
    pub(crate) async fn says(&self, words: &str) {
        eventually(words, PATIENCE, async || self.tidewatch.output().contains(words).then_some(())).await;
    }

    /// The console has the end of the incident, once.
    pub(crate) async fn ended(&self) {
        self.says("RESOLVED").await;
        assert_eq!(self.tidewatch.output().matches("RESOLVED").count(), 1);
        assert!(self.page().contains(">resolved</span>, critical, from "));
    }
}

/// The series of what was set right in one way.
pub(crate) fn reconciled(result: &str) -> String {
    format!("tidewatch_reconciled_alerts_total{{result=\"{result}\",source=\"default\"}}")
}

fn token(folder: &Path) -> PathBuf {
    folder.join("monitoring/tidewatch.token")
}

fn labels(instance: &str) -> Value {
    json!({ "alertname": "Short", "severity": "critical", "cause": "short", "instance": instance })
}
