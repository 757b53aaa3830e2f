//! Collectors that do what a test tells them, an engine of them, and what came out.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use tidewatch::clock::Clock;
use tidewatch::collect::scrape::{Engine, Scrape};
use tidewatch::collect::{CollectError, Collector, Entry, Output, Schedule};
use tidewatch::config::Span;
use tidewatch::facts::{ServiceState, State};
use tidewatch::metrics::expose::{self, Format};
use tidewatch::metrics::{Batch, Desc};
use tidewatch::task::Tasks;
use tidewatch::telemetry::Telemetry;
use tokio::time::sleep;

static VALUE: Desc = Desc::gauge("fake_value", "What a collector of the tests saw.", &["collector"]);
static ROW: Desc = Desc::gauge("fake_row", "One of many.", &["row"]);

type Work = Box<dyn Fn() -> BoxFuture<'static, Result<State, CollectError>> + Send + Sync>;

/// A collector that does what a test tells it, and counts its runs.
struct Fake {
    name: &'static str,
    runs: Arc<AtomicUsize>,
    clock: Clock,
    work: Work,
}

#[async_trait]
impl Collector for Fake {
    async fn collect(&self, out: &mut Output) -> Result<(), CollectError> {
        self.runs.fetch_add(1, Ordering::SeqCst);
        out.part(self.name).push(&VALUE, &[self.name], 1.0);
        let state = (self.work)().await?;
        for row in ["1", "2", "3"] {
            out.part("rows").push(&ROW, &[row], 1.0);
        }
        let (since, why) = (self.clock.now(), "seen".to_owned());
        out.facts.services.push(ServiceState { service: self.name.into(), state, since, why, next: String::new() });
        Ok(())
    }
}

/// What an engine is made of, and the handles that a test moves it by.
pub(super) struct Bench {
    pub(super) clock: Clock,
    pub(super) tasks: Tasks,
    pub(super) telemetry: Telemetry,
    pub(super) entries: Vec<Entry>,
}

impl Bench {
    pub(super) fn new() -> Self {
        let telemetry = Telemetry::new();
        let tasks = Tasks::new(&telemetry);
        Self { clock: Clock::manual(Timestamp::UNIX_EPOCH), tasks, telemetry, entries: Vec::new() }
    }

    /// Adds a collector; returns the count of its runs.
    pub(super) fn add<F>(
        &mut self,
        name: &'static str,
        work: impl Fn() -> F + Send + Sync + 'static,
    ) -> Arc<AtomicUsize>
    where
        F: Future<Output = Result<State, CollectError>> + Send + 'static,
    {
        let runs = Arc::new(AtomicUsize::new(0));
        let work: Work = Box::new(move || work().boxed());
        let collector = Arc::new(Fake { name, runs: Arc::clone(&runs), clock: self.clock.clone(), work });
        let schedule = Schedule { timeout: Span::seconds(9), ..Schedule::default() };
        self.entries.push(Entry { name, parts: &["rows"], schedule, follows: None, endpoint: None, collector });
        runs
    }

    pub(super) fn engine(&self) -> Engine {
        Engine::new(self.entries.clone(), self.clock.clone(), self.tasks.clone(), &self.telemetry)
    }
}

pub(super) async fn works() -> Result<State, CollectError> {
    Ok(State::Ok)
}

pub(super) async fn errs() -> Result<State, CollectError> {
    Err(CollectError::Malformed { what: "/proc/fake".into(), why: "no number".into() })
}

pub(super) fn text(scrape: &Scrape) -> String {
    let mut out = Vec::new();
    expose::write(&scrape.batches(), Format::Text, &mut out);
    String::from_utf8(out).unwrap()
}

/// The value of a series, as it is written.
pub(super) fn value<'a>(text: &'a str, series: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))
}

pub(super) fn success(text: &str, collector: &str) -> bool {
    match value(text, &format!("tidewatch_collector_success{{collector=\"{collector}\"}}")) {
        Some("1") => true,
        Some("0") => false,
        other => panic!("{collector}: success is {other:?} in\n{text}"),
    }
}

/// The whole seconds of a collector's duration.
pub(super) fn seconds(text: &str, collector: &str) -> u64 {
    let series = format!("tidewatch_collector_duration_seconds{{collector=\"{collector}\"}}");
    value(text, &series).unwrap().parse::<f64>().unwrap() as u64
}

/// The program's own families, as they are written beside the collectors'.
pub(super) fn own(telemetry: &Telemetry) -> String {
    let mut out = Vec::new();
    let mut batch = Batch::new();
    telemetry.collect(&mut batch);
    expose::write(&[&batch], Format::Text, &mut out);
    String::from_utf8(out).unwrap()
}

pub(super) async fn everything(engine: &Engine, patience: Duration) -> String {
    text(&engine.scrape(engine.everything(), patience).await)
}

/// On paused time this returns when no task has anything left to do at once.
pub(super) async fn settle() {
    sleep(Duration::from_millis(1)).await;
}

/// Collects what is logged on this thread.
#[derive(Clone, Default)]
pub(super) struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

pub(super) fn logged() -> (Log, tracing::subscriber::DefaultGuard) {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    (log, tracing::subscriber::set_default(subscriber))
}

impl Log {
    pub(super) fn lines_with(&self, words: &str) -> usize {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap().matches(words).count()
    }
}
