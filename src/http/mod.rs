//! The listener, who may ask what, the routes and the pages. The only place that knows axum.
//!
//! A connection: [`server`] accepts it, `stream` limits how long it may keep us waiting. A request: `front` asks
//! [`access`] who may, then the route of the file that serves it. A body is read by [`limit`].

pub mod access;
mod admin;
mod agents;
mod buffers;
pub mod control;
pub mod credential;
mod crowd;
mod front;
mod heartbeats;
mod incident_view;
mod json;
pub mod limit;
mod origin;
mod pages;
mod passwords;
mod records;
mod refusal;
mod scrape;
pub mod server;
mod stream;
mod throttle;
pub mod tokens;
pub mod webhook;

pub use front::Front;
pub use refusal::Refusal;
pub use stream::Patience;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use axum::{Router, http::Request};
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
    /// What the posts of alerts share.
    pub gate: webhook::Gate,
    /// The engine of the collectors.
    pub scraper: Arc<dyn Scraper>,
    /// What only `app` can do.
    pub control: Arc<dyn Control>,
}

impl Api {
    /// What the configuration in use decides about alerts.
    pub fn policy(&self) -> Arc<Policy> {
        self.control.policy()
    }
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

    /// Writes the answer of a multi-target endpoint, `/probe` or `/scrape`, into `out`.
    ///
    /// # Errors
    /// The question has no answer.
    async fn target(&self, request: TargetRequest, format: Format, out: &mut Vec<u8>) -> Result<Told, Untold>;
}

/// What a scraper asks of a multi-target endpoint.
#[derive(Clone, Debug, Default)]
pub struct TargetRequest {
    /// `/probe` or `/scrape`.
    pub path: &'static str,
    /// The query's pairs, decoded.
    pub query: Vec<(String, String)>,
    /// The listener's collectors; empty means all.
    pub bound: Vec<String>,
    /// `X-Prometheus-Scrape-Timeout-Seconds`.
    pub timeout: Option<Duration>,
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// An exposition.
    Samples,
    /// Text for a person.
    Text,
}

/// Why nothing was: the status, and words for whoever asked.
pub type Untold = (http::StatusCode, String);

/// What the routes ask of the application as a whole.
#[async_trait]
pub trait Control: Send + Sync + 'static {
    /// What is not ready yet, or no longer; empty when everything is.
    fn unready(&self) -> Vec<String>;

    /// What the configuration in use decides about alerts.
    fn policy(&self) -> Arc<Policy>;

    /// Whether posts are taken; if not, why.
    ///
    /// # Errors
    /// The disk is nearly full.
    fn intake(&self) -> Result<(), String>;

    /// A message that has waited for longer than this is late.
    fn late(&self) -> Duration;

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

/// What one listener serves.
#[derive(Clone, Debug, Default)]
pub struct Listener {
    /// The collectors of its `/metrics`. Empty means all of them, and everything else too: a listener that is bound to
    /// some stands in for another exporter, often open to the network, and serves metrics and health only.
    pub collectors: Vec<String>,
}

/// Everything that is served on `listener`: axum's router, ready for [`server::Server::run`].
pub fn router(api: Arc<Api>, front: &Arc<Front>, listener: Listener) -> Router {
    let mut routes = Router::new().merge(scrape::routes()).merge(admin::probes());
    if listener.collectors.is_empty() {
        routes = routes.merge(admin::routes());
        routes = routes.merge(agents::routes());
        routes = routes.merge(heartbeats::routes());
        routes = routes.merge(pages::routes());
        routes = routes.merge(records::routes());
        routes = routes.merge(webhook::routes());
    }
    let routes =
        routes.fallback(records::nothing_here).method_not_allowed_fallback(records::not_this_method).with_state(api);
    let (front, listener) = (Arc::clone(front), Arc::new(listener));
    // As a fallback of an outer router, so that the path can be rewritten before the routes are looked up. What handlers
    // ask for is put in here: a layer of axum's would clone and box each route once more for each request.
    Router::new().fallback(move |mut request: Request<Body>| {
        request.extensions_mut().insert(Arc::clone(&front));
        request.extensions_mut().insert(Arc::clone(&listener));
        let (front, routes) = (Arc::clone(&front), routes.clone());
        async move { front.answer(routes, request).await }
    })
}

/// What is served, for the first page and `/health`.
struct Endpoint {
    path: &'static str,
    what: &'static str,
    /// Where a GET makes sense, relative to the first page.
    link: Option<&'static str>,
    needs_store: bool,
}

const fn endpoint(path: &'static str, what: &'static str, link: Option<&'static str>, needs_store: bool) -> Endpoint {
    Endpoint { path, what, link, needs_store }
}

static ENDPOINTS: &[Endpoint] = &[
    endpoint("/metrics", "metrics for Prometheus; ?collect[]=host", Some("metrics"), false),
    endpoint("/health", "how the services are", Some("health"), false),
    endpoint("/-/healthy", "200 while the process answers", Some("-/healthy"), false),
    endpoint("/-/ready", "200 when everything is ready, else the reasons", Some("-/ready"), false),
    endpoint("/-/reload", "POST: reads the configuration anew", None, false),
    endpoint("/api/v1/heartbeats", "POST: heartbeats of agents", None, false),
    endpoint("/api/agents", "the agents' table", Some("api/agents"), false),
    endpoint("/webhook/alerts", "POST: alerts of an Alertmanager", None, true),
    endpoint("/webhook/watchdog", "POST: the Watchdog of an Alertmanager", None, true),
    endpoint("/i/{id}", "an incident, for people", None, true),
    endpoint("/api/incidents", "incidents; ?open=true&limit=100", Some("api/incidents?open=true"), true),
    endpoint("/api/outbox", "messages; ?state=dead&channel=slack&incident=3", Some("api/outbox"), true),
    endpoint(
        "/api/ledger",
        "what became of every alert and message, and whether it balances",
        Some("api/ledger"),
        true,
    ),
    endpoint("/api/health", "the services' states with their reasons", Some("api/health"), false),
];
