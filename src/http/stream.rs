//! A connection's stream with the time limits that hyper lacks: hyper's one timeout for heads also closes a scraper's
//! idle keep-alive connection, so the limits depend on what is being waited for.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use prometheus::IntCounterVec;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// How long a connection may keep us waiting.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// From the connection's begin to the end of the TLS handshake, where there is one.
    pub handshake: Duration,
    /// From there, or from the connection's begin, to its first byte.
    pub first_byte: Duration,
    /// From a request's first byte to the end of its head.
    pub head: Duration,
    /// From one answer's end to the next request's first byte: above any usual scrape interval.
    pub idle: Duration,
    /// From one byte of an answer that the client takes to the next.
    pub write: Duration,
    /// How many bytes a second a client must take of what we write, on average, beyond [`Patience::write`].
    pub rate: u64,
}

/// Counts the begins and ends of a connection's requests: odd while one is at work. HTTP/1 has one at a time.
#[derive(Clone, Default)]
pub(super) struct Turns(Arc<AtomicU32>);

/// A request at work, until its answer's body has been handed to the connection or given up.
pub(super) struct Turn(Arc<AtomicU32>);

impl Turns {
    pub(super) fn begin(&self) -> Turn {
        self.0.fetch_add(1, Ordering::Relaxed);
        Turn(Arc::clone(&self.0))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Waiting {
    FirstByte,
    Head,
    Answer,
    NextRequest,
}

pub(super) struct Timed<S> {
    stream: S,
    patience: Patience,
    turns: Turns,
    /// The count of turns when it was last looked at.
    seen: u32,
    waiting: Waiting,
    /// When the client must have sent something. The timer may ring sooner, and is then set anew: most requests come
    /// whole and are answered at once, and a timer that is set anew for each of them costs more than one that rings.
    read_by: Instant,
    reading: Pin<Box<Sleep>>,
    writing: Pin<Box<Sleep>>,
    /// The client does not take what we write; `writing` runs.
    stuck: bool,
    /// When what is being written was begun, and how much of it has been taken.
    unflushed: Option<(Instant, u64)>,
    timeouts: IntCounterVec,
}

impl<S> Timed<S> {
    pub(super) fn new(stream: S, patience: Patience, turns: Turns, timeouts: IntCounterVec) -> Self {
        Self {
            stream,
            patience,
            turns,
            seen: 0,
            waiting: Waiting::FirstByte,
            read_by: Instant::now() + patience.first_byte,
            reading: Box::pin(tokio::time::sleep(patience.first_byte)),
            writing: Box::pin(tokio::time::sleep(patience.write)),
            stuck: false,
            unflushed: None,
            timeouts,
        }
    }

    /// Notices requests that have begun or ended since the last look: both may have happened.
    fn follow(&mut self) {
        let now = self.turns.0.load(Ordering::Relaxed);
        if now == self.seen {
            return;
        }
        self.seen = now;
        if now % 2 == 1 {
            self.waiting = Waiting::Answer;
        } else {
            self.waiting = Waiting::NextRequest;
            self.read_by = Instant::now() + self.patience.idle;
        }
    }

    fn arrived(&mut self) {
        if matches!(self.waiting, Waiting::FirstByte | Waiting::NextRequest) {
            self.waiting = Waiting::Head;
            self.read_by = Instant::now() + self.patience.head;
        }
    }

    /// Ready when the client has had its time.
    fn overdue(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.reading.deadline() > self.read_by {
            self.reading.as_mut().reset(self.read_by);
        }
        loop {
            ready!(self.reading.as_mut().poll(cx));
            if self.reading.deadline() >= self.read_by {
                return Poll::Ready(());
            }
            self.reading.as_mut().reset(self.read_by);
        }
    }

    fn late(&self, what: &'static str) -> io::Error {
        self.timeouts.with_label_values(&[what]).inc();
        io::Error::new(io::ErrorKind::TimedOut, what)
    }

    fn written(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(taken)) = &outcome {
            let (_, sent) = self.unflushed.get_or_insert_with(|| (Instant::now(), 0));
            *sent += *taken as u64;
        }
        self.moved(cx, outcome)
    }

    fn flushed(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<()>>) -> Poll<io::Result<()>> {
        if outcome.is_ready() {
            self.unflushed = None;
        }
        self.moved(cx, outcome)
    }

    fn moved<T>(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.stuck = false;
            return outcome;
        }
        if !self.stuck {
            self.stuck = true;
            let Patience { write, rate, .. } = self.patience;
            let next = Instant::now() + write;
            // Who takes a little now and then holds an answer's memory as well as who takes nothing.
            let earned = |sent: u64| Duration::from_millis(sent.saturating_mul(1_000) / rate.max(1));
            let all = self.unflushed.map_or(next, |(began, sent)| began + write.saturating_add(earned(sent)));
            self.writing.as_mut().reset(next.min(all));
        }
        ready!(self.writing.as_mut().poll(cx));
        Poll::Ready(Err(self.late("write")))
    }
}

/// The values of the label `phase` of the counter of timeouts.
pub(super) const PHASES: [&str; 5] = ["handshake", "first_byte", "head", "idle", "write"];

impl<S: AsyncRead + Unpin> AsyncRead for Timed<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.follow();
        let before = buffer.filled().len();
        if let Poll::Ready(outcome) = Pin::new(&mut this.stream).poll_read(cx, buffer) {
            if buffer.filled().len() > before {
                this.arrived();
            }
            return Poll::Ready(outcome);
        }
        let phase = match this.waiting {
            // The body has its own limits, and the handler its own deadlines.
            Waiting::Answer => return Poll::Pending,
            Waiting::FirstByte => "first_byte",
            Waiting::Head => "head",
            Waiting::NextRequest => "idle",
        };
        ready!(this.overdue(cx));
        Poll::Ready(Err(this.late(phase)))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Timed<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.written(cx, outcome)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.stream).poll_write_vectored(cx, slices);
        this.written(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.stream).poll_flush(cx);
        this.flushed(cx, outcome)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.stream).poll_shutdown(cx);
        this.flushed(cx, outcome)
    }
}
