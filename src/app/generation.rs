//! What a reload replaces: the engine of the collectors, the channels with their workers, and the policy.

use std::sync::{Arc, Mutex};

use jiff::Timestamp;

use super::ping::Ping;
use super::settings::Validated;
use crate::agents::Registry;
use crate::alert::policy::Policy;
use crate::clock::Clock;
use crate::collect::{self, scrape::Engine};
use crate::config::Environment;
use crate::net::client::Client;
use crate::notify::{self, Channel, deliver};
use crate::reconcile;
use crate::store::Store;
use crate::task::Tasks;
use crate::telemetry::Telemetry;

/// What outlives reloads, and a generation is built with.
pub(super) struct Parts {
    pub(super) clock: Clock,
    pub(super) tasks: Tasks,
    pub(super) telemetry: Telemetry,
    pub(super) environment: Environment,
    pub(super) agents: Arc<Mutex<Registry>>,
    pub(super) store: Option<Arc<dyn Store>>,
    pub(super) meters: deliver::Meters,
    pub(super) gates: deliver::Gates,
    pub(super) reconciled: reconcile::Meters,
    pub(super) listening_since: Timestamp,
}

/// Everything that was built from one configuration.
pub(super) struct Generation {
    pub(super) validated: Validated,
    pub(super) policy: Arc<Policy>,
    pub(super) channels: Vec<Channel>,
    pub(super) ping: Option<Ping>,
    pub(super) engine: Engine,
    pub(super) watches: Vec<reconcile::Watch>,
    tasks: Tasks,
}

impl Generation {
    /// Builds all of it; starts nothing.
    ///
    /// # Errors
    /// A credential's file, or the system's certificates, cannot be read.
    pub(super) fn build(validated: Validated, parts: &Parts) -> anyhow::Result<Self> {
        let settings = &validated.settings;
        let mut ping = None;
        let channels = if settings.role.receives() {
            let deps = notify::Deps {
                clock: parts.clock.clone(),
                tasks: parts.tasks.clone(),
                client: Client::new()?,
                external_url: settings.external_url.clone(),
                zone: validated.zone.clone(),
            };
            ping = Ping::build(&settings.watchdog.ping, &deps.client)?;
            let mut channels = notify::build(&settings.notify, &parts.environment, &deps)?;
            for channel in &mut channels {
                let configured = settings.delivery.per_minute.get(&channel.name).copied();
                channel.limits.per_minute = configured.or(channel.limits.per_minute);
            }
            channels
        } else {
            Vec::new()
        };
        let watches = if settings.role.receives() { reconcile::build(&settings.sources)? } else { Vec::new() };
        // What can fail is done: from here the shared registry takes the new settings.
        let tasks = parts.tasks.group();
        let deps =
            collect::Deps { clock: parts.clock.clone(), tasks: tasks.clone(), agents: Arc::clone(&parts.agents) };
        let mut entries = collect::build(&settings.collectors, &deps);
        // Heartbeats are watched in every role: whoever receives them shows them.
        entries.retain(|entry| settings.role.exports() || entry.name == "agents");
        let engine = Engine::new(entries, parts.clock.clone(), tasks.clone(), &parts.telemetry);
        let policy = Arc::new(validated.policy.clone());
        Ok(Self { validated, policy, channels, ping, engine, watches, tasks })
    }

    /// Starts the workers and the engine's own runs.
    pub(super) fn start(&self, parts: &Parts) {
        self.engine.keep_fresh(self.validated.settings.scrape.idle.0);
        if let Some(store) = &parts.store {
            let post = deliver::Post {
                store: Arc::clone(store),
                tasks: self.tasks.clone(),
                clock: parts.clock.clone(),
                meters: parts.meters.clone(),
                gates: parts.gates.clone(),
                rules: self.validated.settings.delivery.rules(),
            };
            deliver::start(&self.channels, &post);
        }
        if let Some(deps) = self.reconciling(parts) {
            reconcile::start(&self.watches, &deps);
        }
    }

    /// Looks back, once, at the time before the program began.
    pub(super) fn look_back(&self, parts: &Parts) {
        if let Some(deps) = self.reconciling(parts) {
            reconcile::look_back(&self.watches, &deps);
        }
    }

    fn reconciling(&self, parts: &Parts) -> Option<reconcile::Deps> {
        Some(reconcile::Deps {
            clock: parts.clock.clone(),
            tasks: self.tasks.clone(),
            store: parts.store.clone()?,
            meters: parts.reconciled.clone(),
            policy: Arc::clone(&self.policy),
            listening_since: parts.listening_since,
        })
    }

    /// Lets the workers finish what they are sending, and ends the rest.
    pub(super) fn end(&self) {
        self.tasks.stop();
    }
}
