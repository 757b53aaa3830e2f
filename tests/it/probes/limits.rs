//! What may be asked, static targets, deadlines and files.

use std::time::{Duration, Instant};

use tidewatch::collect::{Answer, Refused};
use tidewatch::facts::State;

use crate::support::free_port;
use crate::support::http_stub::{HttpStub, Reply};
use crate::support::peers::hangs;
use crate::support::probing::Prober;

#[tokio::test]
async fn only_what_the_configuration_lists_is_probed() {
    let stub = HttpStub::start(|_| Reply::status(200, "")).await;
    let target = stub.url("/health");
    let prober = Prober::new(&format!("[probes]\ntargets = [{{ target = '{target}' }}]\n"));
    let other = stub.url("/other");
    for (query, refused) in [
        (vec![("target", other.as_str())], "Forbidden"),
        (vec![("target", target.as_str()), ("module", "http_post_2xx")], "Forbidden"),
        (vec![("target", target.as_str()), ("hostname", "internal")], "Forbidden"),
        (vec![("target", "169.254.169.254"), ("module", "icmp")], "Forbidden"),
        (vec![("target", target.as_str()), ("module", "nope")], "Senseless"),
        (vec![("module", "http_2xx")], "Senseless"),
    ] {
        let answer = prober.ask(&query).await;
        let kind = match &answer {
            Err(Refused::Forbidden(_)) => "Forbidden",
            Err(Refused::Senseless(_)) => "Senseless",
            _ => "answered",
        };
        assert_eq!(kind, refused, "{query:?}: {answer:?}");
    }
    assert!(stub.asked().is_empty());
    let answer = prober.ask(&[("target", target.as_str())]).await;
    assert!(matches!(answer, Ok(Answer::Samples(_))), "the module is http_2xx where none is said: {answer:?}");
}

#[tokio::test]
async fn static_targets_carry_job_and_instance_and_fail_alone() {
    let stub = HttpStub::start(|_| Reply::status(200, "")).await;
    let (up, down, hanging) = (stub.url("/"), format!("127.0.0.1:{}", free_port()), hangs().await);
    let prober = Prober::new(&format!(
        "[probes]\ntargets = [{{ target = '{up}' }},\n{{ target = '{down}', module = 'tcp_connect', job = 'ports', instance = 'db' }},\n\
         {{ target = 'http://{hanging}/', timeout = '300ms' }}]\n"
    ));
    let (probed, out) = prober.run().await;
    assert_eq!(probed.value(&format!("probe_success{{job=\"blackbox\",instance=\"{up}\"}}")), 1.0);
    assert_eq!(probed.value("probe_success{job=\"ports\",instance=\"db\"}"), 0.0);
    assert_eq!(probed.value(&format!("probe_success{{job=\"blackbox\",instance=\"http://{hanging}/\"}}")), 0.0);
    let phase = format!("probe_http_duration_seconds{{job=\"blackbox\",instance=\"{up}\",phase=\"connect\"}}");
    assert!(probed.value(&phase) > 0.0);
    let services: Vec<_> =
        out.facts.services.iter().map(|it| (it.service.as_str(), it.state, it.why.as_str())).collect();
    let hung = format!("probe:blackbox/http://{hanging}/");
    assert_eq!(
        services,
        [
            ("probes", State::Warning, "2 of 3 targets fail"),
            ("probe:ports/db", State::Critical, "connecting: refused"),
            (hung.as_str(), State::Critical, "no answer in time while waiting for the answer"),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_targets_are_probed_within_the_deadline_though_many_hang() {
    let stub = HttpStub::start(|_| Reply::status(200, "")).await;
    let hanging = hangs().await;
    let targets: Vec<String> = (0..1_000)
        .map(|number| match number % 4 {
            0 => format!("{{ target = 'http://{hanging}/{number}' }}"),
            _ => format!("{{ target = '{}' }}", stub.url(&format!("/{number}"))),
        })
        .collect();
    let section =
        format!("[probes]\nschedule = {{ timeout = '8s' }}\nconcurrency = 200\ntargets = [{}]\n", targets.join(",\n"));
    let prober = Prober::new(&section);
    let begun = Instant::now();
    let (probed, out) = prober.run().await;
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    let of = |value: &str| {
        probed.text.lines().filter(|line| line.starts_with("probe_success{") && line.ends_with(value)).count()
    };
    assert_eq!((of(" 1"), of(" 0")), (750, 250));
    assert_eq!(out.facts.services.len(), 21, "what is told of those that are down is bounded");
}

#[tokio::test]
async fn a_question_is_answered_before_its_limit() {
    let hanging = hangs().await.to_string();
    let prober = Prober::new("[probes]\nallow = ['127.0.0.1:*/*']\n");
    let answer = prober.ask_within(&[("target", &hanging)], Duration::from_secs(1)).await;
    assert!(matches!(answer, Ok(Answer::Samples(_))), "{answer:?}");
}

#[tokio::test]
async fn a_file_of_modules_takes_the_place_of_the_default_ones() {
    let stub = HttpStub::start(|_| Reply::status(204, "")).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("blackbox.yml");
    std::fs::write(
        &file,
        "modules:\n  nothing:\n    prober: http\n    timeout: 5s\n    http:\n      valid_status_codes: [204]\n  sso:\n    prober: http\n    \
         http:\n      oauth2: { client_id: x, client_secret: canary, token_url: 'http://t/' }\n",
    )
    .unwrap();
    let section = format!("[probes]\nallow = ['127.0.0.1:*/*']\nmodules_file = '{}'\n", file.display());
    let prober = Prober::new(&section);
    assert!(prober.probe(&stub.url("/"), "nothing").await.success());
    assert!(matches!(prober.ask(&[("target", &stub.url("/"))]).await, Err(Refused::Senseless(_))), "no http_2xx there");
    let sso = prober.transcript(&stub.url("/"), "sso").await;
    assert!(sso.contains("probe_success 0") && sso.contains("oauth2") && !sso.contains("canary"), "{sso}");
    assert_eq!(stub.asked().len(), 1, "without its token nothing is asked");
    let problems = Prober::problems(&section);
    assert!(problems.to_string().contains("blackbox.yml:10:7: warning"), "{problems}");
}

#[test]
fn a_target_that_costs_money_is_warned_of() {
    let problems = Prober::problems("[probes]\ntargets = [{ target = 'http://litellm:4000/health' }]\n");
    assert!(!problems.fatal());
    assert!(problems.to_string().contains("/health/liveliness"), "{problems}");
}
