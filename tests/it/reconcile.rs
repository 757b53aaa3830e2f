//! What no post told: asked of a real Alertmanager, and of servers that answer as they should not.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::support::certificates::Certificates;
use crate::support::eventually;
use crate::support::http_stub::{HttpStub, Reply};
use crate::support::monitoring::{check, prometheus};
use crate::support::pair::{Pair, reconciled};
use crate::support::program::{Program, SOON};

fn ago(seconds: i64) -> Timestamp {
    Timestamp::now() - SignedDuration::from_secs(seconds)
}

#[tokio::test]
async fn r12_truncation_leaves_out_an_alert_and_it_is_fetched() {
    let pair = Pair::asking(1).await;
    let began = Timestamp::now();
    pair.tell("a-first", began, None);
    pair.counted("opened", 1.0).await;
    // No post ever shows it: the one before it is always there.
    pair.tell("z-last", began, None);
    pair.reconciled("found", 1.0).await;
    pair.says("found at Alertmanager").await;
    assert_eq!(pair.json("/api/incidents/1")["open"], 2);
    let page = pair.page();
    assert!(page.contains("found at Alertmanager: no post told of it"), "{page}");

    let ledger = pair.json("/api/ledger")["alerts"].clone();
    let term = |name: &str| ledger[name].as_u64().unwrap();
    let parts = ["opened", "repeated", "closed", "stale", "held", "quarantined", "truncated"];
    assert_eq!(term("received"), parts.into_iter().map(term).sum::<u64>(), "{ledger}");
}

#[tokio::test]
async fn r13_silence_then_the_end_is_closed_by_reconciling() {
    let pair = Pair::asking(0).await;
    let began = Timestamp::now();
    pair.tell("alpha", began, None);
    pair.counted("opened", 1.0).await;
    let now = Timestamp::now();
    let silence = json!({
        "matchers": [{ "name": "instance", "value": "alpha", "isRegex": false, "isEqual": true }],
        "startsAt": now, "endsAt": now + SignedDuration::from_hours(1), "createdBy": "test", "comment": "E7",
    });
    pair.alertmanager("POST", "/api/v2/silences", &silence);
    pair.looks(3.0).await;
    assert_eq!(pair.metric(&reconciled("gone")), Some(0.0), "it fires on, unseen");
    pair.tell("alpha", began, Some(Timestamp::now()));
    let looks = "tidewatch_reconcile_total{result=\"ok\",source=\"default\"}";
    let before = pair.metric(looks).unwrap();
    pair.reconciled("gone", 1.0).await;
    let needed = pair.metric(looks).unwrap() - before;
    assert!(needed <= 3.0, "two periods, and the look that was under way, but {needed} looks");
    pair.ended().await;
    pair.says("Alertmanager has it no more").await;
    assert!(pair.page().contains("Alertmanager has it no more: no post told of its end"));
    let by: (String, String) = pair
        .database()
        .query_row("SELECT episode.resolved_by, incident.resolved_by FROM episode JOIN incident", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    assert_eq!(by, ("reconcile".to_owned(), "reconcile".to_owned()));
}

/// What Alertmanager believes to be delivered it does not post again for hours: here somebody else answered 200.
#[tokio::test]
async fn what_was_missed_while_down_is_found_at_the_start() {
    let mut pair = Pair::asking(0).await;
    pair.looks(1.0).await;
    pair.cut();
    let swallowed = {
        let listener = std::net::TcpListener::bind(("127.0.0.1", pair.port)).unwrap();
        let swallow = std::thread::spawn(move || {
            use std::io::{Read, Write};
            let (mut stream, _) = listener.accept().unwrap();
            let (mut read, mut chunk) = (Vec::new(), [0; 4_096]);
            while !read.ends_with(b"}\n") && !read.ends_with(b"}") {
                let count = stream.read(&mut chunk).unwrap();
                read.extend_from_slice(&chunk[..count]);
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
            String::from_utf8_lossy(&read).contains("alpha")
        });
        pair.tell("alpha", Timestamp::now(), None);
        swallow.join().unwrap()
    };
    assert!(swallowed, "Alertmanager's post");
    pair.again().await;
    pair.reconciled("found", 1.0).await;
    pair.says("found at Alertmanager").await;
    assert_eq!(pair.metric("tidewatch_ingest_requests_total{code=\"200\",source=\"default\"}"), None, "no post came");
}

#[tokio::test]
async fn what_looks_stale_is_decided_at_once() {
    let pair = Pair::asking(0).await;
    // A peer that is behind: Alertmanager does not list it.
    let began = ago(20);
    assert_eq!(pair.post("over", began, None)["opened"], 1);
    assert_eq!(pair.post("over", began, Some(ago(5)))["closed"], 1);
    assert_eq!(pair.post("over", began, None)["held"], 1);
    pair.reconciled("stale", 1.0).await;
    // A genuine one, by a clock that is behind: Alertmanager lists it.
    pair.post("behind", began, None);
    pair.post("behind", began, Some(ago(5)));
    pair.tell("behind", ago(10), None);
    pair.reconciled("fires", 1.0).await;
    let open: i64 = pair
        .database()
        .query_row("SELECT count(*) FROM episode WHERE ends_at IS NULL AND held_until IS NULL", [], |row| row.get(0))
        .unwrap();
    assert_eq!(open, 1);
}

/// The series ALERTS of a real Prometheus, of a time in which nobody listened.
#[tokio::test]
async fn what_fired_and_ended_while_nobody_listened_is_told() {
    let monitoring = tempfile::tempdir().unwrap();
    let now = Timestamp::now().as_second();
    let samples = |name: &str, from: i64, to: i64| {
        let lines = (from..=to).step_by(15).map(|second| {
            format!("ALERTS{{alertname=\"{name}\",alertstate=\"firing\",severity=\"critical\",instance=\"alpha\"}} 1 {second}\n")
        });
        lines.collect::<String>()
    };
    let text = format!(
        "# TYPE ALERTS gauge\n{}{}{}# EOF\n",
        samples("EndedBefore", now - 1_200, now - 660),
        samples("Missed", now - 400, now - 200),
        samples("Watchdog", now - 400, now - 200),
    );
    std::fs::write(monitoring.path().join("alerts.txt"), text).unwrap();
    std::fs::write(monitoring.path().join("prometheus.yml"), "{}").unwrap();
    let made = check(
        "promtool",
        &[
            "tsdb",
            "create-blocks-from",
            "openmetrics",
            monitoring.path().join("alerts.txt").to_str().unwrap(),
            monitoring.path().join("prometheus-data").to_str().unwrap(),
        ],
    );
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let (_prometheus, port) = prometheus(monitoring.path()).await;

    let folder = tempfile::tempdir().unwrap();
    let (config, data) = (folder.path().join("tidewatch.toml"), folder.path().join("data"));
    std::fs::write(&config, format!("[sources.default]\nprometheus = 'http://127.0.0.1:{port}'\n")).unwrap();
    let words = ["--config", config.to_str().unwrap()];
    let program = Program::start(&data, &words).await;
    program.stop().await;
    let database = rusqlite::Connection::open(data.join("tidewatch.db")).unwrap();
    let alive = ago(600).as_nanosecond() as i64;
    database.execute("UPDATE ledger SET alive_at = ?1", [alive]).unwrap();
    drop(database);

    let program = Program::start(&data, &words).await;
    eventually("people are told", SOON, async || program.running.output().contains("fired and ended").then_some(()))
        .await;
    let output = program.running.output();
    let told = output.lines().find(|line| line.contains("fired and ended")).unwrap();
    assert!(told.contains("1 alerts of source default") && told.contains("Missed"), "{told}");
    assert!(!told.contains("EndedBefore") && !told.contains("Watchdog"), "{told}");
    let series = "tidewatch_reconciled_alerts_total{result=\"missed\",source=\"default\"}";
    assert_eq!(program.sample(series).await, Some(1.0));
    program.stop().await;
}

const FAILED: &str = "tidewatch_reconcile_total{result=\"failed\",source=\"default\"}";

/// A receiver that asks `url` each 200 ms, with more of its source's settings.
async fn asking(url: &str, more: &str) -> (Program, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("tidewatch.toml");
    let text =
        format!("[sources.default]\nalertmanager = ['{url}']\nreconcile_interval = '200ms'\ntimeout = '1s'\n{more}");
    std::fs::write(&config, text).unwrap();
    let program = Program::start(&folder.path().join("data"), &["--config", config.to_str().unwrap()]).await;
    (program, folder)
}

#[tokio::test]
async fn r19_a_redirect_is_not_followed_and_what_makes_no_sense_is_no_list() {
    let elsewhere = HttpStub::start(|_| Reply::status(200, "[]")).await;
    let to = elsewhere.url("/api/v2/alerts");
    let answers: [(&str, Reply); 5] = [
        ("it answered 302", Reply::status(302, "").with("Location", &to)),
        ("it answered 401", Reply::status(401, "")),
        ("no `uptime`", Reply::status(200, "[]")),
        ("no answer within", Reply::Hang),
        ("its answer is above", Reply::status(200, vec![b' '; 5 << 20])),
    ];
    for (why, answer) in answers {
        let stub = HttpStub::start(move |_| answer.clone()).await;
        let (program, _folder) = asking(&stub.url("/"), "").await;
        eventually(why, SOON, async || program.sample(FAILED).await.filter(|looks| *looks >= 2.0)).await;
        assert!(program.running.output().contains(why), "{why}: {}", program.running.output());
        assert_eq!(program.running.output().matches("does not say what fires").count(), 1, "once");
        program.stop().await;
    }
    assert!(elsewhere.asked().is_empty());
}

#[tokio::test]
async fn it_is_asked_with_credentials_over_tls_below_a_path() {
    let folder = tempfile::tempdir().unwrap();
    let tls = Certificates::make(folder.path());
    let stub = HttpStub::start_tls(tls.acceptor(), |asked| match asked.path.split('?').next().unwrap() {
        "/am/api/v2/status" => Reply::status(200, r#"{"uptime":"2026-11-21T02:00:00Z"}"#),
        "/am/api/v2/alerts" => Reply::status(200, "[]"),
        _ => Reply::status(404, ""),
    })
    .await;
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "open sesame\n").unwrap();
    let url = format!("https://127.0.0.1:{}/am/", stub.address.port());
    let trusted = format!("ca_file = '{}'\n", tls.authority.display());
    let basic = format!("username = 'tide'\npassword_file = '{}'\n", secret.display());
    let bearer = format!("bearer_token_file = '{}'\n", secret.display());
    let ok = "tidewatch_reconcile_total{result=\"ok\",source=\"default\"}";
    for (more, header) in [(basic, "Basic dGlkZTpvcGVuIHNlc2FtZQ=="), (bearer, "Bearer open sesame")] {
        let (program, _folder) = asking(&url, &format!("{trusted}{more}")).await;
        eventually(header, SOON, async || program.sample(ok).await.filter(|looks| *looks >= 1.0)).await;
        program.stop().await;
        assert_eq!(stub.asked().last().unwrap().headers["authorization"], header);
    }
    // Without the authority nothing is believed, and nothing is sent.
    let before = stub.asked().len();
    let (program, _folder) = asking(&url, "").await;
    eventually("TLS fails", SOON, async || program.sample(FAILED).await.filter(|looks| *looks >= 1.0)).await;
    assert_eq!(stub.asked().len(), before);
    program.stop().await;
}

#[tokio::test]
async fn one_peer_of_two_is_a_partial_answer() {
    let good = HttpStub::start(|asked| {
        let status = asked.path.starts_with("/api/v2/status");
        Reply::status(200, if status { r#"{"uptime":"2026-11-21T02:00:00Z"}"# } else { "[]" })
    })
    .await;
    let dead = crate::support::free_port();
    let (program, _folder) = asking(&format!("{}', 'http://127.0.0.1:{dead}", good.url("")), "").await;
    let partial = "tidewatch_reconcile_total{result=\"partial\",source=\"default\"}";
    eventually("a partial look", SOON, async || program.sample(partial).await.filter(|looks| *looks >= 1.0)).await;
    program.stop().await;
}
