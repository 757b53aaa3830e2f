//! One connection to one database: opened, asked, and given up when it no longer answers in time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_postgres::config::{ChannelBinding as Binding, SslMode as Negotiation};
use tokio_postgres::{Client, Error, SimpleQueryMessage, SimpleQueryStream};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::address::{Address, ChannelBinding, SslMode};
use super::password;
use super::rows::Rows;
use super::tls::{self, Connector};
use super::trouble::{Failure, Trouble};
use crate::config::Secret;
use crate::net;
use crate::net::metered::Metered;
use crate::task::Tasks;

/// How long things may take; each is shorter than the next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Waiting for a lock, watched by the server.
    pub(super) lock: Duration,
    /// One query, watched by the server.
    pub(super) statement: Duration,
    /// Opening a connection.
    pub(super) connect: Duration,
    /// More rows of one query are not read.
    pub(super) rows: usize,
}

/// A server that has not answered this long after its own limit of a statement hangs.
const GRACE: Duration = Duration::from_secs(1);

/// What a server may send in answer to one message. The protocol lets it announce two gigabytes.
const MOST: u64 = 64 << 20;

/// For the last message of a connection that is given up.
const GOODBYE: Duration = Duration::from_millis(100);

/// A connection that answers. Dropping it closes the socket, whatever is under way.
pub(super) struct Session {
    client: Client,
    allowance: Arc<AtomicU64>,
    /// Ends the task that drives the connection.
    _guard: DropGuard,
    /// As `server_version_num` has it: 150018 is 15.18. 0 where the other side is no Postgres.
    pub(super) version: u32,
}

/// A message whose answer is still to be received.
pub(super) struct Sent {
    stream: Result<SimpleQueryStream, Error>,
    statements: u32,
}

/// What a server is told at the start of a connection, so that it keeps the limits itself. PgBouncer's console takes
/// none of it.
fn startup(limits: &Limits) -> String {
    format!(
        "-c statement_timeout={} -c lock_timeout={} -c default_transaction_read_only=on -c datestyle=ISO",
        limits.statement.as_millis(),
        limits.lock.as_millis(),
    )
}

impl Session {
    /// Opens a connection. The password is read anew: it may have changed.
    pub(super) async fn open(
        address: &Address,
        password_file: Option<&std::path::Path>,
        database: &str,
        limits: &Limits,
        console: bool,
        tasks: &Tasks,
        deadline: Instant,
    ) -> Result<Self, Trouble> {
        let deadline = deadline.min(Instant::now() + limits.connect);
        let mut config = tokio_postgres::Config::new();
        config.dbname(database).application_name("tidewatch");
        if !console {
            config.options(startup(limits));
        }
        config.channel_binding(match address.channel_binding.unwrap_or_default() {
            ChannelBinding::Disable => Binding::Disable,
            ChannelBinding::Prefer => Binding::Prefer,
            ChannelBinding::Require => Binding::Require,
        });
        if let Some(user) = &address.user {
            config.user(user);
        }
        if let Some(password) = password::find(address, password_file, database)? {
            config.password(Secret::expose(&password));
        }
        let open = async {
            if let Some(socket) = address.socket() {
                let stream = tokio::net::UnixStream::connect(&socket).await.map_err(|error| {
                    let why = format!("no connection: {}: {error}", socket.display());
                    Trouble::new(why, "see whether the server runs: pg_isready")
                })?;
                config.ssl_mode(Negotiation::Disable);
                return start(&config, stream, None, tasks).await;
            }
            let tls = encryption(address)?;
            config.ssl_mode(match address.sslmode.unwrap_or_default() {
                SslMode::Disable => Negotiation::Disable,
                SslMode::Prefer => Negotiation::Prefer,
                SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => Negotiation::Require,
            });
            let left = deadline.saturating_duration_since(Instant::now());
            let stream = net::dial::tcp(address.host(), address.port(), left).await.map_err(|error| {
                Trouble::new(
                    format!("no connection: {error}"),
                    "see whether the server runs and can be reached: pg_isready",
                )
            })?;
            start(&config, stream, tls.map(|config| Connector { config, host: address.host().to_owned() }), tasks).await
        };
        let late = || {
            let why = format!("no connection within {:?}", limits.connect);
            Err(Trouble::new(why, "see whether the server answers, and what stands between: a firewall, a proxy"))
        };
        timeout_at(deadline, open).await.unwrap_or_else(|_| late())
    }

    /// Asks questions, parted by semicolons, in one message: an answer for each.
    pub(super) async fn query(&self, sql: &str, limits: &Limits, deadline: Instant) -> Result<Vec<Rows>, Failure> {
        let sent = self.send(sql).await;
        self.receive(sent, limits, deadline).await
    }

    /// Sends questions, parted by semicolons, in one message. Several may be sent before the first is answered: the server
    /// takes them in their order, and so must we.
    pub(super) async fn send(&self, sql: &str) -> Sent {
        let statements = sql.split(';').filter(|statement| !statement.trim().is_empty()).count();
        let stream = self.client.simple_query_raw(sql).await;
        Sent { stream, statements: u32::try_from(statements).unwrap_or(u32::MAX) }
    }

    /// The answers to a message, when those to the messages before it have been received. One that does not come in time
    /// costs the connection, because it may be on its way still.
    pub(super) async fn receive(&self, sent: Sent, limits: &Limits, deadline: Instant) -> Result<Vec<Rows>, Failure> {
        // The server's limit holds for each statement of a message. A semicolon in a text makes us more patient, no more.
        let own = limits.statement.saturating_mul(sent.statements).saturating_add(GRACE);
        let left = deadline.saturating_duration_since(Instant::now());
        self.allowance.store(MOST, Ordering::Relaxed);
        match timeout(left.min(own), read(sent.stream, limits.rows)).await {
            Ok(Ok(answers)) => Ok(answers),
            Ok(Err(_)) if self.allowance.load(Ordering::Relaxed) == 0 => {
                let why = format!("the answer is longer than {} MiB", MOST >> 20);
                Err(Failure::Cut(Trouble::new(why, "let the query give less, or leave the part out: parts.exclude")))
            }
            Ok(Err(error)) => Err(Failure::of(&error)),
            Err(_) if left < own => {
                let why = "the time of a run is over before all is read: the server is slow";
                Err(Failure::Cut(Trouble::new(why, "raise schedule.timeout, or leave slow parts out: parts.exclude")))
            }
            Err(_) => {
                let why = "the server does not answer a query in time, although it should have ended it itself";
                Err(Failure::Lost(Trouble::new(why, "look whether the server, its disk or the network hangs")))
            }
        }
    }

    /// Whether the connection is known to be gone.
    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }
}

async fn read(stream: Result<SimpleQueryStream, Error>, most: usize) -> Result<Vec<Rows>, Error> {
    let mut answers: Vec<Rows> = Vec::new();
    let mut stream = std::pin::pin!(stream?);
    // To its end, also where the rows are no longer kept: the next answer stands behind it.
    while let Some(message) = stream.next().await {
        match (message?, answers.last_mut()) {
            (SimpleQueryMessage::RowDescription(columns), _) => answers.push(Rows::of(columns)),
            (SimpleQueryMessage::Row(row), Some(rows)) if rows.kept.len() < most => rows.kept.push(row),
            (SimpleQueryMessage::Row(_), Some(rows)) => rows.cut = true,
            _ => {}
        }
    }
    Ok(answers)
}

fn encryption(address: &Address) -> Result<Option<Arc<ClientConfig>>, Trouble> {
    let Some(options) = tls::options(address) else { return Ok(None) };
    // Read anew for each connection, as the password is: certificates are renewed.
    let config = net::tls::configure(&options).map_err(|error| {
        Trouble::new(error.to_string(), "give the files of `ca_file`, `cert_file` and `key_file` what they should have")
    })?;
    Ok(Some(Arc::new(config)))
}

/// Logs in over a stream and starts the task that drives the connection.
async fn start<S>(
    config: &tokio_postgres::Config,
    stream: S,
    tls: Option<Connector>,
    tasks: &Tasks,
) -> Result<Session, Trouble>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let allowance = Arc::new(AtomicU64::new(MOST));
    let stream = Metered::new(stream, Arc::clone(&allowance));
    if let Some(tls) = tls {
        let (client, connection) =
            config.connect_raw(stream, tls).await.map_err(|error| Trouble::connecting(&error))?;
        let version = connection.parameter("server_version").map_or(0, version_number);
        return Ok(drive(client, connection, version, allowance, tasks));
    }
    let plain = config.connect_raw(stream, tokio_postgres::NoTls).await;
    let (client, connection) = plain.map_err(|error| Trouble::connecting(&error))?;
    let version = connection.parameter("server_version").map_or(0, version_number);
    Ok(drive(client, connection, version, allowance, tasks))
}

fn drive<C>(client: Client, connection: C, version: u32, allowance: Arc<AtomicU64>, tasks: &Tasks) -> Session
where
    C: Future<Output = Result<(), Error>> + Send + 'static,
{
    let dropped = CancellationToken::new();
    let (cut, stopping) = (dropped.clone(), tasks.stopping());
    // How it ended is told to whoever asks the client next.
    drop(tasks.spawn("postgres connection", async move {
        let mut connection = std::pin::pin!(connection);
        tokio::select! {
            _ = &mut connection => return,
            () = cut.cancelled() => {}
            () = stopping => {}
        }
        // Without a client it says goodbye and ends; unless an answer is still to come, for which nobody waits any more.
        drop(timeout(GOODBYE, connection).await);
    }));
    Session { client, allowance, _guard: dropped.drop_guard(), version }
}

/// `15.18 (Debian 15.18-0+deb12u1)` as 150018, `18beta1` as 180000, `9.6.24` as 90624.
fn version_number(text: &str) -> u32 {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let mut numbers = text.get(..end).unwrap_or_default().split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0).min(999);
    match next() {
        major @ 10.. => major * 10_000 + next(),
        major => major * 10_000 + next() * 100 + next(),
    }
}

#[cfg(test)]
mod tests {
    use super::version_number;

    #[test]
    fn versions_are_numbers_that_grow() {
        for (text, number) in [
            ("15.18 (Debian 15.18-0+deb12u1)", 150_018),
            ("18beta1", 180_000),
            ("9.6.24", 90_624),
            ("1.18.0/bouncer", 11_800),
            ("", 0),
        ] {
            assert_eq!(version_number(text), number, "{text}");
        }
    }
}
