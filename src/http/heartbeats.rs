//! Heartbeats by push: one by one, or many at once.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use jiff::Timestamp;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Api;
use super::agents::json;
use crate::agents::{AgentId, Heartbeat, IdError, Refusal, Source};

/// One heartbeat's body; the documented fields take a few hundred bytes.
const SINGLE: usize = 64 << 10;
/// A batch's body: 10 000 full heartbeats take 4 MiB.
const BATCH: usize = 8 << 20;
/// The most heartbeats in a batch.
const MOST: usize = 10_000;
/// After so many of a batch, others get their turn: about a millisecond.
const STRETCH: usize = 500;
/// A refused id is repeated up to so many characters.
const ECHOED: usize = 128;
/// After a failure of the journal a sender waits so many seconds.
const LATER: &str = "5";

/// `POST /api/v1/agents/{agent_id}/heartbeat`, the same below `/v1` where Heretek's agents post, and
/// `POST /api/v1/heartbeats`.
pub(super) fn routes() -> Router<Arc<Api>> {
    let single = || post(heartbeat).layer(DefaultBodyLimit::max(SINGLE));
    Router::new()
        .route("/api/v1/agents/{agent_id}/heartbeat", single())
        .route("/v1/agents/{agent_id}/heartbeat", single())
        .route("/api/v1/heartbeats", post(batch).layer(DefaultBodyLimit::max(BATCH)))
}

#[derive(Serialize)]
struct Taken<'a> {
    agent_id: &'a AgentId,
    accepted: usize,
}

async fn heartbeat(State(api): State<Arc<Api>>, Path(agent_id): Path<String>, body: Bytes) -> Response {
    match take(&api, Some(&agent_id), &body, api.clock.now()) {
        Ok(id) => kept(&api, 1).unwrap_or_else(|| json(StatusCode::ACCEPTED, &Taken { agent_id: &id, accepted: 1 })),
        Err((Refusal::Full, reason)) => (StatusCode::SERVICE_UNAVAILABLE, reason + "\n").into_response(),
        Err((_, reason)) => (StatusCode::BAD_REQUEST, reason + "\n").into_response(),
    }
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

async fn batch(State(api): State<Arc<Api>>, body: Bytes) -> Response {
    let items: Items<'_> = match serde_json::from_slice(&body) {
        Ok(items) => items,
        Err(error) => {
            refuse(&api, Refusal::Body);
            let wanted = format!("an array of up to {MOST} heartbeats is expected, each with its `agent_id`");
            return (StatusCode::BAD_REQUEST, format!("no batch: {error}; {wanted}\n")).into_response();
        }
    };
    let now = api.clock.now();
    let mut outcome = Outcome::default();
    for (index, item) in items.0.into_iter().enumerate() {
        let named: Named<'_> = serde_json::from_str(item.get()).unwrap_or_default();
        match take(&api, named.agent_id.as_deref(), item.get().as_bytes(), now) {
            Ok(_) => outcome.accepted += 1,
            Err((_, reason)) => {
                let agent_id = named.agent_id.map(|id| id.chars().take(ECHOED).collect());
                outcome.refused.push(Rejected { index, agent_id, reason });
            }
        }
        if index % STRETCH == STRETCH - 1 {
            tokio::task::yield_now().await;
        }
    }
    let nothing = outcome.accepted == 0 && !outcome.refused.is_empty();
    let status = if nothing { StatusCode::BAD_REQUEST } else { StatusCode::ACCEPTED };
    kept(&api, outcome.accepted).unwrap_or_else(|| json(status, &outcome))
}

/// Takes one heartbeat into the registry.
fn take(api: &Api, name: Option<&str>, body: &[u8], now: Timestamp) -> Result<AgentId, (Refusal, String)> {
    let read = || {
        let name = name.ok_or_else(|| (Refusal::Id, "no `agent_id`".to_owned()))?;
        let id: AgentId = name.parse().map_err(|error: IdError| (Refusal::Id, error.to_string()))?;
        let beat = Heartbeat::parse(body).map_err(|error| (Refusal::Body, error))?;
        Ok((id, beat))
    };
    let (id, beat) = read().inspect_err(|(reason, _)| refuse(api, *reason))?;
    let mut registry = api.agents.lock().unwrap_or_else(PoisonError::into_inner);
    registry.beat(Source::Push, &id, beat, now).map_err(|error| (Refusal::Full, error.to_string()))?;
    Ok(id)
}

/// The answer where the journal keeps nothing at the moment. The heartbeats count all the same: an agent does not go
/// offline because our disk is full; but nobody is told that they are kept.
fn kept(api: &Api, accepted: usize) -> Option<Response> {
    let error = api.journal.accepts().err().filter(|_| accepted > 0)?;
    (0..accepted).for_each(|_| refuse(api, Refusal::Journal));
    Some((StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, LATER)], format!("{error}\n")).into_response())
}

fn refuse(api: &Api, reason: Refusal) {
    api.agents.lock().unwrap_or_else(PoisonError::into_inner).refuse(reason);
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
