//! Threads that read, each on a connection of its own: a write never waits for a question.

use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;

use super::super::StoreError;
use super::connect;
use super::job::{Job, Tx};
use crate::clock::Clock;
use crate::task::Tasks;

/// Two: a long list does not delay a short question.
const THREADS: usize = 2;

/// So many questions wait at most.
const WAITING: usize = 256;

/// Starts the threads; they end with the last sender.
pub(super) fn start(file: &Path, clock: &Clock, tasks: &Tasks) -> Result<SyncSender<Box<dyn Job>>, StoreError> {
    let (sender, queue) = sync_channel(WAITING);
    let queue = Arc::new(Mutex::new(queue));
    for _ in 0..THREADS {
        let (db, clock, queue) = (connect::reader(file)?, clock.clone(), Arc::clone(&queue));
        let thread = tasks.thread("store-reader", move || run(&db, &clock, &queue));
        drop(thread.map_err(|error| StoreError::Unavailable(format!("no thread: {error}")))?);
    }
    Ok(sender)
}

fn run(db: &Connection, clock: &Clock, queue: &Mutex<Receiver<Box<dyn Job>>>) {
    loop {
        // The lock is held while one waits; the others wait for the lock.
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(mut job) = next else { return };
        // One transaction, so that all that one question reads is of one moment.
        let answer = match db.unchecked_transaction() {
            Ok(_transaction) => {
                job.run(&Tx::new(db, clock.now()));
                Ok(())
            }
            Err(error) => Err(error.to_string()),
        };
        job.answer(answer);
    }
}
