//! The prober `http`.

use std::io::Write as _;

use crate::support::certificates::Certificates;
use crate::support::http_stub::{HttpStub, Reply};
use crate::support::peers::{Health, Proxy, serve_two, two};
use crate::support::probing::Prober;

/// Everything on loopback may be probed.
fn prober(modules: &str) -> Prober {
    Prober::new(&format!("[probes]\nallow = ['http://127.0.0.1:*/*', 'https://localhost:*/*']\n{modules}"))
}

fn module(http: &str) -> String {
    format!("[probes.modules.m]\nprober = 'http'\n[probes.modules.m.http]\npreferred_ip_protocol = 'ip4'\n{http}\n")
}

async fn stub() -> HttpStub {
    HttpStub::start(|asked| match asked.path.as_str() {
        "/teapot" => Reply::status(418, "short and stout"),
        "/json" => Reply::status(200, r#"{"status": "ok", "agents": [{"online": true}]}"#),
        "/modified" => Reply::status(200, "x").with("last-modified", "Wed, 21 Oct 2015 07:28:00 GMT"),
        "/moved" => Reply::status(302, "").with("location", "/json"),
        "/round" => Reply::status(301, "").with("location", "/round"),
        "/long" => Reply::status(200, format!("{}a fault", "x".repeat(1 << 20))),
        "/post" if asked.method == http::Method::POST => Reply::status(303, "").with("location", "/seen"),
        "/packed" => {
            let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            packer.write_all(&[b'a'; 1_000]).unwrap();
            Reply::status(200, packer.finish().unwrap()).with("content-encoding", "gzip")
        }
        _ => Reply::status(200, "hello"),
    })
    .await
}

#[tokio::test]
async fn statuses_bodies_headers_and_versions_are_judged() {
    let stub = stub().await;
    for (options, path, success, regex) in [
        ("", "/", true, 0.0),
        ("", "/teapot", false, 0.0),
        ("valid_status_codes = [418]", "/teapot", true, 0.0),
        ("valid_status_codes = ['4xx', '200-204']", "/teapot", true, 0.0),
        ("valid_http_versions = ['HTTP/2.0']", "/", false, 0.0),
        ("valid_http_versions = ['HTTP/1.1', 'HTTP/2.0']", "/", true, 0.0),
        ("fail_if_body_matches_regexp = ['^hel+o$']", "/", false, 1.0),
        ("fail_if_body_not_matches_regexp = ['^hel+o$', 'x']", "/", false, 1.0),
        ("fail_if_body_not_matches_regexp = ['^hel+o$']", "/", true, 0.0),
        ("fail_if_header_matches = [{ header = 'Last-Modified', regexp = '2015' }]", "/modified", false, 1.0),
        ("fail_if_header_not_matches = [{ header = 'Last-Modified', regexp = '2015' }]", "/modified", true, 0.0),
        ("fail_if_header_not_matches = [{ header = 'Last-Modified', regexp = '.' }]", "/", false, 1.0),
        (
            "fail_if_header_not_matches = [{ header = 'Last-Modified', regexp = '.', allow_missing = true }]",
            "/",
            true,
            0.0,
        ),
        ("fail_if_header_matches = [{ header = 'Last-Modified', regexp = '1999' }]", "/modified", true, 0.0),
        ("fail_if_header_matches = [{ header = 'Last-Modified', regexp = '.' }]", "/", false, 1.0),
        ("fail_if_header_matches = [{ header = 'Last-Modified', regexp = '.', allow_missing = true }]", "/", true, 0.0),
        ("fail_if_body_matches_regexp = ['short']", "/teapot", false, 0.0),
        ("fail_if_body_matches_regexp = ['a fault']", "/long", false, 1.0),
        ("fail_if_body_not_matches_regexp = ['^x']", "/long", true, 0.0),
        ("fail_if_not_ssl = true", "/", false, 0.0),
        ("body_size_limit = '4B'", "/", false, 0.0),
    ] {
        let probed = prober(&module(options)).probe(&stub.url(path), "m").await;
        let found = (probed.success(), probed.value("probe_failed_due_to_regex"));
        assert_eq!(found, (success, regex), "{options} {path}\n{}", probed.text);
    }
}

#[tokio::test]
async fn a_json_body_is_asserted_because_a_catch_all_page_answers_200() {
    let stub = stub().await;
    let gateway =
        module("fail_if_body_json_not_matches = [{ pointer = '/status', equals = 'ok' }, { pointer = '/agents/0' }]");
    let prober = prober(&gateway);
    let right = prober.probe(&stub.url("/json"), "m").await;
    assert_eq!((right.success(), right.value("probe_failed_due_to_json")), (true, 0.0));
    let page = prober.probe(&stub.url("/any"), "m").await;
    assert_eq!((page.success(), page.value("probe_failed_due_to_json")), (false, 1.0));
    assert_eq!(page.value("probe_http_status_code"), 200.0);
}

#[tokio::test]
async fn redirects_are_followed_counted_and_bounded() {
    let stub = stub().await;
    let prober_of = |options: &str| prober(&module(options));
    let moved = prober_of("").probe(&stub.url("/moved"), "m").await;
    assert_eq!((moved.success(), moved.value("probe_http_redirects")), (true, 1.0));
    let stays = prober_of("follow_redirects = false").probe(&stub.url("/moved"), "m").await;
    assert_eq!((stays.success(), stays.value("probe_http_status_code")), (false, 302.0));
    let round = prober_of("").probe(&stub.url("/round"), "m").await;
    assert_eq!((round.success(), round.value("probe_http_redirects")), (false, 10.0));
    let posted = prober_of("method = 'POST'\nbody = 'canary'").probe(&stub.url("/post"), "m").await;
    assert!(posted.success());
    let asked = stub.asked();
    let (post, seen) = (&asked[asked.len() - 2], &asked[asked.len() - 1]);
    assert_eq!((post.method.as_str(), &post.body[..]), ("POST", &b"canary"[..]));
    assert_eq!((seen.method.as_str(), &seen.body[..]), ("GET", &b""[..]), "after 303 nothing is sent again");
}

#[tokio::test]
async fn a_redirect_to_what_is_not_allowed_is_not_followed() {
    let inside = HttpStub::start(|_| Reply::status(200, "internal")).await;
    let to = format!("http://127.0.0.1:{}/", inside.address.port());
    let outside = HttpStub::start(move |_| Reply::status(302, "").with("location", &to)).await;
    let target = outside.url("/");
    let prober = Prober::new(&format!("[probes]\ntargets = [{{ target = '{target}' }}]\n"));
    let probed = prober.probe(&target, "http_2xx").await;
    assert!(!probed.success());
    assert_eq!(probed.value("probe_http_status_code"), 302.0);
    assert!(inside.asked().is_empty(), "it was reached all the same");
    assert!(prober.transcript(&target, "http_2xx").await.contains("does not let be reached"));
}

#[tokio::test]
async fn a_body_is_not_carried_to_another_origin() {
    let elsewhere = HttpStub::start(|_| Reply::status(200, "")).await;
    let to = elsewhere.url("/");
    let first = HttpStub::start(move |asked| match asked.path.as_str() {
        "/away" => Reply::status(307, "").with("location", &to),
        "/again" => Reply::status(308, "").with("location", "/here"),
        _ => Reply::status(200, ""),
    })
    .await;
    let prober = prober(&module("method = 'POST'\nbody = 'canary'"));
    assert!(!prober.probe(&first.url("/away"), "m").await.success());
    assert!(elsewhere.asked().is_empty(), "it was sent elsewhere");
    assert!(prober.probe(&first.url("/again"), "m").await.success());
    assert_eq!(first.asked().last().map(|asked| asked.body.clone()).as_deref(), Some(&b"canary"[..]));
}

#[tokio::test]
async fn keys_reach_their_target_alone_and_no_transcript() {
    let elsewhere = HttpStub::start(|_| Reply::status(200, "")).await;
    let to = elsewhere.url("/");
    let first = HttpStub::start(move |_| Reply::status(302, "").with("location", &to)).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "canary-file\n").unwrap();
    let options = format!(
        "headers = {{ X-Key = 'canary-header', Accept = 'text/plain' }}\nbasic_auth = {{ username = 'u', password = 'canary-password' }}\n\
         [probes.modules.m.http.http_headers]\nX-More = {{ values = ['a'], secrets = ['canary-secret'], files = ['{}'] }}",
        file.display()
    );
    let prober = prober(&module(&options));
    let transcript = prober.transcript(&first.url("/?key=canary-query"), "m").await;
    assert!(transcript.contains("probe_success 1"), "{transcript}");
    for kept in ["canary-header", "canary-password", "canary-secret", "canary-file", "canary-query", "dTpjYW5hcnk"] {
        assert!(!transcript.contains(kept), "{kept} in {transcript}");
    }
    let asked = first.asked().remove(0);
    assert_eq!(asked.headers["authorization"], "Basic dTpjYW5hcnktcGFzc3dvcmQ=");
    assert_eq!(asked.headers["x-key"], "canary-header");
    assert_eq!(asked.headers.get_all("x-more").iter().collect::<Vec<_>>(), ["a", "canary-secret", "canary-file"]);
    let other = elsewhere.asked().remove(0);
    assert_eq!(other.headers["accept"], "text/plain");
    for name in ["authorization", "x-key", "x-more"] {
        assert!(!other.headers.contains_key(name), "{name} reached another host");
    }
}

#[tokio::test]
async fn a_compressed_body_is_unpacked_and_counted_both_ways() {
    let stub = stub().await;
    let options = "compression = 'gzip'\nfail_if_body_not_matches_regexp = ['^a{500}']";
    let probed = prober(&module(options)).probe(&stub.url("/packed"), "m").await;
    assert!(probed.success(), "{}", probed.text);
    assert_eq!(probed.value("probe_http_uncompressed_body_length"), 1_000.0);
    assert!(probed.value("probe_http_content_length") < 500.0);
    assert_eq!(stub.asked()[0].headers["accept-encoding"], "gzip");
    let plain = prober(&module(options)).probe(&stub.url("/"), "m").await;
    assert!(!plain.success(), "what is not packed does not unpack");
}

#[tokio::test]
async fn tls_is_verified_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let certificates = Certificates::make(folder.path());
    let stub = HttpStub::start_tls(certificates.acceptor(), |_| Reply::status(200, "safe")).await;
    let target = format!("https://localhost:{}/", stub.address.port());
    let trusting = module(&format!("tls_config = {{ ca_file = '{}' }}", certificates.authority.display()));
    let probed = prober(&trusting).probe(&target, "m").await;
    assert!(probed.success(), "{}", probed.text);
    assert_eq!(probed.value("probe_http_ssl"), 1.0);
    assert_eq!(probed.value("probe_tls_version_info{version=\"TLS 1.3\"}"), 1.0);
    assert!(probed.text.contains("probe_tls_cipher_info{cipher=\"TLS_"), "{}", probed.text);
    let leaf = probed.text.lines().find(|line| line.starts_with("probe_ssl_last_chain_info{")).unwrap();
    for part in ["subject=\"CN=localhost\"", "issuer=\"CN=test-authority\"", "subjectalternative=\"localhost\""] {
        assert!(leaf.contains(part), "{leaf}");
    }
    let openssl = std::process::Command::new("openssl")
        .args(["x509", "-noout", "-fingerprint", "-sha256", "-serial", "-in"])
        .arg(&certificates.certificate)
        .output()
        .unwrap();
    let told = String::from_utf8(openssl.stdout).unwrap().replace(':', "").to_lowercase();
    for word in ["fingerprint=", "serial="] {
        let value = told.split(word).nth(1).unwrap().lines().next().unwrap();
        assert!(leaf.contains(&format!("=\"{value}\"")), "{value} is not in {leaf}");
    }
    let days = (probed.value("probe_ssl_earliest_cert_expiry")
        - tidewatch::clock::Clock::system().now().as_second() as f64)
        / 86_400.0;
    assert!((1.9..2.1).contains(&days), "{days}");
    assert_eq!(
        probed.value("probe_ssl_last_chain_expiry_timestamp_seconds"),
        probed.value("probe_ssl_earliest_cert_expiry")
    );
    assert!(!prober(&module("")).probe(&target, "m").await.success(), "nobody vouches for it");
    let other = trusting.replace("ca_file", "server_name = 'other.example', ca_file");
    assert!(!prober(&other).probe(&target, "m").await.success(), "another name");
    let blind = prober(&module("tls_config = { insecure_skip_verify = true }")).probe(&target, "m").await;
    assert!(blind.success());
    assert_eq!(blind.value("probe_ssl_last_chain_expiry_timestamp_seconds"), -62_135_596_800.0);
    assert!(
        !prober(&module("fail_if_ssl = true\ntls_config = { insecure_skip_verify = true }"))
            .probe(&target, "m")
            .await
            .success()
    );
}

#[tokio::test]
async fn a_self_signed_certificate_that_is_itself_trusted_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let made = std::process::Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"])
        .args(["-keyout", "key.pem", "-out", "cert.pem"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let own = Certificates { authority: certificate.clone(), certificate: certificate.clone(), key };
    let stub = HttpStub::start_tls(own.acceptor(), |_| Reply::status(200, "safe")).await;
    let target = |host: &str| format!("https://{host}:{}/", stub.address.port());
    let trusting = Prober::new(&format!(
        "[probes]\nallow = ['https://localhost:*/*', 'https://127.0.0.1:*/*']\n{}",
        module(&format!("tls_config = {{ ca_file = '{}' }}", certificate.display()))
    ));
    assert!(trusting.probe(&target("localhost"), "m").await.success());
    assert!(!trusting.probe(&target("127.0.0.1"), "m").await.success(), "it has another name");
    let other = Certificates::make(folder.path());
    let distrusting = module(&format!("tls_config = {{ ca_file = '{}' }}", other.authority.display()));
    assert!(!prober(&distrusting).probe(&target("localhost"), "m").await.success(), "it is not among the trusted");
}

#[tokio::test]
async fn http_2_is_spoken_where_the_server_does() {
    let folder = tempfile::tempdir().unwrap();
    let certificates = Certificates::make(folder.path());
    let address = serve_two(Health::State(1), Some(two(&certificates))).await;
    let target = format!("https://localhost:{}/x", address.port());
    let options = format!("tls_config = {{ ca_file = '{}' }}", certificates.authority.display());
    let probed = prober(&module(&options)).probe(&target, "m").await;
    assert_eq!((probed.success(), probed.value("probe_http_version")), (true, 2.0), "{}", probed.text);
    assert_eq!(probed.value("probe_http_uncompressed_body_length"), 5.0);
    let one = prober(&module(&format!("{options}\nenable_http2 = false"))).probe(&target, "m").await;
    assert!(!one.success(), "the server speaks nothing else");
}

#[tokio::test]
async fn proxies_are_told_the_whole_url_or_to_connect() {
    let folder = tempfile::tempdir().unwrap();
    let certificates = Certificates::make(folder.path());
    let plain = stub().await;
    let secure = HttpStub::start_tls(certificates.acceptor(), |_| Reply::status(200, "safe")).await;
    let proxy = Proxy::start().await;
    let options = format!(
        "proxy_url = 'http://us:canary@{}'\nproxy_connect_header = {{ X-Team = ['ops'] }}\ntls_config = {{ ca_file = '{}' }}",
        proxy.address,
        certificates.authority.display()
    );
    let through = prober(&module(&options));
    assert!(through.probe(&plain.url("/json"), "m").await.success());
    let target = format!("https://localhost:{}/", secure.address.port());
    let probed = through.probe(&target, "m").await;
    assert!(probed.success(), "{}", through.transcript(&target, "m").await);
    let heads = proxy.heads();
    assert!(heads[0].starts_with(&format!("GET {} HTTP/1.1\r\n", plain.url("/json"))), "{}", heads[0]);
    assert!(heads[1].starts_with(&format!("CONNECT localhost:{} HTTP/1.1\r\n", secure.address.port())), "{}", heads[1]);
    assert!(heads[1].contains("X-Team: ops\r\n") && heads[1].contains("Basic dXM6Y2FuYXJ5"), "{}", heads[1]);
    assert!(secure.asked().iter().all(|asked| !asked.headers.contains_key("proxy-authorization")));
    let direct = module(&format!("{options}\nno_proxy = '127.0.0.1'"));
    assert!(prober(&direct).probe(&plain.url("/json"), "m").await.success());
    assert_eq!(proxy.heads().iter().filter(|head| head.starts_with("GET")).count(), 1);
}

#[tokio::test]
async fn the_hostname_of_a_question_names_the_request() {
    let stub = stub().await;
    let prober = Prober::new("[probes]\nallow = ['127.0.0.1:*/*', 'front.example:*/*']\n");
    let query = [("target", stub.url("/")), ("module", "http_2xx".into()), ("hostname", "front.example".into())];
    let query: Vec<(&str, &str)> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
    prober.ask(&query).await.unwrap();
    assert_eq!(stub.asked()[0].headers["host"], "front.example");
}
