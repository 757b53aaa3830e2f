//! The command line: one file a command.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::app::settings::{Flags, Role, Validated};
use crate::config::{Environment, Problems};
use crate::telemetry::LogFormat;

use client::{Client, ClientError};

mod agents;
pub mod assets;
mod backup;
mod check_config;
pub mod client;
mod hash_password;
mod health;
mod ledger;
mod metrics;
mod outbox;
mod serve;
mod test_notify;
mod token;

/// A Prometheus exporter and an Alertmanager webhook receiver for people who run AI agents.
///
/// Without a command it serves: host metrics, agents' heartbeats and Alertmanager's webhooks on 127.0.0.1:9480, with
/// notifications on the console. It needs no configuration file.
#[derive(Debug, Parser)]
#[command(name = "tidewatch", version, after_help = EXAMPLES)]
pub struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    serve: ServeArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

const EXAMPLES: &str = "\
Examples:
  tidewatch                                     serve with defaults, data in ./tidewatch-data
  tidewatch --config tidewatch.toml             serve as configured
  tidewatch check-config --config tidewatch.toml
  tidewatch health                              how everything is; exit code 0 ok, 1 warning, 2 critical
  tidewatch test-notify ops                     send a marked test message to the channel `ops`
  tidewatch outbox list --dead                  messages that could not be delivered
  curl -X POST localhost:9480/api/v1/agents/steward/heartbeat

Exit codes: 0 ok, 1 failed, 2 usage, 3 configuration, 4 no server. `health` has its own.";

/// What every command takes.
#[derive(Clone, Debug, Default, Args)]
struct Common {
    /// The configuration file (TOML)
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where everything that is kept lies [default: ./tidewatch-data]
    #[arg(long, global = true, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
}

/// What serving takes, with the word `serve` and without.
#[derive(Clone, Debug, Default, PartialEq, Args)]
struct ServeArgs {
    /// Where to listen [default: 127.0.0.1:9480]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// The address that people's phones reach; links in messages are built from it
    #[arg(long, value_name = "URL")]
    external_url: Option<String>,
    /// How log lines are written [default: text]
    #[arg(long, value_enum, value_name = "FORMAT")]
    log_format: Option<LogFormat>,
    /// Which half runs [default: both]
    #[arg(long, value_enum)]
    role: Option<Role>,
}

impl ServeArgs {
    /// With what `other` says beside.
    fn or(self, other: Self) -> Self {
        Self {
            listen: self.listen.or(other.listen),
            external_url: self.external_url.or(other.external_url),
            log_format: self.log_format.or(other.log_format),
            role: self.role.or(other.role),
        }
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve: both halves, or the one that --role names
    #[command(
        after_help = "Examples:\n  tidewatch serve --config tidewatch.toml\n  tidewatch serve --role exporter --listen 10.0.0.5:9480"
    )]
    Serve(ServeArgs),
    /// Check the configuration: all problems at once, each with file, line, column and a hint
    #[command(
        after_help = "Examples:\n  tidewatch check-config --config tidewatch.toml\n  tidewatch check-config --blackbox blackbox.yml\n\nExit codes: 0 it is sound, 3 it is not."
    )]
    CheckConfig(check_config::Args),
    /// Show how everything is, or one service
    Health(health::Args),
    /// Send a marked test message to a channel
    TestNotify(test_notify::Args),
    /// Look at messages on their way, and at those that could not be delivered
    Outbox(outbox::Args),
    /// Show what became of every alert and every message, and whether that balances
    Ledger(ledger::Args),
    /// Look at the agents, expect them, forget or rename them
    Agents(agents::Args),
    /// Give out tokens that allow one thing each, list them, take them back
    Token(token::Args),
    /// Read a password from standard input and print its bcrypt hash, for `access.users`
    #[command(after_help = "Example:\n  tidewatch hash-password < alertmanager.password")]
    HashPassword,
    /// Write a consistent copy of everything that is kept to a new file
    Backup(backup::BackupArgs),
    /// Put a backup back; refused while a server runs
    Restore(backup::RestoreArgs),
    /// Collect once and print
    Metrics(metrics::Args),
    /// The rules, dashboards and configurations that come with tidewatch
    Assets(Box<assets::Args>),
}

/// How a command ended badly.
#[derive(Debug)]
pub enum Failure {
    /// Exit code 2.
    Usage(String),
    /// Exit code 1.
    Failed(anyhow::Error),
    /// Exit code 3.
    Configuration(Problems),
    /// Exit code 4, or 2 from `health`.
    NoServer(String),
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::Failed(anyhow::Error::new(error).context("the server answered something else than expected"))
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::NoServer { .. } => Self::NoServer(error.to_string()),
            ClientError::Refused { .. } | ClientError::Broken { .. } => Self::Failed(error.into()),
        }
    }
}

/// A question to the running server is answered within this.
const DEADLINE: Duration = Duration::from_mins(1);

/// What a command works with.
struct Context {
    flags: Flags,
    environment: Environment,
}

impl Context {
    /// The configuration, checked.
    fn settings(&self) -> Result<Validated, Failure> {
        Validated::load(&self.flags, &self.environment).map_err(Failure::Configuration)
    }

    /// The server that runs on the configured data folder.
    fn server(&self) -> Result<Client, Failure> {
        Ok(Client::of_folder(&self.settings()?.settings.data_dir, DEADLINE))
    }
}

/// Runs what the command line says.
pub fn run(cli: Cli, environment: Environment) -> ExitCode {
    let Cli { common, serve, command } = cli;
    let (command, serve) = match command {
        None => (Command::Serve(ServeArgs::default()), serve),
        Some(Command::Serve(args)) => (Command::Serve(ServeArgs::default()), args.or(serve)),
        Some(_) if serve != ServeArgs::default() => {
            let what = "--listen, --external-url, --log-format and --role belong to `tidewatch serve`";
            return report(&Failure::Usage(what.into()));
        }
        Some(other) => (other, serve),
    };
    let ServeArgs { listen, external_url, log_format, role } = serve;
    let flags = Flags { config: common.config, data_dir: common.data_dir, listen, external_url, log_format, role };
    let context = Context { flags, environment };
    let outcome = match command {
        Command::Serve(_) => serve::run(&context),
        Command::CheckConfig(args) => check_config::run(&context, &args),
        Command::Health(args) => health::run(&context, &args),
        Command::TestNotify(args) => test_notify::run(&context, &args),
        Command::Outbox(args) => outbox::run(&context, args),
        Command::Ledger(args) => ledger::run(&context, &args),
        Command::Agents(args) => agents::run(&context, args),
        Command::Token(args) => token::run(&context, args),
        Command::HashPassword => hash_password::run(std::io::stdin().lock()),
        Command::Backup(args) => backup::backup(&context, &args),
        Command::Restore(args) => backup::restore(&context, &args),
        Command::Metrics(args) => metrics::run(&context, &args),
        Command::Assets(args) => assets::run(&args, &context.environment, &mut std::io::stdout().lock())
            .map(|()| ExitCode::SUCCESS)
            .map_err(Failure::from),
    };
    match outcome {
        Ok(code) => code,
        Err(failure) => report(&failure),
    }
}

fn report(failure: &Failure) -> ExitCode {
    let (text, code) = match failure {
        Failure::Failed(error) => (format!("error: {error:#}"), 1),
        Failure::Usage(what) => (format!("error: {what}"), 2),
        Failure::Configuration(problems) => {
            let faults =
                problems.0.iter().filter(|problem| problem.severity == crate::config::ProblemSeverity::Error).count();
            (format!("{problems}\n\n{faults} {} in the configuration", if faults == 1 { "error" } else { "errors" }), 3)
        }
        Failure::NoServer(what) => (format!("error: {what}"), 4),
    };
    // Nothing is left to tell it to when standard error is closed.
    drop(writeln!(std::io::stderr().lock(), "{text}"));
    ExitCode::from(code)
}

/// Prints a line to standard output. A reader that left early, such as `head`, is no error.
fn say(text: impl std::fmt::Display) -> Result<(), Failure> {
    match writeln!(std::io::stdout().lock(), "{text}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Runs the asynchronous part of a command that is no server.
fn block_on<F: Future<Output = Result<ExitCode, Failure>>>(work: F) -> Result<ExitCode, Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}
