//! `/probe`: whom it reaches, and as whom; and what the real program says of all this in its log.

use std::time::Duration;

use tidewatch::collect::postgres::Postgres;
use tidewatch::collect::{Answer, Collector, Question, Refused};
use tidewatch::metrics::expose::{Format, write};

use super::{Config, build, target, value};
use crate::support::monitoring::get;
use crate::support::postgres::Server;
use crate::support::program::Program;

async fn ask(postgres: &Postgres, query: &[(&str, &str)]) -> Result<String, Refused> {
    let query = query.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let answer = postgres.answer(&Question { query, limit: Duration::from_secs(8) }).await?;
    let Answer::Samples(batch) = answer else { panic!("{answer:?}") };
    let mut text = Vec::new();
    assert_eq!(write(&[&batch], Format::Text, &mut text), []);
    Ok(String::from_utf8(text).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_the_configuration_allows_is_reached() {
    let server = Server::start(15, &["password_encryption = 'scram-sha-256'"]).await;
    server.sql("postgres", "CREATE ROLE watch LOGIN PASSWORD 'quiet'; GRANT pg_monitor TO watch").await;
    server.keep("pg_hba.conf", b"host all postgres 127.0.0.1/32 trust\nhost all watch 127.0.0.1/32 scram-sha-256\n");
    server.sql("postgres", "SELECT pg_reload_conf()").await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("postgres_exporter.yml");
    let modules = "auth_modules:\n  shop:\n    type: userpass\n    userpass:\n      username: watch\n      password: quiet\n    \
        options:\n      sslmode: disable\n";
    std::fs::write(&file, modules).unwrap();
    let mut config = target(Config::default(), "main", &server, "postgres");
    config.probe.allow = vec![format!("127.0.0.*:{}", server.port)];
    config.probe.config_file = Some(file);
    let postgres = build(&config);
    let place = format!("127.0.0.1:{}", server.port);

    let text = ask(&postgres, &[("target", &place), ("auth_module", "shop")]).await.unwrap();
    assert_eq!(value(&text, "pg_up"), Some(1.0), "{text}");
    assert!(text.contains("pg_stat_database_xact_commit{"), "{text}");
    let left = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'tidewatch'";
    super::eventually("no connection is kept", || async {
        server.value("postgres", left).await.is_none().then_some(())
    })
    .await;
    let text = ask(&postgres, &[("target", "main")]).await.unwrap();
    assert_eq!(value(&text, "pg_up"), Some(1.0), "a named target needs no pattern");
    let text = ask(&postgres, &[("target", "127.0.0.9:1"), ("auth_module", "shop")]).await;
    assert!(matches!(text, Err(Refused::Forbidden(_))), "{text:?}");
    let socket = format!("postgresql:///postgres?host={}", server.folder().display());
    let text = ask(&postgres, &[("target", &socket)]).await;
    assert!(matches!(text, Err(Refused::Forbidden(_))), "{text:?}");
    // A login in the request is not used: it is asked for as nobody, and refused by the server.
    let mine = format!("postgres:x@{place}/postgres?sslmode=disable");
    let text = ask(&postgres, &[("target", &mine)]).await.unwrap();
    assert_eq!(value(&text, "pg_up"), Some(0.0), "{text}");
    for query in
        [&[("auth_module", "shop")][..], &[("target", &place), ("auth_module", "none")], &[("target", "a=b=c ' ")]]
    {
        let text = ask(&postgres, query).await;
        assert!(matches!(text, Err(Refused::Senseless(_))), "{text:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_says_once_what_is_wrong_and_never_a_secret() {
    let mut server = Server::start(15, &[]).await;
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("tidewatch.toml");
    let url = format!("postgresql://postgres:hunter2@127.0.0.1:{}/postgres", server.port);
    std::fs::write(&config, format!("[collectors.postgres.targets.main]\nurl = \"{url}\"\n")).unwrap();
    let data = folder.path().join("data");
    let program = Program::start(&data, &["--config", config.to_str().unwrap()]).await;
    let scrape = || get(program.port, "/metrics?collect[]=postgres").unwrap();
    assert_eq!(value(&scrape(), "pg_up"), Some(1.0));
    server.stop();
    for _ in 0..3 {
        let text = scrape();
        assert_eq!(value(&text, "pg_up"), Some(0.0));
        assert!(!text.contains("hunter2"));
    }
    server.resume().await;
    assert_eq!(value(&scrape(), "pg_up"), Some(1.0));
    let log = program.running.output();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("no connection")).collect();
    assert_eq!(lines.len(), 1, "{log}");
    assert_eq!(log.lines().filter(|line| line.contains("the target works again")).count(), 1, "{log}");
    assert!(!log.contains("hunter2"), "{log}");
    assert!(get(program.port, "/probe?target=main").unwrap().contains("pg_up 1"));
    // A job of another exporter that finds Postgres here is told who answers and what to configure.
    let probe = program.ask("GET", "/probe?target=http://127.0.0.1:9/&module=http_2xx", "").await;
    let said = String::from_utf8_lossy(&probe.body);
    assert_eq!(probe.status, 400, "{said}");
    assert!(said.contains("`postgres` says so") && said.contains("`probes` (collectors.probes.targets"), "{said}");
    let probe = program.ask("GET", "/scrape?target=redis://127.0.0.1:9", "").await;
    let said = String::from_utf8_lossy(&probe.body);
    assert_eq!(probe.status, 404, "{said}");
    assert!(said.contains("/scrape; what can: `redis` (collectors.redis.targets"), "{said}");
    let health = get(program.port, "/health").unwrap();
    assert!(health.contains("postgres"), "{health}");
}
