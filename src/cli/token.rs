//! `tidewatch token`: credentials for one thing each.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::process::ExitCode;

use super::{Context, Failure, say};
use crate::agents::AgentId;
use crate::clock::Clock;
use crate::http::access::Scope;
use crate::http::tokens::{Token, TokenFile};

/// Give out tokens that allow one thing each, list them, take them back
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tidewatch token create alertmanager --scope alerts
  tidewatch token create steward --scope heartbeat --agent steward
  tidewatch token create prometheus --scope metrics
  tidewatch token list
  tidewatch token revoke steward

A token is shown once; tokens.json in the data folder keeps a hash of it. A running server sees a change within a
second. From the first token on, nothing but metrics and health is open without one.")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make a token and print it, once
    #[command(
        after_help = "Example:\n  tidewatch token create steward --scope heartbeat --agent steward > steward.token"
    )]
    Create {
        /// What people call it: logs name it where it is used
        name: String,
        /// What it allows; repeat for more
        #[arg(long = "scope", value_enum, required = true)]
        scopes: Vec<Scope>,
        /// With the scope heartbeat: only this agent's
        #[arg(long, value_name = "ID")]
        agent: Option<AgentId>,
    },
    /// List the tokens: names, what they allow, since when
    #[command(after_help = "Example:\n  tidewatch token list --json")]
    List {
        /// As JSON, without the hashes
        #[arg(long)]
        json: bool,
    },
    /// Take a token back
    #[command(after_help = "Example:\n  tidewatch token revoke steward")]
    Revoke {
        /// Its name
        name: String,
    },
}

pub(super) fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    let folder = context.settings()?.settings.data_dir;
    let file = TokenFile::of(&folder);
    match args.command {
        Command::Create { name, scopes, agent } => {
            if agent.is_some() && !scopes.contains(&Scope::Heartbeat) {
                return Err(Failure::Usage("--agent belongs to --scope heartbeat".into()));
            }
            DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
            let now = Clock::system().now();
            say(file.create(&name, &scopes, agent, now).map_err(anyhow::Error::new)?)?;
        }
        Command::List { json } => list(&file.list().map_err(anyhow::Error::new)?, json)?,
        Command::Revoke { name } => {
            file.revoke(&name).map_err(anyhow::Error::new)?;
            say(format_args!("{name}: revoked; a running server refuses it within a second"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn list(tokens: &[Token], json: bool) -> Result<(), Failure> {
    if json {
        let rows = tokens.iter().map(|token| {
            serde_json::json!({
                "name": token.name, "scopes": token.scopes, "agent": token.agent, "created_at": token.created_at,
            })
        });
        return say(rows.collect::<serde_json::Value>());
    }
    if tokens.is_empty() {
        return say("there are no tokens: make one with `tidewatch token create NAME --scope SCOPE`");
    }
    for token in tokens {
        let scopes: Vec<String> = token.scopes.iter().map(|scope| format!("{scope:?}").to_lowercase()).collect();
        let agent = token.agent.as_ref().map(|agent| format!(" of {}", agent.as_str())).unwrap_or_default();
        let scopes = format!("{}{agent}", scopes.join(", "));
        say(format_args!("{:<24}  {scopes:<40}  since {:.0}", token.name, token.created_at))?;
    }
    Ok(())
}
