//! An HTTP server that answers what a test tells it to, and remembers what it was asked.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Method, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// What the stub does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// Answers.
    Answer { status: u16, headers: Vec<(&'static str, String)>, body: Vec<u8> },
    /// Takes the request and closes the connection.
    Drop,
    /// Takes the request and says nothing.
    Hang,
}

impl Reply {
    pub(crate) fn status(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::Answer { status, headers: Vec::new(), body: body.into() }
    }

    pub(crate) fn with(self, name: &'static str, value: &str) -> Self {
        match self {
            Self::Answer { status, mut headers, body } => {
                headers.push((name, value.to_owned()));
                Self::Answer { status, headers, body }
            }
            other => other,
        }
    }
}

type Script = Arc<dyn Fn(&Asked) -> Reply + Send + Sync>;

/// The running stub; its tasks end with the test's runtime.
pub(crate) struct HttpStub {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl HttpStub {
    pub(crate) async fn start(script: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        Self::listen(script, None).await
    }

    pub(crate) async fn start_tls(
        acceptor: TlsAcceptor,
        script: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::listen(script, Some(acceptor)).await
    }

    async fn listen(script: impl Fn(&Asked) -> Reply + Send + Sync + 'static, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (script, seen): (Script, _) = (Arc::new(script), Arc::clone(&asked));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (script, seen, tls) = (Arc::clone(&script), Arc::clone(&seen), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, script, seen).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, script, seen).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, asked }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Everything asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, script: Script, seen: Arc<Mutex<Vec<Asked>>>) {
    let service = service_fn(|request: http::Request<Incoming>| {
        let (script, seen) = (Arc::clone(&script), Arc::clone(&seen));
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let asked = Asked { method: head.method, path: head.uri.to_string(), headers: head.headers, body };
            let reply = script(&asked);
            seen.lock().unwrap().push(asked);
            match reply {
                Reply::Answer { status, headers, body } => {
                    let mut response = Response::builder().status(status);
                    for (name, value) in headers {
                        response = response.header(name, value);
                    }
                    Ok(response.body(Full::new(Bytes::from(body))).unwrap())
                }
                Reply::Drop => Err(std::io::Error::other("dropped on purpose")),
                Reply::Hang => std::future::pending::<Result<_, std::io::Error>>().await,
            }
        }
    });
    // A connection that is dropped on purpose ends in an error.
    drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
}
