//! One run of one collector: whatever it does, it ends, and what it did is known.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::{Instant, timeout};

use super::{CollectError, Entry, Output};
use crate::config::Span;
use crate::task::words;

/// Why a run yielded nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// It said so itself.
    #[error(transparent)]
    Collect(#[from] CollectError),
    /// It was cut off at its deadline.
    #[error("not done within {0}")]
    TimedOut(Span),
    /// A defect of the collector.
    #[error("panicked: {0}")]
    Panicked(String),
}

/// A run that has ended.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) duration: Duration,
    /// What all scrapers write that waited for it; nothing, if it failed.
    pub(super) output: Option<Arc<Output>>,
}

/// Runs a collector once, at most for its timeout. What an unfinished run has pushed is dropped whole.
pub(super) async fn run(entry: &Entry) -> (Duration, Result<Output, Failure>) {
    let start = Instant::now();
    let limit = entry.schedule.timeout;
    let work = async {
        let mut out = Output::default();
        let collected = timeout(limit.0, entry.collector.collect(&mut out)).await;
        collected.map_err(|_| Failure::TimedOut(limit))??;
        Ok(out)
    };
    let outcome = AssertUnwindSafe(work).catch_unwind().await;
    let outcome = outcome.unwrap_or_else(|panic| Err(Failure::Panicked(words(panic.as_ref()).to_owned())));
    (start.elapsed(), outcome)
}
