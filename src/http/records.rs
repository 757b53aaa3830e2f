//! Incidents, the outbox and the ledger, for programs and for the command line.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Extension, Path, Query, State};
use axum::response::Response;
use axum::routing::{get, post};
use http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json as object;

use super::access::Principal;
use super::limit::Intake;
use super::refusal::Refusal;
use super::{Api, json};
use crate::store::{Change, OutboxFilter, RowState, Store, StoreError, Verdict};

/// At most so many rows at once.
const MOST: usize = 1_000;

/// The longest note of a person, in characters.
const NOTE: usize = 500;

pub(super) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/api/incidents", get(incidents))
        .route("/api/incidents/{id}", get(incident))
        .route("/api/outbox", get(outbox))
        .route("/api/outbox/replay", post(replay_all))
        .route("/api/outbox/discard", post(discard_all))
        .route("/api/outbox/{id}", get(outbox_row))
        .route("/api/outbox/{id}/replay", post(replay))
        .route("/api/outbox/{id}/discard", post(discard))
        .route("/api/ledger", get(ledger))
}

fn store(api: &Api) -> Result<Arc<dyn Store>, Refusal> {
    api.store.clone().ok_or_else(Refusal::no_store)
}

impl From<QueryRejection> for Refusal {
    fn from(error: QueryRejection) -> Self {
        Self::bad(error.body_text())
    }
}

impl From<PathRejection> for Refusal {
    fn from(_: PathRejection) -> Self {
        Self::missing("there is nothing here: numbers are like /api/incidents/123")
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Incidents {
    #[serde(default)]
    open: bool,
    #[serde(default = "a_page")]
    limit: usize,
}

fn a_page() -> usize {
    100
}

async fn incidents(
    State(api): State<Arc<Api>>,
    query: Result<Query<Incidents>, QueryRejection>,
) -> Result<Response, Refusal> {
    let Query(asked) = query?;
    json::answer(&store(&api)?.incidents(asked.open, asked.limit.min(MOST)).await?)
}

async fn incident(State(api): State<Arc<Api>>, id: Result<Path<i64>, PathRejection>) -> Result<Response, Refusal> {
    let Path(id) = id?;
    let incident = store(&api)?.incident(id).await?;
    json::answer(&incident.ok_or_else(|| Refusal::missing(format!("there is no incident {id}")))?)
}

async fn outbox(
    State(api): State<Arc<Api>>,
    query: Result<Query<OutboxFilter>, QueryRejection>,
) -> Result<Response, Refusal> {
    let Query(mut filter) = query?;
    filter.limit = Some(filter.limit.unwrap_or_else(a_page).min(MOST));
    json::answer(&store(&api)?.outbox(filter).await?)
}

async fn outbox_row(State(api): State<Arc<Api>>, id: Result<Path<i64>, PathRejection>) -> Result<Response, Refusal> {
    let Path(id) = id?;
    let row = store(&api)?.outbox_row(id).await?;
    json::answer(&row.ok_or_else(|| no_row(id))?)
}

fn no_row(id: i64) -> Refusal {
    Refusal::missing(format!("there is no outbox row {id}"))
}

async fn ledger(State(api): State<Arc<Api>>) -> Result<Response, Refusal> {
    let store = store(&api)?;
    // Brings what was counted in memory to the disk first.
    store.ledger().await?;
    let late_after = api.control.late();
    let balance = store.balance(late_after).await?;
    let faults = balance.faults();
    let mut answer = object!(balance.ledger);
    answer["late"] = object!(balance.late);
    answer["late_after_seconds"] = object!(late_after.as_secs());
    answer["balanced"] = object!(faults.is_empty());
    answer["faults"] = object!(faults);
    json::answer(&answer)
}

/// What a person says about a change; nothing need be said.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Note {
    note: String,
}

async fn note(intake: &Intake, body: Body) -> Result<(String, super::limit::Permit), Refusal> {
    let (Note { note }, permit) = read(intake, body).await?;
    Ok((noted(note)?, permit))
}

async fn read<T: Default + DeserializeOwned>(
    intake: &Intake,
    body: Body,
) -> Result<(T, super::limit::Permit), Refusal> {
    let (body, permit) = intake.read(body, 16 << 10).await?;
    let said = match body.as_ref() {
        [] => T::default(),
        body => serde_json::from_slice(body).map_err(|error| Refusal::bad(error.to_string()))?,
    };
    Ok((said, permit))
}

fn noted(note: String) -> Result<String, Refusal> {
    if note.chars().count() > NOTE {
        return Err(Refusal::bad(format!("a note has at most {NOTE} characters")));
    }
    Ok(note)
}

fn changed(id: i64, change: Result<Change, StoreError>) -> Result<Response, Refusal> {
    match change? {
        Change::Missing => Err(no_row(id)),
        change => json::answer(&object!({ "status": "ok", "id": id, "change": change })),
    }
}

async fn replay(
    State(api): State<Arc<Api>>,
    Extension(principal): Extension<Principal>,
    id: Result<Path<i64>, PathRejection>,
    intake: Intake,
    body: Body,
) -> Result<Response, Refusal> {
    let (Path(id), store) = (id?, store(&api)?);
    let (note, _permit) = note(&intake, body).await?;
    changed(id, store.replay(id, &principal.actor, &note).await)
}

async fn discard(
    State(api): State<Arc<Api>>,
    Extension(principal): Extension<Principal>,
    id: Result<Path<i64>, PathRejection>,
    intake: Intake,
    body: Body,
) -> Result<Response, Refusal> {
    let (Path(id), store) = (id?, store(&api)?);
    let (note, _permit) = note(&intake, body).await?;
    changed(id, store.discard(id, &principal.actor, &note).await)
}

/// Which dead rows, and a person's word about them.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Dead {
    channel: Option<String>,
    incident: Option<i64>,
    limit: Option<usize>,
    note: String,
}

async fn replay_all(
    State(api): State<Arc<Api>>,
    Extension(principal): Extension<Principal>,
    intake: Intake,
    body: Body,
) -> Result<Response, Refusal> {
    revise(&api, &principal, &intake, body, Verdict::Replay).await
}

async fn discard_all(
    State(api): State<Arc<Api>>,
    Extension(principal): Extension<Principal>,
    intake: Intake,
    body: Body,
) -> Result<Response, Refusal> {
    revise(&api, &principal, &intake, body, Verdict::Discard).await
}

async fn revise(
    api: &Api,
    principal: &Principal,
    intake: &Intake,
    body: Body,
    verdict: Verdict,
) -> Result<Response, Refusal> {
    let store = store(api)?;
    let (Dead { channel, incident, limit, note }, _permit) = read(intake, body).await?;
    let limit = Some(limit.unwrap_or_else(a_page).min(MOST));
    let filter = OutboxFilter { state: Some(RowState::Dead), channel, incident, limit };
    json::answer(&store.revise(filter, verdict, &principal.actor, &noted(note)?).await?)
}

/// Paths and methods that nobody serves.
pub(super) async fn nothing_here() -> Refusal {
    Refusal::missing("there is nothing here")
}

/// The `Allow` header says which methods are served.
pub(super) async fn not_this_method() -> Refusal {
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "this method is not for here; the header Allow has those that are")
}
