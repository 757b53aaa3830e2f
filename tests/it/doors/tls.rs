//! TLS of a listener: versions, clients' certificates, and files that change under it.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::support::certificates::Certificates;
use crate::support::monitoring::get;
use crate::support::process::program;
use crate::support::program::{Done, Program, SOON, run, tidewatch};
use crate::support::{eventually, free_port};

/// A program with a plain listener, and one that speaks TLS as `tls` says beside its certificate.
struct Door {
    program: Program,
    port: u16,
    certificates: Certificates,
    folder: tempfile::TempDir,
}

impl Door {
    async fn open(tls: &str, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let certificates = Certificates::make(folder.path());
        let port = free_port();
        let (cert, key) = (certificates.certificate.display(), certificates.key.display());
        let tls = tls.replace("CA", &certificates.authority.display().to_string());
        let text = format!(
            "[[listeners]]\naddress = '127.0.0.1:{port}'\n[listeners.tls]\ncert_file = '{cert}'\nkey_file = '{key}'\n{tls}\n{more}\n"
        );
        let config = folder.path().join("tidewatch.toml");
        std::fs::write(&config, text).unwrap();
        let program = Program::start(&folder.path().join("data"), &["--config", config.to_str().unwrap()]).await;
        Self { program, port, certificates, folder }
    }

    /// What curl says to `path` with these words.
    fn curl(&self, path: &str, words: &[&str]) -> Done {
        curl(&self.certificates.authority, self.port, path, words)
    }

    fn status(&self, path: &str, words: &[&str]) -> String {
        self.curl(path, &[&["-o", "/dev/null", "-w", "%{http_code} %{http_version}"], words].concat()).out
    }

    fn metric(&self, series: &str) -> f64 {
        let text = get(self.program.port, "/metrics").unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {series}")).parse().unwrap()
    }

    fn failures(&self, reason: &str) -> f64 {
        self.metric(&format!("tidewatch_tls_handshake_failures_total{{reason=\"{reason}\"}}"))
    }

    fn reloaded(&self) -> f64 {
        self.metric(&format!("tidewatch_tls_last_reload_successful{{listener=\"127.0.0.1:{}\"}}", self.port))
    }
}

fn curl(authority: &Path, port: u16, path: &str, words: &[&str]) -> Done {
    let mut command = Command::new(program("curl"));
    command.env_clear().args(["-sS", "--max-time", "20", "--cacert"]).arg(authority).args(words);
    run(command.arg(format!("https://localhost:{port}{path}")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_speaks_tls_of_its_versions_and_nothing_else() {
    let door = Door::open("min_version = '1.3'", "").await;
    // A client that would rather have HTTP/2 is given 1.1.
    assert_eq!(door.status("/-/healthy", &["--http2"]), "200 1.1");
    let old = door.curl("/-/healthy", &["--tls-max", "1.2"]);
    assert_ne!(old.code, Some(0), "{old:?}");
    eventually("it is counted", SOON, async || (door.failures("protocol") >= 1.0).then_some(())).await;
    // Plain HTTP is answered nothing that could be taken for an answer.
    assert_eq!(get(door.port, "/-/healthy"), None);
    eventually("it is counted", SOON, async || (door.failures("protocol") >= 2.0).then_some(())).await;
    let ends = door
        .metric(&format!("tidewatch_tls_certificate_expiry_timestamp_seconds{{listener=\"127.0.0.1:{}\"}}", door.port));
    let left = ends - jiff::Timestamp::now().as_second() as f64;
    assert!((86_400.0..=2.0 * 86_400.0 + 60.0).contains(&left), "{left} s left of two days");
    let said = door.program.running.output();
    assert!(said.contains(&format!("https://127.0.0.1:{}/metrics", door.port)), "{said}");
    door.program.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r21_auth_without_its_certificate_a_client_is_not_heard() {
    let door = Door::open("client_ca_file = 'CA'", "").await;
    let (cert, key) = door.certificates.more("prometheus", "prometheus", "DNS:prometheus.internal");
    let with = ["--cert", cert.to_str().unwrap(), "--key", key.to_str().unwrap()];
    assert_eq!(door.status("/api/incidents", &with), "200 1.1");
    assert_eq!(door.status("/-/healthy", &[]), "000 0", "not even health");
    eventually("it is counted", SOON, async || (door.failures("no_certificate") >= 1.0).then_some(())).await;
    // One of somebody else's authority is worth nothing.
    let elsewhere = tempfile::tempdir().unwrap();
    let (cert, key) = Certificates::make(elsewhere.path()).more("prometheus", "prometheus", "DNS:prometheus.internal");
    let foreign = ["--cert", cert.to_str().unwrap(), "--key", key.to_str().unwrap()];
    assert_eq!(door.status("/-/healthy", &foreign), "000 0");
    eventually("it is counted", SOON, async || (door.failures("bad_certificate") >= 1.0).then_some(())).await;
    door.program.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r21_auth_a_certificate_that_is_named_opens_what_it_is_named_for() {
    let named = "[access.certificates.alertmanager]\nsubject = 'alertmanager.internal'\nscopes = ['alerts']\n";
    let user = format!("[access.users.anna]\npassword_hash = '{}'\nscopes = ['read']\n", bcrypt::hash("x", 4).unwrap());
    let door = Door::open("client_ca_file = 'CA'\nclient_auth = 'optional'", &format!("{named}{user}")).await;
    let file = |(cert, key): (std::path::PathBuf, std::path::PathBuf)| {
        ["--cert".into(), cert.display().to_string(), "--key".into(), key.display().to_string()]
    };
    let known = file(door.certificates.more("known", "am", "DNS:other,DNS:alertmanager.internal"));
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let unknown = file(door.certificates.more("unknown", "somebody", "DNS:elsewhere.internal"));
    let unknown: Vec<&str> = unknown.iter().map(String::as_str).collect();
    let post = ["--data-binary", "{\"alerts\": []}"];
    assert_eq!(door.status("/webhook/alerts", &[&known[..], &post[..]].concat()), "200 1.1");
    assert_eq!(door.status("/api/incidents", &known), "403 1.1", "not what it is named for");
    assert_eq!(door.status("/webhook/alerts", &[&unknown[..], &post[..]].concat()), "401 1.1", "good, but not named");
    assert_eq!(door.status("/api/incidents", &[]), "401 1.1");
    assert_eq!(door.status("/-/healthy", &[]), "200 1.1");
    // What the header says counts, whatever certificate comes with it.
    assert_eq!(door.status("/api/incidents", &[&known[..], &["-u", "anna:x"]].concat()), "200 1.1");
    assert_eq!(door.status("/webhook/alerts", &[&known[..], &post[..], &["-u", "anna:y"]].concat()), "401 1.1");
    door.program.stop().await;
}

/// Two connections are open all the while: one keeps the certificate that it began with, a new one gets the new.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_certificate_counts_without_a_restart_and_a_broken_one_changes_nothing() {
    let door = Door::open("", "").await;
    let subject = || {
        let done = door.curl("/-/healthy", &["-v"]);
        let line = done.err.lines().find_map(|line| line.trim_start_matches("* ").trim().strip_prefix("subject: CN="));
        line.map(str::to_owned)
    };
    assert_eq!(subject().as_deref(), Some("localhost"));
    let mut kept = tls_connection(&door).await;
    assert_eq!(healthy(&mut kept).await, 200);

    // First the certificate, then its key, as a renewal writes them.
    let replace = |(cert, key): (std::path::PathBuf, std::path::PathBuf)| {
        std::fs::rename(cert, &door.certificates.certificate).unwrap();
        std::fs::rename(key, &door.certificates.key).unwrap();
    };
    replace(door.certificates.more("second", "second", "DNS:localhost"));
    eventually("the new one is shown", SOON, async || (subject().as_deref() == Some("second")).then_some(())).await;
    assert_eq!(healthy(&mut kept).await, 200, "the old connection goes on");

    std::fs::write(&door.certificates.certificate, "not a certificate").unwrap();
    eventually("it is said", SOON, async || (door.reloaded() == 0.0).then_some(())).await;
    assert_eq!(subject().as_deref(), Some("second"), "the old one stands");
    // Some more looks at the same broken file.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let said = door.program.running.output().matches("the old one stands").count();
    assert_eq!(said, 1, "{}", door.program.running.output());

    replace(door.certificates.more("third", "third", "DNS:localhost"));
    eventually("it is well again", SOON, async || (door.reloaded() > 0.0).then_some(())).await;
    assert_eq!(subject().as_deref(), Some("third"));
    assert_eq!(healthy(&mut kept).await, 200);
    drop(kept);
    door.program.stop().await;
    drop(door.folder);
}

type Stream = tokio_rustls::client::TlsStream<tokio::net::TcpStream>;

async fn tls_connection(door: &Door) -> Stream {
    let options = tidewatch::net::tls::Options {
        ca_file: Some(door.certificates.authority.clone()),
        ..tidewatch::net::tls::Options::default()
    };
    let config = std::sync::Arc::new(tidewatch::net::tls::configure(&options).unwrap());
    let stream = tokio::net::TcpStream::connect(("127.0.0.1", door.port)).await.unwrap();
    tidewatch::net::handshake::client(config, "localhost", stream).await.unwrap()
}

async fn healthy(stream: &mut Stream) -> u16 {
    use tokio::io::AsyncWriteExt;
    stream.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    crate::support::site::Reply::read(stream, false).await.expect("an answer").status
}

#[test]
fn what_is_wrong_with_a_door_is_said_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let good = Certificates::make(folder.path());
    let (_, other) = good.more("other", "other", "DNS:other");
    let (cert, key, other) = (good.certificate.display(), good.key.display(), other.display());
    let file = folder.path().join("tidewatch.toml");
    let text = format!(
        "[tls]
cert_file = '{cert}'
key_file = '{other}'

[[listeners]]
address = '127.0.0.1:1'
[listeners.tls]
cert_file = '/nowhere/cert.pem'
key_file = '{key}'

[[listeners]]
address = '127.0.0.1:2'
[listeners.tls]
cert_file = '{cert}'
key_file = '{key}'
client_auth = 'optional'
min_version = '1.1'

[access.users.anna]
password_hash = 'swordfish'
scopes = []

[access.certificates.prometheus]
subject = ''
scopes = ['metrics']
agent = 'steward'
"
    );
    std::fs::write(&file, text).unwrap();
    let done = run(tidewatch(&["check-config", "--config"]).arg(&file));
    assert_eq!(done.code, Some(3), "{done:?}");
    for (place, what, hint) in [
        ("3:1", "`tls.key_file`: ", "the certificate's own"),
        ("8:1", "`listeners.0.tls.cert_file`: /nowhere/cert.pem: ", "the certificate in PEM"),
        ("16:1", "`listeners.1.tls.client_auth`: ", "client_ca_file"),
        ("17:15", "unknown variant `1.1`", "1.2"),
        ("20:1", "`access.users.anna.password_hash`: no bcrypt hash", "tidewatch hash-password"),
        ("21:1", "`access.users.anna.scopes`: opens nothing", "metrics, alerts"),
        ("24:1", "`access.certificates.prometheus.subject`: ", "common name"),
        ("26:1", "`access.certificates.prometheus.agent`: ", "heartbeat"),
    ] {
        let begin = format!("{}:{place}: error: {what}", file.display());
        let found = done.err.split(&begin).nth(1).unwrap_or_else(|| panic!("no {begin} in\n{}", done.err));
        let found = found.split("\n/").next().unwrap();
        assert!(found.contains(hint), "{found}");
    }
    assert!(!done.err.contains("swordfish"), "{}", done.err);
}
