//! Calls that may never return, each on a thread of its own that nobody waits for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use crate::clock::Clock;
use crate::task::Tasks;

/// So many threads at once. One that sits in a dead server's answer is not given back, so this many may be lost.
const THREADS: usize = 32;

/// After this a thread that never returned is written off, and what it asked for is asked for again while half of the
/// threads are free.
const PAUSE: Duration = Duration::from_mins(5);

/// Makes calls by name. While a name's call has not returned, it is not made again.
pub(super) struct Detached {
    tasks: Tasks,
    clock: Clock,
    threads: Arc<Semaphore>,
    busy: Busy,
}

/// The calls that have not returned, and since when.
type Busy = Arc<Mutex<HashMap<String, Timestamp>>>;

/// Held by the thread: gives back what the call occupies, however it ends.
struct Occupied {
    name: String,
    since: Timestamp,
    busy: Busy,
    _thread: OwnedSemaphorePermit,
}

impl Drop for Occupied {
    fn drop(&mut self) {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        // After the pause the name may belong to a later call.
        if busy.get(&self.name) == Some(&self.since) {
            busy.remove(&self.name);
        }
    }
}

impl Detached {
    pub(super) fn new(tasks: Tasks, clock: Clock) -> Self {
        Self { tasks, clock, threads: Arc::new(Semaphore::new(THREADS)), busy: Busy::default() }
    }

    /// What `work` returns, or nothing: it has not returned by `deadline`, its last call has not returned yet, it
    /// panicked, or there is no thread for it.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        name: &str,
        deadline: Instant,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        if self.is_busy(name) {
            return None;
        }
        let thread = timeout_at(deadline, Arc::clone(&self.threads).acquire_owned()).await.ok()?.ok()?;
        let occupied = self.occupy(name, thread);
        let result = self.tasks.thread("host-detached", move || {
            let _occupied = occupied;
            work()
        });
        timeout_at(deadline, result.ok()?).await.ok()?.ok()
    }

    fn is_busy(&self, name: &str) -> bool {
        let busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        // The thread that never returned is lost, and so may be the next one: half of them are kept for calls that return.
        let spare = self.threads.available_permits() > THREADS / 2;
        busy.get(name).is_some_and(|since| !spare || self.clock.now().duration_since(*since).unsigned_abs() < PAUSE)
    }

    fn occupy(&self, name: &str, thread: OwnedSemaphorePermit) -> Occupied {
        let since = self.clock.now();
        self.busy.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), since);
        Occupied { name: name.to_owned(), since, busy: Arc::clone(&self.busy), _thread: thread }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use super::*;
    use crate::telemetry::Telemetry;

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(50)
    }

    fn late() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    fn detached() -> (Detached, Clock) {
        let clock = Clock::manual(Timestamp::UNIX_EPOCH);
        (Detached::new(Tasks::new(&Telemetry::new()), clock.clone()), clock)
    }

    #[tokio::test]
    async fn a_call_that_hangs_is_not_made_again_until_it_returns() {
        let (detached, _) = detached();
        let (release, gate) = mpsc::channel::<()>();
        assert_eq!(detached.call("a", soon(), move || gate.recv().is_ok()).await, None);
        let asked_at = Instant::now();
        assert_eq!(detached.call("a", late(), || true).await, None, "the first still hangs");
        assert!(asked_at.elapsed() < Duration::from_secs(10), "which is known without waiting");
        assert_eq!(detached.call("b", late(), || true).await, Some(true), "others are not held up");
        release.send(()).unwrap();
        let start = Instant::now();
        while detached.call("a", late(), || true).await.is_none() {
            assert!(start.elapsed() < Duration::from_secs(20), "it has returned, so it is asked again");
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_call_that_never_returns_is_made_again_after_the_pause() {
        let (detached, clock) = detached();
        let (_never, gate) = mpsc::channel::<()>();
        assert_eq!(detached.call("a", soon(), move || gate.recv().is_ok()).await, None);
        clock.advance(PAUSE.saturating_sub(Duration::from_secs(1)));
        assert_eq!(detached.call("a", late(), || true).await, None);
        clock.advance(Duration::from_secs(1));
        assert_eq!(detached.call("a", late(), || true).await, Some(true));
    }

    #[tokio::test]
    async fn a_name_that_never_returns_takes_half_of_the_threads_at_most() {
        let (detached, clock) = detached();
        let (never, gate) = mpsc::channel::<()>();
        let gate = Arc::new(Mutex::new(gate));
        for _ in 0..2 * THREADS {
            let gate = Arc::clone(&gate);
            let hangs = move || gate.lock().map(|gate| gate.recv().is_ok()).is_ok();
            assert_eq!(detached.call("dead", Instant::now() + Duration::from_millis(1), hangs).await, None);
            clock.advance(PAUSE);
        }
        assert_eq!(detached.threads.available_permits(), THREADS / 2);
        assert_eq!(detached.call("alive", late(), || true).await, Some(true));
        drop(never);
    }

    #[tokio::test]
    async fn threads_that_are_lost_have_a_limit() {
        let (detached, _) = detached();
        let started = Arc::new(AtomicUsize::new(0));
        let (stop, gate) = mpsc::channel::<()>();
        let gate = Arc::new(Mutex::new(gate));
        let calls = (0..THREADS + 8).map(|number| {
            let (started, gate) = (Arc::clone(&started), Arc::clone(&gate));
            let detached = &detached;
            async move {
                let work = move || {
                    started.fetch_add(1, Ordering::SeqCst);
                    gate.lock().map(|gate| gate.recv().is_ok()).is_ok()
                };
                detached.call(&number.to_string(), Instant::now() + Duration::from_millis(500), work).await
            }
        });
        let results = futures_util::future::join_all(calls).await;
        assert!(results.iter().all(Option::is_none));
        assert!(started.load(Ordering::SeqCst) <= THREADS);
        drop(stop);
    }

    #[tokio::test]
    async fn a_panic_gives_nothing_and_occupies_nothing() {
        let (detached, _) = detached();
        assert_eq!(detached.call("a", late(), || panic!("on purpose")).await, None::<()>);
        let start = Instant::now();
        while detached.call("a", late(), || true).await.is_none() {
            assert!(start.elapsed() < Duration::from_secs(20));
            tokio::task::yield_now().await;
        }
    }
}
