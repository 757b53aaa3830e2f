//! `redis`: Redis and Valkey servers, sentinels and nodes of clusters, with redis_exporter's names (release 1.88).
//!
//! A server is asked over one connection, which is kept: `INFO` first, then all else that it knows at once, then, on
//! request and within a time of their own, keys and streams. Each server has its own deadline, so that one that hangs
//! costs its own `redis_up` only.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use jiff::Timestamp;

use super::{Answer, CollectError, Collector, Declare, Deps, Endpoint, Output, Question, Refused, Said, allow, named};
use crate::clock::Clock;
use crate::config::{Environment, Problems, Span};
use crate::facts::State;
use crate::metrics::{Batch, Desc};
use crate::task::Tasks;
use address::Address;
use link::Link;
use target::{Run, Target, Told};

mod address;
mod checks;
mod clients;
mod cluster;
mod commands;
mod credential;
mod environment;
mod fields;
mod info;
mod keys;
mod link;
mod logs;
mod modules;
mod own;
mod replication;
mod reply;
mod section;
mod sentinel;
mod server;
mod settings;
mod snapshot;
mod standard;
mod target;
mod verdict;

pub use section::{RedisConfig, ScrapeConfig, TargetConfig};

const NAME: &str = "redis";

/// What of a request's time the answer's way back may take.
const MARGIN: Duration = Duration::from_millis(200);

/// Asks the servers.
pub struct Redis {
    config: RedisConfig,
    targets: Vec<Target>,
    clock: Clock,
    tasks: Tasks,
    said: Said,
    request_errors: AtomicU64,
    /// The last verdict and since when it has been so.
    since: Mutex<Option<(State, Timestamp)>>,
}

#[async_trait]
impl Collector for Redis {
    async fn collect(&self, out: &mut Output) -> Result<(), CollectError> {
        let (now, several) = (self.clock.now(), self.targets.len() > 1);
        let runs = self.targets.iter().filter_map(|target| {
            let config = self.config.targets.get(&target.name)?;
            let instance = several.then_some(target.name.as_str());
            let run = Run { config, instance, older: self.config.older(), now };
            Some(async move { (target, target.run(run).await) })
        });
        let told = join_all(runs).await;
        self.judge(&told, now, out);
        for (target, Told { batch, down, .. }) in told {
            self.said.tell(NAME, &target.name, down.map(|down| down.to_string()).as_deref());
            out.add(NAME, batch);
        }
        let errors = self.request_errors.load(Ordering::Relaxed);
        let mut ours = Batch::new();
        ours.push(&own::REQUEST_ERRORS, &[], errors as f64);
        out.add(NAME, ours);
        Ok(())
    }

    async fn answer(&self, question: &Question) -> Result<Answer, Refused> {
        let answer = self.scrape(question).await;
        if answer.is_err() {
            self.request_errors.fetch_add(1, Ordering::Relaxed);
        }
        answer
    }
}

impl Redis {
    /// `/scrape?target=`: a configured server by its name or address, or one that a pattern allows.
    async fn scrape(&self, question: &Question) -> Result<Answer, Refused> {
        let senseless = |what: &str| Refused::Senseless(what.to_owned());
        let asked = question.get("target").filter(|target| !target.is_empty());
        let asked = asked.ok_or_else(|| senseless("the parameter `target` is missing"))?;
        let address = asked.parse::<Address>();
        let known = self.targets.iter().find(|target| {
            target.name == asked || address.as_ref().is_ok_and(|address| address.place == target.address().place)
        });
        let opened;
        let (target, config) = if let Some(target) = known {
            (target, self.config.targets.get(&target.name))
        } else {
            let mut address = address.map_err(|what| Refused::Senseless(format!("`target`: {what}")))?;
            // Credentials come from the configuration only.
            (address.user, address.password) = (None, None);
            let endpoint = address.endpoint();
            if !self.config.scrape.allow.iter().any(|allowed| allow::endpoint(allowed, &endpoint)) {
                let what = "this target is not allowed: collectors.redis.targets and collectors.redis.scrape.allow say which are";
                return Err(Refused::Forbidden(what.into()));
            }
            opened = Target::new(endpoint, Link { address, tasks: self.tasks.clone() });
            (&opened, Some(&self.config.scrape.target))
        };
        let mut config = config.cloned().unwrap_or_default();
        if self.config.scrape.keys {
            environment::ask(&mut config, &question.query).map_err(Refused::Senseless)?;
        }
        fit(&mut config, question.limit);
        let run = Run { config: &config, instance: None, older: self.config.older(), now: self.clock.now() };
        let Told { batch, down, .. } = target.run(run).await;
        // Of a server that nobody lists the answer says it: who asks may ask about many.
        if known.is_some() {
            self.said.tell(NAME, &target.name, down.map(|down| down.to_string()).as_deref());
        }
        Ok(Answer::Samples(batch))
    }

    fn judge(&self, told: &[(&Target, Told)], now: Timestamp, out: &mut Output) {
        if told.is_empty() {
            return;
        }
        let results = told.iter().map(|(target, told)| verdict::Result {
            name: &target.name,
            cli: target.address().cli(),
            down: told.down.as_ref().map(ToString::to_string),
            findings: &told.findings,
        });
        let results: Vec<_> = results.collect();
        let mut service = verdict::of(&results, now);
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        service.since = since.filter(|(state, _)| *state == service.state).map_or(now, |(_, since)| since);
        *since = Some((service.state, service.since));
        out.facts.services.push(service);
    }
}

/// Makes a run end within the time that its asker has.
fn fit(config: &mut TargetConfig, limit: Duration) {
    let limit = limit.saturating_sub(MARGIN).max(limit / 2);
    let keys = if config.looks_at_keys() { config.keys_timeout.0.min(limit / 2) } else { Duration::ZERO };
    config.timeout = Span(config.timeout.0.min(limit.saturating_sub(keys)));
    config.keys_timeout = Span(keys);
}

impl Declare for Redis {
    type Config = RedisConfig;

    const PARTS: &'static [&'static str] = &[];

    const FOLLOWS: Option<(&'static str, &'static str)> = Some(("redis_exporter", "1.88.0"));

    const ENDPOINT: Option<Endpoint> =
        Some(Endpoint { path: "/scrape", keys: "collectors.redis.targets, collectors.redis.scrape" });

    const NAMED_BY: Option<&'static str> = Some("REDIS_ADDR");

    fn descs() -> Vec<&'static Desc> {
        let plain = own::DESCS.into_iter().chain(server::DESCS).chain(commands::DESCS).chain(replication::DESCS);
        let tables = fields::descs().chain(cluster::descs()).chain(sentinel::descs()).chain(settings::descs());
        let rest =
            logs::descs().chain(clients::descs()).chain(modules::DESCS).chain(snapshot::DESCS).chain(checks::descs());
        plain.chain(tables).chain(rest).collect()
    }

    fn complete(config: &mut RedisConfig, environment: &Environment, problems: &mut Problems) {
        environment::complete(config, environment, problems);
    }

    fn watches(config: &RedisConfig) -> Option<String> {
        named(config.targets.keys())
            .or_else(|| (!config.scrape.allow.is_empty()).then(|| "what `/scrape` asks for".into()))
    }

    fn check(config: &RedisConfig, problems: &mut Problems) {
        config.check(problems);
    }

    fn build(config: &RedisConfig, parts: &Deps) -> Self {
        let target = |(name, config): (&String, &TargetConfig)| {
            Some(Target::new(name.clone(), Link { address: config.resolved()?, tasks: parts.tasks.clone() }))
        };
        Self {
            targets: config.targets.iter().filter_map(target).collect(),
            config: config.clone(),
            clock: parts.clock.clone(),
            tasks: parts.tasks.clone(),
            said: Said::default(),
            request_errors: AtomicU64::new(0),
            since: Mutex::new(None),
        }
    }
}
