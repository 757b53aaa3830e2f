//! `tidewatch metrics`

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;

use super::{Context, Failure, block_on};
use crate::app::App;

/// Collect once and print, without a server
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  tidewatch metrics | grep node_load\n  tidewatch metrics --collect cpu --collect meminfo\n  tidewatch metrics --docs docs/metrics.md"
)]
pub(super) struct Args {
    /// Only this collector or part of one; may be given several times
    #[arg(long, value_name = "NAME")]
    collect: Vec<String>,
    /// Write the list of all families as Markdown to this file instead
    #[arg(long, value_name = "FILE")]
    docs: Option<PathBuf>,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<ExitCode, Failure> {
    if let Some(file) = &args.docs {
        return block_on(async {
            let text = crate::app::documentation().await?;
            std::fs::write(file, text).with_context(|| file.display().to_string())?;
            Ok(ExitCode::SUCCESS)
        });
    }
    let settings = context.settings()?;
    block_on(async {
        let text = App::collect_once(&settings, args.collect.clone()).await.map_err(|error| anyhow::anyhow!(error))?;
        match std::io::stdout().lock().write_all(&text) {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
            _ => Ok(ExitCode::SUCCESS),
        }
    })
}
