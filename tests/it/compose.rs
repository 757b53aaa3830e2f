//! The compose file: accepted both ways of calling it, and really started, with an alert that travels through it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::support::docker::{Docker, Root, said};
use crate::support::monitoring::{get, passes};
use crate::support::process::program;
use crate::support::{eventually, free_port};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docker/docker-compose.monitoring.yml");
const DOCKERFILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docker/Dockerfile");
const TIDEWATCH: &str = env!("CARGO_BIN_EXE_tidewatch");
const NOBODY: u32 = 65534;

/// What `docker-compose config` makes of the file over an agent stack's own, in that one's folder; or of it alone.
fn config(stack: Option<&str>, variables: &[(&str, &str)]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new(program("docker-compose"));
    command.current_dir(dir.path()).envs(variables.iter().copied());
    if let Some(stack) = stack {
        std::fs::write(dir.path().join("docker-compose.yml"), stack).unwrap();
        command.args(["-f", "docker-compose.yml"]);
    }
    said(command.args(["-f", FILE, "config"]))
}

const STACK: &str = "\
services:
  litellm:
    image: litellm
    volumes: ['./config.yml:/config.yml']
networks:
  default:
    name: heretek-network
";

#[test]
fn both_ways_of_calling_it_are_accepted() {
    for version in ["", "version: '3.8'\n", "version: '2.4'\n"] {
        let whole = config(Some(&format!("{version}{STACK}")), &[]);
        for service in ["litellm", "tidewatch", "tidewatch-assets", "prometheus", "alertmanager", "grafana"] {
            assert!(whole.contains(&format!("\n  {service}:\n")), "{version}{service}:\n{whole}");
        }
    }
    config(None, &[]);
}

#[test]
fn it_mounts_no_file_of_ours_and_is_published_on_this_machine_only() {
    let text = config(None, &[]);
    // In the normal form a mount is `- SOURCE:TARGET:MODE` and a port `- ADDRESS:PORT:PORT/tcp`.
    let entries = text.lines().filter_map(|line| line.trim().strip_prefix("- ")).filter(|entry| entry.contains(':'));
    let (ports, rest): (Vec<&str>, Vec<&str>) = entries.partition(|entry| entry.ends_with("/tcp"));
    assert_eq!(ports.len(), 4, "{ports:?}");
    assert!(ports.iter().all(|port| port.starts_with("127.0.0.1:")), "{ports:?}");
    let paths: Vec<&&str> = rest.iter().filter(|mount| mount.starts_with(['/', '.', '~'])).collect();
    assert_eq!(paths, [&"/:/host:ro"]);
}

#[test]
fn ports_and_logins_are_the_variables_of_the_requirements() {
    let variables = [
        ("PROMETHEUS_PORT", "19090"),
        ("GRAFANA_PORT", "13001"),
        ("ALERTMANAGER_PORT", "19093"),
        ("TIDEWATCH_PORT", "19480"),
        ("GRAFANA_ADMIN_USER", "root-of-grafana"),
        ("GRAFANA_ADMIN_PASSWORD", "s3cret"),
        ("TIDEWATCH_IMAGE", "registry.example/tidewatch:9"),
        ("SLACK_WEBHOOK_URL", "https://hooks.example/T"),
    ];
    let text = config(None, &variables);
    for (name, value) in variables {
        assert!(text.contains(value), "{name} has no effect");
    }
    let text = config(None, &[]);
    for port in ["127.0.0.1:9090:9090", "127.0.0.1:3001:3000", "127.0.0.1:9093:9093", "127.0.0.1:9480:9480"] {
        assert!(text.contains(port), "{port}");
    }
    let image = concat!("image: tidewatch:", env!("CARGO_PKG_VERSION"), "\n");
    assert!(text.contains(image), "the default image is of this version");
}

/// The image that the compose file pins for a program.
fn pinned(prefix: &str) -> String {
    let text = std::fs::read_to_string(FILE).unwrap();
    let image =
        text.lines().find_map(|line| line.trim().strip_prefix("image: ").filter(|name| name.starts_with(prefix)));
    image.unwrap().to_owned()
}

/// The last stage of the Dockerfile as it stands, on a stand-in base and with the tested binary.
fn build_tidewatch(docker: &Docker, image: &str) {
    let binary = Path::new(TIDEWATCH);
    docker.import("stand-in-base:test", &Root::new().libraries(binary).folder("/tmp", 0), &[]);
    let built = Root::new().copy(binary, "/out/tidewatch").folder("/empty", 0);
    docker.import("stand-in-build:test", &built, &[]);
    let text = std::fs::read_to_string(DOCKERFILE).unwrap();
    let (_, last) = text.rsplit_once("\nFROM ").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = format!("ARG BASE\nFROM stand-in-build:test AS build\nFROM {last}");
    std::fs::write(dir.path().join("Dockerfile"), file).unwrap();
    let context = dir.path().to_str().unwrap();
    docker.run("docker", &["build", "--build-arg", "BASE=stand-in-base:test", "--tag", image, context]);
}

fn debians(docker: &Docker, name: &str, command: &str, image: &str, data: &str) {
    let file = program(name);
    let mut root = Root::new().copy(&file, command).libraries(&file).folder(data, NOBODY).folder("/tmp", NOBODY);
    // Debian keeps these beside Alertmanager's binary; upstream's has them within.
    for template in ["default.tmpl", "email.tmpl"] {
        let path = format!("/usr/share/prometheus/alertmanager/{template}");
        root = root.copy(Path::new(&path), &path);
    }
    let entrypoint = format!("ENTRYPOINT [\"{command}\"]");
    docker.import(image, &root, &[&entrypoint, &format!("USER {NOBODY}"), &format!("WORKDIR {data}")]);
}

/// The stack, taken down before its daemon ends.
struct Stack<'a> {
    docker: &'a Docker,
    folder: tempfile::TempDir,
    variables: BTreeMap<&'static str, String>,
}

impl Stack<'_> {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.docker.command("docker-compose");
        command.current_dir(self.folder.path()).envs(&self.variables).args(["-f", FILE]).args(arguments);
        command
    }

    fn compose(&self, arguments: &[&str]) -> String {
        said(&mut self.command(arguments))
    }

    fn token(&self) -> String {
        let id = self.compose(&["ps", "-q", "tidewatch"]).trim().to_owned();
        let to: PathBuf = self.folder.path().join("token");
        self.docker.run("docker", &["cp", &format!("{id}:/etc/tidewatch/tidewatch.token"), to.to_str().unwrap()]);
        std::fs::read_to_string(to).unwrap()
    }
}

impl Drop for Stack<'_> {
    fn drop(&mut self) {
        // No assertion here: a second panic would end the whole test run.
        if std::thread::panicking() {
            drop(self.command(&["logs", "--no-color", "--tail=40"]).status());
        }
        drop(self.command(&["down", "--volumes", "--timeout", "2"]).output());
    }
}

#[tokio::test]
async fn an_alert_travels_through_the_stack() {
    let docker = Docker::start();
    debians(&docker, "prometheus", "/bin/prometheus", &pinned("prom/prometheus"), "/prometheus");
    debians(&docker, "prometheus-alertmanager", "/bin/alertmanager", &pinned("prom/alertmanager"), "/alertmanager");
    build_tidewatch(&docker, "tidewatch:test");

    let [prometheus, alertmanager, tidewatch] = [free_port(), free_port(), free_port()];
    let variables = BTreeMap::from([
        ("TIDEWATCH_IMAGE", "tidewatch:test".to_owned()),
        ("PROMETHEUS_PORT", prometheus.to_string()),
        ("ALERTMANAGER_PORT", alertmanager.to_string()),
        ("TIDEWATCH_PORT", tidewatch.to_string()),
    ]);
    let stack = Stack { docker: &docker, folder: tempfile::tempdir().unwrap(), variables };
    // Grafana is left out: Debian has none.
    let services = ["up", "-d", "tidewatch", "prometheus", "alertmanager"];
    stack.compose(&services);

    let minute = Duration::from_mins(1);
    eventually("tidewatch is ready", minute, async || get(tidewatch, "/-/ready")).await;
    eventually("Prometheus scrapes all three", minute, async || {
        let answer: Value = serde_json::from_str(&get(prometheus, "/api/v1/query?query=sum(up)")?).unwrap();
        (answer["data"]["result"][0]["value"][1] == "3").then_some(())
    })
    .await;
    let metric = |name: &str| {
        let text = get(tidewatch, "/metrics")?;
        let value = |line: &str| line.strip_prefix(name)?.rsplit(' ').next()?.parse::<f64>().ok();
        text.lines().find_map(value)
    };
    // Prometheus's own rule, through Alertmanager, with the token of the volume.
    eventually("the Watchdog arrives", 2 * minute, async || metric("tidewatch_watchdog_age_seconds{")).await;

    eventually("Alertmanager answers", minute, async || get(alertmanager, "/-/ready")).await;
    let url = format!("--alertmanager.url=http://127.0.0.1:{alertmanager}");
    let labels = ["alertname=ComposeDrill", "severity=critical", "cause=drill"];
    passes("amtool", &[&[url.as_str(), "alert", "add", "--annotation=summary=\"A drill\""], &labels[..]].concat());
    eventually("somebody is told", minute, async || {
        stack.compose(&["logs", "--no-color", "tidewatch"]).contains("ComposeDrill").then_some(())
    })
    .await;
    assert!(metric("tidewatch_ingest_alerts_total{result=\"opened\"}") >= Some(1.0), "it is counted");
    for reason in ["missing", "wrong"] {
        let refused = format!("tidewatch_auth_failures_total{{reason=\"{reason}\"}}");
        assert_eq!(metric(&refused), Some(0.0), "Alertmanager has the right token");
    }

    // Below /host lies the machine, not the container.
    let success = "tidewatch_collector_success{collector=\"host\"}";
    assert_eq!(metric(success), Some(1.0), "the host is read by a user without rights");
    assert!(metric("node_memory_MemTotal_bytes") > Some(0.0) && metric("node_filesystem_size_bytes{") > Some(0.0));
    stack.compose(&["exec", "-T", "tidewatch", "/usr/local/bin/tidewatch", "health", "store"]);
    let id = stack.compose(&["ps", "-q", "tidewatch"]).trim().to_owned();
    eventually("Docker calls it healthy", minute, async || {
        let status = docker.run("docker", &["inspect", "--format={{.State.Health.Status}}", &id]);
        (status.trim() == "healthy").then_some(())
    })
    .await;

    let token = stack.token();
    stack.compose(&services);
    assert_eq!(stack.token(), token, "a second start keeps the token");
}
