//! Health, readiness, reload, and what only the control socket may ask.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json as object};

use super::limit::Intake;
use super::refusal::Refusal;
use super::{Api, ENDPOINTS, json};
use crate::facts::{Facts, State as Level};

/// The states are kept ready; a store that hangs must not make health hang.
const PATIENCE: Duration = Duration::from_secs(3);

/// A body that names a file or a note.
const SMALL: u64 = 16 << 10;

/// What every listener serves.
pub(super) fn probes() -> Router<Arc<Api>> {
    Router::new()
        .route("/-/healthy", get(async || "tidewatch is alive\n"))
        .route("/-/ready", get(ready))
        .route("/health", get(health))
}

pub(super) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/-/reload", post(reload).put(reload))
        .route("/api/health", get(facts))
        .route("/api/test-notify/{channel}", post(test_notify))
        .route("/api/backup", post(backup))
}

async fn ready(State(api): State<Arc<Api>>) -> Response {
    let unready = api.control.unready();
    if unready.is_empty() {
        return "tidewatch is ready\n".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, format!("not ready:\n{}\n", unready.join("\n"))).into_response()
}

async fn states(api: &Api) -> Option<Facts> {
    tokio::time::timeout(PATIENCE, api.control.health()).await.ok()
}

fn worst(facts: Option<&Facts>) -> Level {
    let states = facts.map_or(&[][..], |facts| &facts.services).iter().map(|service| service.state);
    states.max().unwrap_or(if facts.is_some() { Level::Ok } else { Level::Unknown })
}

/// Always 200 while the process answers: whether the machine is well stands in the body, and a full disk is no reason
/// to restart tidewatch.
async fn health(State(api): State<Arc<Api>>) -> Result<Response, Refusal> {
    let facts = states(&api).await;
    let services = facts.as_ref().map_or(&[][..], |facts| &facts.services);
    let services: serde_json::Map<String, Value> =
        services.iter().map(|service| (service.service.clone(), object!(service.state))).collect();
    let endpoints: Vec<&str> =
        ENDPOINTS.iter().filter(|it| api.store.is_some() || !it.needs_store).map(|it| it.path).collect();
    json::answer(&object!({
        "status": worst(facts.as_ref()),
        "timestamp": api.clock.now(),
        "version": env!("CARGO_PKG_VERSION"),
        "endpoints": endpoints,
        "services": services,
    }))
}

/// What the command `health` prints.
async fn facts(State(api): State<Arc<Api>>) -> Result<Response, Refusal> {
    let Some(facts) = states(&api).await else { return Err(Refusal::busy("the states took too long")) };
    json::answer(&object!({
        "status": worst(Some(&facts)),
        "timestamp": api.clock.now(),
        "version": env!("CARGO_PKG_VERSION"),
        "unready": api.control.unready(),
        "services": facts.services,
        "agents": facts.agents,
    }))
}

/// In a task of its own: a client that leaves must not stop a reload halfway.
async fn reload(State(api): State<Arc<Api>>, intake: Intake, body: Body) -> Result<Response, Refusal> {
    let (_, permit) = intake.read(body, SMALL).await?;
    let control = Arc::clone(&api.control);
    let outcome = api
        .tasks
        .spawn("reload", async move {
            let _permit = permit;
            control.reload().await
        })
        .await;
    Ok(match outcome {
        Ok(Ok(())) => "the configuration is reloaded\n".into_response(),
        Ok(Err(problems)) => {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("nothing has changed:\n{problems}\n")).into_response()
        }
        Err(panicked) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{panicked}\n")).into_response(),
    })
}

async fn test_notify(
    State(api): State<Arc<Api>>,
    Path(channel): Path<String>,
    intake: Intake,
    body: Body,
) -> Result<Response, Refusal> {
    let (_, permit) = intake.read(body, SMALL).await?;
    let control = Arc::clone(&api.control);
    let outcome = api
        .tasks
        .spawn("test notification", async move {
            let _permit = permit;
            control.test_notify(&channel).await
        })
        .await
        .map_err(|panicked| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, panicked.to_string()))?;
    let word = |key| outcome.get(key).and_then(Value::as_str);
    let mut response = json::answer(&outcome)?;
    *response.status_mut() = match (word("status"), word("reason")) {
        (Some("error"), Some("unknown_channel")) => StatusCode::NOT_FOUND,
        (Some("error"), _) => StatusCode::BAD_GATEWAY,
        _ => StatusCode::OK,
    };
    Ok(response)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Backup {
    file: PathBuf,
}

async fn backup(State(api): State<Arc<Api>>, intake: Intake, body: Body) -> Result<Response, Refusal> {
    let store = api.store.clone().ok_or_else(Refusal::no_store)?;
    let (body, permit) = intake.read(body, SMALL).await?;
    let Backup { file } = serde_json::from_slice(&body).map_err(|error| Refusal::bad(error.to_string()))?;
    if !file.is_absolute() {
        return Err(Refusal::bad("`file` must be an absolute path: the server's folder is not yours"));
    }
    let target = file.clone();
    let written = api.tasks.spawn("backup", async move {
        let _permit = permit;
        store.backup(&target).await
    });
    written.await.map_err(|panicked| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, panicked.to_string()))??;
    json::answer(&object!({ "status": "ok", "file": file }))
}
