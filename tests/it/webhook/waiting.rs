//! Posts that wait for the store: the answer does not wait for ever, and what is behind it is not forgotten.

use crate::support::eventually;
use crate::support::program::{SOON, alert, post};
use crate::support::site::{Setup, Site};

const OPENED: &str = "tidewatch_ingest_alerts_total{result=\"opened\"}";

#[tokio::test]
async fn a_post_that_was_answered_503_still_counts_when_it_is_committed_in_the_end() {
    let site = Site::start(Setup::default()).await;
    let writer = site.store.writer.lock().await;
    let body = post(&[alert(&[("alertname", "Late")], "2026-11-21T02:00:00Z", None)]);
    let reply = site.ask("POST", "/webhook/alerts", &[], &body).await;
    assert_eq!(reply.status, 503, "{}", reply.text());
    assert!(reply.text().contains("the store takes too long"), "{}", reply.text());
    assert!(site.sample(OPENED) < 0.5);
    drop(writer);
    eventually("it is committed, and counted", SOON, async || (site.sample(OPENED) > 0.5).then_some(())).await;
}

#[tokio::test]
async fn posts_that_wait_take_what_they_take_in_memory() {
    const ALERTS: usize = 49_000;
    let site = Site::start(Setup::default()).await;
    let writer = site.store.writer.lock().await;
    // Four bodies of 2 MB: their alerts are 50 MB each in memory, and three fit.
    let alert = r#"{"status":"firing","labels":{"a":"b"}},"#;
    let body = format!(r#"{{"alerts":[{}]}}"#, alert.repeat(ALERTS).trim_end_matches(','));
    let ask = async || site.ask("POST", "/webhook/alerts", &[], &body).await.text().to_owned();
    let first = tokio::join!(ask(), ask(), ask());
    for late in <[String; 3]>::from(first) {
        assert!(late.contains("the store takes too long"), "{late}");
    }
    // Those were answered, and still wait: what they take is not free.
    let refused = ask().await;
    assert!(refused.contains("too many bytes wait to be stored"), "{refused}");
    drop(writer);
    let opened = 3.0 * ALERTS as f64;
    eventually("all are committed", SOON, async || (site.sample(OPENED) > opened - 0.5).then_some(())).await;
    assert!(ask().await.contains("\"status\":\"ok\""), "the bytes are given back");
}
