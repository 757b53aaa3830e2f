//! The collector of Postgres, against real servers: their versions, their troubles.

use std::sync::Arc;
use std::time::Duration;

use tidewatch::clock::Clock;
pub(crate) use tidewatch::collect::postgres::PostgresConfig as Config;
use tidewatch::collect::postgres::{Postgres, TargetConfig};
use tidewatch::collect::{Collector, Declare, Deps, Output};
use tidewatch::config::Problems;
use tidewatch::metrics::expose::{Format, write};
use tidewatch::task::Tasks;
use tidewatch::telemetry::Telemetry;

use crate::support::postgres::Server;

mod bloat;
mod console;
mod custom;
mod probe;
mod reuse;
mod secure;
mod trouble;
mod versions;

/// The section with a further target.
pub(crate) fn target(mut config: Config, name: &str, server: &Server, database: &str) -> Config {
    let target = TargetConfig {
        host: Some("127.0.0.1".into()),
        port: Some(server.port),
        user: Some("postgres".into()),
        database: Some(database.into()),
        ..TargetConfig::default()
    };
    config.targets.insert(name.to_owned(), target);
    config
}

pub(crate) fn build(config: &Config) -> Postgres {
    let mut problems = Problems::default();
    Postgres::check(config, &mut problems);
    assert_eq!(problems, Problems::default());
    Postgres::build(
        config,
        &Deps { clock: Clock::system(), tasks: Tasks::new(&Telemetry::new()), agents: Arc::default() },
    )
}

/// One run: what it exposes, and what else it tells.
pub(crate) async fn run(postgres: &Postgres) -> (String, Output) {
    let mut output = Output::default();
    postgres.collect(&mut output).await.unwrap();
    let batches: Vec<_> = output.parts().map(|(_, batch)| batch).collect();
    let mut text = Vec::new();
    assert_eq!(write(&batches, Format::Text, &mut text), [], "nothing is dropped");
    (String::from_utf8(text).unwrap(), output)
}

/// What a new collector exposes in its first run.
pub(crate) async fn exposition(config: Config) -> String {
    run(&build(&config)).await.0
}

/// A series' value.
pub(crate) fn value(text: &str, series: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
    Some(line.parse().unwrap())
}

/// Waits for a condition, as long as a busy machine may need.
async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut condition: impl FnMut() -> F) -> T {
    crate::support::eventually(what, Duration::from_mins(1), async || condition().await).await
}
