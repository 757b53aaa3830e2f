//! Writes that may hang: a terminal that is paused, a disk that does not answer. They run on a thread of their own, one
//! at a time for each channel, so that they cost their own channel only.

use std::io;
use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::task::Tasks;

use super::{Retry, SendError};

/// Runs one blocking write at a time. While one hangs, the next wait for it until their own time is over.
pub(super) struct Blocking {
    name: &'static str,
    tasks: Tasks,
    turn: Arc<Semaphore>,
}

impl Blocking {
    pub(super) fn new(name: &'static str, tasks: &Tasks) -> Self {
        Self { name, tasks: tasks.clone(), turn: Arc::new(Semaphore::new(1)) }
    }

    /// Runs `write`; an error is worth another try, and names `what` was written to.
    pub(super) async fn run<W>(&self, what: &str, write: W) -> Result<(), SendError>
    where
        W: FnOnce() -> io::Result<()> + Send + 'static,
    {
        let failed = |why: String| SendError { retry: Retry::Later, reason: "io", what: format!("{what}: {why}") };
        let turn = Arc::clone(&self.turn).acquire_owned().await.map_err(|error| failed(error.to_string()))?;
        let written = self.tasks.thread(self.name, move || {
            // Kept until the write returns, also when nobody waits for it any more.
            let _turn = turn;
            write()
        });
        let written = written.map_err(|error| failed(error.to_string()))?.await;
        written.map_err(|panicked| failed(panicked.to_string()))?.map_err(|error| failed(error.to_string()))
    }
}
