//! Lines of the log on their way out. A thread of its own writes them: whoever logs never waits for who reads, and what
//! the reader leaves lying beyond a bound is lost and counted.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::metrics::{Batch, Desc};

pub(super) static DROPPED: Desc =
    Desc::counter("tidewatch_log_lines_dropped_total", "Lines of the log that nobody read in time, or at all.", &[]);

/// The lines for standard error: a process has one log.
pub(super) static STDERR: Lines = Lines::new();

/// Bytes that may wait: about a thousand lines. As many may be on their way out.
const WAITING: usize = 256 * 1_024;

/// Lines between those who log and the one who writes.
pub(super) struct Lines {
    queue: Mutex<Queue>,
    changed: Condvar,
    lost: AtomicU64,
}

struct Queue {
    waiting: Vec<u8>,
    writing: bool,
}

impl Lines {
    pub(super) const fn new() -> Self {
        let queue = Mutex::new(Queue { waiting: Vec::new(), writing: false });
        Self { queue, changed: Condvar::new(), lost: AtomicU64::new(0) }
    }

    /// Starts the thread that writes to `out`, to the end of the process: the last lines are those of the end itself.
    pub(super) fn write_to(&'static self, out: impl Write + Send + 'static) -> io::Result<()> {
        std::thread::Builder::new().name("log".into()).spawn(move || self.run(out)).map(drop)
    }

    fn run(&self, mut out: impl Write) {
        loop {
            let mut queue = self.queue();
            while queue.waiting.is_empty() {
                queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
            }
            let lines = std::mem::take(&mut queue.waiting);
            queue.writing = true;
            drop(queue);
            if out.write_all(&lines).and_then(|()| out.flush()).is_err() {
                let lost = lines.split_inclusive(|byte| *byte == b'\n').count();
                self.lost.fetch_add(lost as u64, Ordering::Relaxed);
            }
            self.queue().writing = false;
            self.changed.notify_all();
        }
    }

    /// Takes a line, or counts it as lost. Never waits for the reader.
    fn take(&self, line: &[u8]) {
        let mut queue = self.queue();
        if queue.waiting.len() + line.len() > WAITING {
            self.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        queue.waiting.extend_from_slice(line);
        drop(queue);
        self.changed.notify_all();
    }

    /// Waits until every line is written, `limit` at the longest. Whether every line is.
    pub(super) fn flush(&self, limit: Duration) -> bool {
        let unwritten = |queue: &mut Queue| queue.writing || !queue.waiting.is_empty();
        let waited = self.changed.wait_timeout_while(self.queue(), limit, unwritten);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Pushes how many lines were lost.
    pub(super) fn collect(&self, batch: &mut Batch) {
        batch.push(&DROPPED, &[], self.lost.load(Ordering::Relaxed) as f64);
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `tracing` writes each event in one piece.
impl Write for &Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.take(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    const SOON: Duration = Duration::from_secs(20);

    /// Hands over what it is given once somebody takes it, as a full pipe does.
    struct Pipe(SyncSender<Vec<u8>>);

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_vec()).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn piped() -> (&'static Lines, Receiver<Vec<u8>>) {
        let lines: &'static Lines = Box::leak(Box::new(Lines::new()));
        let (sender, receiver) = sync_channel(0);
        lines.write_to(Pipe(sender)).unwrap();
        (lines, receiver)
    }

    #[test]
    fn an_unread_pipe_stops_nobody_and_what_it_loses_is_counted() {
        let (mut lines, pipe) = piped();
        let line = [[b'x'; 1_023].as_slice(), b"\n"].concat();
        for _ in 0..1_000 {
            lines.write_all(&line).unwrap();
        }
        assert!(!lines.flush(Duration::from_millis(1)), "nobody reads");
        let lost = lines.lost.load(Ordering::Relaxed);
        assert!(lost >= 1_000 - 2 * 256, "{lost}");
        let mut read = 0;
        while read < 1_000 - lost {
            let lines = pipe.recv_timeout(SOON).unwrap();
            assert_eq!(lines.len() % 1_024, 0, "whole lines");
            read += lines.len() as u64 / 1_024;
        }
        assert!(lines.flush(SOON));
        lines.write_all(b"again\n").unwrap();
        assert_eq!(pipe.recv_timeout(SOON).unwrap(), b"again\n", "a reader that comes back is served");
    }

    #[test]
    fn lines_that_cannot_be_written_are_counted() {
        let (mut lines, pipe) = piped();
        drop(pipe);
        lines.write_all(b"one\n").unwrap();
        assert!(lines.flush(SOON));
        lines.write_all(b"two\n").unwrap();
        assert!(lines.flush(SOON));
        assert_eq!(lines.lost.load(Ordering::Relaxed), 2);
    }
}
