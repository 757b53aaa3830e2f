//! `tidewatch outbox list|show|replay|discard`

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;

use super::client::Client;
use super::{Context, Failure, block_on, say};
use crate::store::{Change, OutboxRow, Revised, Subject};

/// Look at messages on their way, and at those that could not be delivered
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  tidewatch outbox list --dead\n  tidewatch outbox show 17\n  tidewatch outbox replay 17 --note 'token renewed'\n  tidewatch outbox replay --all --channel ops\n  tidewatch outbox discard 17 --note 'channel is gone'"
)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List rows, newest first
    #[command(after_help = "Example:\n  tidewatch outbox list --state pending --channel ops")]
    List {
        /// Only the dead ones: what could not be delivered
        #[arg(long, conflicts_with = "state")]
        dead: bool,
        /// Only rows in this state: pending, delivered, superseded, dead, discarded, suppressed
        #[arg(long)]
        state: Option<String>,
        /// Only rows of this channel
        #[arg(long)]
        channel: Option<String>,
        /// Only rows about this incident
        #[arg(long)]
        incident: Option<i64>,
        /// At most so many
        #[arg(long, default_value_t = 100)]
        limit: usize,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Show one row whole
    #[command(after_help = "Example:\n  tidewatch outbox show 17")]
    Show {
        /// Its number
        id: i64,
    },
    /// Send dead rows again; a second time does nothing and says so
    #[command(
        after_help = "Examples:\n  tidewatch outbox replay 17 --note 'token renewed'\n  tidewatch outbox replay --all --channel ops --limit 50"
    )]
    Replay(Which),
    /// Give rows up
    #[command(
        after_help = "Examples:\n  tidewatch outbox discard 17 --note 'channel is gone'\n  tidewatch outbox discard --all --incident 3"
    )]
    Discard(Which),
}

/// One row by its number, or all dead ones that a filter finds.
#[derive(Debug, clap::Args)]
struct Which {
    /// Its number
    #[arg(required_unless_present = "all", conflicts_with_all = ["all", "channel", "incident", "limit"])]
    id: Option<i64>,
    /// All that are dead, oldest first
    #[arg(long)]
    all: bool,
    /// Of them, those of this channel
    #[arg(long, requires = "all")]
    channel: Option<String>,
    /// Of them, those about this incident
    #[arg(long, requires = "all")]
    incident: Option<i64>,
    /// Of them, at most so many [default: 100]
    #[arg(long, requires = "all")]
    limit: Option<usize>,
    /// Why, for the audit
    #[arg(long, default_value = "")]
    note: String,
}

pub(super) fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    let client = context.server()?;
    block_on(async {
        match args.command {
            Command::List { dead, state, channel, incident, limit, json } => {
                let state = if dead { Some("dead".to_owned()) } else { state };
                let mut query = url::form_urlencoded::Serializer::new(String::new());
                query.append_pair("limit", &limit.to_string());
                let incident = incident.map(|id| id.to_string());
                for (name, value) in [("state", state), ("channel", channel), ("incident", incident)] {
                    value.inspect(|value| {
                        query.append_pair(name, value);
                    });
                }
                let answer = client.get(&format!("/api/outbox?{}", query.finish())).await?;
                if json {
                    say(serde_json::to_string_pretty(&answer)?)?;
                } else {
                    list(&serde_json::from_value::<Vec<OutboxRow>>(answer)?)?;
                }
                Ok(ExitCode::SUCCESS)
            }
            Command::Show { id } => {
                say(serde_json::to_string_pretty(&client.get(&format!("/api/outbox/{id}")).await?)?)?;
                Ok(ExitCode::SUCCESS)
            }
            Command::Replay(which) => decide(&client, which, "replay").await,
            Command::Discard(which) => decide(&client, which, "discard").await,
        }
    })
}

fn list(rows: &[OutboxRow]) -> Result<(), Failure> {
    if rows.is_empty() {
        return say("no such messages");
    }
    say(format_args!(
        "{:>6}  {:<10}  {:<10}  {:<9}  {:<14}  {:>5}  {}",
        "ID", "STATE", "CHANNEL", "KIND", "SUBJECT", "TRIES", "ERROR"
    ))?;
    for row in rows {
        let subject = match &row.subject {
            Subject::Incident(id) => format!("#{id}"),
            Subject::Notice(kind) => kind.clone(),
        };
        let (state, kind) = (text(&row.state)?, text(&row.kind)?);
        let error = row.error.as_deref().unwrap_or_default();
        say(format_args!(
            "{:>6}  {state:<10}  {:<10}  {kind:<9}  {subject:<14}  {:>5}  {error}",
            row.id, row.channel, row.attempts
        ))?;
    }
    Ok(())
}

/// A word as JSON has it, without the quotes.
fn text(value: &impl serde::Serialize) -> Result<String, Failure> {
    Ok(serde_json::to_value(value)?.as_str().unwrap_or_default().to_owned())
}

async fn decide(client: &Client, which: Which, verb: &str) -> Result<ExitCode, Failure> {
    let Which { id, channel, incident, limit, note, .. } = which;
    if let Some(id) = id {
        return change(client, id, verb, &note).await;
    }
    let asked = json!({ "channel": channel, "incident": incident, "limit": limit, "note": note });
    let revised: Revised = serde_json::from_value(client.post(&format!("/api/outbox/{verb}"), &asked).await?)?;
    let done = if verb == "replay" { "will be sent again" } else { "given up" };
    for (ids, what) in [(&revised.done, done), (&revised.skipped, "skipped: a newer message about it has arrived")] {
        ids.iter().try_for_each(|id| say(format_args!("{id}: {what}")))?;
    }
    if revised == Revised::default() {
        say("nothing to do: there is no such dead message")?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn change(client: &Client, id: i64, verb: &str, note: &str) -> Result<ExitCode, Failure> {
    let mut answer = client.post(&format!("/api/outbox/{id}/{verb}"), &json!({ "note": note })).await?;
    say(match (serde_json::from_value(answer["change"].take())?, verb) {
        (Change::Done, "replay") => format!("{id}: will be sent again"),
        (Change::Done, _) => format!("{id}: given up"),
        // The server answers 404 to what is missing.
        (Change::Nothing | Change::Missing, "replay") => {
            format!("{id}: nothing to do: it is not dead, or was replayed before")
        }
        (Change::Nothing | Change::Missing, _) => format!("{id}: nothing to do: it is neither pending nor dead"),
    })?;
    Ok(ExitCode::SUCCESS)
}
