//! `tidewatch health [SERVICE] [--watch] [--json]`

use std::process::ExitCode;
use std::time::Duration;

use super::client::Client;
use super::{Context, Failure, block_on, say};
use crate::clock::Clock;
use crate::facts::{Facts, ServiceState, State};

/// Show how everything is, or one service
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  tidewatch health\n  tidewatch health agents --json\n  tidewatch health --watch\n\nExit codes: 0 ok, 1 warning, 2 critical, unknown, or no server."
)]
pub(super) struct Args {
    /// Only this service: host, agents, store, channels, watchdog
    service: Option<String>,
    /// Show it again every 5 seconds, until interrupted
    #[arg(long)]
    watch: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

const EVERY: Duration = Duration::from_secs(5);

pub(super) fn run(context: &Context, args: &Args) -> Result<ExitCode, Failure> {
    let client = context.server()?;
    block_on(async {
        loop {
            let code = match look(&client, args).await {
                Err(Failure::NoServer(what)) => silent(what, args)?,
                // Also here: 1 would be a warning.
                Err(Failure::Failed(error)) => silent(format!("{error:#}"), args)?,
                other => other?,
            };
            if !args.watch {
                return Ok(code);
            }
            Clock::system().sleep(EVERY).await;
            say("")?;
        }
    })
}

async fn look(client: &Client, args: &Args) -> Result<ExitCode, Failure> {
    let facts: Facts = serde_json::from_value(client.get("/api/health").await?)?;
    let known: Vec<&str> = facts.services.iter().map(|service| service.service.as_str()).collect();
    let wanted = |service: &&ServiceState| args.service.as_ref().is_none_or(|name| *name == service.service);
    let services: Vec<&ServiceState> = facts.services.iter().filter(wanted).collect();
    if let (Some(name), true) = (&args.service, services.is_empty()) {
        return Err(Failure::Usage(format!("there is no service `{name}`; there are: {}", known.join(", "))));
    }
    show(&services, args)
}

/// What is shown where no server tells how it is.
fn silent(why: String, args: &Args) -> Result<ExitCode, Failure> {
    let (service, since, next) = ("tidewatch".into(), Clock::system().now(), String::new());
    show(&[&ServiceState { service, state: State::Critical, since, why, next }], args)
}

fn show(services: &[&ServiceState], args: &Args) -> Result<ExitCode, Failure> {
    if args.json {
        say(serde_json::to_string_pretty(services)?)?;
    } else {
        let width = services.iter().map(|service| service.service.len()).max().unwrap_or(0);
        for service in services {
            let next = if service.next.is_empty() {
                String::new()
            } else {
                format!("\n{:>1$}  {2}", "->", width + 10, service.next)
            };
            say(format_args!("{:<8}  {:<width$}  {}{next}", word(service.state), service.service, service.why))?;
        }
    }
    Ok(match services.iter().map(|service| service.state).max().unwrap_or(State::Unknown) {
        State::Ok => ExitCode::SUCCESS,
        State::Warning => ExitCode::from(1),
        State::Unknown | State::Critical => ExitCode::from(2),
    })
}

fn word(state: State) -> &'static str {
    match state {
        State::Ok => "ok",
        State::Unknown => "unknown",
        State::Warning => "warning",
        State::Critical => "critical",
    }
}
