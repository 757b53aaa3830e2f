//! What stands behind the routes: scrapes, health, reloads.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::condition;
use super::generation::{Generation, Parts};
use super::ledger;
use super::readiness::Readiness;
use super::settings::{Flags, Validated};
use super::watchdog::{self, Watched};
use crate::alert::policy::Policy;
use crate::collect::scrape::patience;
use crate::collect::{Answer, Question, Refused};
use crate::facts::Facts;
use crate::http::{Control, Front, ScrapeRequest, Scraper, TargetRequest, Told, Untold};
use crate::metrics::expose::{self, Format};
use crate::metrics::{Batch, Desc, Dropped, Reason};
use crate::notify;
use crate::store::{Balance, Condition, StoreError};
use crate::telemetry::LogLevel;

static RELOADED: Desc = Desc::gauge(
    "tidewatch_config_last_reload_successful",
    "Whether the last reload of the configuration succeeded.",
    &[],
);
static RELOADED_AT: Desc = Desc::gauge(
    "tidewatch_config_last_reload_success_timestamp_seconds",
    "When the configuration in use was read.",
    &[],
);

/// The program as its routes see it.
pub(super) struct Shared {
    pub(super) parts: Parts,
    pub(super) front: Arc<Front>,
    pub(super) readiness: Readiness,
    pub(super) flags: Flags,
    pub(super) log_level: Option<LogLevel>,
    generation: RwLock<Arc<Generation>>,
    /// Whether the last reload succeeded, and when one last did.
    reloaded: RwLock<(bool, Timestamp)>,
    /// Whether the store takes writes; if not, why.
    writes: RwLock<Result<(), String>>,
    /// Whether the disk has room for more; if not, how much it has.
    room: RwLock<Result<(), String>>,
    /// Since when this process hears a Watchdog.
    started: Timestamp,
    /// Whose Watchdog is armed, as last looked at.
    watchdogs: RwLock<Vec<Watched>>,
    /// One reload at a time.
    reloading: tokio::sync::Mutex<()>,
    left_out: LeftOut,
}

/// The families that exist without a registry, for the documentation.
pub(super) fn descs() -> Vec<&'static Desc> {
    [&RELOADED, &RELOADED_AT].into_iter().chain(condition::DESCS).chain(watchdog::DESCS).chain(ledger::DESCS).collect()
}

impl Shared {
    pub(super) fn new(
        parts: Parts,
        front: Arc<Front>,
        readiness: Readiness,
        flags: Flags,
        log_level: Option<LogLevel>,
        generation: Generation,
    ) -> Self {
        let started = parts.clock.now();
        let reloaded = RwLock::new((true, started));
        let generation = RwLock::new(Arc::new(generation));
        let (writes, room, reloading) = (RwLock::new(Ok(())), RwLock::new(Ok(())), tokio::sync::Mutex::default());
        let (left_out, watchdogs) = (LeftOut::default(), RwLock::default());
        Self {
            parts,
            front,
            readiness,
            flags,
            log_level,
            generation,
            reloaded,
            writes,
            room,
            started,
            watchdogs,
            reloading,
            left_out,
        }
    }

    /// What is in use.
    pub(super) fn generation(&self) -> Arc<Generation> {
        Arc::clone(&self.generation.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What a probe of the store said.
    pub(super) fn set_writes(&self, writes: Result<(), String>) {
        *self.writes.write().unwrap_or_else(PoisonError::into_inner) = writes;
    }

    fn writes(&self) -> Result<(), String> {
        self.writes.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What the disk guard said.
    pub(super) fn set_room(&self, room: Result<(), String>) {
        *self.room.write().unwrap_or_else(PoisonError::into_inner) = room;
    }

    /// Whether there is room for posts.
    pub(super) fn room(&self) -> Result<(), String> {
        self.room.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whose Watchdog is armed, and how that is.
    pub(super) fn set_watchdogs(&self, watched: Vec<Watched>) {
        *self.watchdogs.write().unwrap_or_else(PoisonError::into_inner) = watched;
    }

    /// Whose Watchdog is armed by what the store heard, and how that is now.
    pub(super) fn watched(&self, condition: &Condition) -> Vec<Watched> {
        let heard = condition.watchdogs.iter().cloned().collect();
        let generation = self.generation();
        let settings = &generation.validated.settings.watchdog;
        watchdog::judge(&heard, &settings.sources, settings.late.0, self.started, self.parts.clock.now())
    }

    /// Why nobody may rely on this program at the moment.
    pub(super) fn unreliable(&self) -> Option<String> {
        if let Err(why) = self.writes() {
            return Some(format!("the store takes no writes: {why}"));
        }
        let watched = self.watchdogs.read().unwrap_or_else(PoisonError::into_inner);
        let silent = watchdog::silent(&watched);
        (!silent.is_empty()).then(|| format!("the Watchdog is silent: {}", silent.join(", ")))
    }

    async fn condition(&self) -> Option<Result<Condition, StoreError>> {
        match &self.parts.store {
            Some(store) => {
                let channels = &self.generation().validated.channels;
                Some(store.condition().await.map(|condition| condition::complete(condition, channels)))
            }
            None => None,
        }
    }

    /// The ledger; a store that does not answer is told by its condition.
    async fn balance(&self) -> Option<Balance> {
        self.parts.store.as_ref()?.balance(self.late()).await.ok()
    }

    /// The program's own samples: counters, the store's condition, the reload's outcome.
    fn own(&self, condition: Option<&Result<Condition, StoreError>>, balance: Option<&Balance>) -> Batch {
        let mut batch = Batch::new();
        self.parts.telemetry.collect(&mut batch);
        let (successful, at) = *self.reloaded.read().unwrap_or_else(PoisonError::into_inner);
        batch.push(&RELOADED, &[], f64::from(u8::from(successful)));
        batch.push(&RELOADED_AT, &[], at.as_duration().as_secs_f64());
        if let Some(condition) = condition {
            condition::push(condition.as_ref(), self.writes().is_ok(), self.parts.clock.now(), &mut batch);
        }
        if let Some(Ok(condition)) = condition {
            watchdog::push(&self.watched(condition), self.parts.clock.now(), &mut batch);
        }
        if let Some(balance) = balance {
            ledger::push(balance, &mut batch);
        }
        batch
    }

    /// Reads the configuration anew; on an error nothing has changed.
    fn replace(&self) -> Result<(), String> {
        let mut validated =
            Validated::load(&self.flags, &self.parts.environment).map_err(|problems| problems.to_string())?;
        validated.warn();
        let old = self.generation();
        for key in validated.started_as(&old.validated) {
            tracing::warn!(key, "the change needs a restart: until then the old value stands");
        }
        // The listeners stay where they are until a restart, so what protects them stays too.
        validated.may_listen()?;
        let (access, zone, level) = (validated.access(), validated.zone.clone(), validated.settings.log.level.clone());
        // Last of what can fail: it is undone by nothing, and changes nothing else.
        let generation = Generation::build(validated, &self.parts).map_err(|error| format!("{error:#}"))?;
        if let Some(handle) = &self.log_level
            && let Err(error) = handle.set(&level)
        {
            // It can be read, so the log itself is gone: no reason to stop half-way.
            tracing::error!(%error, "the log's level stays as it was");
        }
        self.front.replace(access, zone);
        let generation = Arc::new(generation);
        generation.start(&self.parts);
        *self.generation.write().unwrap_or_else(PoisonError::into_inner) = generation;
        old.end();
        Ok(())
    }
}

/// What scrapes had to leave out, each said once: a scrape every few seconds would fill the log with what is known.
#[derive(Default)]
struct LeftOut(Mutex<HashSet<(String, Reason)>>);

impl LeftOut {
    /// More are not said: another program may think of a new name each time.
    const MOST: usize = 1_000;

    /// Writes the batches.
    fn write(&self, batches: &[&Batch], format: Format, out: &mut Vec<u8>) {
        for Dropped { family, series, reason } in expose::write(batches, format, out) {
            let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if said.len() < Self::MOST && said.insert((family.clone(), reason)) {
                tracing::warn!(family, series, %reason, "series are left out of the exposition; this is said once");
            }
        }
    }
}

#[async_trait]
impl Scraper for Shared {
    async fn scrape(&self, request: ScrapeRequest, format: Format, out: &mut Vec<u8>) -> Result<(), String> {
        let generation = self.generation();
        let (engine, settings) = (&generation.engine, &generation.validated.settings);
        let everything = engine.everything();
        let served = if request.bound.is_empty() { everything.clone() } else { everything.bound(&request.bound) };
        let selection = served.narrowed(&request.collect, &request.exclude).map_err(|error| error.to_string())?;
        let patience = patience(request.timeout, settings.scrape.timeout.0);
        // A filter asks for collectors: only a whole scrape has our own samples, so that no job has them twice.
        let whole = request.bound.is_empty() && request.collect.is_empty() && request.exclude.is_empty();
        let (scrape, own) = tokio::join!(engine.scrape(&selection, patience), async {
            if whole { Some(self.own(self.condition().await.as_ref(), self.balance().await.as_ref())) } else { None }
        });
        let batches: Vec<&Batch> = scrape.batches().into_iter().chain(&own).collect();
        self.left_out.write(&batches, format, out);
        Ok(())
    }

    async fn target(&self, request: TargetRequest, format: Format, out: &mut Vec<u8>) -> Result<Told, Untold> {
        let generation = self.generation();
        let (engine, settings) = (&generation.engine, &generation.validated.settings);
        let everything = engine.everything();
        let served = if request.bound.is_empty() { everything.clone() } else { everything.bound(&request.bound) };
        let limit = patience(request.timeout, settings.scrape.timeout.0);
        let question = Question { query: request.query, limit };
        match engine.answer(request.path, &served, &question).await {
            Ok(Answer::Samples(batch)) => {
                for dropped in expose::write(&[&batch], format, out) {
                    tracing::debug!(?dropped, "left out of a target's exposition");
                }
                Ok(Told::Samples)
            }
            Ok(Answer::Text(text)) => {
                out.extend_from_slice(text.as_bytes());
                Ok(Told::Text)
            }
            Err(refused) => {
                let status = match refused {
                    Refused::Senseless(_) => http::StatusCode::BAD_REQUEST,
                    Refused::Forbidden(_) => http::StatusCode::FORBIDDEN,
                    Refused::Unanswered(_) => http::StatusCode::NOT_FOUND,
                    Refused::Failed(_) => http::StatusCode::INTERNAL_SERVER_ERROR,
                };
                Err((status, refused.to_string()))
            }
        }
    }
}

#[async_trait]
impl Control for Shared {
    fn unready(&self) -> Vec<String> {
        let mut missing = self.readiness.missing();
        if self.parts.tasks.is_stopping() {
            missing.push("tidewatch is stopping".into());
        }
        missing
    }

    fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.generation().policy)
    }

    fn intake(&self) -> Result<(), String> {
        self.room()
    }

    fn late(&self) -> Duration {
        self.generation().validated.settings.delivery.late.0
    }

    async fn health(&self) -> Facts {
        let generation = self.generation();
        let last = generation.engine.last();
        let mut facts =
            Facts { services: last.services().cloned().collect(), agents: last.agents().cloned().collect() };
        if let Some(condition) = self.condition().await {
            let (writes, now) = (self.writes().and(self.room()), self.parts.clock.now());
            facts.services.extend(condition::services(condition.as_ref(), &writes, now));
            if let Ok(condition) = &condition {
                facts.services.push(watchdog::service(&self.watched(condition), now));
            }
        }
        facts
    }

    async fn reload(&self) -> Result<(), String> {
        let _one = self.reloading.lock().await;
        let outcome = self.replace();
        let mut reloaded = self.reloaded.write().unwrap_or_else(PoisonError::into_inner);
        match &outcome {
            Ok(()) => {
                *reloaded = (true, self.parts.clock.now());
                tracing::info!("the configuration was read anew");
            }
            Err(problems) => {
                reloaded.0 = false;
                tracing::error!("the configuration was not read anew, the old one stands:\n{problems}");
            }
        }
        outcome
    }

    async fn test_notify(&self, channel: &str) -> Value {
        let generation = self.generation();
        let Some(found) = generation.channels.iter().find(|found| found.name == channel) else {
            let names: Vec<&str> = generation.channels.iter().map(|channel| channel.name.as_str()).collect();
            let message = format!("there is no channel `{channel}`; there are: {}", names.join(", "));
            return json!({ "status": "error", "error": message, "reason": "unknown_channel" });
        };
        match notify::test(found, self.parts.clock.now()).await {
            Ok(()) => json!({ "status": "ok", "message": format!("{channel}: delivered") }),
            Err(error) => json!({ "status": "error", "error": format!("{channel}: {error}"), "reason": error.reason }),
        }
    }
}
