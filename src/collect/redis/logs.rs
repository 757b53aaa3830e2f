//! What the server notes down by itself: slow commands, large ones, spikes of latency.

use ::redis::Value;

use super::reply;
use crate::metrics::{Batch, Desc};

/// So many events are written; the server has some ten kinds.
const MOST: usize = 200;

static LENGTH: Desc = Desc::gauge("redis_slowlog_length", "redis_exporter: entries of the slow log.", &[]);
static LAST_ID: Desc = Desc::gauge("redis_slowlog_last_id", "redis_exporter: id of the slow log's last entry.", &[]);
static LAST_SECONDS: Desc = Desc::gauge(
    "redis_last_slow_execution_duration_seconds",
    "redis_exporter: how long the last slow command took.",
    &[],
);
static SPIKE_LAST: Desc = Desc::gauge(
    "redis_latency_spike_last",
    "redis_exporter: when the last spike was, since the epoch.",
    &["event_name"],
);
static SPIKE_SECONDS: Desc = Desc::gauge(
    "redis_latency_spike_duration_seconds",
    "redis_exporter: how long the last spike was.",
    &["event_name"],
);

/// Valkey's command logs, by the name that `COMMANDLOG LEN` takes.
pub(super) static COMMANDLOGS: [(&str, Desc); 3] = [
    ("slow", Desc::gauge("redis_commandlog_slow_length", "redis_exporter: entries of the log of slow commands.", &[])),
    (
        "large-request",
        Desc::gauge(
            "redis_commandlog_large_request_length",
            "redis_exporter: entries of the log of large requests.",
            &[],
        ),
    ),
    (
        "large-reply",
        Desc::gauge("redis_commandlog_large_reply_length", "redis_exporter: entries of the log of large replies.", &[]),
    ),
];

pub(super) fn descs() -> impl Iterator<Item = &'static Desc> {
    let own = [&LENGTH, &LAST_ID, &LAST_SECONDS, &SPIKE_LAST, &SPIKE_SECONDS];
    own.into_iter().chain(COMMANDLOGS.iter().map(|(_, desc)| desc))
}

/// Writes `SLOWLOG LEN`, or a length of Valkey's.
pub(super) fn write_length(desc: Option<&Desc>, reply: &Value, batch: &mut Batch) {
    if let Some(length) = reply::number(reply) {
        batch.push(desc.unwrap_or(&LENGTH), &[], length);
    }
}

/// Writes the last entry, of `SLOWLOG GET 1`: id, time, microseconds, and the command, which nobody else is to see.
pub(super) fn write_last(reply: &Value, batch: &mut Batch) {
    let entry = reply::items(reply).first().map(reply::items).unwrap_or_default();
    let number = |at: usize| entry.get(at).and_then(reply::number).unwrap_or(0.0);
    batch.push(&LAST_ID, &[], number(0));
    batch.push(&LAST_SECONDS, &[], number(2) / 1e6);
}

/// Writes `LATENCY LATEST`: event, time, milliseconds, the longest.
pub(super) fn write_spikes(reply: &Value, batch: &mut Batch) {
    for event in reply::items(reply).iter().take(MOST).map(reply::items) {
        let [name, at, millis, ..] = event else { continue };
        if let (Some(name), Some(at), Some(millis)) = (reply::text(name), reply::number(at), reply::number(millis)) {
            batch.push(&SPIKE_LAST, &[&name], at);
            batch.push(&SPIKE_SECONDS, &[&name], millis / 1e3);
        }
    }
}
