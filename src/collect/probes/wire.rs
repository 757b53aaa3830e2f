//! One HTTP exchange over an open stream. Whatever hyper runs beside it lives within the exchange: nothing is left behind
//! when a probe is cut off.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use http::{HeaderMap, Request, response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::rt::Executor;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

/// A head is at most so long, with at most so many fields: a hostile one costs no more.
const HEAD: (usize, usize) = (256 << 10, 256);

/// A stream in the clear or over TLS.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for S {}

/// An answer whose body is still on its way.
pub(super) struct Answer {
    pub(super) head: response::Parts,
    body: Incoming,
    driver: Driver,
    /// The fields after the body.
    pub(super) trailers: Option<HeaderMap>,
}

/// Sends the request and waits for the answer's head.
pub(super) async fn exchange(
    stream: Box<dyn Stream>,
    two: bool,
    request: Request<Full<Bytes>>,
) -> Result<Answer, String> {
    let io = TokioIo::new(stream);
    let said = |error: hyper::Error| words(&error);
    let (response, driver) = if two {
        let spawned = Spawned::default();
        let handshake = http2::Builder::new(spawned.clone()).max_header_list_size(HEAD.0 as u32).handshake(io);
        let (mut sender, connection) = handshake.await.map_err(said)?;
        let mut driver = Driver::new(async move { drop(connection.await) }, spawned);
        let response =
            driver.with(async move { sender.send_request(request).await.map(|it| (it, Some(sender))) }).await;
        let (response, sender) = response.map_err(said)?;
        driver.sender = sender;
        (response, driver)
    } else {
        let mut builder = http1::Builder::new();
        builder.max_buf_size(HEAD.0).max_headers(HEAD.1);
        let (mut sender, connection) = builder.handshake(io).await.map_err(said)?;
        let mut driver = Driver::new(async move { drop(connection.await) }, Spawned::default());
        let response = driver.with(async move { sender.send_request(request).await }).await.map_err(said)?;
        (response, driver)
    };
    let (head, body) = response.into_parts();
    Ok(Answer { head, body, driver, trailers: None })
}

impl Answer {
    /// The length that the other side announced; `None` where it did not.
    pub(super) fn announced(&self) -> Option<u64> {
        self.body.size_hint().exact()
    }

    /// The next piece of the body.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, String> {
        loop {
            let Some(frame) = self.driver.with(self.body.frame()).await else { return Ok(None) };
            match frame.map_err(|error| words(&error))?.into_data() {
                Ok(data) => return Ok(Some(data)),
                Err(other) => self.trailers = Frame::into_trailers(other).ok(),
            }
        }
    }
}

/// hyper's own words and those of what it met.
fn words(error: &hyper::Error) -> String {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
    format!("{error}{}", cause.unwrap_or_default())
}

type Work = BoxFuture<'static, ()>;

/// Takes what hyper wants to run beside the exchange.
#[derive(Clone, Default)]
struct Spawned(Arc<Mutex<Vec<Work>>>);

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Spawned {
    fn execute(&self, work: F) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Box::pin(async move { drop(work.await) }));
    }
}

/// Runs the connection while the exchange waits for something.
struct Driver {
    work: FuturesUnordered<Work>,
    spawned: Spawned,
    /// HTTP/2 ends a connection that nobody could send on any more.
    sender: Option<http2::SendRequest<Full<Bytes>>>,
}

impl Driver {
    fn new(connection: impl Future<Output = ()> + Send + 'static, spawned: Spawned) -> Self {
        let work = FuturesUnordered::new();
        work.push(Box::pin(connection) as Work);
        Self { work, spawned, sender: None }
    }

    async fn with<T>(&mut self, wanted: impl Future<Output = T>) -> T {
        let mut wanted = pin!(wanted);
        std::future::poll_fn(|context| {
            loop {
                if let Poll::Ready(done) = wanted.as_mut().poll(context) {
                    return Poll::Ready(done);
                }
                if !self.turn(context) {
                    return Poll::Pending;
                }
            }
        })
        .await
    }

    /// Lets the connection work. Whether some of it ended, or new work came: what was waited for may be there then.
    fn turn(&mut self, context: &mut Context<'_>) -> bool {
        let ended = matches!(Pin::new(&mut self.work).poll_next_unpin(context), Poll::Ready(Some(())));
        let new: Vec<Work> = std::mem::take(&mut *self.spawned.0.lock().unwrap_or_else(PoisonError::into_inner));
        let came = !new.is_empty();
        self.work.extend(new);
        ended || came
    }
}
