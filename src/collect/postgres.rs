//! `postgres`: servers of PostgreSQL, in parts that have the names, families and labels of postgres_exporter's
//! collectors (release 0.20).
//!
//! One connection for each target and database, kept from run to run; queries go over it one behind the other, under
//! limits that the server itself keeps.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::{join, join_all};
use tokio::time::Instant;

use super::{Answer, CollectError, Collector, Declare, Deps, Endpoint, Output, Question, Refused, Said, named};
use crate::config::{Environment, Problems};
use crate::metrics::Desc;

mod address;
mod connection;
mod console;
mod custom;
mod environment;
mod findings;
mod learned;
mod part;
mod parts;
mod password;
mod probe;
mod rows;
mod run;
mod section;
mod session;
mod target;
mod tls;
mod trouble;
mod work;

pub use address::{Address, ChannelBinding, SslMode};
pub use section::{Databases, Parts, PostgresConfig, ProbeConfig, Statements, TargetConfig};

use console::Console;
use part::Work;
use probe::Probe;
use target::Target;
use work::Shared;

const NAME: &str = "postgres";

/// A run of the targets ends this long before the collector's own deadline, so that what they gave is not lost.
const MARGIN: Duration = Duration::from_millis(500);

/// The collector of Postgres servers.
pub struct Postgres {
    targets: Vec<Target>,
    consoles: Vec<Console>,
    probe: Probe,
    shared: Arc<Shared>,
    timeout: Duration,
}

#[async_trait]
impl Collector for Postgres {
    async fn collect(&self, out: &mut Output) -> Result<(), CollectError> {
        let deadline = Instant::now() + self.timeout;
        let several = self.targets.len() > 1;
        let runs = self.targets.iter().map(async |target| {
            let instance = several.then_some(target.name.as_str());
            (target, target.run(&self.shared, instance, deadline).await)
        });
        let many = self.consoles.len() > 1;
        let consoles = self.consoles.iter().map(async |console| {
            let instance = many.then_some(console.name.as_str());
            console.run(&self.shared, instance, deadline).await
        });
        let (runs, consoles) = join(join_all(runs), join_all(consoles)).await;
        let now = self.shared.clock.now();
        for (target, report) in runs {
            let service = if several { format!("{NAME}:{}", target.name) } else { NAME.to_owned() };
            out.facts.services.push(target.since.state(service, now, report.sight.as_ref()));
            for (part, batch) in report.batches {
                out.add(part, batch);
            }
        }
        for (batch, state) in consoles {
            out.facts.services.push(state);
            out.add(console::PART, batch);
        }
        Ok(())
    }

    async fn answer(&self, question: &Question) -> Result<Answer, Refused> {
        let deadline = Instant::now() + question.limit.min(self.timeout);
        self.probe.answer(question, &self.targets, &self.shared, deadline).await
    }
}

impl Declare for Postgres {
    type Config = PostgresConfig;

    const PARTS: &'static [&'static str] = parts::NAMES;

    const ENDPOINT: Option<Endpoint> =
        Some(Endpoint { path: "/probe", keys: "collectors.postgres.targets, collectors.postgres.probe" });

    const NAMED_BY: Option<&'static str> = Some("DATABASE_URL or DATA_SOURCE_NAME");

    const FOLLOWS: Option<(&'static str, &'static str)> = Some(("postgres_exporter", "0.20.1"));

    fn descs() -> Vec<&'static Desc> {
        let mut descs = vec![
            &target::UP,
            &target::LAST_DURATION,
            &target::LAST_ERROR,
            &target::SCRAPES,
            &target::PART_DURATION,
            &target::PART_SUCCESS,
        ];
        for part in parts::PARTS {
            match &part.work {
                Work::Static => descs.push(&parts::INFO),
                Work::Queries(queries) => descs.extend(queries.iter().flat_map(|query| query.columns).map(|c| &c.desc)),
                Work::Custom => descs.push(&custom::LOAD_ERROR),
                Work::Settings => descs.push(&parts::settings::PATTERN),
                Work::ProcessIdle => descs.push(&parts::process_idle::IDLE),
                Work::Statements => {
                    let columns = parts::statements::COLUMNS.iter().chain(&parts::statements::TEXTS);
                    descs.extend(columns.map(|column| &column.desc));
                }
            }
        }
        descs.extend(console::descs());
        descs.extend(parts::older::OLDER.iter().flat_map(|older| older.query.columns).map(|column| &column.desc));
        let mut known = std::collections::BTreeSet::new();
        descs.retain(|desc| known.insert(&desc.name));
        descs
    }

    fn complete(config: &mut Self::Config, environment: &Environment, problems: &mut Problems) {
        environment::complete(config, environment, problems);
    }

    fn watches(config: &Self::Config) -> Option<String> {
        let ProbeConfig { allow, config_file } = &config.probe;
        let asked = !allow.is_empty() || config_file.is_some();
        named(config.targets.keys().chain(config.pgbouncer.keys()))
            .or_else(|| asked.then(|| "what `/probe` asks for".into()))
    }

    fn check(config: &Self::Config, problems: &mut Problems) {
        config.check(problems);
    }

    fn build(config: &Self::Config, deps: &Deps) -> Self {
        let custom = custom::load_all(&config.queries);
        let runs = |part: &&&part::Part| {
            if let Work::Custom = part.work
                && custom.is_empty()
            {
                return false;
            }
            let older = config.names.iter().any(|name| name == "0.11");
            let of_older = older && parts::older::PARTS_OF_0_11.contains(&part.name);
            config.parts.takes(part.name, part.default || of_older)
        };
        let parts = parts::PARTS.iter().filter(runs).copied().collect();
        let shared = Shared {
            clock: deps.clock.clone(),
            tasks: deps.tasks.clone(),
            limits: config.limits(),
            parts,
            names: config.names.iter().cloned().collect(),
            statements: config.statements.clone(),
            custom,
            said: Said::default(),
        };
        // Whether an address can be read, `check` has told.
        let targets = config.targets.iter().filter_map(|(name, config)| Target::new(name.clone(), config, true).ok());
        Self {
            targets: targets.collect(),
            consoles: config
                .pgbouncer
                .iter()
                .filter_map(|(name, config)| Console::new(name.clone(), config).ok())
                .collect(),
            probe: Probe::new(&config.probe),
            shared: Arc::new(shared),
            timeout: config.schedule.timeout.0.saturating_sub(MARGIN).max(config.schedule.timeout.0 / 2),
        }
    }
}
