//! Queries of one's own: their types, their cache, their limits.

use std::path::PathBuf;
use std::time::Duration;

use tidewatch::config::Span;

use super::{Config, build, run, target, value};
use crate::support::postgres::Server;

fn with(folder: &tempfile::TempDir, queries: &str, server: &Server) -> Config {
    let file: PathBuf = folder.path().join("queries.yaml");
    std::fs::write(&file, queries).unwrap();
    target(Config { queries: vec![file], ..Config::default() }, "main", server, "postgres")
}

const KINDS: &str = r#"
shop:
  query: "SELECT 'a' AS name, 'x' AS secret, 3 AS orders, 1.5 AS load, 'open' AS state, '1m30s' AS age, 7 AS other, 'text' AS words"
  metrics:
    - name: { usage: "LABEL", description: "Name" }
    - secret: { usage: "DISCARD", description: "" }
    - orders: { usage: "COUNTER", description: "Orders" }
    - load: { usage: "GAUGE", description: "Load" }
    - state: { usage: "MAPPEDMETRIC", description: "State", metric_mapping: { closed: 0, open: 1 } }
    - age: { usage: "DURATION", description: "Age" }
waits:
  query: "SELECT '{1,5}'::float[] AS seconds, '{2,3}'::int[] AS seconds_bucket, 9.5 AS seconds_sum, 4 AS seconds_count"
  metrics:
    - seconds: { usage: "HISTOGRAM", description: "Waits" }
future:
  query: "SELECT 1 AS nothing"
  runonserver: ">=99.0.0"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn each_usage_is_the_originals() {
    let server = Server::start(15, &[]).await;
    let folder = tempfile::tempdir().unwrap();
    let (text, _) = run(&build(&with(&folder, KINDS, &server))).await;
    let labels = format!("name=\"a\",server=\"127.0.0.1:{}\"", server.port);
    for (family, kind, number) in [
        ("shop_orders", "counter", 3.0),
        ("shop_load", "gauge", 1.5),
        ("shop_state", "gauge", 1.0),
        ("shop_age_milliseconds", "gauge", 90_000.0),
        ("shop_other", "untyped", 7.0),
    ] {
        assert!(text.contains(&format!("# TYPE {family} {kind}\n")), "{family}: {text}");
        assert_eq!(value(&text, &format!("{family}{{{labels}}}")), Some(number), "{family}");
    }
    assert!(!text.contains("shop_secret") && !text.contains("shop_words") && !text.contains("future_"), "{text}");
    let server = format!("server=\"127.0.0.1:{}\"", server.port);
    for (sample, number) in [
        (format!("waits_seconds_bucket{{{server},le=\"1\"}}"), 2.0),
        (format!("waits_seconds_bucket{{{server},le=\"5\"}}"), 3.0),
        (format!("waits_seconds_bucket{{{server},le=\"+Inf\"}}"), 4.0),
        (format!("waits_seconds_sum{{{server}}}"), 9.5),
    ] {
        assert_eq!(value(&text, &sample), Some(number), "{sample}: {text}");
    }
    assert!(text.contains("pg_exporter_user_queries_load_error{filename="), "{text}");
    assert_eq!(value(&text, "pg_scrape_collector_success{collector=\"custom_queries\"}"), Some(1.0));
}

const BOUNDED: &str = r#"
kept:
  query: "SELECT extract(epoch FROM clock_timestamp()) AS now"
  cache_seconds: 3600
  metrics: [ now: { usage: "GAUGE", description: "" } ]
fresh:
  query: "SELECT extract(epoch FROM clock_timestamp()) AS now"
  metrics: [ now: { usage: "GAUGE", description: "" } ]
many:
  query: "SELECT n AS number, n AS value FROM generate_series(1, 100000) AS n"
  metrics: [ number: { usage: "LABEL", description: "" }, value: { usage: "GAUGE", description: "" } ]
slow:
  query: "SELECT 1 AS one, pg_sleep(30)"
writes:
  query: "CREATE TABLE stolen (a int)"
everywhere:
  query: "SELECT 1 AS one"
first:
  query: "SELECT 1 AS one"
  master: true
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_query_is_bounded_and_fails_alone() {
    let server = Server::start(15, &[]).await;
    server.sql("postgres", "CREATE DATABASE other").await;
    let folder = tempfile::tempdir().unwrap();
    let mut config = with(&folder, BOUNDED, &server);
    (config.max_rows, config.statement_timeout) = (1_000, Span(Duration::from_millis(500)));
    config.targets.get_mut("main").unwrap().databases.include = vec!["other".into()];
    let postgres = build(&config);
    let (text, _) = run(&postgres).await;
    let (again, _) = run(&postgres).await;
    let line = |text: &str, family: &str| {
        let found = text.lines().find(|line| line.starts_with(family) && line.contains("datname=\"postgres\""));
        found.unwrap_or_else(|| panic!("{family}: {text}")).to_owned()
    };
    assert_eq!(line(&text, "kept_now{"), line(&again, "kept_now{"), "what is kept is not asked again");
    assert_ne!(line(&text, "fresh_now{"), line(&again, "fresh_now{"));
    let rows = |family: &str| text.lines().filter(|line| line.starts_with(family)).count();
    assert_eq!(rows("many_value{"), 2_000, "a thousand of each database");
    assert_eq!((rows("everywhere_one{"), rows("first_one{"), rows("slow_one")), (2, 1, 0));
    assert_eq!(value(&text, "pg_scrape_collector_success{collector=\"custom_queries\"}"), Some(0.0));
    assert_eq!(value(&text, "pg_up"), Some(1.0));
    assert_eq!(
        server.value("postgres", "SELECT count(*) FROM pg_class WHERE relname = 'stolen'").await.as_deref(),
        Some("0")
    );
}
