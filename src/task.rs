//! The only place that spawns. Tasks and threads have names, their panics are logged and counted, and all of them end
//! when the program is told to.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt;
use prometheus::IntCounterVec;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tokio_util::task::TaskTracker;

use crate::telemetry::Telemetry;

/// A task ended by a panic, or was cut off by the end of the program.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{task} panicked: {what}")]
pub struct Panicked {
    /// The task's name.
    pub task: &'static str,
    /// What the panic said.
    pub what: String,
}

/// Starts tasks and threads, and ends them. Clones share the same set.
#[derive(Clone)]
pub struct Tasks(Arc<Inner>);

struct Inner {
    tracker: TaskTracker,
    stop: CancellationToken,
    panics: IntCounterVec,
}

/// The first and the longest pause before a supervised task is started again.
const RESTART: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));

impl Tasks {
    /// An empty set whose panics are counted in `tidewatch_task_panics_total`.
    pub fn new(telemetry: &Telemetry) -> Self {
        let panics = telemetry.counter("tidewatch_task_panics_total", "Tasks and threads that panicked.", &["task"]);
        Self(Arc::new(Inner { tracker: TaskTracker::new(), stop: CancellationToken::new(), panics }))
    }

    /// Starts a task. Its result, or its panic, reaches the returned future; dropping that future ends nothing.
    pub fn spawn<F>(
        &self,
        name: &'static str,
        task: F,
    ) -> impl Future<Output = Result<F::Output, Panicked>> + Send + use<F>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let (done, result) = oneshot::channel();
        let inner = Arc::clone(&self.0);
        self.0.tracker.spawn(async move {
            let outcome =
                AssertUnwindSafe(task).catch_unwind().await.map_err(|panic| inner.report(name, panic.as_ref()));
            // Nobody may be waiting: the task is what matters.
            drop(done.send(outcome));
        });
        async move { result.await.unwrap_or_else(|_| Err(Panicked { task: name, what: "cut off".into() })) }
    }

    /// Runs `task` where this is awaited, without a task of its own; but to its end in any case: if what waits for it is
    /// dropped, the rest becomes a task.
    pub fn to_its_end<F>(&self, name: &'static str, task: F) -> ToItsEnd<F>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        ToItsEnd { tasks: self.clone(), name, task: Some(Box::pin(task)) }
    }

    /// Runs what `make` makes until it returns or the program ends; a panic is followed by a new one after a pause
    /// that doubles up to 30 s.
    pub fn supervise<M, F>(&self, name: &'static str, make: M)
    where
        M: Fn() -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let inner = Arc::clone(&self.0);
        self.0.tracker.spawn(async move {
            let mut pause = RESTART.0;
            while let Err(panic) = AssertUnwindSafe(make()).catch_unwind().await {
                inner.report(name, panic.as_ref());
                tokio::select! {
                    () = inner.stop.cancelled() => return,
                    () = tokio::time::sleep(pause) => pause = (pause * 2).min(RESTART.1),
                }
            }
        });
    }

    /// Runs `work` on a thread of its own, for what blocks. Nothing waits for the thread when the program ends, so it
    /// may sit in a system call that never returns.
    ///
    /// # Errors
    /// The system refuses another thread.
    pub fn thread<T, W>(
        &self,
        name: &'static str,
        work: W,
    ) -> std::io::Result<impl Future<Output = Result<T, Panicked>> + Send + use<T, W>>
    where
        T: Send + 'static,
        W: FnOnce() -> T + Send + 'static,
    {
        let (done, result) = oneshot::channel();
        let inner = Arc::clone(&self.0);
        std::thread::Builder::new().name(name.into()).spawn(move || {
            let outcome =
                std::panic::catch_unwind(AssertUnwindSafe(work)).map_err(|panic| inner.report(name, panic.as_ref()));
            // Nobody may be waiting: the work is what matters.
            drop(done.send(outcome));
        })?;
        Ok(async move { result.await.unwrap_or_else(|_| Err(Panicked { task: name, what: "cut off".into() })) })
    }

    /// A part of this set that can be told to end alone, as a reload does with what it replaces.
    pub fn group(&self) -> Self {
        let (tracker, panics) = (self.0.tracker.clone(), self.0.panics.clone());
        Self(Arc::new(Inner { tracker, stop: self.0.stop.child_token(), panics }))
    }

    /// Tells the tasks of this set to end, and waits for nothing.
    pub fn stop(&self) {
        self.0.stop.cancel();
    }

    /// Completes when the program is told to end.
    pub fn stopping(&self) -> WaitForCancellationFutureOwned {
        self.0.stop.clone().cancelled_owned()
    }

    /// Whether the program was told to end.
    pub fn is_stopping(&self) -> bool {
        self.0.stop.is_cancelled()
    }

    /// Tells all tasks to end and waits for them, `grace` at the longest. Returns how many were still at work.
    pub async fn drain(&self, grace: Duration) -> usize {
        self.0.stop.cancel();
        self.0.tracker.close();
        // A task that needs longer is named by the caller, not waited for.
        drop(tokio::time::timeout(grace, self.0.tracker.wait()).await);
        self.0.tracker.len()
    }
}

/// See [`Tasks::to_its_end`].
pub struct ToItsEnd<F>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tasks: Tasks,
    name: &'static str,
    task: Option<Pin<Box<F>>>,
}

impl<F> Future for ToItsEnd<F>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // Out of its place while it works: what panics is not gone on with.
        let Some(mut task) = self.task.take() else { return Poll::Pending };
        let polled = task.as_mut().poll(cx);
        if polled.is_pending() {
            self.task = Some(task);
        }
        polled
    }
}

impl<F> Drop for ToItsEnd<F>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn drop(&mut self) {
        // Without a runtime the program is at its end.
        if let (Some(task), Ok(_runtime)) = (self.task.take(), Handle::try_current()) {
            drop(self.tasks.spawn(self.name, task));
        }
    }
}

impl Inner {
    fn report(&self, task: &'static str, panic: &dyn Any) -> Panicked {
        let what = words(panic).to_owned();
        self.panics.with_label_values(&[task]).inc();
        tracing::error!(task, what, "a task panicked");
        Panicked { task, what }
    }
}

/// What a panic said.
pub fn words(panic: &dyn Any) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("a panic without words")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn tasks() -> Tasks {
        Tasks::new(&Telemetry::new())
    }

    #[tokio::test]
    async fn a_panic_reaches_who_waits_and_is_counted() {
        let tasks = tasks();
        let error = tasks.spawn("doomed", async { panic!("of {}", "this") }).await.unwrap_err();
        assert_eq!((error.task, error.what.as_str()), ("doomed", "of this"));
        let error = tasks.thread("doomed", || panic!("too")).unwrap().await.unwrap_err();
        assert_eq!(error.what, "too");
        assert_eq!(tasks.0.panics.with_label_values(&["doomed"]).get(), 2);
    }

    #[tokio::test]
    async fn nobody_needs_to_wait_for_a_task() {
        let tasks = tasks();
        let (done, finished) = oneshot::channel();
        drop(tasks.spawn("alone", async move { done.send(3) }));
        assert_eq!(finished.await, Ok(3));
    }

    #[tokio::test]
    async fn what_runs_to_its_end_does_so_without_who_waited() {
        let tasks = tasks();
        assert_eq!(tasks.to_its_end("here", async { 3 }).await, 3);
        let (go, wait) = oneshot::channel();
        let (done, finished) = oneshot::channel();
        let mut left = Box::pin(tasks.to_its_end("left", async move { done.send(wait.await.unwrap()) }));
        assert!(futures_util::poll!(left.as_mut()).is_pending());
        drop(left);
        go.send(4).unwrap();
        assert_eq!(finished.await, Ok(4));
    }

    #[tokio::test(start_paused = true)]
    async fn a_supervised_task_is_started_again_after_a_panic() {
        let tasks = tasks();
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&runs);
        tasks.supervise("phoenix", move || {
            let run = counted.fetch_add(1, Ordering::Relaxed);
            async move { assert!(run >= 2, "not yet") }
        });
        tasks.0.tracker.close();
        tasks.0.tracker.wait().await;
        assert_eq!(runs.load(Ordering::Relaxed), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn drain_ends_groups_too_and_says_who_is_left() {
        let tasks = tasks();
        let group = tasks.group();
        let stopping = group.stopping();
        drop(group.spawn("polite", stopping));
        drop(tasks.spawn("stuck", std::future::pending::<()>()));
        assert_eq!(tasks.drain(Duration::from_secs(5)).await, 1);
        assert!(group.is_stopping());
    }

    #[tokio::test]
    async fn a_group_ends_alone() {
        let tasks = tasks();
        let group = tasks.group();
        group.stop();
        group.stopping().await;
        assert!(!tasks.is_stopping());
    }
}
