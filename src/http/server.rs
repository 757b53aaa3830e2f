//! The accept loop, generic over the stream: TCP, with TLS or without, and the control socket.

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::Request;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus::{IntCounter, IntCounterVec, IntGauge};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower_service::Service;

use super::crowd::{Crowd, Guest};
use super::stream::{PHASES, Patience, Timed, Turn, Turns};
use crate::net::serve::{Acceptor, Client, TlsStream};
use crate::task::Tasks;
use crate::telemetry::Telemetry;

/// What one listener takes.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at the same time. Far above the requests at work: many slow clients must not keep others out.
    pub connections: usize,
    /// Those of one address, or one /64 of IPv6: it must not keep out all others.
    pub per_address: usize,
    /// How long each may keep us waiting.
    pub patience: Patience,
    /// How long requests at work have when the program ends.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let patience = Patience {
            handshake: Duration::from_secs(10),
            first_byte: Duration::from_secs(10),
            head: Duration::from_secs(5),
            idle: Duration::from_secs(75),
            write: Duration::from_secs(10),
            rate: 16 << 10,
        };
        Self { connections: 4_096, per_address: 2_048, patience, drain: Duration::from_secs(5) }
    }
}

/// Who is at the other end of a connection: an extension of each request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Over TCP.
    Address(IpAddr),
    /// A process of our own user, over the control socket.
    Local,
}

/// Something that connections come from.
pub trait Listen: Send + 'static {
    /// A connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next connection. It must not wait for the client: a handshake belongs to the stream's first reads, where
    /// it has its own time and delays nobody.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, Peer)>> + Send;
}

impl Listen for TcpListener {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, Peer)> {
        let (stream, address) = TcpListener::accept(self).await?;
        // Answers are written whole; waiting for more would only delay them.
        stream.set_nodelay(true)?;
        Ok((stream, Peer::Address(address.ip())))
    }
}

/// Serves listeners until the program ends. Clones share the counters.
#[derive(Clone)]
pub struct Server {
    limits: Limits,
    tasks: Tasks,
    crowd: Crowd,
    open: IntGauge,
    refused: IntCounter,
    timeouts: IntCounterVec,
}

/// What a connection holds until it ends.
struct Place {
    _slot: OwnedSemaphorePermit,
    _guest: Option<Guest>,
}

/// The first and the longest pause after a failed accept (no file descriptors left): it must neither spin nor sleep.
const PAUSE: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(64));

/// The most that a request's head may have, and the most that is read at once.
const BUFFER: usize = 32 << 10;

impl Server {
    /// Made once: the counters are the program's.
    pub fn new(limits: Limits, tasks: Tasks, telemetry: &Telemetry) -> Self {
        let open = telemetry.gauge("tidewatch_http_connections", "Connections that are open.", &[]);
        let timeouts = telemetry.counter(
            "tidewatch_http_timeouts_total",
            "Connections closed because the client kept us waiting, by what for.",
            &["phase"],
        );
        let refused = telemetry.counter(
            "tidewatch_http_connections_refused_total",
            "Connections closed at once because their address has as many as one may have.",
            &[],
        );
        for phase in PHASES {
            timeouts.with_label_values(&[phase]).reset();
        }
        let crowd = Crowd::new(limits.per_address);
        let (open, refused) = (open.with_label_values::<&str>(&[]), refused.with_label_values::<&str>(&[]));
        Self { limits, tasks, crowd, open, refused, timeouts }
    }

    /// Serves `router` on `listener`, over TLS if there is `tls`, until the program is told to end; then takes no more
    /// connections, closes idle ones, and returns when the requests at work are answered, or cut off after
    /// [`Limits::drain`].
    pub async fn run<L: Listen>(&self, listener: L, tls: Option<Arc<Acceptor>>, router: Router) {
        let slots = Arc::new(Semaphore::new(self.limits.connections));
        let mut stopping = pin!(self.tasks.stopping());
        let mut pause = PAUSE.0;
        loop {
            let accepted = async {
                let slot = Arc::clone(&slots).acquire_owned().await;
                (listener.accept().await, slot)
            };
            let accepted = tokio::select! {
                () = &mut stopping => break,
                accepted = accepted => accepted,
            };
            match accepted {
                (Ok((stream, peer)), Ok(slot)) => {
                    pause = PAUSE.0;
                    let guest = match peer {
                        Peer::Address(address) => self.crowd.enter(address).map(Some),
                        Peer::Local => Some(None),
                    };
                    let Some(guest) = guest else {
                        self.refused.inc();
                        continue;
                    };
                    let place = Place { _slot: slot, _guest: guest };
                    let (server, router, tls) = (self.clone(), router.clone(), tls.clone());
                    drop(self.tasks.spawn("http connection", async move {
                        match tls {
                            None => server.connection(stream, peer, None, router, place).await,
                            Some(tls) => {
                                if let Some((stream, client)) = server.greet(&tls, stream, peer).await {
                                    server.connection(stream, peer, client, router, place).await;
                                }
                            }
                        }
                    }));
                }
                (Err(error), _) if of_one_connection(&error) => {}
                (accepted, _) => {
                    if let (Err(error), true) = (accepted, pause == PAUSE.0) {
                        tracing::warn!(%error, "connections cannot be accepted");
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE.1);
                }
            }
        }
        drop(listener);
        let all = u32::try_from(self.limits.connections).unwrap_or(u32::MAX);
        // Each connection ends itself at the limit; a second more is for their tasks to run.
        drop(tokio::time::timeout(self.limits.drain + Duration::from_secs(1), slots.acquire_many(all)).await);
    }

    /// The handshake, in its own time.
    async fn greet<S>(&self, tls: &Acceptor, stream: S, peer: Peer) -> Option<(TlsStream<S>, Option<Arc<Client>>)>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let greeted = tokio::select! {
            greeted = tokio::time::timeout(self.limits.patience.handshake, tls.accept(stream)) => greeted,
            () = self.tasks.stopping() => return None,
        };
        match greeted {
            Ok(Ok(greeted)) => return Some(greeted),
            Ok(Err(error)) => tracing::debug!(%error, ?peer, "a handshake failed"),
            Err(_) => self.timeouts.with_label_values(&["handshake"]).inc(),
        }
        None
    }

    async fn connection<S>(self, stream: S, peer: Peer, client: Option<Arc<Client>>, router: Router, place: Place)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let turns = Turns::default();
        let stream = Timed::new(stream, self.limits.patience, turns.clone(), self.timeouts.clone());
        let service = service_fn(move |request: Request<Incoming>| {
            let turn = turns.begin();
            let (mut router, client) = (router.clone(), client.clone());
            async move {
                let mut request = request.map(Body::new);
                request.extensions_mut().insert(peer);
                if let Some(client) = client {
                    request.extensions_mut().insert(client);
                }
                let answer = router.call(request).await?;
                Ok::<_, Infallible>(answer.map(|body| Answer { body, _turn: turn }))
            }
        });
        // Our own limits end sooner. Without one of its own, hyper does not look at a connection again after an answer,
        // and ours would not begin to run.
        let backstop = self.limits.patience.first_byte.max(self.limits.patience.idle) + self.limits.patience.head;
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(backstop)
            .max_buf_size(BUFFER)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        self.open.inc();
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.tasks.stopping() => {
                connection.as_mut().graceful_shutdown();
                tokio::time::timeout(self.limits.drain, connection).await.unwrap_or(Ok(()))
            }
        };
        self.open.dec();
        drop(place);
        if let Err(error) = ended {
            tracing::debug!(%error, ?peer, "a connection ended early");
        }
    }
}

/// The connection failed before we took it; the listener itself is well.
fn of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, PermissionDenied};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | PermissionDenied)
}

/// Raises the number of files that this process may open to what the system lets it, because each connection is one.
/// Returns that number.
pub fn raise_open_files() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    match setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        Ok(()) => limit.maximum.unwrap_or(u64::MAX),
        Err(_) => limit.current.unwrap_or(u64::MAX),
    }
}

/// An answer's body; the request's turn ends with it.
struct Answer {
    body: Body,
    _turn: Turn,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
