//! What waits for the writer, and whether the disk is at work: a transaction takes in what comes while the one before
//! it is being synced.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::job::Job;

/// So many operations wait at most; beyond it the store is busy.
pub(super) const LONGEST: usize = 1_024;

/// Work and its size in alerts.
pub(super) struct Operation {
    pub(super) job: Box<dyn Job>,
    pub(super) alerts: usize,
}

/// What a thread that has nothing to do is to do next.
pub(super) enum Next {
    Work(Operation),
    /// Nobody asks, but the time has come that was set.
    Due,
    /// Nothing more will come.
    Closed,
}

/// Shared by whoever asks and the two threads that write.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Operation>,
    closed: bool,
    due: Option<Instant>,
    /// How many syncs are at work.
    syncing: usize,
}

impl Queue {
    /// False when the queue is full or closed.
    pub(super) fn push(&self, operation: Operation) -> bool {
        let mut state = self.state();
        let takes = !state.closed && state.waiting.len() < LONGEST;
        if takes {
            state.waiting.push_back(operation);
            drop(state);
            self.changed.notify_one();
        }
        takes
    }

    /// Nothing is taken any more; what waits is still done.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.changed.notify_all();
    }

    /// Waits for work, or until it is [`due`](Self::due).
    pub(super) fn next(&self) -> Next {
        let mut state = self.state();
        loop {
            if let Some(operation) = state.waiting.pop_front() {
                return Next::Work(operation);
            }
            if state.closed {
                return Next::Closed;
            }
            state = match state.due.map(|due| due.saturating_duration_since(Instant::now())) {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(left) if left.is_zero() => {
                    state.due = None;
                    return Next::Due;
                }
                Some(left) => self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
    }

    /// When something is to be done though nobody asks.
    pub(super) fn due(&self, at: Option<Instant>) {
        self.state().due = at;
    }

    /// What else there is for the transaction at hand. While the disk is at work that cannot be committed with profit, so
    /// what comes meanwhile is waited for.
    pub(super) fn more(&self) -> Option<Operation> {
        let mut state = self.state();
        loop {
            if state.waiting.front().is_some() || state.syncing == 0 {
                return state.waiting.pop_front();
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// What waits by now, whatever the disk does.
    pub(super) fn take(&self) -> Option<Operation> {
        self.state().waiting.pop_front()
    }

    /// A sync begins.
    pub(super) fn syncs(&self) {
        self.state().syncing += 1;
    }

    /// A sync has ended.
    pub(super) fn synced(&self) {
        self.state().syncing -= 1;
        self.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::super::job::Call;
    use super::*;
    use crate::task::Tasks;
    use crate::telemetry::Telemetry;

    fn operation(alerts: usize) -> Operation {
        Operation { job: Call::boxed(|_| Ok(())).0, alerts }
    }

    #[tokio::test]
    async fn a_transaction_takes_in_what_comes_while_the_disk_works() {
        let queue = Arc::new(Queue::default());
        assert!(queue.push(operation(1)) && queue.push(operation(2)));
        assert!(matches!(queue.next(), Next::Work(Operation { alerts: 1, .. })));
        assert_eq!(queue.more().map(|it| it.alerts), Some(2));
        assert!(queue.more().is_none(), "nobody waits while the disk is free");
        queue.syncs();
        let other = Arc::clone(&queue);
        let all = move || std::iter::from_fn(|| other.more()).map(|it| it.alerts).sum::<usize>();
        let transaction = Tasks::new(&Telemetry::new()).thread("transaction", all).unwrap();
        assert!(queue.push(operation(3)) && queue.push(operation(4)));
        while queue.state().waiting.front().is_some() {
            tokio::task::yield_now().await;
        }
        queue.synced();
        assert_eq!(transaction.await.unwrap(), 7);
    }

    #[test]
    fn who_has_nothing_to_do_waits_for_work_for_the_time_or_for_the_end() {
        let queue = Queue::default();
        queue.due(Some(Instant::now() + Duration::from_millis(1)));
        assert!(matches!(queue.next(), Next::Due));
        assert!(queue.push(operation(1)));
        queue.close();
        assert!(!queue.push(operation(1)), "it takes nothing more");
        assert!(matches!(queue.next(), Next::Work(_)), "what waits is done first");
        assert!(matches!(queue.next(), Next::Closed));
    }
}
