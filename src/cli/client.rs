//! Asks a running server: by the control socket in its data folder, or by its address.

use std::path::Path;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

/// The longest answer that is read.
const MOST: usize = 64 << 20;

/// The socket's name in the data folder, as `http::control` makes it.
const SOCKET: &str = crate::http::control::NAME;

/// Why a command got no good answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens there: exit code 4.
    #[error("no server answers at {at}: {what}; start one with `tidewatch serve`")]
    NoServer {
        /// Where it was looked for.
        at: String,
        /// The system's word.
        what: String,
    },
    /// The server said no.
    #[error("{message} ({status})")]
    Refused {
        /// The status.
        status: StatusCode,
        /// Its words.
        message: String,
    },
    /// The answer did not come whole, or in time.
    #[error("{at} does not answer as a tidewatch would: {what}")]
    Broken {
        /// Where.
        at: String,
        /// What happened.
        what: String,
    },
}

impl ClientError {
    /// The command's exit code: 4 where there is no server, else 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NoServer { .. } => 4,
            Self::Refused { .. } | Self::Broken { .. } => 1,
        }
    }
}

/// A server to ask; connects anew for each question.
#[derive(Clone, Debug)]
pub struct Client {
    at: Place,
    deadline: Duration,
}

#[derive(Clone, Debug)]
enum Place {
    Socket(std::path::PathBuf),
    /// `127.0.0.1:9480`.
    Tcp(String),
}

impl Client {
    /// Asks by the control socket in `folder`; `deadline` is for each whole exchange.
    pub fn of_folder(folder: &Path, deadline: Duration) -> Self {
        Self { at: Place::Socket(folder.join(SOCKET)), deadline }
    }

    /// Asks a listener, `127.0.0.1:9480`.
    pub fn of_address(address: impl Into<String>, deadline: Duration) -> Self {
        Self { at: Place::Tcp(address.into()), deadline }
    }

    /// Where it asks, for messages.
    pub fn place(&self) -> String {
        match &self.at {
            Place::Socket(path) => path.display().to_string(),
            Place::Tcp(address) => format!("http://{address}"),
        }
    }

    /// `GET path`. An answer that is no JSON comes as a string.
    pub async fn get(&self, path: &str) -> Result<Value, ClientError> {
        self.ask(Method::GET, path, Bytes::new()).await
    }

    /// `POST path` with `body` as JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, ClientError> {
        self.ask(Method::POST, path, body.to_string().into()).await
    }

    async fn ask(&self, method: Method, path: &str, body: Bytes) -> Result<Value, ClientError> {
        let exchange = async {
            match &self.at {
                Place::Socket(socket) => {
                    let stream = UnixStream::connect(socket).await.map_err(|error| self.no_server(&error))?;
                    self.exchange(stream, "localhost", method, path, body).await
                }
                Place::Tcp(address) => {
                    let stream = TcpStream::connect(address).await.map_err(|error| self.no_server(&error))?;
                    self.exchange(stream, address, method, path, body).await
                }
            }
        };
        let late = |_| self.broken(&format!("no answer within {} s", self.deadline.as_secs_f32()));
        tokio::time::timeout(self.deadline, exchange).await.map_err(late)?
    }

    async fn exchange<S>(
        &self,
        stream: S,
        host: &str,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Value, ClientError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, host)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|error| self.broken(&error))?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| self.broken(&error))?;
        let answer = async {
            let answer = sender.send_request(request).await.map_err(|error| self.broken(&error))?;
            let status = answer.status();
            let (mut body, mut whole) = (answer.into_body(), BytesMut::new());
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|error| self.broken(&error))?;
                let Some(chunk) = frame.data_ref() else { continue };
                if whole.len() + chunk.len() > MOST {
                    return Err(self.broken(&format!("an answer above {} MiB", MOST >> 20)));
                }
                whole.extend_from_slice(chunk);
            }
            Ok((status, whole.freeze()))
        };
        let mut answer = std::pin::pin!(answer);
        // The connection works while the answer is awaited, and ends with it.
        let (status, body) = tokio::select! {
            answer = &mut answer => answer?,
            _closed = connection => answer.await?,
        };
        let value = serde_json::from_slice(&body)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&body).into_owned()));
        if status.is_success() { Ok(value) } else { Err(refused(status, &value)) }
    }

    fn no_server(&self, error: &std::io::Error) -> ClientError {
        ClientError::NoServer { at: self.place(), what: error.to_string() }
    }

    fn broken(&self, what: &dyn std::fmt::Display) -> ClientError {
        ClientError::Broken { at: self.place(), what: what.to_string() }
    }
}

fn refused(status: StatusCode, value: &Value) -> ClientError {
    let message = match value {
        Value::String(text) => text.trim().to_owned(),
        value => value.get("error").and_then(Value::as_str).map_or_else(|| value.to_string(), str::to_owned),
    };
    ClientError::Refused { status, message }
}
