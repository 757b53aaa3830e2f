//! What is left of a scrape when the server is in trouble, and what is said about it.

use std::time::{Duration, Instant};

use tidewatch::collect::Collector;
use tidewatch::collect::Output;
use tidewatch::config::Span;
use tidewatch::facts::State;

use super::{Config, build, run, target, value};
use crate::support::postgres::{Server, connect};
use crate::support::proxy::{Line, Proxy};

/// Limits that a test can wait for.
fn quick() -> Config {
    let mut config = Config {
        statement_timeout: Span(Duration::from_millis(500)),
        connect_timeout: Span::seconds(2),
        ..Config::default()
    };
    config.schedule.timeout = Span::seconds(4);
    config
}

/// The section with a target behind a proxy.
fn through(proxy: &Proxy, server: &Server) -> Config {
    let mut config = target(quick(), "main", server, "postgres");
    let target = config.targets.get_mut("main").unwrap();
    target.host = Some(proxy.address.ip().to_string());
    target.port = Some(proxy.address.port());
    config
}

fn why(output: &Output) -> (State, &str) {
    let [service] = output.facts.services.as_slice() else { panic!("{:?}", output.facts) };
    assert_eq!(service.service, "postgres");
    (service.state, service.why.as_str())
}

const OURS: &str =
    "SELECT string_agg(pid::text, ' ' ORDER BY pid) FROM pg_stat_activity WHERE application_name = 'tidewatch'";

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_kept_replaced_when_it_breaks_and_given_up_when_it_hangs() {
    let server = Server::start(15, &[]).await;
    let proxy = Proxy::before("127.0.0.1", server.port).await;
    let postgres = build(&through(&proxy, &server));
    for _ in 0..3 {
        let (text, output) = run(&postgres).await;
        assert_eq!(value(&text, "pg_up"), Some(1.0));
        assert_eq!(why(&output).0, State::Ok, "{:?}", output.facts);
    }
    assert_eq!(proxy.accepted(), 1, "one connection serves all runs");

    proxy.cut();
    let (text, _) = run(&postgres).await;
    assert_eq!(
        (value(&text, "pg_up"), proxy.accepted()),
        (Some(1.0), 2),
        "a connection that broke is replaced at once"
    );

    // In the middle of the parts: the settings, the longest answer, are known by now.
    proxy.set(Line::Stall(6_000));
    let begun = Instant::now();
    let (text, output) = run(&postgres).await;
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    assert_eq!((value(&text, "pg_up"), proxy.accepted()), (Some(0.0), 2));
    assert!(text.contains("pg_stat_database_xact_commit{"), "what came before it hung is there: {text}");
    assert!(value(&text, "pg_scrape_collector_success{collector=\"database\"}") == Some(0.0), "{text}");
    let (state, why_) = why(&output);
    assert!(state == State::Critical && why_.contains("does not answer a query in time"), "{why_}");

    proxy.set(Line::Open);
    let (text, _) = run(&postgres).await;
    assert_eq!((value(&text, "pg_up"), proxy.accepted()), (Some(1.0), 3));

    drop(postgres);

    // One that does not even greet in the time of a run is not up, whatever ends the wait.
    let mut impatient = through(&proxy, &server);
    impatient.statement_timeout = Span::seconds(3);
    let postgres = build(&impatient);
    run(&postgres).await;
    proxy.set(Line::Stall(0));
    let (text, output) = run(&postgres).await;
    assert_eq!(value(&text, "pg_up"), Some(0.0), "{text}");
    let (state, why_) = why(&output);
    assert!(state == State::Critical && why_.contains("the time of a run is over"), "{why_}");
    proxy.set(Line::Open);
    drop(postgres);

    let postgres = build(&through(&proxy, &server));
    run(&postgres).await;
    let opened = proxy.accepted();
    // A run that is cut off in the middle leaves nothing behind.
    proxy.set(Line::Stall(3_000));
    let mut output = Output::default();
    tokio::time::timeout(Duration::from_millis(200), postgres.collect(&mut output)).await.unwrap_err();
    proxy.set(Line::Open);
    let (text, _) = run(&postgres).await;
    assert_eq!((value(&text, "pg_up"), proxy.accepted()), (Some(1.0), opened + 1));
    super::eventually("one connection is left", || async {
        server.value("postgres", OURS).await.filter(|pids| !pids.contains(' '))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_gone_full_or_unknown_is_told_apart() {
    let mut server = Server::start(15, &["max_connections = 8", "superuser_reserved_connections = 3"]).await;
    server.sql("postgres", "CREATE ROLE watch LOGIN").await;
    let mut config = target(quick(), "main", &server, "postgres");
    config.targets.get_mut("main").unwrap().user = Some("watch".into());
    let postgres = build(&config);

    let mut holders = Vec::new();
    while let Ok(holder) = connect(server.port, "postgres").await {
        holders.push(holder);
    }
    let (text, output) = run(&postgres).await;
    assert_eq!(value(&text, "pg_up"), Some(0.0));
    let (state, why_) = why(&output);
    assert!(state == State::Critical && why_.contains("53300"), "{why_}");
    assert!(output.facts.services[0].next.contains("max_connections"), "{:?}", output.facts);
    drop(holders);
    super::eventually("there is room again", || async {
        (value(&run(&postgres).await.0, "pg_up") == Some(1.0)).then_some(())
    })
    .await;

    server.stop();
    let (text, output) = run(&postgres).await;
    assert_eq!(value(&text, "pg_up"), Some(0.0));
    assert!(text.contains("pg_scrape_collector_success{collector=\"locks\"} 0"), "{text}");
    assert!(why(&output).1.starts_with("no connection"), "{:?}", output.facts);
    server.resume().await;
    let (text, output) = run(&postgres).await;
    assert_eq!(value(&text, "pg_up"), Some(1.0), "{:?}", output.facts);

    let mut config = target(quick(), "main", &server, "nowhere");
    config.targets.get_mut("main").unwrap().user = Some("watch".into());
    assert!(why(&run(&build(&config)).await.1).1.contains("database \"nowhere\" does not exist"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_without_pg_monitor_gets_what_it_may() {
    let server = Server::start(15, &[]).await;
    server.sql("postgres", "CREATE DATABASE closed").await;
    server.sql("postgres", "CREATE ROLE watch LOGIN; REVOKE CONNECT ON DATABASE closed FROM PUBLIC").await;
    let mut config = target(quick(), "main", &server, "postgres");
    config.targets.get_mut("main").unwrap().user = Some("watch".into());
    let postgres = build(&config);
    let (text, output) = run(&postgres).await;
    assert_eq!(value(&text, "pg_up"), Some(1.0));
    let failed: Vec<_> =
        text.lines().filter(|line| line.starts_with("pg_scrape_collector_success") && line.ends_with(" 0")).collect();
    assert_eq!(failed, ["pg_scrape_collector_success{collector=\"wal\"} 0"]);
    assert_eq!(value(&text, "pg_exporter_last_scrape_error"), Some(1.0));
    assert_eq!(value(&text, "pg_database_size_bytes{datname=\"closed\"}"), None, "{text}");
    assert!(value(&text, "pg_database_size_bytes{datname=\"postgres\"}").unwrap() > 1e6);
    let (state, why_) = why(&output);
    assert!(state == State::Warning && why_.contains("part wal cannot be read: permission denied"), "{why_}");
    assert!(output.facts.services[0].next.starts_with("GRANT pg_monitor"), "{:?}", output.facts);

    server.sql("postgres", "GRANT pg_monitor TO watch").await;
    let (text, output) = run(&postgres).await;
    assert_eq!(why(&output).0, State::Ok, "{:?}", output.facts);
    assert!(value(&text, "pg_wal_segments").unwrap() >= 1.0);
    assert!(value(&text, "pg_database_size_bytes{datname=\"closed\"}").unwrap() > 1e6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scrape_waits_for_no_lock() {
    let server = Server::start(15, &[]).await;
    server.sql("postgres", "CREATE TABLE busy (a int PRIMARY KEY, b text); CREATE TABLE idle (a int)").await;
    let postgres = build(&target(quick(), "main", &server, "postgres"));
    let holder = connect(server.port, "postgres").await.unwrap();
    for locked in ["LOCK TABLE busy IN ACCESS EXCLUSIVE MODE", "REINDEX INDEX busy_pkey"] {
        holder.batch_execute(&format!("BEGIN; {locked}")).await.unwrap();
        let begun = Instant::now();
        let (text, output) = run(&postgres).await;
        assert_eq!(why(&output).0, State::Ok, "{:?}", output.facts);
        assert!(begun.elapsed() < Duration::from_secs(2), "{locked}: {:?}", begun.elapsed());
        let of = |family: &str, table: &str| {
            value(
                &text,
                &format!(
                    "pg_stat_user_tables_{family}{{datname=\"postgres\",schemaname=\"public\",relname=\"{table}\"}}"
                ),
            )
        };
        assert_eq!(of("n_live_tup", "busy"), Some(0.0), "{locked}: its counts are there");
        assert_eq!(of("table_size_bytes", "busy"), None, "{locked}: its size would have to wait");
        assert_eq!(of("table_size_bytes", "idle"), Some(0.0), "{locked}");
        holder.batch_execute("ROLLBACK").await.unwrap();
    }
    // Where there is no way around a lock, the server gives up for us.
    holder
        .batch_execute("BEGIN; LOCK TABLE pg_catalog.pg_db_role_setting, pg_catalog.pg_authid IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();
    let begun = Instant::now();
    let (text, output) = run(&postgres).await;
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    assert_eq!(value(&text, "pg_scrape_collector_success{collector=\"roles\"}"), Some(0.0), "{text}");
    assert!(why(&output).1.contains("lock timeout"), "{:?}", output.facts);
    assert_eq!(value(&text, "pg_up"), Some(1.0));
    // Nor does it take a server that cannot count its connections for one that is down.
    holder.batch_execute("LOCK TABLE pg_catalog.pg_database IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let (text, output) = run(&postgres).await;
    assert_eq!(value(&text, "pg_up"), Some(1.0), "{text}");
    assert_eq!(value(&text, "pg_scrape_collector_success{collector=\"settings\"}"), Some(1.0), "{text}");
    let (state, why_) = why(&output);
    assert!(state == State::Warning && why_.contains("primary; part"), "{why_}");
    holder.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(why(&run(&postgres).await.1).0, State::Ok);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_servers_and_databases_have_a_connection_each_and_fail_alone() {
    let server = Server::start(15, &[]).await;
    server.sql("postgres", "CREATE DATABASE one").await;
    server.sql("postgres", "CREATE DATABASE two").await;
    server.sql("postgres", "CREATE DATABASE three").await;
    for database in ["postgres", "one", "two", "three"] {
        server.sql(database, "CREATE TABLE same (a int PRIMARY KEY)").await;
    }
    let mut config = target(quick(), "live", &server, "postgres");
    let databases = &mut config.targets.get_mut("live").unwrap().databases;
    databases.discover = true;
    databases.exclude = vec!["three".into()];
    config.parts.include = vec!["statio_user_indexes".into()];
    let mut dead = config.targets["live"].clone();
    dead.port = Some(crate::support::free_port());
    config.targets.insert("dead".into(), dead);
    let postgres = build(&config);
    let (text, output) = run(&postgres).await;
    assert_eq!(value(&text, "pg_up{instance=\"live\"}"), Some(1.0), "{text}");
    assert_eq!(value(&text, "pg_up{instance=\"dead\"}"), Some(0.0));
    let services: Vec<_> =
        output.facts.services.iter().map(|service| (service.service.as_str(), service.state)).collect();
    assert_eq!(services, [("postgres:dead", State::Critical), ("postgres:live", State::Ok)]);
    let tables = text.lines().filter(|line| line.starts_with("pg_stat_user_tables_seq_scan{"));
    let databases: Vec<_> = tables.map(|line| line.split('"').nth(3).unwrap()).collect();
    assert_eq!(databases, ["postgres", "one", "two"], "in their order");
    let indexes = text.lines().filter(|line| line.starts_with("pg_statio_user_indexes_idx_blks_hit_total{"));
    assert_eq!(indexes.count(), 3, "indexes of the same name are told apart");

    let pids = server.value("postgres", OURS).await.unwrap();
    assert_eq!(pids.split(' ').count(), 3, "{pids}");
    run(&postgres).await;
    assert_eq!(server.value("postgres", OURS).await.unwrap(), pids);
    drop(postgres);
    super::eventually("the connections are closed", || async {
        server.value("postgres", OURS).await.is_none().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_server_and_one_that_sends_too_much_are_up() {
    let server = Server::start(15, &[]).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("queries.yaml");
    // The run of the first is over before the server would end the second query.
    let slow = "pg_a:\n  query: SELECT pg_sleep(2)\npg_b:\n  query: SELECT pg_sleep(2.9)\n";
    let long = "pg_a:\n  query: SELECT repeat('x', 70 * 1024 * 1024) AS x\n";
    for (queries, (statement, whole), told) in
        [(slow, (3, 4), "the server is slow"), (long, (20, 30), "longer than 64 MiB")]
    {
        std::fs::write(&file, queries).unwrap();
        let mut config = target(quick(), "main", &server, "postgres");
        (config.statement_timeout, config.schedule.timeout) = (Span::seconds(statement), Span::seconds(whole));
        config.queries = vec![file.clone()];
        let postgres = build(&config);
        for _ in 0..2 {
            let (text, output) = run(&postgres).await;
            assert_eq!(value(&text, "pg_up"), Some(1.0), "{text}");
            assert_eq!(value(&text, "pg_exporter_last_scrape_error"), Some(1.0), "{text}");
            assert_eq!(value(&text, "pg_scrape_collector_success{collector=\"custom_queries\"}"), Some(0.0), "{text}");
            let (state, why_) = why(&output);
            assert!(state == State::Warning && why_.contains(told), "{why_}");
        }
    }
}
