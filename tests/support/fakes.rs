//! Stand-ins for what is behind the HTTP side.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::{Value, json};
use tidewatch::alert::policy::Policy;
use tidewatch::alert::reconcile::{Differences, Heard};
use tidewatch::alert::{Counts, Fingerprint, Incident, Post, Quarantined};
use tidewatch::facts::{Facts, ServiceState, State};
use tidewatch::http::{Control, ScrapeRequest, Scraper, TargetRequest, Told, Untold};
use tidewatch::metrics::expose::Format;
use tidewatch::store::{
    Balance, Change, Condition, Delivery, Doubts, Handover, Ledger, OutboxFilter, OutboxRow, Receipt, Revised,
    Settlement, Store, StoreError, Verdict,
};
use tokio::sync::{Notify, Semaphore};

/// Knows the names `host` and `cpu`, and answers with a text.
pub(crate) struct FakeScraper {
    pub(crate) text: Mutex<String>,
    pub(crate) asked: Mutex<Vec<(ScrapeRequest, Format)>>,
    pub(crate) panics: AtomicBool,
    /// Each scrape takes one of these permits; a test that takes them away holds scrapes up.
    pub(crate) gate: Semaphore,
}

impl Default for FakeScraper {
    fn default() -> Self {
        let text = Mutex::new("up 1\n".to_owned());
        Self { text, asked: Mutex::default(), panics: AtomicBool::new(false), gate: Semaphore::new(1_000) }
    }
}

#[async_trait]
impl Scraper for FakeScraper {
    async fn scrape(&self, request: ScrapeRequest, format: Format, out: &mut Vec<u8>) -> Result<(), String> {
        assert!(!self.panics.load(Ordering::Relaxed), "asked to panic");
        let unknown =
            request.collect.iter().chain(&request.exclude).find(|name| !["host", "cpu"].contains(&name.as_str()));
        if let Some(name) = unknown {
            return Err(format!("`{name}` is no collector; there are: host, cpu"));
        }
        self.asked.lock().unwrap().push((request, format));
        self.gate.acquire().await.unwrap().forget();
        out.extend_from_slice(self.text.lock().unwrap().as_bytes());
        Ok(())
    }

    async fn target(&self, request: TargetRequest, _format: Format, out: &mut Vec<u8>) -> Result<Told, Untold> {
        out.extend_from_slice(format!("{request:?}").as_bytes());
        Ok(Told::Text)
    }
}

pub(crate) struct FakeControl {
    pub(crate) unready: Mutex<Vec<String>>,
    pub(crate) state: Mutex<Option<State>>,
    pub(crate) problems: Mutex<Option<String>>,
    /// Reloads that have begun, and those that came to an end.
    pub(crate) begun: AtomicUsize,
    pub(crate) reloads: AtomicUsize,
    /// Each reload takes one of these permits.
    pub(crate) gate: Semaphore,
}

impl Default for FakeControl {
    fn default() -> Self {
        Self {
            unready: Mutex::default(),
            state: Mutex::default(),
            problems: Mutex::default(),
            begun: AtomicUsize::new(0),
            reloads: AtomicUsize::new(0),
            gate: Semaphore::new(1_000),
        }
    }
}

#[async_trait]
impl Control for FakeControl {
    fn unready(&self) -> Vec<String> {
        self.unready.lock().unwrap().clone()
    }

    fn policy(&self) -> Arc<Policy> {
        Arc::default()
    }

    fn intake(&self) -> Result<(), String> {
        Ok(())
    }

    fn late(&self) -> Duration {
        Duration::from_mins(5)
    }

    async fn health(&self) -> Facts {
        let state = *self.state.lock().unwrap();
        let service = |state| ServiceState {
            service: "host".into(),
            state,
            since: Timestamp::UNIX_EPOCH,
            why: "memory 91 % of 16 GiB".into(),
            next: "look at the largest processes".into(),
        };
        Facts { services: state.map(service).into_iter().collect(), agents: Vec::new() }
    }

    async fn reload(&self) -> Result<(), String> {
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.gate.acquire().await.unwrap().forget();
        self.reloads.fetch_add(1, Ordering::Relaxed);
        self.problems.lock().unwrap().clone().map_or(Ok(()), Err)
    }

    async fn test_notify(&self, channel: &str) -> Value {
        match channel {
            "slack" => json!({ "status": "ok", "channel": channel }),
            _ => json!({ "status": "error", "error": format!("`{channel}` is no channel; there are: slack") }),
        }
    }
}

#[derive(Default)]
pub(crate) struct FakeStore {
    pub(crate) incidents: Mutex<Vec<Incident>>,
    pub(crate) outbox: Mutex<Vec<OutboxRow>>,
    /// What was asked of rows: the id, the actor, the note.
    pub(crate) changes: Mutex<Vec<(i64, String, String)>>,
    pub(crate) broken: AtomicBool,
    pub(crate) backups: Mutex<Vec<std::path::PathBuf>>,
    /// Who holds it keeps posts waiting.
    pub(crate) writer: tokio::sync::Mutex<()>,
}

impl FakeStore {
    fn works(&self) -> Result<(), StoreError> {
        if self.broken.load(Ordering::Relaxed) { Err(StoreError::Unavailable("disk full".into())) } else { Ok(()) }
    }

    fn change(&self, id: i64, actor: &str, note: &str) -> Result<Change, StoreError> {
        self.works()?;
        if !self.outbox.lock().unwrap().iter().any(|row| row.id == id) {
            return Ok(Change::Missing);
        }
        let mut changes = self.changes.lock().unwrap();
        let before = changes.iter().any(|change| change.0 == id);
        changes.push((id, actor.into(), note.into()));
        Ok(if before { Change::Nothing } else { Change::Done })
    }
}

#[async_trait]
impl Store for FakeStore {
    async fn accept(&self, post: Post, _: Arc<Policy>) -> Result<Receipt, StoreError> {
        let _turn = self.writer.lock().await;
        self.works()?;
        let opened = post.alerts.len() as u64;
        Ok(Receipt { counts: Counts { received: opened, opened, ..Counts::default() } })
    }

    async fn quarantine(&self, _: &str, _: Quarantined) -> Result<(), StoreError> {
        self.works()
    }

    async fn watchdog(&self, _: &str) -> Result<(), StoreError> {
        self.works()
    }

    async fn heard(&self, _: &str) -> Result<Heard, StoreError> {
        Ok(Heard::default())
    }

    async fn reconcile(&self, _: &str, _: Differences, _: Arc<Policy>) -> Result<Receipt, StoreError> {
        self.works().map(|()| Receipt::default())
    }

    fn doubts(&self) -> Arc<Doubts> {
        Arc::default()
    }

    fn alive_before(&self) -> Option<Timestamp> {
        None
    }

    async fn tick(&self, _: Arc<Policy>) -> Result<Option<Timestamp>, StoreError> {
        Ok(None)
    }

    async fn claim(&self, _: &str, _: usize, _: Duration) -> Result<Vec<Delivery>, StoreError> {
        Ok(Vec::new())
    }

    async fn settle(&self, _: &Delivery, _: Settlement) -> Result<Change, StoreError> {
        Ok(Change::Nothing)
    }

    async fn next_due(&self, _: &str) -> Result<Option<Timestamp>, StoreError> {
        Ok(None)
    }

    fn bell(&self) -> Arc<Notify> {
        Arc::default()
    }

    async fn notice(&self, _: &str, _: &str, _: &[String]) -> Result<(), StoreError> {
        self.works()
    }

    async fn hand_over(&self, _: Handover) -> Result<u64, StoreError> {
        self.works().map(|()| 0)
    }

    async fn firing_since(&self, _: &str, _: Fingerprint) -> Result<Option<Timestamp>, StoreError> {
        self.works().map(|()| None)
    }

    async fn incident(&self, id: i64) -> Result<Option<Incident>, StoreError> {
        self.works()?;
        Ok(self.incidents.lock().unwrap().iter().find(|incident| incident.id == id).cloned())
    }

    async fn incidents(&self, open_only: bool, limit: usize) -> Result<Vec<Incident>, StoreError> {
        self.works()?;
        let incidents = self.incidents.lock().unwrap();
        let wanted = incidents.iter().filter(|incident| !open_only || incident.resolved_at.is_none());
        Ok(wanted.take(limit).cloned().collect())
    }

    async fn outbox(&self, filter: OutboxFilter) -> Result<Vec<OutboxRow>, StoreError> {
        self.works()?;
        let outbox = self.outbox.lock().unwrap();
        let wanted = outbox.iter().filter(|row| {
            filter.state.is_none_or(|state| state == row.state)
                && filter.channel.as_ref().is_none_or(|channel| *channel == row.channel)
        });
        Ok(wanted.take(filter.limit.unwrap()).cloned().collect())
    }

    async fn outbox_row(&self, id: i64) -> Result<Option<OutboxRow>, StoreError> {
        self.works()?;
        Ok(self.outbox.lock().unwrap().iter().find(|row| row.id == id).cloned())
    }

    async fn replay(&self, id: i64, actor: &str, note: &str) -> Result<Change, StoreError> {
        self.change(id, actor, note)
    }

    async fn discard(&self, id: i64, actor: &str, note: &str) -> Result<Change, StoreError> {
        self.change(id, actor, note)
    }

    async fn revise(&self, _: OutboxFilter, _: Verdict, _: &str, _: &str) -> Result<Revised, StoreError> {
        self.works().map(|()| Revised::default())
    }

    async fn balance(&self, _: Duration) -> Result<Balance, StoreError> {
        self.works()?;
        Ok(Balance { ledger: self.ledger().await?, pending: 1, dead: 0, late: 0 })
    }

    async fn ledger(&self) -> Result<Ledger, StoreError> {
        self.works()?;
        Ok(Ledger { due: 3, delivered: 2, pending: 1, ..Ledger::default() })
    }

    async fn condition(&self) -> Result<Condition, StoreError> {
        Ok(Condition { queues: Vec::new(), incidents: Vec::new(), bytes: 0, watchdogs: Vec::new() })
    }

    async fn backup(&self, file: &Path) -> Result<(), StoreError> {
        self.works()?;
        self.backups.lock().unwrap().push(file.to_owned());
        Ok(())
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.works()
    }

    async fn close(&self) {}
}
