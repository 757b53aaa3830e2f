//! `tidewatch agents`: who reports, and what a person says about one of them.

use std::process::ExitCode;

use clap::Subcommand;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;

use super::{Context, Failure, block_on, say};
use crate::agents::{AgentId, in_words};
use crate::config::Span;

const EXAMPLES: &str = "\
Examples:
  tidewatch agents list
  tidewatch agents expect steward --interval 30s --role governance
  tidewatch agents expect coder --stop-for 2h     a planned stop: no alert until then
  tidewatch agents expect coder --stop-for 0s     the stop is over
  tidewatch agents rename heretek-steward steward
  tidewatch agents forget old-tester              gone until it reports again";

/// Shows the agents, expects one, forgets one, renames one.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Shows all agents: state, age of the last heartbeat, the age at which it is offline, who told of it, role.
    #[command(after_help = "Example:\n  tidewatch agents list --json")]
    List {
        /// As JSON, with everything that is known.
        #[arg(long)]
        json: bool,
    },
    /// Expects an agent: it is shown, and missed, also before its first heartbeat. What is not said stays as it was.
    #[command(after_help = "Example:\n  tidewatch agents expect steward --interval 30s --role governance")]
    Expect {
        /// The agent.
        agent_id: AgentId,
        /// It reports this often.
        #[arg(long, value_name = "30s")]
        interval: Option<Span>,
        /// After this age of its last heartbeat it is late.
        #[arg(long, value_name = "60s")]
        late: Option<Span>,
        /// After this age it is offline.
        #[arg(long, value_name = "2m")]
        timeout: Option<Span>,
        /// What it is.
        #[arg(long)]
        role: Option<String>,
        /// A planned stop: it may be silent for so long from now.
        #[arg(long, value_name = "2h", conflicts_with = "stop_until")]
        stop_for: Option<Span>,
        /// A planned stop: it may be silent until then.
        #[arg(long, value_name = "2026-09-01T18:00:00Z")]
        stop_until: Option<Timestamp>,
    },
    /// Takes an agent out of everything until it reports again.
    #[command(after_help = "Example:\n  tidewatch agents forget old-tester")]
    Forget {
        /// The agent.
        agent_id: AgentId,
    },
    /// Gives an agent another id, with its counters and its history.
    #[command(after_help = "Example:\n  tidewatch agents rename heretek-steward steward")]
    Rename {
        /// The id that it has.
        from: AgentId,
        /// The id that it gets.
        to: AgentId,
    },
}

pub(super) fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    let server = context.server()?;
    block_on(async {
        match args.command {
            Command::List { json: true } => say(format_args!("{:#}", server.get("/api/agents").await?))?,
            Command::List { json: false } => say(table(&serde_json::from_value(server.get("/api/agents").await?)?))?,
            Command::Expect { agent_id, interval, late, timeout, role, stop_for, stop_until } => {
                let body = json!({
                    "interval": interval, "late": late, "timeout": timeout, "role": role,
                    "stop_for": stop_for, "stop_until": stop_until,
                });
                let row: Row = serde_json::from_value(server.post(&path(&agent_id, "expect"), &body).await?)?;
                say(format_args!("{agent_id} is expected: {}", promise(&row)))?;
            }
            Command::Forget { agent_id } => {
                server.post(&path(&agent_id, "forget"), &json!({})).await?;
                say(format_args!("{agent_id} is forgotten; it comes back with its next heartbeat"))?;
            }
            Command::Rename { from, to } => {
                server.post(&path(&from, "rename"), &json!({ "to": to })).await?;
                say(format_args!("{from} is {to} now"))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn path(id: &AgentId, what: &str) -> String {
    // Of the characters of an id, the slash alone means something in a path.
    format!("/api/agents/{}/{what}", id.as_str().replace('/', "%2F"))
}

#[derive(Deserialize)]
struct Listing {
    agents: Vec<Row>,
    groups: Vec<Group>,
}

/// A number that JSON cannot hold, infinity, is `null`.
#[derive(Deserialize)]
struct Row {
    agent_id: String,
    condition: String,
    online: bool,
    age_seconds: Option<f64>,
    late_seconds: Option<f64>,
    timeout_seconds: Option<f64>,
    source: Option<String>,
    role: Option<String>,
    stop_until: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Group {
    #[serde(rename = "group")]
    name: String,
    members: usize,
    online: usize,
    required: usize,
    met: bool,
}

fn promise(row: &Row) -> String {
    let limits = format!("late after {}, offline after {}", age(row.late_seconds), age(row.timeout_seconds));
    row.stop_until.map_or(limits, |until| format!("a planned stop until {until}"))
}

const HEAD: [&str; 6] = ["AGENT", "STATE", "AGE", "TIMEOUT", "SOURCE", "ROLE"];

fn table(listing: &Listing) -> String {
    if listing.agents.is_empty() {
        return "No agent is known yet. Let one report:\n  \
                curl -X POST http://127.0.0.1:9480/api/v1/agents/NAME/heartbeat"
            .into();
    }
    let dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
    let row = |row: &Row| {
        let state = row.condition.replace('_', " ");
        let timeout = row.timeout_seconds.map_or_else(|| "-".into(), in_words);
        [row.agent_id.clone(), state, age(row.age_seconds), timeout, dash(&row.source), dash(&row.role)]
    };
    let rows: Vec<[String; 6]> =
        std::iter::once(HEAD.map(str::to_owned)).chain(listing.agents.iter().map(row)).collect();
    let mut widths = [0; 6];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in &rows {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    let online = listing.agents.iter().filter(|row| row.online).count();
    let mut sums = vec![format!("\n{online} of {} online", listing.agents.len())];
    for Group { name, members, online, required, met } in &listing.groups {
        let verdict = if *met { "met" } else { "LOST" };
        sums.push(format!("quorum {name}: {verdict}, {online} of {members} online, {required} required"));
    }
    text + &sums.join("\n")
}

/// `never` where there is no number.
fn age(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| "never".into(), in_words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(agents: &str, groups: &str) -> Listing {
        serde_json::from_str(&format!(r#"{{"agents":{agents},"groups":{groups}}}"#)).unwrap()
    }

    #[test]
    fn the_table_is_aligned_and_says_the_sum() {
        let agents = r#"[
            {"agent_id":"ghost","condition":"never_seen","online":false,"late_seconds":60,"timeout_seconds":120},
            {"agent_id":"steward","condition":"online","online":true,"age_seconds":12.3,"late_seconds":60,
             "timeout_seconds":120,"source":"push","role":"governance"},
            {"agent_id":"coder","condition":"planned","online":false,"timeout_seconds":null,"late_seconds":null}]"#;
        let groups = r#"[{"group":"triad","members":3,"online":1,"required":2,"met":false,"missing":[]}]"#;
        let expected = "\
AGENT    STATE       AGE    TIMEOUT  SOURCE  ROLE
ghost    never seen  never  120 s    -       -
steward  online      12 s   120 s    push    governance
coder    planned     never  -        -       -

1 of 3 online
quorum triad: LOST, 1 of 3 online, 2 required";
        assert_eq!(table(&listing(agents, groups)), expected);
    }

    #[test]
    fn an_empty_table_says_what_to_do() {
        assert!(table(&listing("[]", "[]")).contains("curl"));
    }

    #[test]
    fn a_slash_in_an_id_stays_within_its_segment() {
        assert_eq!(path(&"team/a:b".parse().unwrap(), "forget"), "/api/agents/team%2Fa:b/forget");
    }
}
