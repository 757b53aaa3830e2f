//! `tidewatch ledger`

use std::process::ExitCode;

use serde::Deserialize;

use super::{Context, Failure, block_on, say};
use crate::store::Ledger;

/// Show what became of every alert and every message
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  tidewatch ledger\n\nExit codes: 0 it balances, 1 it does not: something was lost or counted wrongly."
)]
pub(super) struct Args {
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(flatten)]
    ledger: Ledger,
    late: u64,
    late_after_seconds: u64,
    faults: Vec<String>,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<ExitCode, Failure> {
    let client = context.server()?;
    block_on(async {
        let answer = client.get("/api/ledger").await?;
        let read: Answer = serde_json::from_value(answer.clone())?;
        if args.json {
            say(serde_json::to_string_pretty(&answer)?)?;
        } else {
            show(&read)?;
        }
        Ok(if read.faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    })
}

fn show(Answer { ledger, late, late_after_seconds, faults }: &Answer) -> Result<(), Failure> {
    let alerts = &ledger.alerts;
    let terms = [
        ("opened", alerts.opened),
        ("repeated", alerts.repeated),
        ("closed", alerts.closed),
        ("stale", alerts.stale),
        ("held", alerts.held),
        ("quarantined", alerts.quarantined),
        ("truncated", alerts.truncated),
    ];
    block("alerts received", alerts.received, &terms)?;
    let terms = [
        ("delivered", ledger.delivered),
        ("superseded", ledger.superseded),
        ("dead", ledger.dead),
        ("discarded", ledger.discarded),
        ("suppressed", ledger.suppressed),
        ("pending", ledger.pending),
    ];
    block("messages due", ledger.due, &terms)?;
    say(format_args!("late: {late} wait for more than {late_after_seconds} s"))?;
    match faults.as_slice() {
        [] => say("it balances"),
        faults => faults.iter().try_for_each(|fault| say(format_args!("it does not balance: {fault}"))),
    }
}

fn block(title: &str, sum: u64, terms: &[(&str, u64)]) -> Result<(), Failure> {
    say(format_args!("{title:<18}{sum:>10}"))?;
    terms.iter().try_for_each(|(name, count)| say(format_args!("  {name:<16}{count:>10}")))
}
