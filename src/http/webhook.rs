//! Alertmanager's webhooks. A 2xx means that all of it is committed and synced; what may succeed later is answered 503,
//! because Alertmanager repeats 5xx within a flush and nothing else.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use prometheus::{HistogramVec, IntCounterVec};
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Api;
use super::json;
use super::limit::{BodyError, Intake};
use super::refusal::Refusal;
use crate::alert::splitter::Broken;
use crate::alert::webhook::{Limits, Parser};
use crate::alert::{Counts, Post, Quarantined, Severity};
use crate::store::Store;
use crate::telemetry::Telemetry;

/// The longest body that is read. One group of 20 000 alerts is 12 MB.
const MOST_BODY: u64 = 64 << 20;
/// All posts together that are read or wait for the store, in bytes of memory: beyond it, 503. The longest body with the
/// most that [`Limits`] lets its alerts take fits when it is alone.
const MOST_WAITING: usize = 200 << 20;
/// How long a post waits for its turn and the store. Alertmanager waits for 10 s at least, reading the body included.
const PATIENCE: Duration = Duration::from_millis(4_500);
/// How much of a body that could not be understood is kept.
const KEPT: usize = 64 << 10;

/// The routes, beside the others of [`super::router`].
pub(super) fn routes() -> Router<Arc<Api>> {
    Router::new().route("/webhook/alerts", post(alerts)).route("/webhook/watchdog", post(watchdog))
}

/// What all posts share: the budget of bytes, and the counters.
pub struct Gate {
    budget: Arc<Semaphore>,
    requests: IntCounterVec,
    alerts: IntCounterVec,
    seconds: HistogramVec,
}

impl Gate {
    /// With every failure counter at 0.
    pub fn new(telemetry: &Telemetry) -> Self {
        let requests = telemetry.counter(
            "tidewatch_ingest_requests_total",
            "Webhook posts, by the status of the answer.",
            &["code", "source"],
        );
        for code in ["200", "400", "503"] {
            requests.with_label_values(&[code, "default"]);
        }
        let alerts =
            telemetry.counter("tidewatch_ingest_alerts_total", "Alerts taken in, by what became of them.", &["result"]);
        for (result, _) in results(&Counts::default()) {
            alerts.with_label_values(&[result]);
        }
        let buckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
        let seconds = telemetry.histogram(
            "tidewatch_ingest_seconds",
            "Time from a webhook post's head to its answer.",
            &[],
            &buckets,
        );
        Self { budget: Arc::new(Semaphore::new(MOST_WAITING)), requests, alerts, seconds }
    }
}

/// What a post is answered with.
#[derive(Serialize)]
struct Taken {
    status: &'static str,
    accepted: u64,
    duplicates: u64,
    counts: Counts,
}

fn results(counts: &Counts) -> [(&'static str, u64); 7] {
    [
        ("opened", counts.opened),
        ("repeated", counts.repeated),
        ("closed", counts.closed),
        ("stale", counts.stale),
        ("held", counts.held),
        ("quarantined", counts.quarantined),
        ("truncated", counts.truncated),
    ]
}

async fn alerts(State(api): State<Arc<Api>>, intake: Intake, RawQuery(query): RawQuery, body: Body) -> Response {
    answer(&api, &intake, query.as_deref(), body, false).await
}

async fn watchdog(State(api): State<Arc<Api>>, intake: Intake, RawQuery(query): RawQuery, body: Body) -> Response {
    answer(&api, &intake, query.as_deref(), body, true).await
}

async fn answer(api: &Arc<Api>, intake: &Intake, query: Option<&str>, body: Body, watchdogs: bool) -> Response {
    let began = Instant::now();
    let (source, label) = name(api, query.unwrap_or_default());
    let response = match take(api, intake, &source, body, watchdogs).await {
        Ok(counts) => {
            let accepted = counts.received - counts.repeated - counts.quarantined - counts.truncated;
            json::answer(&Taken { status: "ok", accepted, duplicates: counts.repeated, counts }).into_response()
        }
        Err(refusal) => refusal.into_response(),
    };
    api.gate.requests.with_label_values(&[response.status().as_str(), &label]).inc();
    api.gate.seconds.with_label_values::<&str>(&[]).observe(began.elapsed().as_secs_f64());
    response
}

/// The source, half of each alert's identity, and its name in metrics: what is not configured counts as `other`. A query
/// that makes no sense costs no alert.
fn name(api: &Api, query: &str) -> (String, String) {
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    let asked = pairs.find(|(key, _)| key == "source").map(|(_, name)| name.into_owned());
    match asked.filter(|name| name != "default") {
        None => ("default".into(), "default".into()),
        Some(name) if api.policy().sources.contains(&name) => (name.clone(), name),
        Some(_) => ("default".into(), "other".into()),
    }
}

async fn take(api: &Arc<Api>, intake: &Intake, source: &str, body: Body, watchdogs: bool) -> Result<Counts, Refusal> {
    let store = api.store.clone().ok_or_else(Refusal::no_store)?;
    if let Err(why) = api.control.intake() {
        // Whoever is still sending hears no answer before the end.
        intake.open(body, MOST_BODY).discard().await;
        return Err(Refusal::busy(format!("intake is refused: {why}")));
    }
    let mut read = Read::new(api);
    let outcome = read.all(intake.open(body, MOST_BODY)).await?;
    let late = |_| Refusal::busy("the store takes too long");
    tokio::time::timeout(PATIENCE, async {
        let _permit = intake.permit().await?;
        // Only the waiting ends after that time: the post is in the store's queue, so its bytes are still taken, and
        // what is committed is counted. It is a repeat when it comes again.
        let (at_work, source) = (Arc::clone(api), source.to_owned());
        let kept = async move {
            let Read { parser, head, taken: _taken, .. } = read;
            match outcome.and_then(|()| parser.finish(&source)) {
                Ok(post) => keep(&at_work, store.as_ref(), &source, post, watchdogs).await,
                Err(broken) => Err(quarantine(&at_work, store.as_ref(), &source, head, broken).await?),
            }
        };
        api.tasks.to_its_end("intake", kept).await
    })
    .await
    .map_err(late)?
}

async fn keep(api: &Api, store: &dyn Store, source: &str, mut post: Post, watchdogs: bool) -> Result<Counts, Refusal> {
    let policy = api.policy();
    // A route for the Watchdog may have taken others along: those are alerts as anywhere.
    let alive = post.take_watchdogs(|alert| {
        alert.name() == "Watchdog" || (watchdogs && policy.severity(&alert.labels) == Severity::None)
    });
    if alive {
        store.watchdog(source).await?;
    }
    let counts = store.accept(post, policy).await?.counts;
    for (result, count) in results(&counts).into_iter().filter(|(_, count)| *count > 0) {
        api.gate.alerts.with_label_values(&[result]).inc_by(count);
    }
    if counts.truncated > 0 {
        let why = "`max_alerts` of its receiver should be 0, or the post is beyond what is taken";
        tracing::warn!(
            source,
            missing = counts.truncated,
            why,
            "a post came without some of its alerts: nobody is told"
        );
    }
    Ok(counts)
}

/// Keeps what could not be understood, and says why it is refused: the peer would send the same again.
async fn quarantine(
    api: &Api,
    store: &dyn Store,
    source: &str,
    head: Vec<u8>,
    broken: Broken,
) -> Result<Refusal, Refusal> {
    store.quarantine(source, Quarantined { raw: head, why: broken.to_string() }).await?;
    api.gate.alerts.with_label_values(&["quarantined"]).inc();
    tracing::warn!(source, why = %broken, "a webhook's body could not be read; it is in quarantine");
    Ok(Refusal::bad(broken.to_string()))
}

/// A body on its way in.
struct Read {
    parser: Parser,
    head: Vec<u8>,
    budget: Arc<Semaphore>,
    taken: Vec<OwnedSemaphorePermit>,
}

impl Read {
    fn new(api: &Api) -> Self {
        let parser = Parser::new(Limits::default(), api.clock.now());
        Self { parser, head: Vec::new(), budget: Arc::clone(&api.gate.budget), taken: Vec::new() }
    }

    /// Reads to the end. The inner error is the body's fault, the outer one may pass.
    async fn all(&mut self, mut body: super::limit::Bounded) -> Result<Result<(), Broken>, Refusal> {
        while let Some(chunk) = body.next().await {
            let chunk = match chunk {
                Ok(chunk) => chunk,
                Err(error @ BodyError::TooLarge(_)) => {
                    tracing::error!(%error, "a webhook's body was cut: what it had beyond is missing");
                    self.parser.cut();
                    body.discard().await;
                    return Ok(Ok(()));
                }
                Err(error @ (BodyError::TooSlow | BodyError::Broken)) => return Err(Refusal::busy(error.to_string())),
            };
            let room = KEPT.saturating_sub(self.head.len()).min(chunk.len());
            self.head.extend_from_slice(chunk.get(..room).unwrap_or_default());
            let before = self.parser.memory();
            let pushed = self.parser.push(&chunk);
            let permits = u32::try_from(chunk.len() + self.parser.memory() - before).unwrap_or(u32::MAX);
            let taken = Arc::clone(&self.budget).try_acquire_many_owned(permits);
            self.taken.push(taken.map_err(|_| Refusal::busy("too many bytes wait to be stored"))?);
            if let Err(broken) = pushed {
                return Ok(Err(broken));
            }
        }
        Ok(Ok(()))
    }
}
