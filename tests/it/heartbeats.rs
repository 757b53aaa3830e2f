//! Heartbeats by push, and what is left of them after a crash.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use tidewatch::agents::{Registry, Settings, Snapshot, View};
use tidewatch::alert::policy::Policy;
use tidewatch::alert::route::Routes;
use tidewatch::alert::severity::{Severities, Words};
use tidewatch::cli::client::Client;
use tidewatch::clock::Clock;
use tidewatch::facts::Facts;
use tidewatch::http::access::Access;
use tidewatch::http::control::ControlSocket;
use tidewatch::http::limit::Work;
use tidewatch::http::server::{Limits, Peer, Server};
use tidewatch::http::{Api, Control, Front, Listener, ScrapeRequest, Scraper, router};
use tidewatch::metrics::expose::Format;
use tidewatch::store::heartbeats::Journal;
use tidewatch::task::Tasks;
use tidewatch::telemetry::Telemetry;
use tower_service::Service;

mod journal;
mod people;
mod push;

/// What the routes of agents never call.
struct Nothing;

#[async_trait]
impl Scraper for Nothing {
    async fn scrape(&self, _: ScrapeRequest, _: Format, _: &mut Vec<u8>) -> Result<(), String> {
        Ok(())
    }

    fn facts(&self) -> Arc<Facts> {
        Arc::default()
    }
}

#[async_trait]
impl Control for Nothing {
    fn unready(&self) -> Vec<String> {
        Vec::new()
    }

    async fn health(&self) -> Facts {
        Facts::default()
    }

    async fn reload(&self) -> Result<(), String> {
        Ok(())
    }

    async fn test_notify(&self, _: &str) -> Value {
        Value::Null
    }
}

/// A registry with its journal and its routes, in one process, on a clock moved by hand.
pub(crate) struct Node {
    pub(crate) registry: Arc<Mutex<Registry>>,
    pub(crate) clock: Clock,
    pub(crate) tasks: Tasks,
    pub(crate) telemetry: Telemetry,
    router: axum::Router,
}

impl Node {
    pub(crate) fn start(folder: &Path, settings: Settings) -> Self {
        let clock = Clock::manual(Timestamp::from_second(1_800_000_000).unwrap());
        let telemetry = Telemetry::new();
        let tasks = Tasks::new(&telemetry);
        let registry = Arc::new(Mutex::new(Registry::new(settings)));
        let journal = Journal::open(folder, Arc::clone(&registry), &clock, &tasks, &telemetry).unwrap();
        let policy = Policy {
            routes: Routes::default(),
            severities: Severities::new(&Words::default()),
            dedup: Duration::ZERO,
            cooldown: Duration::ZERO,
            hold: Duration::ZERO,
        };
        let api = Api {
            clock: clock.clone(),
            tasks: tasks.clone(),
            telemetry: telemetry.clone(),
            agents: Arc::clone(&registry),
            journal,
            store: None,
            policy: RwLock::new(Arc::new(policy)),
            scraper: Arc::new(Nothing),
            control: Arc::new(Nothing),
        };
        let front = Front::new(Access::default(), Work::default(), TimeZone::UTC, &telemetry);
        let router = router(Arc::new(api), &Arc::new(front), Listener::default());
        Self { registry, clock, tasks, telemetry, router }
    }

    /// Serves the control socket in `folder`, as `tidewatch serve` does; the client asks by it.
    pub(crate) async fn control(&self, folder: &Path) -> Client {
        let socket = ControlSocket::bind(folder).await.unwrap();
        let server = Server::new(Limits::default(), self.tasks.clone(), &self.telemetry);
        let router = self.router.clone();
        drop(self.tasks.spawn("control", async move { server.run(socket, router).await }));
        Client::of_folder(folder, Duration::from_secs(20))
    }

    /// The status and the body of an answer.
    pub(crate) async fn call(&self, method: &str, path: &str, body: impl Into<Body>) -> (StatusCode, String) {
        let request = Request::builder().method(method).uri(path).extension(Peer::Local).body(body.into()).unwrap();
        let response = self.router.clone().call(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    pub(crate) async fn post(&self, path: &str, body: impl Into<Body>) -> (StatusCode, String) {
        self.call("POST", path, body).await
    }

    pub(crate) async fn beat(&self, agent: &str, body: &str) {
        let (status, text) = self.post(&format!("/api/v1/agents/{agent}/heartbeat"), body.to_owned()).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{text}");
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner).snapshot(self.clock.now())
    }

    pub(crate) fn views(&self) -> BTreeMap<String, View> {
        self.snapshot().agents.into_iter().map(|view| (view.agent_id.to_string(), view)).collect()
    }

    pub(crate) fn refused(&self, reason: &str) -> u64 {
        self.snapshot().tally.refused().find(|(refusal, _)| refusal.name() == reason).unwrap().1
    }

    /// A clean stop.
    pub(crate) async fn stop(self) {
        assert_eq!(self.tasks.drain(Duration::from_secs(20)).await, 0);
    }
}

pub(crate) fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

pub(crate) fn accepted(count: usize) -> Value {
    json!({ "accepted": count, "refused": [] })
}
