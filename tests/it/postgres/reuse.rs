//! What a kept connection saves the server, and what must not be lost by it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::console::front;
use super::{Config, build, run, target, value};
use crate::support::postgres::Server;

const LAST: &str = "SELECT query FROM pg_stat_activity WHERE application_name = 'tidewatch'";

/// The series that are there whatever else the server does.
fn series(text: &str) -> BTreeSet<&str> {
    let passing = ["#", "pg_process_idle", "pg_stat_activity", "pg_stat_progress", "pg_stat_statements"];
    let lines = text.lines().filter(|line| !passing.iter().any(|begin| line.starts_with(begin)));
    lines.filter_map(|line| Some(line.rsplit_once(' ')?.0)).collect()
}

/// The parts that failed.
fn failed(text: &str) -> Vec<&str> {
    text.lines().filter(|line| line.starts_with("pg_scrape_collector_success") && line.ends_with(" 0")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_are_prepared_when_a_connection_is_used_again() {
    let server = Server::start(15, &["shared_preload_libraries = 'pg_stat_statements'"]).await;
    server.sql("postgres", "CREATE EXTENSION pg_stat_statements; CREATE TABLE one (a int)").await;
    let mut config = target(Config::default(), "main", &server, "postgres");
    config.parts.include = vec!["stat_statements".into(), "process_idle".into()];
    let postgres = build(&config);
    let (first, _) = run(&postgres).await;
    assert_eq!(failed(&first), Vec::<&str>::new());
    let mut lasts = vec![server.value("postgres", LAST).await.unwrap()];
    for _ in 0..3 {
        let (text, _) = run(&postgres).await;
        assert_eq!(failed(&text), Vec::<&str>::new());
        let differ: Vec<_> = series(&text).symmetric_difference(&series(&first)).copied().collect();
        assert_eq!(differ, Vec::<&str>::new(), "the same in other words");
        assert!(text.contains("pg_stat_statements_calls_total{"), "{text}");
        lasts.push(server.value("postgres", LAST).await.unwrap());
    }
    let begin = |query: &str| query.split(['_', ' ']).next().unwrap().to_owned();
    assert_eq!(lasts.iter().map(|query| begin(query)).collect::<Vec<_>>(), ["SELECT", "PREPARE", "EXECUTE", "EXECUTE"]);
    assert!(lasts[3].starts_with("EXECUTE tidewatch_database_"), "who looks sees what is asked: {}", lasts[3]);

    // What the extension offers changes under the prepared question.
    server.sql("postgres", "ALTER EXTENSION pg_stat_statements UPDATE TO '1.10'").await;
    server
        .sql("postgres", "DROP EXTENSION pg_stat_statements; CREATE EXTENSION pg_stat_statements VERSION '1.4'")
        .await;
    for _ in 0..3 {
        let (text, _) = run(&postgres).await;
        assert_eq!(failed(&text), Vec::<&str>::new(), "an older extension, on the same connection");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_forgets_or_is_changed_is_asked_as_at_first() {
    let server = Server::start(15, &[]).await;
    let folder = tempfile::tempdir().unwrap();
    for (name, change, last) in
        [("forgets", "DEALLOCATE ALL", "DEALLOCATE"), ("changes", "SET statement_timeout = 0", "SET")]
    {
        let file = folder.path().join(format!("{name}.yaml"));
        std::fs::write(&file, format!("{name}:\n  query: {change}\n")).unwrap();
        let mut config = target(Config::default(), "main", &server, "postgres");
        config.queries = vec![file];
        let postgres = build(&config);
        for at in 0..4 {
            let (text, output) = run(&postgres).await;
            assert_eq!(failed(&text), Vec::<&str>::new(), "{name} {at}: {:?}", output.facts);
            assert!(server.value("postgres", LAST).await.unwrap().starts_with(last), "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_change_are_seen_at_once() {
    let server = Server::start(15, &[]).await;
    let postgres = build(&target(Config::default(), "main", &server, "postgres"));
    let family = "pg_settings_work_mem_bytes";
    for _ in 0..2 {
        assert_eq!(value(&run(&postgres).await.0, family), Some(4_194_304.0));
    }
    server.sql("postgres", "ALTER SYSTEM SET work_mem = '8MB'").await;
    assert_eq!(value(&run(&postgres).await.0, family), Some(4_194_304.0), "it is not loaded yet");
    server.sql("postgres", "SELECT pg_reload_conf()").await;
    super::eventually("the server has read its configuration", || async {
        (value(&run(&postgres).await.0, family) == Some(8_388_608.0)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_way_is_gone_once_for_several_parts() {
    const WAY: Duration = Duration::from_millis(100);
    let server = Server::start(15, &[]).await;
    let (listener, port) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), server.port);
    let mut config = target(Config::default(), "main", &server, "postgres");
    config.targets.get_mut("main").unwrap().port = Some(listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let ((mut from, mut to), (mut back, mut forth)) = (client.into_split(), server.into_split());
            tokio::spawn(async move { tokio::io::copy(&mut back, &mut to).await });
            tokio::spawn(async move {
                let mut buffer = vec![0; 65_536];
                while let Ok(count @ 1..) = from.read(&mut buffer).await {
                    tokio::time::sleep(WAY).await;
                    forth.write_all(&buffer[..count]).await.unwrap();
                }
            });
        }
    });
    let postgres = build(&config);
    let (text, _) = run(&postgres).await;
    assert_eq!(failed(&text), Vec::<&str>::new());
    let parts = u32::try_from(text.matches("pg_scrape_collector_success{").count()).unwrap();
    let begun = Instant::now();
    let (text, _) = run(&postgres).await;
    assert_eq!(failed(&text), Vec::<&str>::new());
    assert!(begun.elapsed() < WAY * parts / 2, "{parts} parts took {:?}", begun.elapsed());
    let durations = text.lines().filter_map(|line| line.strip_prefix("pg_scrape_collector_duration_seconds{"));
    let sum: f64 = durations.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum();
    let whole = value(&text, "pg_exporter_last_scrape_duration_seconds").unwrap();
    assert!(sum <= whole, "no part's time counts twice: {sum} of {whole}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_behind_in_a_pool() {
    let server = Server::start(15, &[]).await;
    let folder = tempfile::tempdir().unwrap();
    let (_running, port) =
        front(folder.path(), &server, "ignore_startup_parameters = options,extra_float_digits").await;
    let mut config = target(Config::default(), "main", &server, "shop");
    config.targets.get_mut("main").unwrap().port = Some(port);
    let postgres = build(&config);
    for _ in 0..4 {
        let (text, output) = run(&postgres).await;
        assert_eq!((value(&text, "pg_up"), failed(&text)), (Some(1.0), Vec::new()), "{:?}", output.facts);
    }
    let last = server.value("postgres", LAST).await.unwrap();
    assert!(last.starts_with("SELECT"), "the pool's sessions are not ours to keep statements in: {last}");
}
