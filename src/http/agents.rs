//! The agents as a table, and what a person says about one: expected, forgotten, renamed.

use std::sync::{Arc, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use http::StatusCode;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::access::Principal;
use super::limit::Intake;
use super::refusal::Refusal;
use super::{Api, json};
use crate::agents::{AgentId, Change, Expectation, IdError, Quorum, Registry, View};
use crate::config::Span;

/// What a person says about an agent is short.
const BODY: u64 = 4 << 10;

/// `GET /api/agents`, and `POST /api/agents/{agent_id}/expect`, `forget`, `rename`.
pub(super) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/api/agents", get(list))
        .route("/api/agents/{agent_id}/expect", post(expect))
        .route("/api/agents/{agent_id}/forget", post(forget))
        .route("/api/agents/{agent_id}/rename", post(rename))
}

/// The agent that a path names.
pub(super) fn named(path: Result<Path<String>, PathRejection>) -> Result<AgentId, Refusal> {
    let Path(text) = path.map_err(|error| Refusal::bad(error.body_text()))?;
    name(&text)
}

fn name(text: &str) -> Result<AgentId, Refusal> {
    text.parse().map_err(|error: IdError| Refusal::bad(error.to_string()))
}

#[derive(Serialize)]
struct Table {
    agents: Vec<View>,
    groups: Vec<Quorum>,
}

async fn list(State(api): State<Arc<Api>>) -> Result<Response, Refusal> {
    let snapshot = registry(&api).snapshot(api.clock.now());
    json::answer(&Table { agents: snapshot.agents, groups: snapshot.quorums })
}

/// All optional: an empty body expects the agent.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Expected {
    interval: Option<Span>,
    late: Option<Span>,
    timeout: Option<Span>,
    role: Option<String>,
    stop_until: Option<Timestamp>,
    stop_for: Option<Span>,
}

async fn expect(
    State(api): State<Arc<Api>>,
    Extension(principal): Extension<Principal>,
    path: Result<Path<String>, PathRejection>,
    intake: Intake,
    body: Body,
) -> Result<Response, Refusal> {
    let id = named(path)?;
    let (body, _permit) = intake.read(body, BODY).await?;
    let Expected { interval, late, timeout, role, stop_until, stop_for } = read(&body)?;
    let now = api.clock.now();
    let stop_until = stop_until.or(stop_for.map(|span| crate::clock::later(now, span.0)));
    let expectation = Expectation { interval, late, timeout, role, stop_until };
    if let Some((field, fault)) = expectation.faults().first() {
        return Err(Refusal::bad(format!("`{field}` {fault}")));
    }
    writable(&api)?;
    let view = {
        let mut registry = registry(&api);
        registry.expect(&id, &expectation).map_err(|error| Refusal::from(Change::from(error)))?;
        registry.view(&id, now)
    };
    tracing::info!(actor = %principal.actor, agent = %id, ?expectation, "agent expected");
    json::answer(&view)
}

#[derive(Serialize)]
struct Forgotten {
    forgotten: AgentId,
}

async fn forget(
    State(api): State<Arc<Api>>,
    Extension(principal): Extension<Principal>,
    path: Result<Path<String>, PathRejection>,
    intake: Intake,
) -> Result<Response, Refusal> {
    let id = named(path)?;
    let _permit = intake.permit().await?;
    writable(&api)?;
    registry(&api).forget(&id).map_err(Refusal::from)?;
    tracing::info!(actor = %principal.actor, agent = %id, "agent forgotten");
    json::answer(&Forgotten { forgotten: id })
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Renamed {
    to: String,
}

async fn rename(
    State(api): State<Arc<Api>>,
    Extension(principal): Extension<Principal>,
    path: Result<Path<String>, PathRejection>,
    intake: Intake,
    body: Body,
) -> Result<Response, Refusal> {
    let from = named(path)?;
    let (body, _permit) = intake.read(body, BODY).await?;
    let to = name(&read::<Renamed>(&body)?.to)?;
    writable(&api)?;
    let view = {
        let mut registry = registry(&api);
        registry.rename(&from, &to).map_err(Refusal::from)?;
        registry.view(&to, api.clock.now())
    };
    tracing::info!(actor = %principal.actor, agent = %from, %to, "agent renamed");
    json::answer(&view)
}

impl From<Change> for Refusal {
    fn from(change: Change) -> Self {
        let status = if matches!(change, Change::Unknown(_)) { StatusCode::NOT_FOUND } else { StatusCode::CONFLICT };
        Self::new(status, change.to_string())
    }
}

fn read<T: DeserializeOwned + Default>(body: &[u8]) -> Result<T, Refusal> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(T::default());
    }
    serde_json::from_slice(body).map_err(|error| Refusal::bad(error.to_string()))
}

/// A person's word is not taken while it could be lost.
fn writable(api: &Api) -> Result<(), Refusal> {
    api.journal.accepts().map_err(|error| Refusal::busy(error.to_string()))
}

fn registry(api: &Api) -> MutexGuard<'_, Registry> {
    api.agents.lock().unwrap_or_else(PoisonError::into_inner)
}
