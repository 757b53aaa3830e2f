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
