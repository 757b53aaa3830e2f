//! The journal of heartbeats: an append-only file beside every other path, the same in both roles.
//!
//! Heartbeats go into the registry; a task writes the agents that changed, one line each, and syncs, somewhat more often
//! than once a second. So a million heartbeats of one agent are one line a second, no heartbeat waits for the disk, and
//! what was answered 202 is kept within a second. What cannot be written stays marked as changed and is written later.

mod file;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use prometheus::{IntCounter, IntGauge};

use crate::agents::{Registry, Row};
use crate::clock::Clock;
use crate::task::Tasks;
use crate::telemetry::Telemetry;
use file::{File, Written};

/// The file's name in the data folder.
pub const FILE: &str = "heartbeats.jsonl";

/// The pause between two writes: with the write itself, a heartbeat is kept within a second.
const EVERY: Duration = Duration::from_millis(750);
/// A write that takes longer than this is a disk that hangs: until it answers, nothing more is promised.
const PATIENCE: Duration = Duration::from_secs(5);

/// The journal cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}; the heartbeats cannot be kept: check the folder's owner and free space", .file.display())]
pub struct OpenError {
    /// The file.
    pub file: PathBuf,
    /// What the system said.
    pub source: std::io::Error,
}

/// The journal cannot keep heartbeats at the moment: whoever sent one should send it again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("heartbeats cannot be kept at the moment: {0}")]
pub struct Unavailable(String);

/// The journal of a registry. Clones share it.
#[derive(Clone)]
pub struct Journal(Arc<Shared>);

struct Shared {
    registry: Arc<Mutex<Registry>>,
    file: Mutex<File>,
    state: Mutex<State>,
    meters: Meters,
}

#[derive(Default)]
struct State {
    closed: bool,
    failure: Option<String>,
    writing_since: Option<Instant>,
}

struct Meters {
    writes: IntCounter,
    failures: IntCounter,
    lines: IntCounter,
    compactions: IntCounter,
    corrupt: IntCounter,
    bytes: IntGauge,
}

impl Meters {
    fn new(telemetry: &Telemetry) -> Self {
        let counter = |name: &str, help: &str| telemetry.counter(name, help, &[]).with_label_values::<&str>(&[]);
        Self {
            writes: counter("tidewatch_heartbeat_journal_writes_total", "Writes of the journal that were synced."),
            failures: counter("tidewatch_heartbeat_journal_failures_total", "Writes of the journal that failed."),
            lines: counter("tidewatch_heartbeat_journal_lines_total", "Lines that were written to the journal."),
            compactions: counter(
                "tidewatch_heartbeat_journal_compactions_total",
                "Times the journal was written anew.",
            ),
            corrupt: counter(
                "tidewatch_heartbeat_journal_corrupt_lines_total",
                "Lines that could not be read at the start.",
            ),
            bytes: telemetry
                .gauge("tidewatch_heartbeat_journal_size_bytes", "Size of the journal.", &[])
                .with_label_values::<&str>(&[]),
        }
    }
}

impl Journal {
    /// Reads the journal in `folder` into the registry, and from then on writes what changes there until the program
    /// ends. The registry may get its settings before or after.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn open(
        folder: &Path,
        registry: Arc<Mutex<Registry>>,
        clock: &Clock,
        tasks: &Tasks,
        telemetry: &Telemetry,
    ) -> Result<Self, OpenError> {
        let meters = Meters::new(telemetry);
        let path = folder.join(FILE);
        let opened = File::open(&path, |row| locked(&registry).restore(row));
        let (file, corrupt) = opened.map_err(|source| OpenError { file: path.clone(), source })?;
        if corrupt > 0 {
            tracing::warn!(file = %path.display(), corrupt, "lines of the heartbeat journal could not be read; skipped");
        }
        meters.corrupt.inc_by(corrupt);
        meters.bytes.set(file.bytes().cast_signed());
        Ok(Self::start(file, registry, meters, clock.clone(), tasks))
    }

    fn start(file: File, registry: Arc<Mutex<Registry>>, meters: Meters, clock: Clock, tasks: &Tasks) -> Self {
        let shared = Shared { registry, file: Mutex::new(file), state: Mutex::default(), meters };
        let journal = Self(Arc::new(shared));
        let (this, all) = (journal.clone(), tasks.clone());
        tasks.supervise("heartbeats", move || this.clone().run(clock.clone(), all.clone()));
        journal
    }

    /// Whether what is in the registry by now will be kept. Asked *after* a heartbeat went into the registry: the last
    /// write at the end closes the journal before it takes what has changed, so that nothing slips through between.
    ///
    /// # Errors
    /// The disk is full or hangs, or the program ends.
    pub fn accepts(&self) -> Result<(), Unavailable> {
        let state = locked(&self.0.state);
        let hangs = state.writing_since.is_some_and(|since| since.elapsed() > PATIENCE);
        match &state.failure {
            _ if state.closed => Err(Unavailable("tidewatch is stopping".into())),
            Some(failure) => Err(Unavailable(failure.clone())),
            None if hangs => Err(Unavailable("the disk does not answer".into())),
            None => Ok(()),
        }
    }

    async fn run(self, clock: Clock, tasks: Tasks) {
        loop {
            tokio::select! {
                () = clock.sleep(EVERY) => {}
                () = tasks.stopping() => locked(&self.0.state).closed = true,
            }
            let last = locked(&self.0.state).closed;
            self.write(&tasks).await;
            if last {
                return;
            }
        }
    }

    /// Writes what changed, on a thread of its own: a disk may take its time.
    async fn write(&self, tasks: &Tasks) {
        let rows = Arc::new(locked(&self.0.registry).take_changes());
        if rows.is_empty() {
            return;
        }
        locked(&self.0.state).writing_since = Some(Instant::now());
        let (shared, changed) = (Arc::clone(&self.0), Arc::clone(&rows));
        let outcome = match tasks.thread("heartbeats", move || shared.append(&changed)) {
            Ok(thread) => thread.await.map_err(|panic| panic.to_string()),
            Err(error) => Err(format!("no thread: {error}")),
        };
        match outcome.and_then(|written| written.map_err(|error| error.to_string())) {
            Ok(()) => self.succeeded(),
            Err(failure) => self.failed(&rows, failure),
        }
    }

    fn succeeded(&self) {
        let mut state = locked(&self.0.state);
        state.writing_since = None;
        self.0.meters.writes.inc();
        if state.failure.take().is_some() {
            tracing::info!("heartbeats are kept again");
        }
    }

    fn failed(&self, rows: &[Row], failure: String) {
        locked(&self.0.registry).give_back(rows);
        let mut state = locked(&self.0.state);
        state.writing_since = None;
        self.0.meters.failures.inc();
        if state.failure.is_none() || state.closed {
            let agents = rows.len();
            tracing::error!(failure, agents, "the heartbeats' journal cannot be written; a restart would lose them");
        }
        state.failure = Some(failure);
    }
}

impl Shared {
    fn append(&self, rows: &[Row]) -> std::io::Result<()> {
        let mut file = locked(&self.file);
        let all = || locked(&self.registry).rows();
        let outcome = file.append(rows, all);
        self.meters.bytes.set(file.bytes().cast_signed());
        match outcome? {
            Written::Appended(lines) => self.meters.lines.inc_by(lines),
            Written::Compacted(lines) => {
                self.meters.lines.inc_by(lines);
                self.meters.compactions.inc();
            }
        }
        Ok(())
    }
}

/// What a panic left behind is still whole: every change is one step.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::{AgentId, Heartbeat, Source};
    use jiff::Timestamp;

    /// Lets the journal's task and its threads work until `condition` holds.
    async fn until(what: &str, mut condition: impl FnMut() -> bool) {
        let start = Instant::now();
        while !condition() {
            assert!(start.elapsed() < Duration::from_secs(20), "never: {what}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn a_full_disk_is_answered_and_outlived() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let registry = Arc::new(Mutex::new(Registry::default()));
        let (clock, telemetry) = (Clock::manual(Timestamp::UNIX_EPOCH), Telemetry::new());
        let tasks = Tasks::new(&telemetry);
        let full = File::open_full(&path);
        let journal = Journal::start(full, Arc::clone(&registry), Meters::new(&telemetry), clock.clone(), &tasks);
        assert_eq!(journal.accepts(), Ok(()));

        let id: AgentId = "steward".parse().unwrap();
        locked(&registry).beat(Source::Push, &id, Heartbeat::default(), clock.now()).unwrap();
        until("the failure is noticed", || {
            clock.advance(EVERY);
            journal.accepts().is_err()
        })
        .await;
        assert!(journal.accepts().unwrap_err().to_string().contains("No space left"), "{:?}", journal.accepts());
        assert!(journal.0.meters.failures.get() >= 1);

        *locked(&journal.0.file) = File::open(&path, drop).unwrap().0;
        until("the disk has room again", || {
            clock.advance(EVERY);
            journal.accepts().is_ok()
        })
        .await;
        let mut kept = Vec::new();
        File::open(&path, |row| kept.push(row.id)).unwrap();
        assert_eq!(kept, [id], "what was heard meanwhile is kept");
    }

    #[tokio::test]
    async fn a_disk_that_hangs_promises_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let telemetry = Telemetry::new();
        let tasks = Tasks::new(&telemetry);
        let clock = Clock::manual(Timestamp::UNIX_EPOCH);
        let journal = Journal::open(folder.path(), Arc::default(), &clock, &tasks, &telemetry).unwrap();
        locked(&journal.0.state).writing_since = Instant::now().checked_sub(PATIENCE * 2);
        assert!(journal.accepts().unwrap_err().to_string().contains("does not answer"));
    }
}
