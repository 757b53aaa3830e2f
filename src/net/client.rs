//! A small HTTPS client: a deadline for the whole exchange, a bounded body, no redirects, errors without secrets.
//! One connection a request: it serves messages and probes, a few a minute.

use std::fmt::Write;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, HOST, HeaderValue, USER_AGENT};
use http::{HeaderMap, Request, StatusCode, Uri, Version};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

use super::{dial, tls};

/// Why there is no answer. The message names scheme, host and port only.
#[derive(Debug, thiserror::Error)]
#[error("{target}: {what}")]
pub struct ClientError {
    /// `https://hooks.slack.com`.
    pub target: String,
    /// What happened.
    pub what: String,
    /// Whether the request may have reached the other side.
    pub sent: bool,
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, cut at the bound.
    pub body: Bytes,
}

/// Clones share the TLS configuration.
#[derive(Clone)]
pub struct Client {
    tls: Arc<ClientConfig>,
}

/// Names the program to the other side's operators.
const AGENT: &str = concat!("tidewatch/", env!("CARGO_PKG_VERSION"));

impl Client {
    /// Trusts the system's certificates.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self { tls: tls::client()? })
    }

    /// Connects as `options` say.
    ///
    /// # Errors
    /// A file cannot be read or used.
    pub fn with(options: &tls::Options) -> anyhow::Result<Self> {
        Ok(Self { tls: Arc::new(tls::configure(options)?) })
    }

    /// Sends `request`, whose URI is absolute, and reads the answer, all within `deadline`, at most `most` bytes of
    /// body. A redirect is an answer like any other: it is not followed.
    pub async fn send(&self, request: Request<Bytes>, deadline: Duration, most: usize) -> Result<Answer, ClientError> {
        let target = Target::of(request.uri());
        let sent = AtomicBool::new(false);
        let exchange = self.exchange(request, &target, deadline, most, &sent);
        let outcome = tokio::time::timeout(deadline, exchange).await;
        let what = match outcome {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(what)) => what,
            Err(_) => format!("no answer within {deadline:?}"),
        };
        Err(ClientError { target: target.shown, what, sent: sent.load(Ordering::Relaxed) })
    }

    async fn exchange(
        &self,
        request: Request<Bytes>,
        target: &Target,
        deadline: Duration,
        most: usize,
        sent: &AtomicBool,
    ) -> Result<Answer, String> {
        let host = target.host.as_deref().ok_or("not an http or https URL with a host")?;
        let stream = dial::tcp(host, target.port, deadline).await.map_err(|error| format!("connecting: {error}"))?;
        if !target.tls {
            return exchange_over(stream, request, most, sent).await;
        }
        let name = ServerName::try_from(host.to_owned()).map_err(|_| "the host is no name that TLS knows")?;
        let stream = TlsConnector::from(Arc::clone(&self.tls))
            .connect(name, stream)
            .await
            .map_err(|error| format!("TLS: {error}"))?;
        exchange_over(stream, request, most, sent).await
    }
}

/// The same over a connection that is open already, as to a socket of the file system; the caller has the deadline.
pub async fn over<S>(stream: S, request: Request<Bytes>, most: usize) -> Result<Answer, String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    exchange_over(stream, request, most, &AtomicBool::new(false)).await
}

/// One request and its answer over an open connection, which is driven here: nothing is left behind.
async fn exchange_over<S>(stream: S, request: Request<Bytes>, most: usize, sent: &AtomicBool) -> Result<Answer, String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let request = origin_form(request)?;
    let answer = async {
        sent.store(true, Ordering::Relaxed);
        let response = sender.send_request(request).await.map_err(|error| format!("no answer: {error}"))?;
        let (head, mut body) = response.into_parts();
        let mut read = BytesMut::new();
        while read.len() < most {
            let Some(frame) = body.frame().await else { break };
            let frame = frame.map_err(|error| format!("the answer broke off: {error}"))?;
            if let Ok(data) = frame.into_data() {
                read.extend_from_slice(data.get(..most - read.len()).unwrap_or(&data));
            }
        }
        Ok(Answer { status: head.status, headers: head.headers, body: read.freeze() })
    };
    let (mut answer, connection) = (pin!(answer), pin!(connection));
    tokio::select! {
        biased;
        done = &mut answer => done,
        // The connection ends before its last answer is read: what it delivered is still there, its error too.
        _ended = connection => answer.await,
    }
}

/// HTTP/1.1 wants the path in the first line and the host in a header.
fn origin_form(request: Request<Bytes>) -> Result<Request<Full<Bytes>>, String> {
    let (mut head, body) = request.into_parts();
    let authority = head.uri.authority().map(|authority| authority.as_str().rsplit('@').next().unwrap_or_default());
    let host = HeaderValue::from_str(authority.unwrap_or_default()).map_err(|_| "the host is no header's value")?;
    head.headers.insert(HOST, host);
    head.headers.insert(CONNECTION, HeaderValue::from_static("close"));
    head.headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(AGENT));
    head.uri = head
        .uri
        .path_and_query()
        .map_or_else(|| Ok(Uri::from_static("/")), |path| Uri::try_from(path.as_str()))
        .map_err(|_| "the path is no path")?;
    head.version = Version::HTTP_11;
    Ok(Request::from_parts(head, Full::new(body)))
}

/// Where a URI points, and what of it may be shown.
struct Target {
    tls: bool,
    host: Option<String>,
    port: u16,
    shown: String,
}

impl Target {
    fn of(uri: &Uri) -> Self {
        let scheme = uri.scheme_str().unwrap_or_default();
        let tls = scheme == "https";
        let host = uri.host().filter(|_| tls || scheme == "http");
        let port = uri.port_u16();
        let mut shown = format!("{scheme}://{}", host.unwrap_or_default());
        if let Some(port) = port {
            let _infallible = write!(shown, ":{port}");
        }
        // An IPv6 address stands in brackets in a URI, and without them everywhere else.
        let host = host.map(|host| host.trim_start_matches('[').trim_end_matches(']').to_owned());
        Self { tls, host, port: port.unwrap_or(if tls { 443 } else { 80 }), shown }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_error_names_no_path_no_query_and_no_user() {
        let client = Client::new().unwrap();
        for uri in ["http://user:canary@127.0.0.1:1/canary?k=canary", "ftp://h/canary"] {
            let request = Request::builder().uri(uri).body(Bytes::new()).unwrap();
            let error = client.send(request, Duration::from_secs(5), 1).await.unwrap_err();
            assert!(!error.sent);
            assert!(!error.to_string().contains("canary"), "{error}");
        }
    }

    #[test]
    fn the_parts_of_a_uri() {
        let target = Target::of(&Uri::from_static("https://[::1]:8443/x"));
        assert_eq!((target.host.as_deref(), target.port, target.tls), (Some("::1"), 8443, true));
        assert_eq!(target.shown, "https://[::1]:8443");
        assert_eq!(Target::of(&Uri::from_static("http://h")).port, 80);
    }
}
