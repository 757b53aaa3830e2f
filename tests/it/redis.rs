//! The collector `redis` against real Redis 7.0 and Valkey 9.1 servers.

use std::sync::Arc;
use std::time::Duration;

use tidewatch::clock::Clock;
use tidewatch::collect::redis::{Redis, RedisConfig};
use tidewatch::collect::{Answer, Collector, Declare, Deps, Output, Question, Refused};
use tidewatch::config::{Document, Problems};
use tidewatch::facts::ServiceState;
use tidewatch::metrics::Batch;
use tidewatch::metrics::expose::{self, Format};
use tidewatch::task::Tasks;
use tidewatch::telemetry::Telemetry;

mod down;
mod keys;
mod scrape;
mod servers;

/// A section as an operator writes it, below `[collectors.redis]`. It must be sound.
pub(crate) fn config(text: &str) -> RedisConfig {
    let (config, mut problems) = Document::new("t.toml", text).parse::<RedisConfig>();
    Redis::check(&config, &mut problems);
    assert_eq!(problems, Problems::default(), "{problems}");
    config
}

/// The collector of a section.
pub(crate) fn built(text: &str) -> Redis {
    let tasks = Tasks::new(&Telemetry::new());
    Redis::build(&config(text), &Deps { clock: Clock::system(), tasks, agents: Arc::default() })
}

/// One target with options.
pub(crate) fn target(address: &str, options: &str) -> String {
    format!("[targets.main]\naddress = \"{address}\"\n{options}\n")
}

fn exposition(batches: &[&Batch]) -> String {
    let mut text = Vec::new();
    let dropped = expose::write(batches, Format::Text, &mut text);
    assert!(dropped.is_empty(), "{dropped:?}");
    String::from_utf8(text).unwrap()
}

/// One run: what is written, and the state that `health` shows.
pub(crate) async fn run(redis: &Redis) -> (String, Vec<ServiceState>) {
    let mut out = Output::default();
    redis.collect(&mut out).await.unwrap();
    let batches: Vec<&Batch> = out.parts().map(|(_, batch)| batch).collect();
    (exposition(&batches), out.facts.services.clone())
}

/// One run of a new collector.
pub(crate) async fn once(text: &str) -> String {
    run(&built(text)).await.0
}

/// What `/scrape` answers to a query.
async fn ask(redis: &Redis, query: &[(&str, &str)]) -> Result<String, Refused> {
    let query = query.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    match redis.answer(&Question { query, limit: Duration::from_secs(5) }).await? {
        Answer::Samples(batch) => Ok(exposition(&[&batch])),
        Answer::Text(text) => panic!("{text}"),
    }
}

/// The value of a series.
fn value(text: &str, series: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

fn has(text: &str, start: &str) -> bool {
    text.lines().any(|line| line.starts_with(start))
}
