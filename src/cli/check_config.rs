//! `tidewatch check-config`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::{Context, Failure, say};
use crate::collect::probes;
use crate::config::Problems;

/// What the command takes besides what all take.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Args {
    /// Say of a blackbox.yml what tidewatch does not do, instead of checking the configuration
    #[arg(long, value_name = "FILE")]
    blackbox: Option<PathBuf>,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<ExitCode, Failure> {
    if let Some(file) = &args.blackbox {
        return blackbox(file);
    }
    let validated = context.settings()?;
    for warning in &validated.warnings.0 {
        say(warning)?;
    }
    let file = context.flags.config.as_ref().map_or("the defaults".into(), |file| file.display().to_string());
    say(format_args!("{file}: ok; channels: {}", validated.channels.join(", ")))?;
    Ok(ExitCode::SUCCESS)
}

fn blackbox(file: &Path) -> Result<ExitCode, Failure> {
    let (modules, gaps) = probes::examine(file).map_err(|problem| Failure::Configuration(Problems(vec![problem])))?;
    for gap in &gaps {
        say(gap)?;
    }
    let done = if gaps.is_empty() { "everything is done".to_owned() } else { format!("{} not done", gaps.len()) };
    say(format_args!("{}: {modules} modules, {done}", file.display()))?;
    Ok(ExitCode::SUCCESS)
}
