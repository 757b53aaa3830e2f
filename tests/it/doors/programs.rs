//! The credentials that Prometheus and Alertmanager can send, sent by the real ones, as the documents show them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::support::certificates::Certificates;
use crate::support::monitoring::{alertmanager, get, passes, prometheus};
use crate::support::process::program as process;
use crate::support::program::{Program, SOON, run, tidewatch};
use crate::support::{eventually, free_port};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// What stands in `docs/security.md` under a heading, in a block of a language.
fn shown(heading: &str, language: &str) -> String {
    let text = std::fs::read_to_string(Path::new(ROOT).join("docs/security.md")).unwrap();
    let (_, section) = text.split_once(&format!("\n## {heading}\n")).expect("the heading");
    let section = section.split("\n## ").next().unwrap();
    let fence = format!("```{language}\n");
    let blocks = section.split(&fence).skip(1);
    blocks.map(|block| block.split("```").next().unwrap()).collect()
}

/// A site with everything in the places of the documents' examples, which are replaced by these.
struct Site {
    folder: tempfile::TempDir,
    program: Program,
    port: u16,
}

impl Site {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let certificates = Certificates::make(folder.path());
        let port = free_port();
        let (cert, key) = certificates.more("prometheus", "prometheus", "DNS:prometheus.internal");
        std::fs::rename(cert, folder.path().join("prometheus.crt")).unwrap();
        std::fs::rename(key, folder.path().join("prometheus.key")).unwrap();
        for (from, to) in [("cert.pem", "tidewatch.crt"), ("key.pem", "tidewatch.key"), ("ca.pem", "ca.crt")] {
            std::fs::rename(folder.path().join(from), folder.path().join(to)).unwrap();
        }
        let hash = |password: &str| bcrypt::hash(password, 5).unwrap();
        std::fs::write(folder.path().join("alertmanager.password"), "swordfish\n").unwrap();
        std::fs::write(folder.path().join("prometheus.password"), "marlin\n").unwrap();
        let config = placed(folder.path(), port, &shown("Passwords and certificates", "toml"));
        let config = with_hashes(&config, &[("alertmanager", &hash("swordfish")), ("prometheus", &hash("marlin"))]);
        let file = folder.path().join("tidewatch.toml");
        std::fs::write(&file, config).unwrap();
        let data = folder.path().join("data");
        let made = run(tidewatch(&["token", "create", "prometheus", "--scope", "metrics", "--data-dir"]).arg(&data));
        assert_eq!(made.code, Some(0), "{made:?}");
        std::fs::write(folder.path().join("prometheus.token"), made.out).unwrap();
        let program = Program::spawn(&data, &mut tidewatch(&["serve", "--config", file.to_str().unwrap()])).await;
        Self { folder, program, port }
    }

    fn place(&self, name: &str, text: &str) -> PathBuf {
        let file = self.folder.path().join(name);
        std::fs::write(&file, placed(self.folder.path(), self.port, text)).unwrap();
        file
    }

    /// One sample of its metrics, which ask for a password too.
    fn metric(&self, series: &str) -> Option<f64> {
        let authority = self.folder.path().join("ca.crt");
        let mut curl = Command::new(process("curl"));
        curl.env_clear().args(["-sS", "--fail", "-u", "prometheus:marlin", "--cacert"]).arg(authority);
        let done = run(curl.arg(format!("https://localhost:{}/metrics", self.port)));
        assert_eq!(done.code, Some(0), "{done:?}");
        done.out.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?.parse().ok()
    }
}

/// An example with this site's folder and address in the place of the shown ones.
fn placed(folder: &Path, port: u16, text: &str) -> String {
    let text = text.replace("/etc/tidewatch/", &format!("{}/", folder.display()));
    let text = text.replace("/etc/prometheus/", &format!("{}/", folder.display()));
    let text = text.replace("/etc/alertmanager/", &format!("{}/", folder.display()));
    text.replace("tidewatch.internal:9480", &format!("localhost:{port}"))
        .replace("0.0.0.0:9480", &format!("127.0.0.1:{port}"))
}

/// The hashes of these passwords in the place of the shown ones.
fn with_hashes(config: &str, users: &[(&str, &str)]) -> String {
    let mut user = "";
    let lines = config.lines().map(|line| {
        user = line.strip_prefix("[access.users.").and_then(|rest| rest.strip_suffix(']')).unwrap_or(user);
        let known = users.iter().find(|(name, _)| *name == user);
        match known.filter(|_| line.starts_with("password_hash")) {
            Some((_, hash)) => format!("password_hash = '{hash}'"),
            None => line.to_owned(),
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r21_auth_prometheus_scrapes_with_each_credential_that_it_can_send() {
    let site = Site::start().await;
    let yaml = shown("Passwords and certificates", "yaml");
    let text = yaml.split("# alertmanager.yml").next().unwrap().replace("15s", "1s");
    site.place("prometheus.yml", &text);
    let file = site.folder.path().join("prometheus.yml");
    passes("promtool", &["check", "config", file.to_str().unwrap()]);
    let (_running, port) = prometheus(site.folder.path()).await;
    let targets = eventually("every job has been scraped", SOON * 2, async || {
        let answer: Value = serde_json::from_str(&get(port, "/api/v1/targets")?).unwrap();
        let targets = answer["data"]["activeTargets"].as_array().unwrap().clone();
        (!targets.is_empty() && targets.iter().all(|target| target["health"] != "unknown")).then_some(targets)
    })
    .await;
    assert_eq!(targets.len(), 3, "{targets:?}");
    for target in targets {
        assert_eq!(target["health"], "up", "{target}");
    }
    site.program.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r21_auth_alertmanager_posts_over_tls_with_its_password() {
    let site = Site::start().await;
    let yaml = shown("Passwords and certificates", "yaml");
    let text = yaml.split("# alertmanager.yml").nth(1).unwrap().replace("group_wait: 10s", "group_wait: 0s");
    let file = site.place("alertmanager.yml", &text);
    passes("amtool", &["check-config", file.to_str().unwrap()]);
    let (_running, port) = alertmanager(site.folder.path()).await;
    passes(
        "amtool",
        &[&format!("--alertmanager.url=http://127.0.0.1:{port}"), "alert", "add", "Test", "severity=info"],
    );
    eventually("the alert has arrived", Duration::from_mins(1), async || {
        site.metric("tidewatch_ingest_alerts_total{result=\"opened\"}").filter(|opened| *opened >= 1.0)
    })
    .await;
    assert_eq!(site.metric("tidewatch_auth_failures_total{reason=\"wrong\"}"), Some(0.0));
    site.program.stop().await;
}
