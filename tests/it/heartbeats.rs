//! Heartbeats by push, and what is left of them after a crash.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::PoisonError;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tidewatch::agents::{Settings, Snapshot, View};
use tidewatch::clock::Clock;
use tidewatch::http::server::Peer;
use tidewatch::http::{Listener, router};
use tower_service::Service;

use crate::support::site::{Setup, Site};

mod command;
mod crash;
mod journal;
mod people;
mod push;

/// A site whose requests come in without a connection.
pub(crate) struct Node {
    pub(crate) site: Site,
    router: axum::Router,
}

impl Node {
    /// Its data lies in `folder`; its clock stands at the same time whenever one is started.
    pub(crate) async fn start(folder: &Path, agents: Settings) -> Self {
        let setup = Setup { agents, folder: Some(folder.to_owned()), ..Setup::default() };
        let site = Site::start(setup).await;
        let router = router(site.api.clone(), &site.front, Listener::default());
        Self { site, router }
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.site.api.clock
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
        self.site.api.agents.lock().unwrap_or_else(PoisonError::into_inner).snapshot(self.clock().now())
    }

    pub(crate) fn views(&self) -> BTreeMap<String, View> {
        self.snapshot().agents.into_iter().map(|view| (view.agent_id.to_string(), view)).collect()
    }

    pub(crate) fn refused(&self, reason: &str) -> u64 {
        self.snapshot().tally.refused().find(|(refusal, _)| refusal.name() == reason).unwrap().1
    }

    /// A clean stop.
    pub(crate) async fn stop(self) {
        assert_eq!(self.site.tasks.drain(Duration::from_secs(20)).await, 0);
    }
}

pub(crate) fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

pub(crate) fn accepted(count: usize) -> Value {
    json!({ "accepted": count, "refused": [] })
}
