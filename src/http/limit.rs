//! How much of a request is read, how long that may take, and how many are at work at the same time.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::FromRequestParts;
use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http::request::Parts;
use http_body_util::BodyExt;
use hyper::body::Body as HttpBody;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::refusal::Refusal;

/// What requests may take of us.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// Requests at work at the same time, those that only read and those that change something each. A request counts
    /// from the moment its body is complete.
    pub at_work: usize,
    /// The same for requests that wait for somebody else's server: they cost little and may take long.
    pub probing: usize,
    /// How long one waits for its turn before it is answered 503.
    pub turn: Duration,
    /// How long a body may take.
    pub body: Duration,
    /// How many bytes a second a body must have on average, after [`Work::grace`].
    pub rate: u64,
    /// How long a body may be slower than that at its begin.
    pub grace: Duration,
}

impl Default for Work {
    fn default() -> Self {
        let (turn, body) = (Duration::from_secs(2), Duration::from_secs(10));
        Self { at_work: 64, probing: 512, turn, body, rate: 1_024, grace: Duration::from_secs(2) }
    }
}

/// Takes requests in: an extractor, so that each handler that reads a body or changes something has it at hand.
#[derive(Clone)]
pub struct Intake {
    work: Work,
    changing: Arc<Semaphore>,
    reading: Arc<Semaphore>,
    probing: Arc<Semaphore>,
}

/// One of the requests at work, until it is dropped.
pub struct Permit(#[expect(dead_code, reason = "held, not read")] OwnedSemaphorePermit);

/// Why a body was not read to its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// It is longer than allowed.
    #[error("the body is above {0} bytes")]
    TooLarge(u64),
    /// It takes too long, or comes too slowly.
    #[error("the body came too slowly")]
    TooSlow,
    /// The connection broke, or the framing is wrong.
    #[error("the body broke off")]
    Broken,
}

impl From<BodyError> for Refusal {
    fn from(error: BodyError) -> Self {
        let status = match error {
            BodyError::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            BodyError::TooSlow => StatusCode::REQUEST_TIMEOUT,
            BodyError::Broken => StatusCode::BAD_REQUEST,
        };
        Self::new(status, error.to_string()).closing()
    }
}

impl Intake {
    /// With no request at work yet.
    pub fn new(work: Work) -> Self {
        let permits = |most| Arc::new(Semaphore::new(most));
        Self { work, changing: permits(work.at_work), reading: permits(work.at_work), probing: permits(work.probing) }
    }

    /// Begins to read a body of at most `most` bytes. Its time runs from here.
    pub fn open(&self, body: Body, most: u64) -> Bounded {
        Bounded { body, most, read: 0, began: Instant::now(), work: self.work }
    }

    /// Counts a request whose body is complete as at work.
    ///
    /// # Errors
    /// 503: too many are at work, and none ended in time.
    pub async fn permit(&self) -> Result<Permit, Refusal> {
        self.wait(&self.changing).await
    }

    /// The same for a request that only reads: those never keep an alert out.
    pub(super) async fn reader(&self) -> Result<Permit, Refusal> {
        self.wait(&self.reading).await
    }

    /// The same for a request that waits for somebody else's server: those never keep one that only reads out.
    pub(super) async fn prober(&self) -> Result<Permit, Refusal> {
        self.wait(&self.probing).await
    }

    /// What comes within the time that a request waits for its turn.
    pub(super) async fn in_turn<F: Future>(&self, work: F) -> Option<F::Output> {
        tokio::time::timeout(self.work.turn, work).await.ok()
    }

    async fn wait(&self, permits: &Arc<Semaphore>) -> Result<Permit, Refusal> {
        match tokio::time::timeout(self.work.turn, Arc::clone(permits).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(Permit(permit)),
            _ => Err(Refusal::busy("too many requests are at work")),
        }
    }

    /// Reads a small body whole, then counts the request as at work.
    ///
    /// # Errors
    /// The body's, or 503.
    pub async fn read(&self, body: Body, most: u64) -> Result<(Bytes, Permit), Refusal> {
        if body.size_hint().lower() > most {
            return Err(BodyError::TooLarge(most).into());
        }
        let mut bounded = self.open(body, most);
        let mut whole = BytesMut::new();
        while let Some(chunk) = bounded.next().await {
            whole.extend_from_slice(&chunk?);
        }
        Ok((whole.freeze(), self.permit().await?))
    }
}

impl<S: Sync> FromRequestParts<S> for Intake {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let intake = parts.extensions.get::<Self>().cloned();
        intake.ok_or_else(|| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "not behind http::router"))
    }
}

/// A body, read in chunks within its bounds.
pub struct Bounded {
    body: Body,
    most: u64,
    read: u64,
    began: Instant,
    work: Work,
}

impl Bounded {
    /// The next chunk; `None` at the end. After an error there is nothing more to read.
    pub async fn next(&mut self) -> Option<Result<Bytes, BodyError>> {
        loop {
            let frame = match tokio::time::timeout_at(self.deadline(), self.body.frame()).await {
                Err(_) => return Some(Err(BodyError::TooSlow)),
                Ok(None) => return None,
                Ok(Some(Err(_))) => return Some(Err(BodyError::Broken)),
                Ok(Some(Ok(frame))) => frame,
            };
            // Trailers mean nothing here.
            let Ok(chunk) = frame.into_data() else { continue };
            self.read += chunk.len() as u64;
            if self.read > self.most {
                return Some(Err(BodyError::TooLarge(self.most)));
            }
            return Some(Ok(chunk));
        }
    }

    /// Reads what is left and forgets it, as far as it comes in time: many senders hear an answer only once they have
    /// sent everything.
    pub async fn discard(mut self) {
        while let Ok(Some(Ok(frame))) = tokio::time::timeout_at(self.deadline(), self.body.frame()).await {
            self.read += frame.data_ref().map_or(0, |chunk| chunk.len() as u64);
        }
    }

    /// When the next chunk must be here.
    fn deadline(&self) -> Instant {
        let earned = Duration::from_millis(self.read.saturating_mul(1_000) / self.work.rate.max(1));
        self.began + self.work.body.min(self.work.grace.saturating_add(earned))
    }
}
