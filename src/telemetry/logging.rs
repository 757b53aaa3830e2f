//! Logs: `tracing` to standard error.

use std::io::IsTerminal as _;
use std::time::Duration;

use tracing_subscriber::filter::{ParseError, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, Registry, fmt, reload};

use super::lines;

/// How a line of the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people; in colours on a terminal.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Changes the level while the program runs. Clones share it.
#[derive(Clone, Debug)]
pub struct LogLevel(reload::Handle<Targets, Registry>);

/// Why the log cannot be set up as asked.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The level is none.
    #[error("log level `{level}`: {source}; write for example `info`, or `warn,tidewatch::store=debug`")]
    Level {
        /// What was asked for.
        level: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// The process has a log already, or no longer.
    #[error("the log can be set up once in a process: {0}")]
    State(String),
    /// The thread that writes it.
    #[error("the log's thread cannot be started: {0}")]
    Thread(std::io::Error),
}

/// Starts logging to standard error; called once, by the server, which calls [`flush`] at its end. `level` is one for
/// all, or several separated by commas, for all and for modules: `warn,tidewatch::store=debug`.
///
/// # Errors
/// The level cannot be read, the process logs already, or the system refuses a thread.
pub fn logging(format: LogFormat, level: &str) -> Result<LogLevel, LoggingError> {
    let (filter, handle) = reload::Layer::new(targets(level)?);
    let lines = fmt::layer().with_writer(|| &lines::STDERR);
    let lines = match format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let subscriber = tracing_subscriber::registry().with(lines.with_filter(filter));
    subscriber.try_init().map_err(|error| LoggingError::State(error.to_string()))?;
    lines::STDERR.write_to(std::io::stderr()).map_err(LoggingError::Thread)?;
    Ok(LogLevel(handle))
}

/// Waits until the log is written, `limit` at the longest: somebody may have stopped reading it.
pub fn flush(limit: Duration) {
    // Nobody is left to be told.
    let _written = lines::STDERR.flush(limit);
}

impl LogLevel {
    /// Sets the level, as [`logging`] takes it. On an error nothing has changed.
    ///
    /// # Errors
    /// The level cannot be read.
    pub fn set(&self, level: &str) -> Result<(), LoggingError> {
        self.0.reload(targets(level)?).map_err(|error| LoggingError::State(error.to_string()))
    }
}

/// Whether a level can be read, as [`logging`] takes it.
///
/// # Errors
/// What is wrong with it.
pub fn check_level(level: &str) -> Result<(), String> {
    level.parse::<Targets>().map(drop).map_err(|error| format!("`{level}`: {error}"))
}

fn targets(level: &str) -> Result<Targets, LoggingError> {
    level.parse().map_err(|source| LoggingError::Level { level: level.into(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_changed_while_the_program_runs() {
        let level = logging(LogFormat::Text, "warn").unwrap();
        assert!(tracing::enabled!(tracing::Level::WARN) && !tracing::enabled!(tracing::Level::INFO));
        level.set("error,tidewatch::telemetry=debug").unwrap();
        assert!(tracing::enabled!(tracing::Level::DEBUG));
        assert!(!tracing::enabled!(target: "hyper", tracing::Level::WARN));
        let error = level.set("tidewatch=loud").unwrap_err().to_string();
        assert!(error.starts_with("log level `tidewatch=loud`: ") && error.contains("for example"), "{error}");
        assert!(tracing::enabled!(tracing::Level::DEBUG), "a level that cannot be read changes nothing");
        assert!(matches!(logging(LogFormat::Json, "info"), Err(LoggingError::State(_))));
        // The other tests of this process need no log.
        level.set("off").unwrap();
    }
}
