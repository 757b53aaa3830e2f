//! The connection to one server: its opening, and questions over it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, Pipeline, RedisConnectionInfo, RedisError, Value};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::address::{Address, Place};
use super::credential;
use super::section::TargetConfig;
use crate::config::Secret;
use crate::net::metered::Metered;
use crate::net::{dial, handshake, tls};
use crate::task::Tasks;

/// What a server may send during one run. An ordinary one sends some 20 KiB, one with a thousand databases and clients
/// some hundreds.
const MOST: u64 = 64 << 20;

/// What a server refused to answer is asked again after this: it may have been given the right.
const PATIENCE: Duration = Duration::from_mins(5);

/// What our connection calls itself in `CLIENT LIST`.
const CLIENT: &str = "tidewatch";

/// Why a server gives nothing. The words are the same for the same cause, and repeat nothing that a server said but its
/// error's code: in the rest it may repeat what it was sent, a password too.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Down {
    #[error("no connection: {0}")]
    Unreachable(String),
    #[error("TLS: {0}")]
    Tls(String),
    #[error("{0}")]
    Credential(String),
    #[error("the server refuses the credentials ({0})")]
    Refused(String),
    #[error("the server answers with an error ({0})")]
    Odd(String),
    #[error("the connection broke off")]
    Broken,
    #[error("no answer within {0:?}")]
    Silent(Duration),
}

impl Down {
    /// An error of the connection: those of the server stand among the replies.
    fn of(error: &RedisError) -> Self {
        match error.code() {
            Some(_) => Self::Odd(code(error.code())),
            None if matches!(error.kind(), ::redis::ErrorKind::Parse) => Self::Odd("no Redis protocol".into()),
            None => Self::Broken,
        }
    }
}

/// An error's code as a word: capitals and digits, short.
pub(super) fn code(said: Option<&str>) -> String {
    let word = said.unwrap_or("ERR");
    let plain = !word.is_empty()
        && word.len() <= 32
        && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    if plain { word.to_owned() } else { "ERR".to_owned() }
}

/// How a server is reached.
pub(super) struct Link {
    pub(super) address: Address,
    pub(super) tasks: Tasks,
}

/// An open connection.
pub(super) struct Session {
    connection: MultiplexedConnection,
    allowance: Arc<AtomicU64>,
    /// How long the opening took.
    pub(super) took: Duration,
    /// What the server does not know, or does not let us ask. Each such question would count as an error there.
    refused: (Instant, BTreeSet<&'static str>),
}

impl Link {
    /// Connects, with the credentials. The caller's deadline holds; `limit` is for the network's part.
    pub(super) async fn open(&self, config: &TargetConfig, limit: Duration) -> Result<Session, Down> {
        let began = Instant::now();
        let password = credential::password(config, &self.address).await.map_err(Down::Credential)?;
        match &self.address.place {
            Place::Tcp { host, port, .. } => {
                let unreachable = |error: std::io::Error| Down::Unreachable(error.to_string());
                let stream = dial::tcp(host, *port, limit).await.map_err(unreachable)?;
                match config.tls(&self.address.place) {
                    None => self.begin(config, password, stream, began).await,
                    Some(options) => {
                        let wrong = |what: &dyn std::fmt::Display| Down::Tls(what.to_string());
                        let name = config.tls_server_name.as_deref().unwrap_or(host);
                        let options = tls::configure(&options).map_err(|error| wrong(&error))?;
                        let stream = handshake::client(options.into(), name, stream).await;
                        let stream = stream.map_err(|error| wrong(&error))?;
                        self.begin(config, password, stream, began).await
                    }
                }
            }
            Place::Unix(path) => {
                let stream = tokio::net::UnixStream::connect(path).await;
                let stream = stream.map_err(|error| Down::Unreachable(format!("{}: {error}", path.display())))?;
                self.begin(config, password, stream, began).await
            }
        }
    }

    async fn begin<S>(
        &self,
        config: &TargetConfig,
        password: Option<Secret>,
        stream: S,
        began: Instant,
    ) -> Result<Session, Down>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let allowance = Arc::new(AtomicU64::new(MOST));
        let stream = Metered::new(stream, Arc::clone(&allowance));
        // The crate's own limit of 500 ms is not ours: a run has its deadline.
        let settings = AsyncConnectionConfig::new().set_response_timeout(None);
        // Nothing is sent yet: of a refused AUTH the crate would not tell the code.
        let info = RedisConnectionInfo::default().set_skip_set_lib_name();
        let opened = MultiplexedConnection::new_with_config(&info, stream, settings).await;
        let (connection, driver) = opened.map_err(|error| Down::of(&error))?;
        // It ends with the last handle of the connection.
        drop(self.tasks.spawn("redis-connection", driver));
        let refused = (began, BTreeSet::new());
        let mut session = Session { connection, allowance, took: began.elapsed(), refused };
        let mut hello = Pipeline::new();
        if let Some(password) = &password {
            hello.cmd("AUTH").arg(config.user.as_deref().or(self.address.user.as_deref())).arg(password.expose());
        }
        if config.set_client_name {
            hello.cmd("CLIENT").arg("SETNAME").arg(CLIENT);
        }
        let said = session.ask(&hello).await?;
        // Whether it took the name does not matter.
        if let (Some(_), Some(Value::ServerError(error))) = (password, said.first()) {
            return Err(Down::Refused(code(Some(error.code()))));
        }
        session.took = began.elapsed();
        Ok(session)
    }
}

impl Session {
    /// A new run: what was read before does not count against it.
    pub(super) fn refresh(&mut self) {
        self.allowance.store(MOST, Ordering::Relaxed);
        if self.refused.0.elapsed() > PATIENCE {
            self.refused = (Instant::now(), BTreeSet::new());
        }
    }

    /// Sends all commands at once, and waits for all replies: as many, in their order, errors of the server among them.
    pub(super) async fn ask(&mut self, commands: &Pipeline) -> Result<Vec<Value>, Down> {
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        let replies = self.connection.send_packed_commands(commands, 0, commands.len()).await;
        replies.map_err(|error| Down::of(&error))
    }

    /// One question, whose error is told.
    pub(super) async fn ask_one(&mut self, command: &[&str]) -> Result<Value, Down> {
        let mut pipeline = Pipeline::new();
        if let Some((name, arguments)) = command.split_first() {
            pipeline.cmd(name).arg(arguments);
        }
        match self.ask(&pipeline).await?.into_iter().next() {
            Some(Value::ServerError(error)) => {
                let code = code(Some(error.code()));
                Err(if matches!(code.as_str(), "NOAUTH" | "NOPERM") { Down::Refused(code) } else { Down::Odd(code) })
            }
            Some(value) => Ok(value),
            None => Err(Down::Broken),
        }
    }

    /// Whether a question was refused not long ago.
    pub(super) fn is_refused(&self, topic: &'static str) -> bool {
        self.refused.1.contains(topic)
    }

    /// Remembers that a question was refused.
    pub(super) fn refuse(&mut self, topic: &'static str) {
        self.refused.1.insert(topic);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_a_word_whatever_the_server_says() {
        for (said, expected) in [
            (Some("WRONGPASS"), "WRONGPASS"),
            (Some("hunter2"), "ERR"),
            (Some(""), "ERR"),
            (Some("A\nB"), "ERR"),
            (None, "ERR"),
        ] {
            assert_eq!(code(said), expected, "{said:?}");
        }
    }
}
