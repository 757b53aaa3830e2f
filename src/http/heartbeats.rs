//! Heartbeats by push: one by one, or many at once.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http::StatusCode;
use jiff::Timestamp;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::access::Principal;
use super::limit::Intake;
use super::refusal::Refusal;
use super::{Api, agents, json};
use crate::agents::{AgentId, Heartbeat, IdError, Refusal as Reason, Source};

/// One heartbeat's body; the documented fields take a few hundred bytes.
const SINGLE: u64 = 64 << 10;
/// A batch's body: 10 000 full heartbeats take 4 MiB.
const BATCH: u64 = 8 << 20;
/// The most heartbeats in a batch.
const MOST: usize = 10_000;
/// After so many of a batch, others get their turn: about a millisecond.
const STRETCH: usize = 500;
/// What a token hears that is bound to another agent.
const ANOTHER: &str = "this token is for another agent's heartbeats";
/// A refused id is repeated up to so many characters.
const ECHOED: usize = 128;

/// `POST /api/v1/agents/{agent_id}/heartbeat`, the same below `/v1` where Heretek's agents post, and
/// `POST /api/v1/heartbeats`.
pub(super) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/api/v1/agents/{agent_id}/heartbeat", post(heartbeat))
        .route("/v1/agents/{agent_id}/heartbeat", post(heartbeat))
        .route("/api/v1/heartbeats", post(batch))
}

#[derive(Serialize)]
struct Taken {
    agent_id: AgentId,
    accepted: usize,
}

async fn heartbeat(
    State(api): State<Arc<Api>>,
    Extension(principal): Extension<Principal>,
    path: Result<Path<String>, PathRejection>,
    intake: Intake,
    body: Body,
) -> Result<Response, Refusal> {
    let id = agents::named(path).inspect_err(|_| refuse(&api, Reason::Id, 1))?;
    if !principal.may_speak_for(&id) {
        return Err(Refusal::new(StatusCode::FORBIDDEN, ANOTHER));
    }
    let (body, _permit) = intake.read(body, SINGLE).await?;
    let beat = Heartbeat::parse(&body).map_err(|error| {
        refuse(&api, Reason::Body, 1);
        Refusal::bad(error)
    })?;
    take(&api, &id, beat, api.clock.now()).map_err(Refusal::busy)?;
    kept(&api, 1)?;
    accepted(&Taken { agent_id: id, accepted: 1 })
}

/// What became of a batch.
#[derive(Default, Serialize)]
struct Outcome {
    accepted: usize,
    refused: Vec<Rejected>,
}

#[derive(Serialize)]
struct Rejected {
    index: usize,
    agent_id: Option<String>,
    reason: String,
}

async fn batch(
    State(api): State<Arc<Api>>,
    Extension(principal): Extension<Principal>,
    intake: Intake,
    body: Body,
) -> Result<Response, Refusal> {
    let (body, _permit) = intake.read(body, BATCH).await?;
    let items: Items<'_> = serde_json::from_slice(&body).map_err(|error| {
        refuse(&api, Reason::Body, 1);
        let wanted = format!("an array of up to {MOST} heartbeats is expected, each with its `agent_id`");
        Refusal::bad(format!("no batch: {error}; {wanted}"))
    })?;
    let now = api.clock.now();
    let mut outcome = Outcome::default();
    for (index, item) in items.0.into_iter().enumerate() {
        let named: Named<'_> = serde_json::from_str(item.get()).unwrap_or_default();
        let taken = read(&api, named.agent_id.as_deref(), item).and_then(|(id, beat)| {
            if principal.may_speak_for(&id) { take(&api, &id, beat, now) } else { Err(ANOTHER.into()) }
        });
        match taken {
            Ok(()) => outcome.accepted += 1,
            Err(reason) => {
                let agent_id = named.agent_id.map(|id| id.chars().take(ECHOED).collect());
                outcome.refused.push(Rejected { index, agent_id, reason });
            }
        }
        if index % STRETCH == STRETCH - 1 {
            tokio::task::yield_now().await;
        }
    }
    kept(&api, outcome.accepted)?;
    let nothing = outcome.accepted == 0 && !outcome.refused.is_empty();
    let answer = accepted(&outcome)?;
    Ok(if nothing { (StatusCode::BAD_REQUEST, answer).into_response() } else { answer })
}

/// Reads one element of a batch; why not, where that fails.
fn read(api: &Api, name: Option<&str>, item: &RawValue) -> Result<(AgentId, Heartbeat), String> {
    let id = name.ok_or_else(|| "no `agent_id`".to_owned());
    let id = id.and_then(|name| name.parse().map_err(|error: IdError| error.to_string()));
    let id = id.inspect_err(|_| refuse(api, Reason::Id, 1))?;
    let beat = Heartbeat::parse(item.get().as_bytes()).inspect_err(|_| refuse(api, Reason::Body, 1))?;
    Ok((id, beat))
}

fn take(api: &Api, id: &AgentId, beat: Heartbeat, now: Timestamp) -> Result<(), String> {
    let mut registry = api.agents.lock().unwrap_or_else(PoisonError::into_inner);
    registry.beat(Source::Push, id, beat, now).map_err(|error| error.to_string())
}

/// 202: taken, and on disk within a second.
fn accepted(what: &impl Serialize) -> Result<Response, Refusal> {
    Ok((StatusCode::ACCEPTED, json::answer(what)?).into_response())
}

/// Refused where the journal keeps nothing at the moment. The heartbeats count all the same: an agent does not go
/// offline because our disk is full; but nobody is told that they are kept.
fn kept(api: &Api, accepted: usize) -> Result<(), Refusal> {
    match api.journal.accepts() {
        Err(error) if accepted > 0 => {
            refuse(api, Reason::Journal, accepted);
            Err(Refusal::busy(error.to_string()))
        }
        _ => Ok(()),
    }
}

fn refuse(api: &Api, reason: Reason, heartbeats: usize) {
    api.agents.lock().unwrap_or_else(PoisonError::into_inner).refuse(reason, heartbeats);
}

/// Whose heartbeat an element of a batch is.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Named<'a> {
    #[serde(borrow)]
    agent_id: Option<Cow<'a, str>>,
}

/// The elements of a batch, not read yet: one that is wrong costs none of the others. Bounded while it is read.
struct Items<'a>(Vec<&'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for Items<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bounded;
        impl<'de> Visitor<'de> for Bounded {
            type Value = Vec<&'de RawValue>;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an array")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    if items.len() >= MOST {
                        return Err(A::Error::custom("too many elements"));
                    }
                    items.push(item);
                }
                Ok(items)
            }
        }
        deserializer.deserialize_seq(Bounded).map(Items)
    }
}
