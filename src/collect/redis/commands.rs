//! What the server did, by command and by error: `commandstats`, `errorstats`, `latencystats`, `LATENCY HISTOGRAM`.

use std::collections::HashMap;

use ::redis::Value;

use super::info::{Info, part, parts};
use super::reply;
use crate::metrics::{Batch, Desc, Histogram, Kind, Summary};

/// So many commands and errors are written. A server knows some 400 commands; scripts make errors of their own.
const MOST: usize = 2_000;

static CALLS: Desc = Desc::counter("redis_commands_total", "redis_exporter: calls of the command.", &["cmd"]);
static SECONDS: Desc =
    Desc::counter("redis_commands_duration_seconds_total", "redis_exporter: time spent in the command.", &["cmd"]);
static REJECTED: Desc = Desc::counter(
    "redis_commands_rejected_calls_total",
    "redis_exporter: calls refused before the command ran.",
    &["cmd"],
);
static FAILED: Desc =
    Desc::counter("redis_commands_failed_calls_total", "redis_exporter: calls that failed while running.", &["cmd"]);
static ERRORS: Desc = Desc::counter("redis_errors_total", "redis_exporter: errors, by their code.", &["err"]);
static PERCENTILES: Desc = Desc::new(
    Kind::Summary,
    "redis_latency_percentiles_usec",
    "redis_exporter: latency of the command in microseconds; the quantiles are percentiles.",
    &["cmd"],
);
static LATENCIES: Desc = Desc::histogram(
    "redis_commands_latencies_usec",
    "redis_exporter: latency of the command in microseconds, since the start or the last reset.",
    &["cmd"],
);

pub(super) static DESCS: [&Desc; 7] = [&CALLS, &SECONDS, &REJECTED, &FAILED, &ERRORS, &PERCENTILES, &LATENCIES];

/// Calls and microseconds of each command.
pub(super) type Usage<'t> = HashMap<&'t str, (f64, f64)>;

/// Writes the calls, and returns them for the latencies.
pub(super) fn write_calls<'t>(info: &Info<'t>, batch: &mut Batch) -> Usage<'t> {
    let mut usage = Usage::new();
    for line in info.section("Commandstats").take(MOST) {
        let Some(command) = line.field.strip_prefix("cmdstat_") else { continue };
        let (Some(calls), Some(micros)) = (part(line.value, "calls"), part(line.value, "usec")) else { continue };
        batch.push(&CALLS, &[command], calls);
        batch.push(&SECONDS, &[command], micros / 1e6);
        for (desc, name) in [(&REJECTED, "rejected_calls"), (&FAILED, "failed_calls")] {
            if let Some(value) = part(line.value, name) {
                batch.push(desc, &[command], value);
            }
        }
        usage.insert(command, (calls, micros));
    }
    usage
}

/// Writes the errors.
pub(super) fn write_errors(info: &Info<'_>, batch: &mut Batch) {
    for line in info.section("Errorstats").take(MOST) {
        if let (Some(code), Some(count)) = (line.field.strip_prefix("errorstat_"), part(line.value, "count")) {
            batch.push(&ERRORS, &[code], count);
        }
    }
}

/// Writes the percentiles: `latency_percentiles_usec_get:p50=1.003,p99=2.007`.
pub(super) fn write_percentiles(info: &Info<'_>, usage: &Usage<'_>, batch: &mut Batch) {
    for line in info.section("Latencystats").take(MOST) {
        let Some(command) = line.field.strip_prefix("latency_percentiles_usec_") else { continue };
        let quantile = |(name, value): (&str, &str)| Some((name.strip_prefix('p')?.parse().ok()?, value.parse().ok()?));
        let mut quantiles: Vec<(f64, f64)> = parts(line.value).filter_map(quantile).collect();
        quantiles.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (count, sum) = usage.get(command).copied().unwrap_or_default();
        batch.push_summary(&PERCENTILES, &[command], &Summary { quantiles, sum, count: count as u64 });
    }
}

/// Writes the histograms: pairs of a command and `[calls, n, histogram_usec, [bound, count, …]]`.
pub(super) fn write_histograms(reply: &Value, usage: &Usage<'_>, batch: &mut Batch) {
    for (command, value) in reply::pairs(reply).into_iter().take(MOST) {
        let Some(calls) = reply::get(value, "calls").and_then(reply::number) else { continue };
        let buckets = reply::get(value, "histogram_usec").map(reply::pairs).unwrap_or_default();
        let bucket = |(bound, count): &(_, &Value)| -> Option<(f64, u64)> {
            let bound: &std::borrow::Cow<'_, str> = bound;
            Some((bound.parse().ok()?, reply::number(count)? as u64))
        };
        let (bounds, mut cumulative): (Vec<f64>, Vec<u64>) = buckets.iter().filter_map(bucket).unzip();
        cumulative.push((calls as u64).max(cumulative.last().copied().unwrap_or_default()));
        let sum = usage.get(command.as_ref()).map_or(0.0, |(_, micros)| *micros);
        batch.push_histogram(&LATENCIES, &[&command], &Histogram { bounds, cumulative, sum });
    }
}
