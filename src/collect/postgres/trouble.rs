//! Why a server cannot be collected from, in words that are the same as long as the cause is, and what to do.

use tokio_postgres::Error;
use tokio_postgres::error::{DbError, Severity};

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    /// What happened.
    pub(super) why: String,
    /// What to do next.
    pub(super) next: &'static str,
}

/// Why a query has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The server refused it: the next one may work. With the server's code.
    Refused { code: String, trouble: Trouble },
    /// The server answers no more: neither it nor the connection is of use.
    Lost(Trouble),
    /// We stopped reading, for want of time or for too long an answer: the connection is of no more use, but the server
    /// lives.
    Cut(Trouble),
}

/// Longer words of a server are cut.
const LONGEST: usize = 200;

impl Trouble {
    pub(super) fn new(why: impl Into<String>, next: &'static str) -> Self {
        Self { why: why.into(), next }
    }

    /// Of an attempt to connect.
    pub(super) fn connecting(error: &Error) -> Self {
        let Some(said) = error.as_db_error() else {
            let why = format!("no connection: {}", chain(error));
            let next = if why.contains("channel binding") {
                "let the server offer it, by TLS and scram-sha-256, or set channel_binding to prefer"
            } else {
                "see whether the server runs and can be reached: pg_isready"
            };
            return Self::new(why, next);
        };
        let next = match said.code().code() {
            "28P01" => "compare the password of the configuration with the server's, and its method in pg_hba.conf",
            "28000" if said.message().contains("channel binding") => {
                "connect to the server itself: what stands between has a certificate of its own; or set channel_binding to disable"
            }
            "28000" => "give the role and this host a line in pg_hba.conf, or choose another sslmode",
            "3D000" => "name a database that exists: key `database`",
            "42501" => "GRANT CONNECT ON DATABASE to the role",
            "53300" => "find who holds the connections: pg_stat_activity; raise max_connections or use a pool",
            "57P03" => "wait: the server starts, stops or recovers; its log says which",
            "08P01" if said.message().contains("startup parameter") => {
                "connect to the server itself, not to PgBouncer, or set ignore_startup_parameters = options there"
            }
            _ => "look it up in the server's log",
        };
        Self::new(words(said), next)
    }
}

impl Failure {
    /// Of a query.
    pub(super) fn of(error: &Error) -> Self {
        match error.as_db_error() {
            Some(said) if !fatal(said) => {
                let code = said.code().code().to_owned();
                let next = match code.as_str() {
                    "42501" => "GRANT pg_monitor to the role, or leave the part out: parts.exclude",
                    "42883" | "42P01" => "CREATE EXTENSION in the first database, or leave the part out: parts.exclude",
                    "55000" => "add the extension to shared_preload_libraries, or leave the part out: parts.exclude",
                    "57014" => "raise statement_timeout, or leave the part out: parts.exclude",
                    "55P03" => "find who holds the lock: SELECT * FROM pg_locks WHERE granted",
                    _ => "look it up in the server's log",
                };
                Self::Refused { code, trouble: Trouble::new(words(said), next) }
            }
            Some(said) => Self::Lost(Trouble::new(words(said), "look it up in the server's log")),
            None => Self::Lost(Trouble::new(
                format!("the connection broke: {}", chain(error)),
                "see whether the server runs and can be reached: pg_isready",
            )),
        }
    }

    /// Why, and what to do.
    pub(super) fn trouble(&self) -> &Trouble {
        match self {
            Self::Refused { trouble, .. } | Self::Lost(trouble) | Self::Cut(trouble) => trouble,
        }
    }
}

fn fatal(said: &DbError) -> bool {
    // A server before 9.6 does not say its severity in a fixed language.
    said.parsed_severity().is_some_and(|severity| matches!(severity, Severity::Fatal | Severity::Panic))
        || matches!(said.code().code(), "57P01" | "57P02" | "57P05")
}

/// What the server said, on one line.
fn words(said: &DbError) -> String {
    let one_line: String = said.message().chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect();
    format!("{one_line} ({})", said.code().code())
}

/// The causes of an error, the outermost first.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect()
}
