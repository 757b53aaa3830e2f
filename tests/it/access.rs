//! Who may ask what, asked over a real connection.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use tidewatch::app::settings::{Flags, Validated};
use tidewatch::cli::client::{Client, ClientError};
use tidewatch::config::{Environment, Secret};
use tidewatch::http::access::Access;
use tidewatch::http::control::{ControlError, ControlSocket};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::support::eventually;
use crate::support::site::{Setup, Site};

const SOON: Duration = Duration::from_secs(20);
const RIGHT: &str = "Authorization: Bearer correct horse";
const WRONG: &str = "Authorization: Bearer battery staple";

async fn open(external_url: Option<&str>) -> Site {
    let external_url = external_url.map(|url| url.parse().unwrap());
    Site::start(Setup { access: Access { external_url, ..Access::default() }, ..Setup::default() }).await
}

async fn guarded(protect_metrics: bool) -> Site {
    let token = Some(Secret::new("correct horse"));
    Site::start(Setup { access: Access { token, protect_metrics, ..Access::default() }, ..Setup::default() }).await
}

#[tokio::test]
async fn a_name_that_points_here_reads_nothing_and_changes_nothing() {
    let site = open(Some("https://tide.example/")).await;
    let evil = ["Host: evil.example:9480"];
    for (method, target) in [
        ("GET", "/"),
        ("GET", "/i/1"),
        ("GET", "/api/incidents"),
        ("GET", "/nothing"),
        ("POST", "/-/reload"),
        ("POST", "/api/outbox/1/replay"),
        ("POST", "/api/v1/heartbeats"),
        ("POST", "/webhook/alerts"),
    ] {
        assert_eq!(site.ask(method, target, &evil, "").await.status, 403, "{method} {target}");
    }
    for host in ["localhost", "127.0.0.1:9480", "[::1]:9480", "tide.example"] {
        assert_eq!(site.ask("GET", "/api/incidents", &[&format!("Host: {host}")], "").await.status, 200, "{host}");
    }
    // Prometheus in a container asks for whatever name it knows us by.
    for target in ["/metrics", "/health", "/-/healthy", "/-/ready"] {
        assert_eq!(site.ask("GET", target, &["Host: tidewatch:9480"], "").await.status, 200, "{target}");
    }
    assert_eq!(site.ask("GET", "/api/incidents", &["Host: localhost", "Host: evil.example"], "").await.status, 403);
    assert!(site.sample("tidewatch_auth_failures_total{reason=\"host\"}") >= 9.0);
}

#[tokio::test]
async fn another_sites_page_is_refused_everywhere() {
    for site in [open(None).await, guarded(false).await] {
        for origin in ["http://evil.example", "http://localhost:3000", "null"] {
            let more = [format!("Origin: {origin}"), RIGHT.to_owned(), format!("Host: {}", site.address)];
            let more: Vec<&str> = more.iter().map(String::as_str).collect();
            for (method, target) in [("GET", "/metrics"), ("POST", "/-/reload"), ("POST", "/webhook/alerts")] {
                let status = site.ask(method, target, &more, "").await.status;
                assert_eq!(status, 403, "{origin}: {method} {target}");
            }
        }
        let own = [format!("Origin: http://{}", site.address), format!("Host: {}", site.address), RIGHT.to_owned()];
        let own: Vec<&str> = own.iter().map(String::as_str).collect();
        assert_eq!(site.ask("POST", "/-/reload", &own, "").await.status, 200);
    }
    // A page under a name that was made to point here calls itself our own; without a token, its name betrays it.
    let rebound = ["Origin: http://evil.example:9480", "Host: evil.example:9480"];
    assert_eq!(open(None).await.ask("GET", "/metrics", &rebound, "").await.status, 403);
}

#[tokio::test]
async fn with_a_token_everything_but_metrics_and_health_asks_for_it() {
    let site = guarded(false).await;
    for target in ["/metrics", "/health", "/-/healthy", "/-/ready"] {
        assert_eq!(site.get(target).await.status, 200, "{target}");
    }
    for (method, target) in [
        ("GET", "/"),
        ("GET", "/i/1"),
        ("GET", "/api/ledger"),
        ("GET", "/no/such/path"),
        ("POST", "/metrics"),
        ("POST", "/webhook/alerts"),
        ("POST", "/v1/agents/alpha/heartbeat"),
        ("POST", "/-/reload"),
    ] {
        let reply = site.ask(method, target, &[], "").await;
        assert_eq!(reply.status, 401, "{method} {target}");
        assert!(reply.headers("www-authenticate").iter().any(|scheme| scheme.starts_with("Bearer")), "{reply:?}");
    }
    // From any address, by any name.
    let right = [RIGHT, "Host: tidewatch:9480"];
    assert_eq!(site.ask("GET", "/api/ledger", &right, "").await.status, 200);
    assert_eq!(site.ask("POST", "/-/reload", &right, "").await.status, 200);
    assert_eq!(site.ask("GET", "/no/such/path", &right, "").await.status, 404);
    // A browser sends the token as a password.
    let browser = ["Authorization: Basic YW55Ym9keTpjb3JyZWN0IGhvcnNl"];
    assert_eq!(site.ask("GET", "/", &browser, "").await.status, 200);
}

#[tokio::test]
async fn wrong_credentials_are_refused_and_counted() {
    let site = guarded(true).await;
    for wrong in [
        WRONG,
        "Authorization: Bearer",
        "Authorization: Bearer correct hors",
        "Authorization: Basic YW55Ym9keTo=",
        "Authorization: Basic %%%",
        "Authorization: correct horse",
    ] {
        assert_eq!(site.ask("GET", "/metrics", &[wrong], "").await.status, 401, "{wrong}");
    }
    assert_eq!(site.ask("GET", "/metrics", &[RIGHT], "").await.status, 200);
    let counted =
        ["missing", "wrong"].map(|why| site.sample(&format!("tidewatch_auth_failures_total{{reason=\"{why}\"}}")));
    assert!((counted.iter().sum::<f64>() - 6.0).abs() < f64::EPSILON, "{counted:?}");
}

#[tokio::test]
async fn who_guesses_waits_longer_each_time_and_who_knows_does_not() {
    let site = guarded(false).await;
    let begin = Instant::now();
    for _ in 0..3 {
        assert_eq!(site.ask("GET", "/", &[WRONG], "").await.status, 401);
    }
    assert!(begin.elapsed() >= Duration::from_millis(700), "100, 200 and 400 ms");
    let guess = site.ask("GET", "/", &[WRONG], "");
    let know = site.ask("GET", "/", &[RIGHT], "");
    tokio::select! {
        biased;
        reply = know => assert_eq!(reply.status, 200),
        _ = guess => panic!("the guess was answered first"),
    }
}

#[tokio::test]
async fn a_reloaded_token_holds_at_once() {
    let site = guarded(false).await;
    assert_eq!(site.ask("GET", "/", &[RIGHT], "").await.status, 200);
    let access = Access { token: Some(Secret::new("battery staple")), ..Access::default() };
    site.front.replace(access, jiff::tz::TimeZone::UTC);
    assert_eq!(site.ask("GET", "/", &[RIGHT], "").await.status, 401);
    assert_eq!(site.ask("GET", "/", &[WRONG], "").await.status, 200);
}

#[tokio::test]
async fn a_prefix_may_be_left_or_taken_away_by_the_proxy() {
    let site = open(Some("https://tide.example/watch/")).await;
    for target in ["/watch/health", "/health", "/watch/-/ready?x=y"] {
        assert_eq!(site.get(target).await.status, 200, "{target}");
    }
    let bare = site.get("/watch").await;
    assert_eq!((bare.status, bare.header("location")), (308, Some("/watch/")));
    assert_eq!(site.get("/watcher").await.status, 404);
    // The rules look at the path that is served.
    let evil = ["Host: evil.example"];
    assert_eq!(site.ask("GET", "/watch/api/ledger", &evil, "").await.status, 403);
    assert_eq!(site.ask("GET", "/watch/metrics", &evil, "").await.status, 200);
}

#[test]
fn beyond_loopback_a_token_is_needed() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = |listen: &str, access: &str| {
        let config = folder.path().join("tidewatch.toml");
        std::fs::write(&config, format!("listen = '{listen}'\n[access]\n{access}\n")).unwrap();
        let flags = Flags { config: Some(config), ..Flags::default() };
        Validated::load(&flags, &Environment::default()).err().map(|problems| problems.to_string())
    };
    for listen in ["127.0.0.1:9480", "[::1]:9480", "127.1.2.3:1"] {
        assert_eq!(wrong(listen, ""), None, "{listen}");
    }
    for listen in ["0.0.0.0:9480", "[::]:9480", ":9480", "192.168.1.7:9480"] {
        let problem = wrong(listen, "").unwrap();
        assert!(problem.contains("no token is configured"), "{listen}: {problem}");
        assert_eq!(wrong(listen, "token = 'abcdefghijklmnop'"), None);
        assert_eq!(wrong(listen, "open_without_token = true"), None, "the configuration says so in words");
    }
}

#[tokio::test]
async fn the_control_socket_is_for_our_own_user_and_may_do_everything() {
    let (site, folder) = (guarded(true).await, tempfile::tempdir().unwrap());
    site.control(folder.path()).await;
    let mode = std::fs::metadata(folder.path().join("control.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let client = Client::of_folder(folder.path(), SOON);
    assert_eq!(client.get("/api/ledger").await.unwrap()["delivered"], 2);
    let backup = serde_json::json!({ "file": "/tmp/copy.db" });
    assert_eq!(client.post("/api/backup", &backup).await.unwrap()["status"], "ok");
    assert_eq!(*site.store.backups.lock().unwrap(), [std::path::Path::new("/tmp/copy.db")]);

    // Not even the token names files of the server's machine.
    let remote = site.ask("POST", "/api/backup", &[RIGHT], &backup.to_string()).await;
    assert_eq!(remote.status, 403);
    let relative = client.post("/api/backup", &serde_json::json!({ "file": "copy.db" })).await.unwrap_err();
    assert!(relative.to_string().contains("absolute"), "{relative}");
}

#[tokio::test]
async fn a_socket_of_a_dead_process_is_replaced_and_a_living_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "left behind");
    let site = open(None).await;
    site.control(folder.path()).await;
    assert_eq!(Client::of_folder(folder.path(), SOON).get("/-/healthy").await.unwrap(), "tidewatch is alive\n");
    assert!(matches!(ControlSocket::bind(folder.path()).await, Err(ControlError::Taken(_))));

    site.tasks.drain(SOON).await;
    assert!(!path.exists(), "it goes with its server");
    std::fs::write(&path, "precious").unwrap();
    assert!(matches!(ControlSocket::bind(folder.path()).await, Err(ControlError::Foreign(_))));
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
}

#[tokio::test]
async fn the_commands_client_tells_what_went_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let none = Client::of_folder(folder.path(), SOON).get("/health").await.unwrap_err();
    assert!(matches!(&none, ClientError::NoServer { .. }) && none.exit_code() == 4, "{none}");

    let site = open(None).await;
    let client = Client::of_address(site.address.to_string(), SOON);
    assert_eq!(client.get("/health").await.unwrap()["status"], "ok");
    let missing = client.get("/api/incidents/77").await.unwrap_err();
    assert_eq!((missing.to_string().as_str(), missing.exit_code()), ("there is no incident 77 (404 Not Found)", 1));

    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = Client::of_address(silent.local_addr().unwrap().to_string(), Duration::from_millis(100));
    assert!(matches!(client.get("/health").await, Err(ClientError::Broken { .. })));
    let gone = silent.local_addr().unwrap();
    drop(silent);
    eventually("nobody listens", SOON, async || TcpStream::connect(gone).await.err()).await;
    assert_eq!(client.get("/health").await.unwrap_err().exit_code(), 4);
}
