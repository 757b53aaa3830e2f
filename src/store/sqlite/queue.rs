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

/// Shared by whoever asks and the two threads that write. At most one of them fills a transaction, and the other is
/// woken only when there is work for it.
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
    /// A thread fills a transaction …
    filling: bool,
    /// … and waits for more.
    gathering: bool,
    /// How many syncs are at work.
    syncing: usize,
}

impl Queue {
    /// False when the queue is full or closed.
    pub(super) fn push(&self, operation: Operation) -> bool {
        let mut state = self.state();
        if state.closed || state.waiting.len() >= LONGEST {
            return false;
        }
        state.waiting.push_back(operation);
        let wanted = !state.filling || state.gathering;
        drop(state);
        if wanted {
            self.changed.notify_one();
        }
        true
    }

    /// Nothing is taken any more; what waits is still done.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.changed.notify_all();
    }

    /// Waits for work, or until it is [`due`](Self::due). What follows ends with [`Self::done`] or [`Self::hand_over`].
    pub(super) fn next(&self) -> Next {
        let mut state = self.state();
        loop {
            if !state.filling {
                state.filling = true;
                if let Some(operation) = state.waiting.pop_front() {
                    return Next::Work(operation);
                }
                if state.closed {
                    return Next::Closed;
                }
                if state.due.take_if(|due| *due <= Instant::now()).is_some() {
                    return Next::Due;
                }
                state.filling = false;
            }
            let left = state.due.map(|due| due.saturating_duration_since(Instant::now()));
            state = match left.filter(|_| !state.filling) {
                Some(left) => self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
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
        while state.waiting.is_empty() && state.syncing > 0 {
            state.gathering = true;
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.gathering = false;
        }
        state.waiting.pop_front()
    }

    /// What waits by now, whatever the disk does.
    pub(super) fn take(&self) -> Option<Operation> {
        self.state().waiting.pop_front()
    }

    /// The transaction is over, and nothing of it is to be synced: who did it asks for the next.
    pub(super) fn done(&self) {
        let mut state = self.state();
        state.filling = false;
        if state.closed {
            self.changed.notify_all();
        }
    }

    /// The transaction is to be synced: the other thread may fill the next.
    pub(super) fn hand_over(&self) {
        let mut state = self.state();
        state.filling = false;
        state.syncing += 1;
        if state.closed || state.due.is_some() || !state.waiting.is_empty() {
            self.changed.notify_all();
        }
    }

    /// The sync has ended.
    pub(super) fn synced(&self) {
        let mut state = self.state();
        state.syncing -= 1;
        if state.gathering {
            self.changed.notify_all();
        }
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
        queue.hand_over();
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
        queue.done();
        assert!(queue.push(operation(1)));
        queue.close();
        assert!(!queue.push(operation(1)), "it takes nothing more");
        assert!(matches!(queue.next(), Next::Work(_)), "what waits is done first");
        queue.done();
        assert!(matches!(queue.next(), Next::Closed));
    }
}
