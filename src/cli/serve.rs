//! `tidewatch`, `tidewatch serve`

use std::process::ExitCode;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::{Context, Failure, say};
use crate::app::{App, Start};
use crate::clock::Clock;
use crate::telemetry;

/// Two threads serve all: the work is short, and each thread has its share of memory.
const WORKERS: usize = 2;

/// A thread in a system call that never returns is not waited for, nor is a log that nobody reads.
const LAST_WAIT: Duration = Duration::from_secs(1);

pub(super) fn run(context: &Context) -> Result<ExitCode, Failure> {
    let validated = context.settings()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build()?;
    let log = &validated.settings.log;
    let level = telemetry::logging(log.format, &log.level).map_err(anyhow::Error::new)?;
    validated.warn();
    let start = Start {
        flags: context.flags.clone(),
        environment: context.environment.clone(),
        clock: Clock::system(),
        log_level: Some(level),
    };
    let outcome = runtime.block_on(serve(start, validated));
    runtime.shutdown_timeout(LAST_WAIT);
    telemetry::flush(LAST_WAIT);
    outcome
}

async fn serve(start: Start, validated: crate::app::settings::Validated) -> Result<ExitCode, Failure> {
    let mut ends = [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?];
    let mut reloads = signal(SignalKind::hangup())?;
    let app = App::start(start, validated).await?;
    say(app.summary())?;
    let [terminate, interrupt] = &mut ends;
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = reloads.recv() => {
                // The faults are in the log and in the metric; the old configuration goes on.
                drop(app.reload().await);
            }
        }
    }
    tracing::info!("told to end: no new requests, those at work are finished");
    let left = app.stop().await;
    if left > 0 {
        tracing::warn!(left, "tasks were cut off");
    }
    Ok(ExitCode::SUCCESS)
}
