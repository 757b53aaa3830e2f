//! The agents: what the registry knows, as samples and facts.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;

use super::{CollectError, Collector, Declare, Deps, Output};
use crate::agents::{Registry, Snapshot, View};
use crate::clock::Clock;
use crate::config::Problems;
use crate::facts::{AgentRow, State};
use crate::metrics::{Batch, Desc};

mod families;
mod section;
mod verdict;

pub use section::Config;

/// Shows the registry of agents. It reads nothing itself: heartbeats and other sources fill the registry.
pub struct Agents {
    registry: Arc<Mutex<Registry>>,
    clock: Clock,
    /// The last verdict and since when it has been so.
    since: Mutex<Option<(State, Timestamp)>>,
}

#[async_trait]
impl Collector for Agents {
    async fn collect(&self, out: &mut Output) -> Result<(), CollectError> {
        let now = self.clock.now();
        let snapshot = self.registry.lock().unwrap_or_else(PoisonError::into_inner).snapshot(now);
        families::write(&snapshot, out.part("agents"));
        out.facts.agents = snapshot.agents.iter().map(row).collect();
        let mut service = verdict::of(&snapshot, now);
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        service.since = since.filter(|(state, _)| *state == service.state).map_or(now, |(_, since)| since);
        *since = Some((service.state, service.since));
        out.facts.services.push(service);
        Ok(())
    }
}

impl Declare for Agents {
    type Config = Config;

    const PARTS: &'static [&'static str] = &[];

    fn descs() -> Vec<&'static Desc> {
        families::ALL.to_vec()
    }

    fn watches(config: &Config) -> Option<String> {
        Some(format!("by heartbeats; {} expected by the configuration", config.settings().expected.len()))
    }

    fn check(config: &Config, problems: &mut Problems) {
        config.check(problems);
    }

    fn build(config: &Config, parts: &Deps) -> Self {
        parts.agents.lock().unwrap_or_else(PoisonError::into_inner).configure(config.settings());
        Self { registry: Arc::clone(&parts.agents), clock: parts.clock.clone(), since: Mutex::new(None) }
    }
}

fn row(view: &View) -> AgentRow {
    AgentRow {
        agent_id: view.agent_id.to_string(),
        online: view.online,
        late: view.condition == crate::agents::Condition::Late,
        age_seconds: view.age_seconds,
        // JSON has no infinity.
        timeout_seconds: view.timeout_seconds.min(f64::MAX),
        source: view.source.map_or("", crate::agents::Source::name).to_owned(),
    }
}
