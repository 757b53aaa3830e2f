//! Names with passwords: bcrypt is slow on purpose, and must make nobody wait but who guesses.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use tidewatch::config::Secret;
use tidewatch::http::access::{Access, Scope};
use tidewatch::http::credential::{Grant, User};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::support::program::{Program, alert, post, run, tidewatch};
use crate::support::site::{Reply, Setup, Site};

/// The lowest cost: a test is about the order of things, not about the hash.
fn user(name: &str, password: &str, scopes: &[Scope]) -> User {
    let password_hash = Secret::new(bcrypt::hash(password, 4).unwrap());
    User { name: Arc::from(name), password_hash, grant: Grant { scopes: scopes.to_vec(), agent: None } }
}

fn basic(name: &str, password: &str) -> String {
    format!("Authorization: Basic {}", BASE64_STANDARD.encode(format!("{name}:{password}")))
}

async fn site(users: Vec<User>) -> Site {
    let token = Some(Secret::new("a token of sixteen"));
    Site::start(Setup { access: Access { users, token, ..Access::default() }, ..Setup::default() }).await
}

async fn ask(site: &Site, method: &str, target: &str, credential: &str) -> Reply {
    site.ask(method, target, &[credential, "Host: tidewatch:9480"], "").await
}

fn checks(site: &Site) -> f64 {
    site.sample("tidewatch_auth_password_check_duration_seconds_count")
}

#[tokio::test]
async fn r21_auth_a_user_may_do_what_its_scopes_say() {
    let site =
        site(vec![user("reader", "swordfish", &[Scope::Read]), user("poster", "tr:out", &[Scope::Alerts])]).await;
    let (reader, poster) = (basic("reader", "swordfish"), basic("poster", "tr:out"));
    assert_eq!(ask(&site, "GET", "/api/incidents", &reader).await.status, 200);
    assert_eq!(ask(&site, "POST", "/-/reload", &reader).await.status, 403);
    assert_eq!(ask(&site, "POST", "/webhook/alerts", &reader).await.status, 403);
    assert_eq!(ask(&site, "GET", "/api/incidents", &poster).await.status, 403);
    // Let in, and told what is wrong with the body.
    assert_eq!(ask(&site, "POST", "/webhook/alerts", &poster).await.status, 400);
    assert_eq!(ask(&site, "POST", "/api/backup", &reader).await.status, 403);
    // A token is taken as the password of any name, a user's too.
    assert_eq!(ask(&site, "GET", "/", &basic("reader", "a token of sixteen")).await.status, 200);
    assert!((checks(&site) - 2.0).abs() < f64::EPSILON, "each password was checked once");
    assert!(site.sample("tidewatch_auth_failures_total{reason=\"scope\"}") >= 4.0);
}

#[tokio::test]
async fn r21_auth_wrong_names_and_passwords_cost_the_same_are_slowed_and_counted() {
    let site = site(vec![user("reader", "swordfish", &[Scope::Read])]).await;
    let begin = Instant::now();
    for (n, wrong) in [("reader", "swordfis"), ("nobody", "swordfish"), ("", ""), ("reader", "")].iter().enumerate() {
        let reply = ask(&site, "GET", "/api/incidents", &basic(wrong.0, wrong.1)).await;
        assert_eq!(reply.status, 401, "{wrong:?}");
        // One check each, also for a name that is not there: the time tells nothing.
        assert!((checks(&site) - (n + 1) as f64).abs() < f64::EPSILON, "{wrong:?}");
    }
    assert!(begin.elapsed() >= Duration::from_millis(1_500), "100, 200, 400 and 800 ms");
    assert!((site.sample("tidewatch_auth_failures_total{reason=\"wrong\"}") - 4.0).abs() < f64::EPSILON);
    // What is no credential at all costs no check.
    for none in ["Authorization: Basic %%%", "Authorization: Basic bm9jb2xvbg==", "Authorization: Digest x"] {
        assert_eq!(ask(&site, "GET", "/", none).await.status, 401, "{none}");
    }
    let two = [basic("reader", "swordfish"), basic("reader", "swordfish"), "Host: localhost".into()];
    let two: Vec<&str> = two.iter().map(String::as_str).collect();
    assert_eq!(site.ask("GET", "/", &two, "").await.status, 401, "two credentials are none");
    assert!((checks(&site) - 4.0).abs() < f64::EPSILON);
}

/// Whoever was right once is not kept waiting by who guesses, and who comes new is told to come again: never 401.
#[tokio::test]
async fn r21_auth_many_guesses_at_once_keep_out_nobody_who_was_right_before() {
    let site = Arc::new(site(vec![user("prometheus", "swordfish", &[Scope::Read])]).await);
    let right = basic("prometheus", "swordfish");
    assert_eq!(ask(&site, "GET", "/api/incidents", &right).await.status, 200);
    let guesses: Vec<_> = (0..64)
        .map(|n| {
            let site = Arc::clone(&site);
            tokio::spawn(async move {
                ask(&site, "GET", "/api/incidents", &basic("prometheus", &format!("guess {n}"))).await.status
            })
        })
        .collect();
    while guesses.iter().any(|guess| !guess.is_finished()) {
        assert_eq!(ask(&site, "GET", "/api/incidents", &right).await.status, 200);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut answers = Vec::new();
    for guess in guesses {
        answers.push(guess.await.unwrap());
    }
    let (wrong, busy) = (answers.iter().filter(|code| **code == 401), answers.iter().filter(|code| **code == 503));
    let (wrong, busy) = (wrong.count(), busy.count());
    assert_eq!(wrong + busy, 64, "{answers:?}");
    // Each refusal holds its address' turn for longer than the one before: two turns give few checks in two seconds.
    assert!((2..=16).contains(&wrong), "{wrong} of 64 guesses were checked");
    assert!((checks(&site) - 1.0 - wrong as f64).abs() < f64::EPSILON);
    assert!((site.sample("tidewatch_auth_failures_total{reason=\"busy\"}") - busy as f64).abs() < f64::EPSILON);
}

#[tokio::test]
async fn a_changed_hash_counts_at_once() {
    let site = site(vec![user("reader", "swordfish", &[Scope::Read])]).await;
    let old = basic("reader", "swordfish");
    assert_eq!(ask(&site, "GET", "/", &old).await.status, 200);
    let users = vec![user("reader", "marlin", &[Scope::Read])];
    site.front.replace(Access { users, ..Access::default() }, jiff::tz::TimeZone::UTC);
    assert_eq!(ask(&site, "GET", "/", &old).await.status, 401);
    assert_eq!(ask(&site, "GET", "/", &basic("reader", "marlin")).await.status, 200);
}

/// R21 on the real program: what is refused leaves nothing behind, whatever was sent for a credential.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r21_auth_a_refused_post_stores_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (data, config) = (folder.path().join("data"), folder.path().join("tidewatch.toml"));
    let hash = bcrypt::hash("swordfish", 4).unwrap();
    let text = format!("[access.users.alertmanager]\npassword_hash = '{hash}'\nscopes = ['alerts']\n");
    std::fs::write(&config, text).unwrap();
    let token = |name: &str, scope: &str| {
        let made = run(tidewatch(&["token", "create", name, "--scope", scope, "--data-dir"]).arg(&data));
        assert_eq!(made.code, Some(0), "{made:?}");
        format!("Authorization: Bearer {}", made.out.trim())
    };
    let (poster, reader) = (token("poster", "alerts"), token("reader", "read"));
    let program = Program::start(&data, &["--config", config.to_str().unwrap()]).await;
    let body = post(&[alert(&[("alertname", "Down")], "2026-11-21T02:00:00Z", None)]);
    let send = async |credential: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", program.port)).await.unwrap();
        let head = format!(
            "POST /webhook/alerts HTTP/1.1\r\nHost: x\r\n{credential}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        Reply::read(&mut stream, false).await.expect("an answer").status
    };
    let ledger = async || {
        let mut stream = TcpStream::connect(("127.0.0.1", program.port)).await.unwrap();
        stream.write_all(format!("GET /api/ledger HTTP/1.1\r\nHost: x\r\n{reader}\r\n\r\n").as_bytes()).await.unwrap();
        Reply::read(&mut stream, false).await.expect("an answer").json()
    };
    let empty = ledger().await;
    let (cut, longer) = (poster[..poster.len() - 1].to_owned(), format!("{poster}x"));
    let wrong = basic("alertmanager", "marlin");
    for (credential, status) in
        [("X: none", 401), (&cut, 401), (&longer, 401), (&wrong, 401), (&reader, 403), ("Authorization: Bearer ", 401)]
    {
        assert_eq!(send(credential).await, status, "{credential}");
    }
    assert_eq!(ledger().await, empty, "something was stored");
    assert_eq!(send(&poster).await, 200);
    assert_eq!(send(&basic("alertmanager", "swordfish")).await, 200);
    assert_ne!(ledger().await, empty);
    let sample = async |series: &str| program.sample(series).await.unwrap_or_default();
    assert!(sample("tidewatch_auth_failures_total{reason=\"wrong\"}").await >= 3.0);
    assert!((sample("tidewatch_auth_failures_total{reason=\"scope\"}").await - 1.0).abs() < f64::EPSILON);
    program.stop().await;
}

#[test]
fn a_password_is_hashed_as_it_is_typed_and_never_cut() {
    let folder = tempfile::tempdir().unwrap();
    let hash = |typed: &str| {
        let file = folder.path().join("typed");
        std::fs::write(&file, typed).unwrap();
        run(tidewatch(&["hash-password"]).stdin(std::fs::File::open(file).unwrap()))
    };
    for (typed, password) in [("swordfish\n", "swordfish"), ("swordfish", "swordfish"), (" tr:out \r\n", " tr:out ")] {
        let done = hash(typed);
        assert_eq!(done.code, Some(0), "{done:?}");
        assert!(bcrypt::verify(password, done.out.trim()).unwrap(), "{typed:?}");
    }
    // bcrypt would look at the first 72 bytes and take whatever follows.
    for typed in ["", "\n", "two\nlines\n", &"x".repeat(73)] {
        let done = hash(typed);
        assert!(done.code == Some(2) && done.out.is_empty() && done.err.contains("72"), "{done:?}");
    }
}
