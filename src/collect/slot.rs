//! A collector's place in the engine: the run in flight, and what the last one told.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use prometheus::IntCounter;
use tokio::sync::watch;

use super::limit::{self, Cut};
use super::run::{Failure, Run, run};
use super::{Entry, LastRun, Output, last};
use crate::clock::Clock;
use crate::task::Tasks;

/// The run, once it has landed; its sender is gone if it never does.
type Flight = watch::Receiver<Option<Arc<Run>>>;

pub(super) struct Slot {
    pub(super) entry: Entry,
    clock: Clock,
    dropped: IntCounter,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    flight: Option<Flight>,
    last: Option<LastRun>,
    cut: BTreeSet<String>,
}

impl Slot {
    pub(super) fn new(entry: Entry, clock: Clock, dropped: IntCounter) -> Self {
        Self { entry, clock, dropped, state: Mutex::default() }
    }

    /// Waits for the run in flight, or for one that it starts. The run is a task of its own: whoever waits may leave.
    /// `None` if the program ends before the run does.
    pub(super) async fn join(self: &Arc<Self>, tasks: &Tasks) -> Option<Arc<Run>> {
        let mut flight = self.flight(&mut self.state(), tasks);
        flight.wait_for(Option::is_some).await.ok()?.clone()
    }

    /// Starts a run if none is in flight and the last one is older than `idle`. How long until that is to be asked again.
    pub(super) fn freshen(self: &Arc<Self>, tasks: &Tasks, now: Timestamp, idle: Duration) -> Duration {
        let mut state = self.state();
        if state.flight.is_some() {
            return idle;
        }
        // A clock that was set back makes the last run one of the future: its age is then unknown.
        let age = state.last.as_ref().and_then(|last| Duration::try_from(now.duration_since(last.at)).ok());
        let left = age.and_then(|age| idle.checked_sub(age)).unwrap_or_default();
        if !left.is_zero() {
            return left;
        }
        // The task runs by itself; nobody waits for it here.
        drop(self.flight(&mut state, tasks));
        idle
    }

    pub(super) fn last(&self) -> Option<LastRun> {
        self.state().last.clone()
    }

    fn flight(self: &Arc<Self>, state: &mut State, tasks: &Tasks) -> Flight {
        let start = || {
            let (slot, (landed, flight)) = (Arc::clone(self), watch::channel(None));
            drop(tasks.spawn(self.entry.name, async move {
                landed.send_replace(Some(slot.fly().await));
            }));
            flight
        };
        state.flight.get_or_insert_with(start).clone()
    }

    async fn fly(&self) -> Arc<Run> {
        let _landing = Landing(self);
        let (duration, outcome) = run(&self.entry).await;
        let now = self.clock.now();
        let mut state = self.state();
        let output = match outcome {
            Ok(output) => Some(Arc::new(self.succeeded(&mut state, output, now))),
            Err(failure) => {
                self.failed(&mut state, &failure, now);
                None
            }
        };
        Arc::new(Run { duration, output })
    }

    fn succeeded(&self, state: &mut State, mut output: Output, at: Timestamp) -> Output {
        if state.last.as_ref().is_some_and(|last| !last.success) {
            tracing::info!(collector = self.entry.name, "the collector works again");
        }
        self.limit(state, &mut output);
        let before = state.last.as_ref().map(|last| &*last.facts);
        let facts = last::succeeded(before, std::mem::take(&mut output.facts));
        state.last = Some(LastRun { collector: self.entry.name, at, success: true, facts: Arc::new(facts) });
        output
    }

    fn failed(&self, state: &mut State, failure: &Failure, at: Timestamp) {
        // Once for each change: a scrape every few seconds would fill the log with what is known.
        if state.last.as_ref().is_none_or(|last| last.success) {
            tracing::warn!(collector = self.entry.name, error = %failure, "the collector fails; its series are absent");
        }
        let before = state.last.as_ref().map(|last| &*last.facts);
        let facts = last::failed(before, self.entry.name, &failure.to_string(), at);
        state.last = Some(LastRun { collector: self.entry.name, at, success: false, facts: Arc::new(facts) });
    }

    fn limit(&self, state: &mut State, output: &mut Output) {
        let Cut { series, families } = limit::cut(output, self.entry.schedule.max_series);
        self.dropped.inc_by(series as u64);
        if !families.is_empty() && families != state.cut {
            let names: Vec<&str> = families.iter().map(String::as_str).collect();
            tracing::warn!(
                collector = self.entry.name,
                limit = self.entry.schedule.max_series,
                families = names.join(", "),
                "too many series: families are dropped; raise schedule.max_series, or collect less"
            );
        }
        state.cut = families;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that is done under the lock leaves it half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends a flight however its task ends: one that stayed would be joined by every later scrape.
struct Landing<'s>(&'s Slot);

impl Drop for Landing<'_> {
    fn drop(&mut self) {
        self.0.state().flight = None;
    }
}
