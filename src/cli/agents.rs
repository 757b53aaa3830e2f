//! stub
use super::{Context, Failure};
use std::process::ExitCode;
/// Agents
#[derive(Debug, clap::Args)]
pub(super) struct Args {}
pub(super) fn run(_context: &Context, _args: Args) -> Result<ExitCode, Failure> {
    Ok(ExitCode::SUCCESS)
}
