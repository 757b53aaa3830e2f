//! The listener, who may ask what, the routes and the pages. The only place that knows axum.

use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;

use crate::agents::Registry;
use crate::alert::policy::Policy;
use crate::clock::Clock;
use crate::facts::Facts;
use crate::metrics::expose::Format;
use crate::store::Store;
use crate::store::heartbeats::Journal;
use crate::task::Tasks;
use crate::telemetry::Telemetry;

mod agents;
mod heartbeats;

/// The routes of agents: heartbeats, the table, and what a person says about one.
pub fn agent_routes() -> axum::Router<Arc<Api>> {
    heartbeats::routes().merge(agents::routes())
}

/// What the routes work with; built by `app`, which also stands behind the traits below.
pub struct Api {
    /// Time.
    pub clock: Clock,
    /// Tasks.
    pub tasks: Tasks,
    /// The program's own counters.
    pub telemetry: Telemetry,
    /// The registry of agents.
    pub agents: Arc<Mutex<Registry>>,
    /// Keeps the registry over restarts.
    pub journal: Journal,
    /// What is kept; `None` in the role of an exporter.
    pub store: Option<Arc<dyn Store>>,
    /// What the configuration decides about alerts; replaced by a reload.
    pub policy: RwLock<Arc<Policy>>,
    /// The engine of the collectors.
    pub scraper: Arc<dyn Scraper>,
    /// What only `app` can do.
    pub control: Arc<dyn Control>,
}

/// What a scraper asks for.
#[derive(Clone, Debug, Default)]
pub struct ScrapeRequest {
    /// `collect[]`: collectors or parts; empty means all.
    pub collect: Vec<String>,
    /// `exclude[]`.
    pub exclude: Vec<String>,
    /// The listener's collectors; empty means all.
    pub bound: Vec<String>,
    /// `X-Prometheus-Scrape-Timeout-Seconds`.
    pub timeout: Option<Duration>,
}

/// Runs collectors and writes what they gave.
#[async_trait]
pub trait Scraper: Send + Sync + 'static {
    /// Writes one exposition into `out`.
    ///
    /// # Errors
    /// A name that is no collector and no part: the text names the valid ones.
    async fn scrape(&self, request: ScrapeRequest, format: Format, out: &mut Vec<u8>) -> Result<(), String>;

    /// The state of the last run of each collector.
    fn facts(&self) -> Arc<Facts>;
}

/// What the routes ask of the application as a whole.
#[async_trait]
pub trait Control: Send + Sync + 'static {
    /// What is not ready yet, or no longer; empty when everything is.
    fn unready(&self) -> Vec<String>;

    /// The services' states, those of the store and the channels included.
    async fn health(&self) -> Facts;

    /// Reads the configuration anew; all or nothing.
    ///
    /// # Errors
    /// All problems, as `check-config` writes them. Nothing has changed.
    async fn reload(&self) -> Result<(), String>;

    /// Sends a marked test message to a channel, past the outbox.
    async fn test_notify(&self, channel: &str) -> Value;
}
