//! The agents as a table, and what a person says about one: expected, forgotten, renamed.

use std::sync::{Arc, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Api;
use crate::agents::{AgentId, Change, Expectation, Quorum, Registry, View};
use crate::config::Span;

/// What a person says about an agent is short.
const BODY: usize = 4 << 10;

/// `GET /api/agents`, and `POST /api/agents/{agent_id}/expect`, `forget`, `rename`.
pub(super) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/api/agents", get(list))
        .route("/api/agents/{agent_id}/expect", post(expect))
        .route("/api/agents/{agent_id}/forget", post(forget))
        .route("/api/agents/{agent_id}/rename", post(rename))
        .layer(DefaultBodyLimit::max(BODY))
}

/// An answer as JSON.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => (status, [(CONTENT_TYPE, "application/json")], bytes).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

#[derive(Serialize)]
struct Table {
    agents: Vec<View>,
    groups: Vec<Quorum>,
}

async fn list(State(api): State<Arc<Api>>) -> Response {
    let snapshot = registry(&api).snapshot(api.clock.now());
    json(StatusCode::OK, &Table { agents: snapshot.agents, groups: snapshot.quorums })
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

async fn expect(State(api): State<Arc<Api>>, Path(agent_id): Path<String>, body: Bytes) -> Result<Response, Refused> {
    let id = name(&agent_id)?;
    let Expected { interval, late, timeout, role, stop_until, stop_for } = read(&body)?;
    let now = api.clock.now();
    let stop_until = stop_until.or(stop_for.map(|span| now.saturating_add(span.0).unwrap_or(Timestamp::MAX)));
    let expectation = Expectation { interval, late, timeout, role, stop_until };
    if let Some((field, fault)) = expectation.faults().first() {
        return Err(Refused(StatusCode::BAD_REQUEST, format!("`{field}` {fault}")));
    }
    writable(&api)?;
    let view = {
        let mut registry = registry(&api);
        registry.expect(&id, &expectation).map_err(Change::from)?;
        registry.view(&id, now)
    };
    tracing::info!(agent = %id, ?expectation, "agent expected");
    Ok(json(StatusCode::OK, &view))
}

#[derive(Serialize)]
struct Forgotten {
    forgotten: AgentId,
}

async fn forget(State(api): State<Arc<Api>>, Path(agent_id): Path<String>) -> Result<Response, Refused> {
    let id = name(&agent_id)?;
    writable(&api)?;
    registry(&api).forget(&id)?;
    tracing::info!(agent = %id, "agent forgotten");
    Ok(json(StatusCode::OK, &Forgotten { forgotten: id }))
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Renamed {
    to: String,
}

async fn rename(State(api): State<Arc<Api>>, Path(agent_id): Path<String>, body: Bytes) -> Result<Response, Refused> {
    let from = name(&agent_id)?;
    let to = name(&read::<Renamed>(&body)?.to)?;
    writable(&api)?;
    let view = {
        let mut registry = registry(&api);
        registry.rename(&from, &to)?;
        registry.view(&to, api.clock.now())
    };
    tracing::info!(agent = %from, %to, "agent renamed");
    Ok(json(StatusCode::OK, &view))
}

/// Why nothing was changed.
struct Refused(StatusCode, String);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, self.1 + "\n").into_response()
    }
}

impl From<Change> for Refused {
    fn from(change: Change) -> Self {
        let status = if matches!(change, Change::Unknown(_)) { StatusCode::NOT_FOUND } else { StatusCode::CONFLICT };
        Self(status, change.to_string())
    }
}

fn name(text: &str) -> Result<AgentId, Refused> {
    text.parse().map_err(|error| Refused(StatusCode::BAD_REQUEST, format!("{error}")))
}

fn read<T: DeserializeOwned + Default>(body: &[u8]) -> Result<T, Refused> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(T::default());
    }
    serde_json::from_slice(body).map_err(|error| Refused(StatusCode::BAD_REQUEST, error.to_string()))
}

/// A person's word is not taken while it could be lost.
fn writable(api: &Api) -> Result<(), Refused> {
    api.journal.accepts().map_err(|error| Refused(StatusCode::SERVICE_UNAVAILABLE, error.to_string()))
}

fn registry(api: &Api) -> MutexGuard<'_, Registry> {
    api.agents.lock().unwrap_or_else(PoisonError::into_inner)
}
