//! `tidewatch backup FILE`, `tidewatch restore FILE`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::json;

use super::client::ClientError;
use super::{Context, Failure, block_on, say};
use crate::clock::Clock;
use crate::store::{self, SqliteStore, Store as _};
use crate::task::Tasks;
use crate::telemetry::Telemetry;

/// Write a consistent copy of everything that is kept to a new file
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  tidewatch backup /backups/tidewatch-$(date +%F).db")]
pub(super) struct BackupArgs {
    /// The new file; an existing one is not overwritten
    file: PathBuf,
}

/// Put a backup back; refused while a server runs
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  tidewatch restore /backups/tidewatch-2026-11-21.db\n\nWhat is there now is replaced: back it up first, where it may be needed."
)]
pub(super) struct RestoreArgs {
    /// The backup
    file: PathBuf,
}

pub(super) fn backup(context: &Context, args: &BackupArgs) -> Result<ExitCode, Failure> {
    let data_dir = context.settings()?.settings.data_dir;
    let file = std::path::absolute(&args.file).with_context(|| args.file.display().to_string())?;
    let client = context.server()?;
    block_on(async {
        match client.post("/api/backup", &json!({ "file": file })).await {
            Ok(_) => say(format_args!("{}: written by the running server", file.display()))?,
            Err(ClientError::NoServer { .. }) => {
                offline(&data_dir, &file).await?;
                say(format_args!("{}: written from {}, where no server runs", file.display(), data_dir.display()))?;
            }
            Err(other) => return Err(other.into()),
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Copies the store of a folder on which no server runs.
async fn offline(folder: &Path, file: &Path) -> anyhow::Result<()> {
    anyhow::ensure!(store::exists(folder), "{}: nothing is kept there yet", folder.display());
    let _lock = store::lock(folder)?;
    let telemetry = Telemetry::new();
    let store = SqliteStore::open(folder, Clock::system(), &Tasks::new(&telemetry), &telemetry)?;
    store.backup(file).await?;
    store.close().await;
    Ok(())
}

pub(super) fn restore(context: &Context, args: &RestoreArgs) -> Result<ExitCode, Failure> {
    let data_dir = context.settings()?.settings.data_dir;
    store::restore(&args.file, &data_dir).map_err(anyhow::Error::new)?;
    say(format_args!("{}: restored from {}", data_dir.display(), args.file.display()))?;
    Ok(ExitCode::SUCCESS)
}
