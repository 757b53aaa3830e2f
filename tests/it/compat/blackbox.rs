//! The real blackbox_exporter beside ours: the same file, the same targets, at the same time.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::support::certificates::Certificates;
use crate::support::compat::{Exceptions, compare, parse};
use crate::support::http_stub::{HttpStub, Reply};
use crate::support::monitoring::{encoded, get};
use crate::support::name_server::NameServer;
use crate::support::peers::{Health, says, serve_two};
use crate::support::probing::Prober;
use crate::support::process::{Running, program};
use crate::support::{eventually, free_port};

const MODULES: &str = r#"
modules:
  http_2xx: { prober: http, http: { preferred_ip_protocol: ip4 } }
  missing: { prober: http, http: { valid_status_codes: [404], preferred_ip_protocol: ip4 } }
  refuses: { prober: http, http: { fail_if_body_matches_regexp: ["a p.ge"], preferred_ip_protocol: ip4 } }
  blind: { prober: http, http: { preferred_ip_protocol: ip4, tls_config: { insecure_skip_verify: true } } }
  trusting: { prober: http, http: { preferred_ip_protocol: ip4, tls_config: { ca_file: "CA" } } }
  tcp: { prober: tcp }
  banner: { prober: tcp, tcp: { query_response: [{ expect: "^SSH-2.0-(.*)$" }] } }
  names: { prober: dns, dns: { query_name: probe.test, query_type: A, preferred_ip_protocol: ip4 } }
  mail: { prober: dns, dns: { query_name: probe.test, query_type: MX, preferred_ip_protocol: ip4, validate_answer_rrs: { fail_if_not_matches_regexp: ["^probe\\.test\\.\t[0-9]+\tIN\tMX\t10 mail\\.probe\\.test\\.$"] } } }
  text: { prober: dns, dns: { query_name: probe.test, query_type: TXT, preferred_ip_protocol: ip4, validate_answer_rrs: { fail_if_none_matches_regexp: ["\tTXT\t\"a text\"$"] } } }
  one_of: { prober: dns, dns: { query_name: probe.test, query_type: A, preferred_ip_protocol: ip4, validate_answer_rrs: { fail_if_none_matches_regexp: ["192.0.2.7", "192.0.2.9"] } } }
  none: { prober: dns, dns: { query_name: missing.test, query_type: A, preferred_ip_protocol: ip4, valid_rcodes: [NXDOMAIN], validate_answer_rrs: { fail_if_not_matches_regexp: ["192.0.2.7"] } } }
  header: { prober: http, http: { preferred_ip_protocol: ip4, fail_if_header_matches: [{ header: X-None, regexp: "." }] } }
  words: { prober: http, http: { preferred_ip_protocol: ip4, fail_if_body_matches_regexp: ["nothing"] } }
  health: { prober: grpc, grpc: { preferred_ip_protocol: ip4 } }
  icmp: { prober: icmp }
"#;

/// Values that are the same whoever measures.
fn stable(text: &str) -> Vec<(String, String)> {
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.contains("duration_seconds"));
    // The original counts the authority too, which was made a moment before the leaf.
    let lines = lines.filter(|line| !line.contains("lookup_time_seconds") && !line.contains("last_chain_expiry"));
    // The label's order is each program's own.
    let mut values: Vec<_> = lines
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(name, value)| {
            let name = name.split('{').next().unwrap();
            (name.to_owned(), format!("{:?}", value.parse::<f64>().unwrap()))
        })
        .collect();
    values.sort();
    values
}

async fn original(folder: &Path, file: &Path) -> (Running, u16) {
    let port = free_port();
    let mut command = Command::new(program("prometheus-blackbox-exporter"));
    command.arg(format!("--config.file={}", file.display())).arg(format!("--web.listen-address=127.0.0.1:{port}"));
    let running = Running::start(folder, "blackbox", &mut command);
    eventually("blackbox_exporter answers", Duration::from_secs(20), async || get(port, "/-/healthy")).await;
    (running, port)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_original_and_ours_tell_the_same_of_the_same_targets() {
    let folder = tempfile::tempdir().unwrap();
    let certificates = Certificates::make(folder.path());
    let file = folder.path().join("blackbox.yml");
    std::fs::write(&file, MODULES.replace("CA", certificates.authority.to_str().unwrap())).unwrap();
    let (_original, port) = original(folder.path(), &file).await;
    let page = HttpStub::start(|asked| match asked.path.as_str() {
        "/moved" => Reply::status(302, "").with("location", "/"),
        "/missing" => Reply::status(404, "nothing").with("last-modified", "Wed, 21 Oct 2015 07:28:00 GMT"),
        _ => Reply::status(200, "a page"),
    })
    .await;
    let secure = HttpStub::start_tls(certificates.acceptor(), |_| Reply::status(200, "a page")).await;
    let ssh = says(b"SSH-2.0-OpenSSH_9.2\r\n").await;
    let health = serve_two(Health::State(1), None).await;
    let names = NameServer::start(folder.path()).await;
    let prober = Prober::new(&format!(
        "[probes]\nmodules_file = '{}'\nallow = ['127.0.0.1:*/*', '127.0.0.1', 'localhost:*/*']\n",
        file.display()
    ));
    let closed = format!("127.0.0.1:{}", free_port());
    for (target, module) in [
        (page.url("/"), "http_2xx"),
        (page.url("/moved"), "http_2xx"),
        (page.url("/missing"), "http_2xx"),
        (page.url("/missing"), "missing"),
        (page.url("/"), "refuses"),
        (page.url("/"), "header"),
        (page.url("/missing"), "words"),
        (closed.clone(), "http_2xx"),
        (format!("https://localhost:{}/", secure.address.port()), "blind"),
        (format!("https://localhost:{}/", secure.address.port()), "trusting"),
        (format!("https://localhost:{}/", secure.address.port()), "http_2xx"),
        (ssh.to_string(), "tcp"),
        (ssh.to_string(), "banner"),
        (closed, "tcp"),
        (names.address.clone(), "names"),
        (names.address.clone(), "mail"),
        (names.address.clone(), "one_of"),
        (names.address.clone(), "none"),
        (names.address.clone(), "text"),
        (health.to_string(), "health"),
        ("127.0.0.1".to_owned(), "icmp"),
    ] {
        let theirs = get(port, &format!("/probe?module={module}&target={}", encoded(&target))).expect("an answer");
        let ours = prober.probe(&target, module).await.text;
        assert_eq!(compare(&theirs, &ours, &Exceptions::default()), Vec::<String>::new(), "{target} by {module}");
        // What releases after Debian's added is not among theirs.
        let known = parse(&theirs);
        let mut ours = stable(&ours);
        ours.retain(|(name, _)| known.contains_key(name));
        assert_eq!(ours, stable(&theirs), "{target} by {module}");
    }
}
