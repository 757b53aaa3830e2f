//! The versions of the server, each real. 13 always; 15 and 18 are compared with the original's own scrapes; others by
//! `TIDEWATCH_TEST_POSTGRES`, which `tests/bench/postgres` sets.

use crate::compat::postgres::{EXTRA, all, missing, pair};
use crate::support::postgres::{Server, connect};

async fn tried(major: u32) {
    let (primary, replica) = pair(major, None).await;
    let _idle = (connect(primary.port, "bench").await.unwrap(), connect(replica.port, "bench").await.unwrap());
    let extra: Vec<_> = EXTRA.iter().copied().filter(|part| major >= 16 || *part != "buffercache_summary").collect();
    for (name, server) in [("pg15", &primary), ("pg15-replica", &replica)] {
        let name = format!("postgres_exporter-0.20.1-{name}");
        let excused = format!("{name}@{major}");
        assert_eq!(missing(&name, &excused, server, "bench", all(&extra)).await, Vec::<String>::new(), "{major}");
        // The third time everything is prepared that can be.
        let postgres = super::build(&super::target(all(&extra), "main", server, "bench"));
        for _ in 0..2 {
            super::run(&postgres).await;
        }
        let (text, _) = super::run(&postgres).await;
        let failed =
            text.lines().filter(|line| line.starts_with("pg_scrape_collector_success") && line.ends_with(" 0"));
        assert_eq!(failed.collect::<Vec<_>>(), Vec::<&str>::new(), "{name} on {major}");
        assert!(text.contains(&format!("pg_static{{server=\"127.0.0.1:{}\",short_version=\"{major}.", server.port)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_13_has_what_it_can_have() {
    tried(13).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_versions_that_are_asked_for_have_what_they_can_have() {
    let asked = std::env::var("TIDEWATCH_TEST_POSTGRES").unwrap_or_default();
    for major in asked.split_whitespace() {
        println!("Postgres {major}");
        tried(major.parse().unwrap()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_older_than_those_that_are_maintained_gives_what_it_has() {
    let server = Server::start(12, &["shared_preload_libraries = 'pg_stat_statements'"]).await;
    let slot = "SELECT pg_create_physical_replication_slot('replica1')";
    server.sql("postgres", &format!("CREATE EXTENSION pg_stat_statements; {slot}")).await;
    let extra: Vec<_> = EXTRA.iter().copied().filter(|part| *part != "buffercache_summary").collect();
    let postgres = super::build(&super::target(all(&extra), "main", &server, "postgres"));
    for _ in 0..2 {
        super::run(&postgres).await;
    }
    let (text, _) = super::run(&postgres).await;
    assert_eq!(super::value(&text, "pg_up"), Some(1.0), "{text}");
    let failed = text.lines().filter(|line| line.starts_with("pg_scrape_collector_success") && line.ends_with(" 0"));
    assert_eq!(failed.collect::<Vec<_>>(), Vec::<&str>::new());
    for family in [
        "pg_stat_statements_seconds_total{",
        "pg_replication_slots_active{",
        "pg_stat_bgwriter_checkpoints_timed_total ",
    ] {
        assert!(text.contains(&format!("\n{family}")), "{family}: {text}");
    }
    assert!(!text.contains("pg_replication_slots_wal_status") && !text.contains("active_time"), "{text}");
}
