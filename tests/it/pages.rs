//! The routes: what programs and people get.

use std::io::Read;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use tidewatch::alert::{Episode, Fingerprint, Incident, Kind, Labels, Severity};
use tidewatch::facts::State;
use tidewatch::http::Listener;
use tidewatch::metrics::expose::Format;
use tidewatch::store::{OutboxRow, RowState, Subject};

use crate::support::site::{Setup, Site};

/// Texts that try to become something else.
const HOSTILE: [&str; 9] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "'; drop table incidents; --",
    "{{ 7777 * 7777 }}{% for x in range(9) %}",
    "javascript:alert(1)",
    "https://evil.example/?steal",
    "\u{202e}gnp.exe",
    "<!channel> @everyone",
    "a\u{0}b\r\nSet-Cookie: x=y",
];

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn incident(id: i64) -> Incident {
    let episode = Episode {
        id: 5,
        fingerprint: Fingerprint(7),
        severity: Severity::Critical,
        labels: labels(&[("alertname", "AgentOffline"), ("agent_id", "alpha")]),
        annotations: labels(&[("summary", "alpha is silent"), ("runbook_url", "https://runbooks.example/offline")]),
        generator_url: String::new(),
        starts_at: time("2026-11-21T02:11:00Z"),
        ends_at: None,
        found: false,
        reconciled: false,
    };
    Incident {
        id,
        source: "default".into(),
        cause: "agent".into(),
        severity: Severity::Critical,
        opened_at: time("2026-11-21T02:11:00Z"),
        resolved_at: None,
        members: vec![episode],
        open: 1,
        total: 1,
    }
}

fn row(id: i64, channel: &str, state: RowState) -> OutboxRow {
    OutboxRow {
        id,
        subject: Subject::Incident(7),
        channel: channel.into(),
        sequence: 1,
        kind: Kind::Opened,
        state,
        attempts: 3,
        created_at: time("2026-11-21T02:11:00Z"),
        due_at: time("2026-11-21T02:12:00Z"),
        settled_at: None,
        error: Some("slack: 404".into()),
        note: None,
    }
}

#[tokio::test]
async fn a_scrape_says_what_it_asks_for() {
    let site = Site::start(Setup { listener: Listener { collectors: vec!["host".into()] }, ..Setup::default() }).await;
    let accept = "Accept: application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.2";
    let more = [accept, "X-Prometheus-Scrape-Timeout-Seconds: 9.5"];
    let reply = site.ask("GET", "/metrics?collect[]=cpu&exclude[]=host", &more, "").await;
    assert_eq!((reply.status, reply.text()), (200, "up 1\n"));
    assert_eq!(reply.header("content-type"), Some(Format::OpenMetrics.content_type()));
    assert_eq!(reply.header("content-encoding"), None, "too short to be worth it");
    {
        let asked = site.scraper.asked.lock().unwrap();
        let (request, format) = &asked[0];
        assert_eq!((&*request.collect, &*request.exclude), (&["cpu".to_owned()][..], &["host".to_owned()][..]));
        assert_eq!((&*request.bound, request.timeout), (&["host".to_owned()][..], Some(Duration::from_millis(9_500))));
        assert_eq!(*format, Format::OpenMetrics);
    }
    assert_eq!(site.get("/metrics").await.header("content-type"), Some(Format::Text.content_type()));
    assert!(site.sample("tidewatch_scrapes_total{format=\"openmetrics\"}") > 0.0);
}

#[tokio::test]
async fn an_unknown_name_is_answered_400_with_the_valid_ones() {
    let site = Site::start(Setup::default()).await;
    let reply = site.get("/metrics?collect[]=hots").await;
    assert_eq!((reply.status, reply.text()), (400, "`hots` is no collector; there are: host, cpu\n"));
    assert!(site.scraper.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_long_exposition_is_compressed_for_who_takes_that() {
    let site = Site::start(Setup::default()).await;
    let text = "node_cpu_seconds_total{cpu=\"0\",mode=\"idle\"} 1\n".repeat(500);
    site.scraper.text.lock().unwrap().clone_from(&text);
    for _ in 0..3 {
        // Again, because the buffers are used again.
        let reply = site.ask("GET", "/metrics", &["Accept-Encoding: gzip"], "").await;
        assert_eq!(reply.header("content-encoding"), Some("gzip"));
        let mut plain = String::new();
        flate2::read::GzDecoder::new(&*reply.body).read_to_string(&mut plain).unwrap();
        assert_eq!(plain, text);
        assert_eq!(site.ask("GET", "/metrics", &["Accept-Encoding: identity"], "").await.text(), text);
    }
}

#[tokio::test]
async fn head_is_answered_as_get_without_a_body() {
    let site = Site::start(Setup::default()).await;
    let reply = site.ask("HEAD", "/metrics", &[], "").await;
    assert_eq!((reply.status, reply.header("content-length")), (200, Some("5")));
}

#[tokio::test]
async fn health_names_the_services_and_the_endpoints() {
    let site = Site::start(Setup::default()).await;
    let health = site.get("/health").await;
    assert_eq!(health.status, 200);
    assert_eq!(health.json()["status"], "ok");
    assert_eq!(health.json()["timestamp"], "2026-11-21T02:49:00Z");
    assert!(health.json()["endpoints"].as_array().unwrap().contains(&json!("/webhook/alerts")));

    *site.control.state.lock().unwrap() = Some(State::Critical);
    let health = site.get("/health").await;
    assert_eq!(health.status, 200, "a sick machine is no reason to restart tidewatch");
    assert_eq!(
        (&health.json()["status"], &health.json()["services"]["host"]),
        (&json!("critical"), &json!("critical"))
    );
    assert_eq!(site.get("/api/health").await.json()["services"][0]["why"], "memory 91 % of 16 GiB");
}

#[tokio::test]
async fn readiness_tells_what_is_missing() {
    let site = Site::start(Setup::default()).await;
    assert_eq!(site.get("/-/ready").await.status, 200);
    site.control.unready.lock().unwrap().push("store: the disk is full".into());
    let reply = site.get("/-/ready").await;
    assert_eq!((reply.status, reply.text()), (503, "not ready:\nstore: the disk is full\n"));
    assert_eq!(site.get("/-/healthy").await.status, 200);
}

#[tokio::test]
async fn a_reload_is_done_or_says_why_not() {
    let site = Site::start(Setup::default()).await;
    assert_eq!(site.get("/-/reload").await.status, 405);
    assert_eq!(site.ask("POST", "/-/reload", &[], "").await.status, 200);
    assert_eq!(site.ask("PUT", "/-/reload", &[], "").await.status, 200);
    *site.control.problems.lock().unwrap() = Some("tidewatch.toml:3:1: unknown key".into());
    let reply = site.ask("POST", "/-/reload", &[], "").await;
    assert_eq!((reply.status, reply.text()), (500, "nothing has changed:\ntidewatch.toml:3:1: unknown key\n"));
    assert_eq!(site.control.reloads.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn the_page_of_an_incident_says_what_where_and_since_when() {
    let site = Site::start(Setup::default()).await;
    site.store.incidents.lock().unwrap().push(incident(7));
    let page = site.get("/i/7").await;
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    for part in
        ["AgentOffline", "alpha is silent", "since 2026-11-21 02:11 UTC, 38 min", "critical", "1 of 1 alerts fire"]
    {
        assert!(page.text().contains(part), "no {part:?} in {}", page.text());
    }
    assert!(!page.text().contains("href=\"https://runbooks"), "nothing from outside is a link");

    let mut over = incident(8);
    over.resolved_at = Some(time("2026-11-21T02:30:00Z"));
    site.store.incidents.lock().unwrap().push(over);
    let page = site.get("/i/8").await;
    assert!(page.text().contains("from 2026-11-21 02:11 UTC to 2026-11-21 02:30 UTC, 19 min"), "{}", page.text());

    let first = site.get("/").await;
    assert!(first.text().contains("<a href=\"i/7\">") && !first.text().contains("i/8"), "{}", first.text());
    for missing in ["/i/9", "/i/x", "/i/99999999999999999999"] {
        let page = site.get(missing).await;
        assert_eq!(page.status, 404, "{missing}");
        assert!(page.text().contains("No such incident"));
    }
}

#[tokio::test]
async fn pages_are_text_whatever_a_label_says() {
    let site = Site::start(Setup::default()).await;
    let mut hostile = incident(7);
    hostile.cause = HOSTILE.join(" ");
    hostile.source = HOSTILE[0].into();
    let mut member = hostile.members[0].clone();
    for (n, text) in HOSTILE.iter().enumerate() {
        member.labels.insert(format!("{text}{n}"), (*text).to_owned());
        member.annotations.insert(format!("{n}{text}"), (*text).to_owned());
        member.labels.insert("alertname".into(), (*text).to_owned());
        member.generator_url = (*text).to_owned();
        hostile.members.push(member.clone());
    }
    site.store.incidents.lock().unwrap().push(hostile);
    for target in ["/i/7", "/"] {
        let page = site.get(target).await;
        let text = page.text();
        for tag in ["<script", "<img", "<!channel", "href=\"https:", "href=\"java", "\u{202e}", "\u{0}", "\r"] {
            assert!(!text.to_lowercase().contains(tag), "{tag:?} in {text}");
        }
        assert!(!text.contains("60481729"), "a template ran: {text}");
        let policy = page.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'self';") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(page.header("cache-control"), Some("no-store"));
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(page.header("set-cookie"), None);
    }
}

#[tokio::test]
async fn a_page_is_bounded_whatever_is_stored() {
    let site = Site::start(Setup::default()).await;
    let mut huge = incident(7);
    let mut member = huge.members[0].clone();
    member.annotations = (0..64).map(|n| (format!("a{n}"), "<".repeat(4 << 10))).collect();
    huge.members = vec![member; 100];
    huge.total = 20_000;
    site.store.incidents.lock().unwrap().push(huge);
    let page = site.get("/i/7").await;
    assert_eq!(page.status, 200);
    assert!(page.body.len() < 4 << 20, "{} bytes", page.body.len());
    assert!(page.text().contains("19900 more alerts are not shown here"));
    assert!(page.text().contains("more labels and annotations are not shown"));
    assert_eq!(site.get("/api/incidents").await.status, 422, "26 MB are refused");
}

#[tokio::test]
async fn the_outbox_is_listed_replayed_and_discarded() {
    let site = Site::start(Setup::default()).await;
    *site.store.outbox.lock().unwrap() =
        vec![row(1, "slack", RowState::Dead), row(2, "slack", RowState::Delivered), row(3, "email", RowState::Dead)];
    let ids = |reply: serde_json::Value| -> Vec<i64> {
        reply.as_array().unwrap().iter().map(|row| row["id"].as_i64().unwrap()).collect()
    };
    assert_eq!(ids(site.get("/api/outbox?state=dead").await.json()), [1, 3]);
    assert_eq!(ids(site.get("/api/outbox?state=dead&channel=slack").await.json()), [1]);
    assert_eq!(ids(site.get("/api/outbox?limit=2").await.json()), [1, 2]);
    assert_eq!(site.get("/api/outbox/3").await.json()["channel"], "email");
    assert_eq!(site.get("/api/outbox/4").await.status, 404);
    for wrong in ["/api/outbox?state=deceased", "/api/outbox?stat=dead", "/api/outbox?limit=-1"] {
        let reply = site.get(wrong).await;
        assert_eq!((reply.status, &reply.json()["status"]), (400, &json!("error")), "{wrong}");
    }

    let replay = async |body| site.ask("POST", "/api/outbox/1/replay", &[], body).await;
    assert_eq!(replay("{\"note\":\"channel is back\"}").await.json()["change"], "done");
    assert_eq!(replay("").await.json()["change"], "nothing", "a second time does nothing");
    assert_eq!(site.ask("POST", "/api/outbox/9/discard", &[], "").await.status, 404);
    assert_eq!(site.ask("POST", "/api/outbox/3/discard", &[], "{}").await.json()["change"], "done");
    for wrong in ["{\"nota\":1}".to_owned(), "[".to_owned(), json!({ "note": "x".repeat(501) }).to_string()] {
        assert_eq!(site.ask("POST", "/api/outbox/1/replay", &[], &wrong).await.status, 400, "{wrong}");
    }
    let changes = site.store.changes.lock().unwrap();
    assert_eq!(changes[0], (1, "loopback".into(), "channel is back".into()));
    assert_eq!(changes.len(), 3);
}

#[tokio::test]
async fn incidents_and_the_ledger_are_there_for_programs() {
    let site = Site::start(Setup::default()).await;
    let mut over = incident(6);
    over.resolved_at = Some(time("2026-11-21T02:30:00Z"));
    *site.store.incidents.lock().unwrap() = vec![incident(7), over];
    assert_eq!(site.get("/api/incidents").await.json().as_array().unwrap().len(), 2);
    assert_eq!(site.get("/api/incidents?open=true&limit=5").await.json()[0]["id"], 7);
    assert_eq!(site.get("/api/incidents/6").await.json()["cause"], "agent");
    assert_eq!(site.get("/api/incidents/5").await.status, 404);
    assert_eq!(site.get("/api/incidents/five").await.status, 404);
    assert_eq!(site.get("/api/ledger").await.json()["pending"], 1);
    site.store.broken.store(true, Ordering::Relaxed);
    for target in ["/api/incidents", "/api/incidents/7", "/api/outbox", "/api/ledger", "/i/7"] {
        assert_eq!(site.get(target).await.status, 503, "{target}");
    }
    assert_eq!(site.get("/").await.status, 200, "the first page says that the store does not answer");
}

#[tokio::test]
async fn a_test_message_says_how_it_went() {
    let site = Site::start(Setup::default()).await;
    assert_eq!(site.ask("POST", "/api/test-notify/slack", &[], "").await.status, 200);
    let failed = site.ask("POST", "/api/test-notify/pager", &[], "").await;
    assert_eq!((failed.status, &failed.json()["status"]), (502, &json!("error")));
    assert_eq!(site.get("/api/test-notify/slack").await.status, 405);
}

#[tokio::test]
async fn an_exporter_says_that_it_keeps_no_alerts() {
    let site = Site::start(Setup { store: false, ..Setup::default() }).await;
    for target in ["/api/incidents", "/api/outbox", "/api/ledger", "/i/7"] {
        let reply = site.get(target).await;
        assert_eq!(reply.status, 501, "{target}");
        assert!(reply.text().contains("receiver"), "{}", reply.text());
    }
    let endpoints = site.get("/health").await.json()["endpoints"].to_string();
    assert!(endpoints.contains("/metrics") && !endpoints.contains("/webhook"), "{endpoints}");
    assert!(site.get("/").await.text().contains("keeps no alerts"));
}

#[tokio::test]
async fn what_nobody_serves_is_told_apart() {
    let site = Site::start(Setup::default()).await;
    let missing = site.get("/admin.php").await;
    assert_eq!((missing.status, &missing.json()["status"]), (404, &json!("error")));
    let wrong = site.ask("DELETE", "/metrics", &[], "").await;
    assert_eq!((wrong.status, wrong.header("allow")), (405, Some("GET,HEAD")));
    assert_eq!(wrong.json()["status"], "error");
    for target in ["/metrics/", "//metrics", "/%6detrics", "/i/", "/i/../api/ledger"] {
        assert_eq!(site.get(target).await.status, 404, "{target}");
    }
    assert!(site.sample("tidewatch_http_requests_total{code=\"404\",path=\"other\"}") > 0.0);
}

#[tokio::test]
async fn a_listener_for_some_collectors_serves_nothing_else() {
    let site = Site::start(Setup { listener: Listener { collectors: vec!["host".into()] }, ..Setup::default() }).await;
    for (target, status) in [("/metrics", 200), ("/-/healthy", 200), ("/health", 200), ("/", 404), ("/api/ledger", 404)]
    {
        assert_eq!(site.get(target).await.status, status, "{target}");
    }
    assert_eq!(site.ask("POST", "/-/reload", &[], "").await.status, 404);
}
