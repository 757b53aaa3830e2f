//! The prober `tcp`.

use crate::support::certificates::Certificates;
use crate::support::free_port;
use crate::support::http_stub::{HttpStub, Reply};
use crate::support::peers::says;
use crate::support::probing::Prober;
use crate::support::smtp::MailServer;

fn prober(modules: &str) -> Prober {
    Prober::new(&format!("[probes]\nallow = ['127.0.0.1:*', 'localhost:*']\n{modules}"))
}

#[tokio::test]
async fn a_port_is_open_or_not() {
    let open = says(b"").await;
    let prober = prober("");
    assert!(prober.probe(&open.to_string(), "tcp_connect").await.success());
    let closed = prober.probe(&format!("127.0.0.1:{}", free_port()), "tcp_connect").await;
    assert!(!closed.success());
    assert_eq!(closed.value("probe_failed_due_to_regex"), 0.0);
    assert!(!prober.probe("127.0.0.1", "tcp_connect").await.success(), "no port");
}

#[tokio::test]
async fn a_banner_is_expected_and_its_parts_become_labels() {
    let ssh = says(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n").await;
    let prober = prober("");
    let probed = prober.probe(&ssh.to_string(), "ssh_banner_extract").await;
    assert!(probed.success(), "{}", probed.text);
    let info = "probe_expect_info{ssh_version=\"OpenSSH_9.2p1\",ssh_comments=\"Debian-2\"}";
    assert_eq!(probed.value(info), 1.0);
    let other = says(b"220 ftp\r\n").await;
    let modules = "[probes.modules.quick]\nprober = 'tcp'\ntimeout = '200ms'\n[probes.modules.quick.tcp]\n\
        query_response = [{ expect = '^SSH-2.0-' }]\n";
    let wrong = self::prober(modules).probe(&other.to_string(), "quick").await;
    assert_eq!((wrong.success(), wrong.value("probe_failed_due_to_regex")), (false, 1.0));
}

#[tokio::test]
async fn bytes_are_compared() {
    let peer = says(b"PONGx").await;
    let module = |bytes: &str| {
        format!(
            "[probes.modules.b]\nprober = 'tcp'\n[probes.modules.b.tcp]\nquery_response = [{{ expect_bytes = '{bytes}' }}]\n"
        )
    };
    assert!(prober(&module("PONG")).probe(&peer.to_string(), "b").await.success());
    let wrong = prober(&module("PANG")).probe(&peer.to_string(), "b").await;
    assert_eq!((wrong.success(), wrong.value("probe_failed_due_to_bytes")), (false, 1.0));
}

#[tokio::test]
async fn a_mail_server_is_followed_into_tls() {
    let folder = tempfile::tempdir().unwrap();
    let certificates = Certificates::make(folder.path());
    let server = MailServer::start(folder.path(), "starttls", &certificates).await;
    let module = |trust: &str| {
        format!(
            "[probes.modules.smtp]\nprober = 'tcp'\n[probes.modules.smtp.tcp]\ntls_config = {{ {trust} }}\nquery_response = [\n\
             {{ expect = '^220 ([^ ]+)', send = 'EHLO prober' }},\n{{ expect = '^250[ -]STARTTLS', send = 'STARTTLS' }},\n\
             {{ expect = '^220', starttls = true }},\n{{ send = 'EHLO prober' }},\n{{ expect = '^250[ -]AUTH', send = 'QUIT' }}]\n"
        )
    };
    let trusting = module(&format!("ca_file = '{}'", certificates.authority.display()));
    let target = format!("localhost:{}", server.port);
    let prober = prober(&trusting);
    let probed = prober.probe(&target, "smtp").await;
    assert!(probed.success(), "{}", prober.transcript(&target, "smtp").await);
    assert!(probed.value("probe_ssl_earliest_cert_expiry") > 0.0);
    assert!(probed.get("probe_tls_cipher_info").is_none(), "the original tells it of http alone");
    let distrusting = self::prober(&module("server_name = 'localhost'")).probe(&target, "smtp").await;
    assert!(!distrusting.success());
}

#[tokio::test]
async fn tls_from_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let certificates = Certificates::make(folder.path());
    let stub = HttpStub::start_tls(certificates.acceptor(), |_| Reply::status(200, "")).await;
    let section = format!(
        "[probes.modules.t]\nprober = 'tls'\ntcp = {{ tls_config = {{ ca_file = '{}', min_version = 'TLS13' }} }}\n",
        certificates.authority.display()
    );
    let probed = prober(&section).probe(&format!("localhost:{}", stub.address.port()), "t").await;
    assert!(probed.success(), "{}", probed.text);
    assert_eq!(probed.value("probe_tls_version_info{version=\"TLS 1.3\"}"), 1.0);
    let plain = says(b"not TLS at all, but words\r\n").await;
    let probed = prober(&section).probe(&plain.to_string(), "t").await;
    assert!(!probed.success());
    assert!(probed.get("probe_ssl_earliest_cert_expiry").is_none());
}
