//! The whole program: its endpoint on a listener of its own, asked by a real Prometheus as jobs of blackbox_exporter ask,
//! and its log.

use std::time::Duration;

use serde_json::Value;

use crate::support::http_stub::{HttpStub, Reply};
use crate::support::monitoring::{encoded, get, prometheus};
use crate::support::program::{Program, ask};
use crate::support::{eventually, free_port};

#[tokio::test(flavor = "multi_thread")]
async fn a_job_of_blackbox_exporter_works_as_it_stands() {
    let stub = HttpStub::start(|asked| match asked.path.as_str() {
        "/down" => Reply::status(500, ""),
        _ => Reply::status(200, ""),
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let config = folder.path().join("tidewatch.toml");
    let place = stub.address;
    std::fs::write(
        &config,
        format!(
            "[[listeners]]\naddress = '127.0.0.1:{port}'\ncollectors = ['probes']\n[collectors.probes]\nallow = ['http://{place}/*']\n\
             targets = [{{ target = 'http://{place}/down', job = 'gateway' }}]\n"
        ),
    )
    .unwrap();
    let program = Program::start(&folder.path().join("data"), &["--config", config.to_str().unwrap()]).await;
    std::fs::write(
        folder.path().join("prometheus.yml"),
        format!(
            "global: {{ scrape_interval: 1s }}\nscrape_configs:\n- job_name: blackbox\n  metrics_path: /probe\n  params:\n    \
             module: [http_2xx]\n  static_configs:\n  - targets: ['http://{place}/up', 'http://{place}/down']\n  \
             relabel_configs:\n  - source_labels: [__address__]\n    target_label: __param_target\n  \
             - source_labels: [__param_target]\n    target_label: instance\n  - target_label: __address__\n    \
             replacement: 127.0.0.1:{port}\n- job_name: tidewatch\n  honor_labels: true\n  static_configs:\n  \
             - targets: ['127.0.0.1:{port}']\n"
        ),
    )
    .unwrap();
    let (_prometheus, at) = prometheus(folder.path()).await;
    let query = |labels: String| {
        let path = format!("/api/v1/query?query={}", encoded(&format!("probe_success{{{labels}}}")));
        let answer: Value = serde_json::from_str(&get(at, &path)?).ok()?;
        Some(answer["data"]["result"][0]["value"][1].as_str()?.to_owned())
    };
    for (job, path, value) in [("blackbox", "up", "1"), ("blackbox", "down", "0"), ("gateway", "down", "0")] {
        let labels = format!("job=\"{job}\",instance=\"http://{place}/{path}\"");
        let seen =
            eventually("Prometheus has the probe", Duration::from_secs(30), async || query(labels.clone())).await;
        assert_eq!(seen, value, "{job} {path}");
    }
    // Many scrapes later the log has said it once.
    let said = program.running.output();
    assert_eq!(said.matches("the target cannot be collected from").count(), 1, "{said}");

    let forbidden = ask(port, "GET", "/probe?target=http://127.0.0.1:1/", "").await.unwrap();
    assert_eq!(forbidden.status, 403, "{}", forbidden.text());
    let unknown = ask(port, "GET", "/probe?target=x&module=nope", "").await.unwrap();
    assert_eq!(unknown.status, 400, "{}", unknown.text());
    let path = format!("/probe?target={}&debug=true", encoded(&format!("http://{place}/up")));
    let transcript = ask(port, "GET", &path, "").await.unwrap();
    assert!(transcript.text().contains("answered 200"), "{}", transcript.text());
    program.stop().await;
}
