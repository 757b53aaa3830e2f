//! Servers that probes talk to: HTTP/2, gRPC's health service, a proxy, and some that behave badly.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::certificates::Certificates;

/// A server's side of TLS that speaks HTTP/2 only.
pub(crate) fn two(certificates: &Certificates) -> TlsAcceptor {
    let chain = CertificateDer::pem_file_iter(&certificates.certificate).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(&certificates.key).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_no_client_auth().with_single_cert(chain, key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

/// What a health service answers.
#[derive(Clone, Copy)]
pub(crate) enum Health {
    /// A state by its number.
    State(u8),
    /// A code of gRPC instead of a message.
    Code(u8),
}

/// An HTTP/2 server: gRPC's health service for its path, `hello` for others. It knows the service `known` alone, and
/// the empty name.
pub(crate) async fn serve_two(health: Health, tls: Option<TlsAcceptor>) -> SocketAddr {
    listen(move |stream| {
        let tls = tls.clone();
        async move {
            match tls {
                None => converse(stream, health).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        converse(stream, health).await;
                    }
                }
            }
        }
    })
    .await
}

async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, health: Health) {
    let service = service_fn(move |request: Request<Incoming>| async move {
        if request.uri().path() != "/grpc.health.v1.Health/Check" {
            return Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("hello")).boxed()));
        }
        let asked = request.into_body().collect().await.unwrap().to_bytes();
        let known = asked.len() == 5 || asked.ends_with(b"known");
        let (body, code) = match health {
            _ if !known => (Bytes::new(), 5),
            Health::State(state) => (Bytes::from(vec![0, 0, 0, 0, 2, 8, state]), 0),
            Health::Code(code) => (Bytes::new(), code),
        };
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", code.to_string().parse().unwrap());
        let frames = [Frame::data(body), Frame::trailers(trailers)].map(Ok::<_, Infallible>);
        let body = http_body_util::StreamBody::new(futures_util::stream::iter(frames)).boxed();
        Ok(Response::builder().header("content-type", "application/grpc").body(body).unwrap())
    });
    // A probe closes when it has what it wants.
    drop(http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await);
}

/// Answers every connection by `handle`; its tasks end with the test's runtime.
pub(crate) async fn listen<F: Future<Output = ()> + Send + 'static>(
    handle: impl Fn(TcpStream) -> F + Send + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(handle(stream));
        }
    });
    address
}

/// Sends these bytes to whoever connects, and keeps the connection open.
pub(crate) async fn says(bytes: &'static [u8]) -> SocketAddr {
    listen(move |mut stream| async move {
        drop(stream.write_all(bytes).await);
        drop(stream.read_to_end(&mut Vec::new()).await);
    })
    .await
}

/// Takes connections and says nothing.
pub(crate) async fn hangs() -> SocketAddr {
    says(b"").await
}

/// Sends a head, and then a body that never ends.
pub(crate) async fn endless(head: &'static [u8]) -> SocketAddr {
    listen(move |mut stream| async move {
        drop(stream.write_all(head).await);
        while stream.write_all(&[b'x'; 16 << 10]).await.is_ok() {}
    })
    .await
}

/// A proxy for `CONNECT` and for whole URLs, and the first lines and headers that it was told.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    pub(crate) async fn start() -> Self {
        let heads = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&heads);
        let address = listen(move |stream| pass(stream, Arc::clone(&seen))).await;
        Self { address, heads }
    }

    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

async fn pass(mut client: TcpStream, seen: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = client.read_u8().await else { return };
        head.push(byte);
    }
    let head = String::from_utf8(head).unwrap();
    seen.lock().unwrap().push(head.clone());
    let mut words = head.split(' ');
    let (method, place) = (words.next().unwrap(), words.next().unwrap());
    let connects = method == "CONNECT";
    let host = if connects { place } else { place.trim_start_matches("http://").split('/').next().unwrap() };
    let Ok(mut server) = TcpStream::connect(host).await else { return };
    if connects {
        client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").await.unwrap();
    } else {
        server.write_all(head.as_bytes()).await.unwrap();
    }
    drop(tokio::io::copy_bidirectional(&mut client, &mut server).await);
}
