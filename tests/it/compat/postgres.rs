//! The families of postgres_exporter, on real servers with a streaming replica, slots, and `pg_stat_statements`.

use std::time::Duration;

use crate::postgres::{Config, exposition, target};
use crate::support::compat::{Exceptions, compare, compare_series, reference};
use crate::support::eventually;
use crate::support::postgres::{Server, connect};

/// Long enough for a machine that has much else to do.
const SOON: Duration = Duration::from_mins(1);

/// What the server needs for a replica, a logical slot, and the extensions.
const SETTINGS: &[&str] = &[
    "wal_level = logical",
    "shared_preload_libraries = 'pg_stat_statements'",
    "track_io_timing = on",
    "hot_standby_feedback = on",
];

/// The tables of pgbench, as in the references.
const TABLES: &str = "CREATE TABLE pgbench_accounts (aid int PRIMARY KEY, bid int, abalance int, filler char(84)); \
    CREATE TABLE pgbench_branches (bid int PRIMARY KEY, bbalance int, filler char(88)); \
    CREATE TABLE pgbench_tellers (tid int PRIMARY KEY, bid int, tbalance int, filler char(84)); \
    CREATE TABLE pgbench_history (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22)); \
    INSERT INTO pgbench_accounts SELECT n, 1, 0, '' FROM generate_series(1, 1000) AS n; \
    CREATE EXTENSION pg_stat_statements";

/// Every part that the references with all collectors have beside the default ones.
pub(crate) const EXTRA: &[&str] = &[
    "buffercache_summary",
    "database_wraparound",
    "long_running_transactions",
    "postmaster",
    "process_idle",
    "stat_activity_autovacuum",
    "stat_checkpointer",
    "stat_statements",
    "stat_wal_receiver",
    "statio_user_indexes",
    "xlog_location",
];

/// A primary and its replica that has caught up.
pub(crate) async fn pair(major: u32, name: Option<&str>) -> (Server, Server) {
    let mut primary = Server::start(major, SETTINGS).await;
    primary.sql("postgres", "CREATE DATABASE bench").await;
    primary.sql("postgres", "CREATE ROLE watch LOGIN").await;
    primary.sql("bench", TABLES).await;
    if major >= 16 {
        primary.sql("bench", "CREATE EXTENSION pg_buffercache").await;
    }
    let logical = "SELECT pg_create_logical_replication_slot('logical1', 'test_decoding')";
    primary.sql("bench", &format!("SELECT pg_create_physical_replication_slot('replica1'); {logical}")).await;
    primary.stop();
    let replica = primary.replica("replica1", name, &[]).await;
    primary.resume().await;
    eventually("the replica streams", SOON, async || {
        let streams =
            "SELECT 1 FROM pg_stat_replication WHERE state = 'streaming' AND replay_lsn = pg_current_wal_lsn()";
        primary.value("postgres", streams).await
    })
    .await;
    (primary, replica)
}

/// What of a reference is not in a scrape of this server: families, types, names of labels; then series, but for labels
/// that differ from machine to machine.
pub(crate) async fn missing(name: &str, excused: &str, server: &Server, database: &str, config: Config) -> Vec<String> {
    let ours = exposition(target(config, "main", server, database)).await;
    let (reference, exceptions) = (reference(name), Exceptions::of(excused));
    let mut missing = compare(&reference, &ours, &exceptions);
    let skipped = ["server", "datid", "version", "short_version", "queryid", "client_addr"];
    // Who is connected at that moment, and which settings this build has, differ.
    let stable = |family: &str| {
        !family.starts_with("pg_stat_statements_")
            && !family.starts_with("pg_stat_activity_")
            && family != "pg_process_idle_seconds"
    };
    missing.extend(compare_series(&reference, &ours, &exceptions, &skipped, stable));
    missing
}

pub(crate) fn all(extra: &[&str]) -> Config {
    let mut config = Config::default();
    config.parts.include = extra.iter().map(|part| (*part).to_owned()).collect();
    config
}

async fn agrees(name: &str, server: &Server, database: &str, config: Config) {
    assert_eq!(missing(name, name, server, database, config).await, Vec::<String>::new(), "{name}");
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_15_and_its_replica_have_all_families() {
    let (primary, replica) = pair(15, None).await;
    agrees("postgres_exporter-0.20.1-pg15", &primary, "postgres", Config::default()).await;
    agrees("postgres_exporter-0.20.1-pg15-replica", &replica, "postgres", Config::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_18_and_its_replica_have_all_families() {
    let (primary, replica) = pair(18, Some("replica1")).await;
    agrees("postgres_exporter-0.20.1-pg18", &primary, "postgres", Config::default()).await;
    agrees("postgres_exporter-0.20.1-pg18-replica", &replica, "postgres", Config::default()).await;
    let _idle = (connect(primary.port, "bench").await.unwrap(), connect(replica.port, "bench").await.unwrap());
    let name = "postgres_exporter-0.20.1-pg18-all-collectors";
    agrees(name, &primary, "bench", all(EXTRA)).await;
    let name = "postgres_exporter-0.20.1-pg18-replica-all-collectors";
    agrees(name, &replica, "bench", all(EXTRA)).await;
}
