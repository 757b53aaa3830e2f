//! The prober `grpc`.

use crate::support::certificates::Certificates;
use crate::support::free_port;
use crate::support::http_stub::{HttpStub, Reply};
use crate::support::peers::{Health, serve_two, two};
use crate::support::probing::{Probed, Prober};

async fn probe(grpc: &str, target: &str) -> Probed {
    let section = format!(
        "[probes]\nallow = ['127.0.0.1:*', 'localhost:*']\n[probes.modules.g]\nprober = 'grpc'\ntimeout = '5s'\n\
         [probes.modules.g.grpc]\npreferred_ip_protocol = 'ip4'\n{grpc}\n"
    );
    Prober::new(&section).probe(target, "g").await
}

fn state(probed: &Probed) -> Option<&'static str> {
    let states = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];
    let is = |state: &&str| {
        probed.get(&format!("probe_grpc_healthcheck_response{{serving_status=\"{state}\"}}")) == Some(1.0)
    };
    states.into_iter().find(is)
}

#[tokio::test]
async fn the_health_service_says_how_it_is() {
    for (health, service, success, code, told) in [
        (Health::State(1), "", true, 0.0, Some("SERVING")),
        (Health::State(1), "service = 'known'", true, 0.0, Some("SERVING")),
        (Health::State(2), "", false, 0.0, Some("NOT_SERVING")),
        (Health::State(1), "service = 'other'", false, 5.0, None),
        (Health::Code(12), "", false, 12.0, None),
    ] {
        let server = serve_two(health, None).await;
        let probed = probe(service, &server.to_string()).await;
        assert_eq!(probed.success(), success, "{}", probed.text);
        assert_eq!((probed.value("probe_grpc_status_code"), state(&probed)), (code, told));
        assert_eq!(probed.value("probe_grpc_ssl"), 0.0);
    }
}

#[tokio::test]
async fn over_tls_it_tells_the_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let certificates = Certificates::make(folder.path());
    let server = serve_two(Health::State(1), Some(two(&certificates))).await;
    let options = format!("tls = true\ntls_config = {{ ca_file = '{}' }}", certificates.authority.display());
    let probed = probe(&options, &format!("localhost:{}", server.port())).await;
    assert_eq!((probed.success(), probed.value("probe_grpc_ssl")), (true, 1.0), "{}", probed.text);
    assert!(probed.value("probe_ssl_earliest_cert_expiry") > 0.0);
}

#[tokio::test]
async fn what_is_down_or_speaks_no_grpc_has_a_code() {
    let closed = probe("", &format!("127.0.0.1:{}", free_port())).await;
    assert_eq!((closed.success(), closed.value("probe_grpc_status_code")), (false, 14.0));
    let page = HttpStub::start(|_| Reply::status(200, "<html>")).await;
    let probed = probe("", &page.address.to_string()).await;
    assert!(!probed.success());
    assert_ne!(probed.value("probe_grpc_status_code"), 0.0);
}
