//! The families of blackbox_exporter, by probes of the kinds that its references hold.

use std::path::Path;

use crate::support::certificates::Certificates;
use crate::support::compat::{Exceptions, compare, reference};
use crate::support::free_port;
use crate::support::http_stub::{HttpStub, Reply};
use crate::support::name_server::NameServer;
use crate::support::probing::Prober;

const RELEASES: [&str; 2] = ["0.28.0", "0.23.0"];

async fn samples(folder: &Path) -> Vec<(&'static str, String)> {
    let certificates = Certificates::make(folder);
    let page = HttpStub::start(|_| Reply::status(200, "a page")).await;
    let secure = HttpStub::start_tls(certificates.acceptor(), |_| Reply::status(200, "a page")).await;
    let names = NameServer::start(folder).await;
    let prober = Prober::new(
        "[probes]\nallow = ['127.0.0.1:*', '127.0.0.1', 'https://127.0.0.1:*/*']\n\
         [probes.modules.blind]\nprober = 'http'\nhttp = { tls_config = { insecure_skip_verify = true } }\n\
         [probes.modules.tls]\nprober = 'tcp'\ntcp = { tls = true, tls_config = { insecure_skip_verify = true } }\n\
         [probes.modules.names]\nprober = 'dns'\ndns = { query_name = 'probe.test', query_type = 'A' }\n",
    );
    let mut told = Vec::new();
    for (kind, target, module, success) in [
        ("http", page.address.to_string(), "http_2xx", true),
        ("http-down", format!("127.0.0.1:{}", free_port()), "http_2xx", false),
        ("https", format!("https://{}/", secure.address), "blind", true),
        ("icmp", "127.0.0.1".to_owned(), "icmp", true),
        ("tcp", page.address.to_string(), "tcp_connect", true),
        ("tcp-tls", secure.address.to_string(), "tls", true),
        ("dns", names.address.clone(), "names", true),
    ] {
        let probed = prober.probe(&target, module).await;
        assert_eq!(probed.success(), success, "{kind}: {}", prober.transcript(&target, module).await);
        told.push((kind, probed.text));
    }
    told
}

#[tokio::test]
async fn every_kind_of_probe_has_the_families_of_its_references() {
    let folder = tempfile::tempdir().unwrap();
    let all = samples(folder.path()).await;
    for release in RELEASES {
        for (kind, text) in &all {
            let name = format!("blackbox_exporter-{release}-probe-{kind}");
            assert_eq!(compare(&reference(&name), text, &Exceptions::of(&name)), Vec::<String>::new(), "{name}");
        }
        let name = format!("blackbox_exporter-{release}-self");
        assert_eq!(compare(&reference(&name), "", &Exceptions::of(&name)), Vec::<String>::new(), "{name}");
    }
}
