//! What a real Alertmanager does with tidewatch's answers, and what its posts leave out: no alert is lost to a store that
//! could not write, and no incident ends because a post was cut short.

use jiff::Timestamp;

use crate::support::pair::Pair;

/// Alertmanager repeats within seconds what was answered 503; what is answered 4xx it forgets once the alert is over.
#[tokio::test]
async fn r9_e4_what_could_not_be_stored_is_sent_again() {
    let pair = Pair::start(0).await;
    let database = pair.database();
    database.execute_batch("BEGIN IMMEDIATE").unwrap();
    let began = Timestamp::now();
    pair.tell("alpha", began, None);
    pair.reaches("tidewatch_ingest_requests_total{code=\"503\",source=\"default\"}", 1.0).await;
    assert_eq!(pair.metric("tidewatch_ingest_alerts_total{result=\"opened\"}"), Some(0.0));
    database.execute_batch("ROLLBACK").unwrap();

    pair.counted("opened", 1.0).await;
    pair.tell("alpha", began, Some(Timestamp::now()));
    pair.counted("closed", 1.0).await;
    pair.ended().await;
    assert_eq!(pair.metric("tidewatch_ingest_alerts_total{result=\"opened\"}"), Some(1.0), "once");
    assert_eq!(pair.metric("tidewatch_ingest_requests_total{code=\"400\",source=\"default\"}"), Some(0.0));
}

/// With one alert a post, the firing one is cut off behind the one that ends, and the group calls itself resolved.
#[tokio::test]
async fn r12_e6_a_post_that_is_cut_short_ends_only_what_it_names() {
    let pair = Pair::start(1).await;
    let began = Timestamp::now();
    pair.tell("z-last", began, None);
    pair.counted("opened", 1.0).await;
    pair.tell("a-first", began, None);
    pair.counted("opened", 2.0).await;
    pair.tell("a-first", began, Some(Timestamp::now()));
    pair.counted("closed", 1.0).await;
    assert!(pair.metric("tidewatch_ingest_alerts_total{result=\"truncated\"}") >= Some(2.0));
    assert!(pair.tidewatch.output().contains("a post came without some of its alerts"));
    let page = pair.page();
    assert!(page.contains(">firing</span>, critical, since ") && page.contains("1 of 2 alerts fire"), "{page}");
    assert_eq!(pair.metric("tidewatch_incidents{severity=\"critical\"}"), Some(1.0));

    pair.tell("z-last", began, Some(Timestamp::now()));
    pair.counted("closed", 2.0).await;
    pair.ended().await;
}
