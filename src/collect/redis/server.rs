//! What `INFO` tells of the server itself: its plain fields, its identity, its databases.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::fields;
use super::info::{Info, parts};
use super::section::TargetConfig;
use crate::metrics::{Batch, Desc};

/// So many databases are written, with or without keys.
const DATABASES: usize = 10_000;

static INSTANCE: Desc = Desc::gauge(
    "redis_instance_info",
    "redis_exporter: what the server is. Valkey tells its own version and release stage too.",
    &[
        "role",
        "redis_version",
        "redis_build_id",
        "redis_mode",
        "os",
        "maxmemory_policy",
        "tcp_port",
        "run_id",
        "process_id",
        "master_replid",
    ],
);
static START: Desc =
    Desc::gauge("redis_start_time_seconds", "redis_exporter: when the server started, since the epoch.", &[]);
static KEYS: Desc = Desc::gauge("redis_db_keys", "redis_exporter: keys of the database.", &["db"]);
static EXPIRING: Desc = Desc::gauge("redis_db_keys_expiring", "redis_exporter: keys that will expire.", &["db"]);
static CACHED: Desc = Desc::gauge(
    "redis_db_keys_cached",
    "redis_exporter: the fourth number of the keyspace's line: KeyDB's cached keys, Valkey's keys with volatile items.",
    &["db"],
);
static TTL: Desc = Desc::gauge("redis_db_avg_ttl_seconds", "redis_exporter: average time to live.", &["db"]);

pub(super) static DESCS: [&Desc; 6] = [&INSTANCE, &START, &KEYS, &EXPIRING, &CACHED, &TTL];

/// Valkey's additions to the identity, each with its field.
const VALKEY: [&str; 2] = ["valkey_version", "valkey_release_stage"];

/// Writes the plain fields.
pub(super) fn write_fields(info: &Info<'_>, config: &TargetConfig, batch: &mut Batch) {
    let mut seen = BTreeSet::new();
    for line in info.lines() {
        let Some(field) = fields::find(line.field, config.include_system_metrics) else { continue };
        if line.field.starts_with("search_") && !config.include_modules_metrics {
            continue;
        }
        if let Some(value) = fields::value(line.value).filter(|_| seen.insert(line.field)) {
            batch.push(&field.desc, &[], value * field.scale);
        }
    }
}

/// Writes what the server is, and since when.
pub(super) fn write_identity(info: &Info<'_>, now: Timestamp, batch: &mut Batch) {
    let mut labels: Vec<(&str, &str)> = INSTANCE.labels.iter().map(|label| (*label, info.get(label))).collect();
    labels.extend(VALKEY.iter().map(|label| (*label, info.get(label))).filter(|(_, value)| !value.is_empty()));
    batch.push_labelled(&INSTANCE, &labels, 1.0);
    if let Some(uptime) = info.number("uptime_in_seconds") {
        batch.push(&START, &[], now.as_second() as f64 - uptime);
    }
}

/// Writes the databases: those with keys, and the empty ones among the first `count` where they are wanted.
pub(super) fn write_keyspace(info: &Info<'_>, count: usize, empty: bool, batch: &mut Batch) {
    let mut rows: Vec<(&str, [Option<f64>; 4])> = Vec::new();
    let mut seen = BTreeSet::new();
    for line in info.section("Keyspace").take(DATABASES) {
        let is_database = line.field.strip_prefix("db").is_some_and(|number| number.parse::<u32>().is_ok());
        if !is_database || !seen.insert(line.field) {
            continue;
        }
        // The fourth has another name in each server.
        let mut numbers = parts(line.value).map(|(_, value)| value.parse().ok());
        let mut next = || numbers.next().flatten();
        rows.push((line.field, [next(), next(), next().map(|ttl: f64| ttl / 1e3), next()]));
    }
    for (at, desc) in [&KEYS, &EXPIRING, &TTL, &CACHED].into_iter().enumerate() {
        for (db, values) in &rows {
            if let Some(value) = values[at] {
                batch.push(desc, &[db], value);
            }
        }
        if empty && at < 2 {
            for db in (0..count.min(DATABASES)).map(|number| format!("db{number}")) {
                if !seen.contains(db.as_str()) {
                    batch.push(desc, &[&db], 0.0);
                }
            }
        }
    }
}
