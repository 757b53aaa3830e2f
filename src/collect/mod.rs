//! The collectors and their list.
//!
//! A collector is one file (or folder) here and one line in the list below: the line yields the module, the
//! section `[collectors.NAME]`, the name in `collect[]`, in logs and in success metrics, the row in `docs/metrics.md`,
//! and the tests over all collectors.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::agents::Registry;
use crate::clock::Clock;
use crate::config::{Environment, Problem, Problems, Span};
use crate::facts::Facts;
use crate::metrics::{Batch, Desc};
use crate::task::Tasks;

mod allow;
mod docs;
mod endpoint;
mod last;
mod limit;
#[macro_use]
mod list;
mod run;
mod said;
pub mod scrape;
mod select;
mod slot;

pub use docs::docs;
pub use endpoint::{Answer, Endpoint, Question, Refused};
pub use last::{Last, LastRun};
pub use list::Entry;
pub use said::Said;
pub use select::{SelectError, Selection};

// Of two with the same endpoint, the first answers where both are served.
collectors! {
    agents => agents::Agents,
    containers => containers::Containers,
    host => host::Host,
    probes => probes::Probes,
    postgres => postgres::Postgres,
    redis => redis::Redis,
}

/// Why a collector has nothing to give this time. It costs its own series only.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// What it reads could not be read: the message names the file, socket or server, never a secret.
    #[error("{what}: {source}")]
    Io {
        /// The file, socket or server.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// What it reads does not look as documented.
    #[error("{what}: {why}")]
    Malformed {
        /// The file, socket or server.
        what: String,
        /// What was expected, and what was found.
        why: String,
    },
}

/// What one run of a collector yields.
#[derive(Debug, Default)]
pub struct Output {
    parts: Vec<(&'static str, Arc<Batch>)>,
    /// What it tells in types, beside the samples.
    pub facts: Facts,
}

impl Output {
    /// The batch of a part, which `collect[]` may ask for alone. A collector without parts uses its own name.
    pub fn part(&mut self, name: &'static str) -> &mut Batch {
        let index = self.parts.iter().position(|(part, _)| *part == name).unwrap_or_else(|| {
            self.parts.push((name, Arc::default()));
            self.parts.len() - 1
        });
        Arc::make_mut(&mut self.parts[index].1)
    }

    /// Adds a further batch to a part: that of one of several targets, which succeeds or fails alone. It may be one that
    /// the collector keeps, because nothing has changed since it was made.
    pub fn add(&mut self, name: &'static str, batch: impl Into<Arc<Batch>>) {
        self.parts.push((name, batch.into()));
    }

    /// All parts for cutting them down, in the order in which they were begun.
    fn batches_mut(&mut self) -> impl Iterator<Item = &mut Arc<Batch>> {
        self.parts.iter_mut().map(|(_, batch)| batch)
    }

    /// All parts with their names, in the order in which they were begun.
    pub fn parts(&self) -> impl Iterator<Item = (&'static str, &Batch)> {
        self.parts.iter().map(|(name, batch)| (*name, batch.as_ref()))
    }
}

/// Reads the state of something and writes it down as samples and facts.
///
/// A collector never blocks the runtime: what may block (a mount, a big file, a lock that others hold long) runs on a
/// thread of [`Tasks::thread`]. A run that only awaits is cut off at its deadline; one that blocks holds a worker of
/// the runtime for as long as it blocks, and cannot be cut off.
#[async_trait]
pub trait Collector: Send + Sync + 'static {
    /// One run. Nothing is kept between runs but what must be. A part that fails leaves its own batch empty; an error
    /// here costs the whole collector's series, and a hanging run is cut off at its deadline.
    async fn collect(&self, out: &mut Output) -> Result<(), CollectError>;

    /// Answers its multi-target endpoint, where it declares one. Cut off at the question's limit.
    async fn answer(&self, _question: &Question) -> Result<Answer, Refused> {
        Err(Refused::Failed("this collector answers no targets".into()))
    }
}

/// What the list asks of a collector's type.
pub trait Declare: Collector + Sized {
    /// Its section: `deny_unknown_fields`, a default for every field, and a field `schedule`.
    type Config: DeserializeOwned + Default + Clone + std::fmt::Debug + Send + Sync + 'static;

    /// The names besides its own that `collect[]` takes: its parts.
    const PARTS: &'static [&'static str];

    /// The exporter whose names, types and labels it follows, and of which release.
    const FOLLOWS: Option<(&'static str, &'static str)> = None;

    /// Where it answers for a target that the request names.
    const ENDPOINT: Option<Endpoint> = None;

    /// The variable, or the key, that gives it something to collect from where nothing does.
    const NAMED_BY: Option<&'static str> = None;

    /// Every family that it may write, for `docs/metrics.md` and the tests over all of them.
    fn descs() -> Vec<&'static Desc>;

    /// Lays the environment over what the file says: the names that the original exporter reads, and common ones.
    /// What is set but cannot be used is a problem of severity warning, and is skipped.
    fn complete(_config: &mut Self::Config, _environment: &Environment, _problems: &mut Problems) {}

    /// What it collects from, in a few words without a secret, for the start's summary. `None` where there is nothing:
    /// such a one is not built, for it has no success to report.
    fn watches(config: &Self::Config) -> Option<String>;

    /// What is wrong with its section beyond its syntax; keys relative to the section.
    fn check(config: &Self::Config, problems: &mut Problems);

    /// Builds it. Opens nothing: that is a run's work, and may fail then.
    fn build(config: &Self::Config, parts: &Deps) -> Self;
}

/// More names than this are counted only.
const NAMES_SHOWN: usize = 5;

/// The names of targets as a summary shows them; `None` where there are none.
fn named<'n>(names: impl Iterator<Item = &'n String>) -> Option<String> {
    let names: Vec<&str> = names.map(String::as_str).collect();
    let shown = names.get(..NAMES_SHOWN).unwrap_or(&names).join(", ");
    match names.len() {
        0 => None,
        1..=NAMES_SHOWN => Some(shown),
        count => Some(format!("{shown} and {} more", count - NAMES_SHOWN)),
    }
}

/// What a collector may be built with.
#[derive(Clone)]
pub struct Deps {
    /// Time.
    pub clock: Clock,
    /// Where it starts tasks and threads.
    pub tasks: Tasks,
    /// The registry of agents, written by heartbeats.
    pub agents: Arc<Mutex<Registry>>,
}

/// When and how much: the part of a collector's section that all have, `schedule = { timeout = "4s" }`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Schedule {
    /// Whether it runs at all.
    pub enabled: bool,
    /// A run is cut off after this. Below Prometheus' default scrape timeout of 10 s, so that the rest still arrives.
    pub timeout: Span,
    /// More series than this of one run are cut, by whole families.
    pub max_series: usize,
}

impl Default for Schedule {
    fn default() -> Self {
        Self { enabled: true, timeout: Span(Duration::from_secs(9)), max_series: 100_000 }
    }
}

impl Schedule {
    /// What is wrong with it; keys relative to it.
    pub fn check(&self, problems: &mut Problems) {
        if self.timeout.0.is_zero() {
            let problem = Problem::error("timeout", "a run that may take no time never succeeds");
            problems.push(problem.hint("to turn a collector off, set `enabled = false`"));
        }
    }
}
