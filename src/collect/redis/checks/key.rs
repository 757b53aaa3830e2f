//! Keys: how big they are, what numbers they hold, how many there are.

use ::redis::Value;

use super::{Checks, Found, Stopped};
use crate::collect::redis::{keys, reply};
use crate::metrics::{Batch, Desc};

/// So many keys are asked about at once.
const PAGE: usize = 100;

/// A longer value is not read.
const LONGEST: f64 = 512.0;

/// What the first bytes of a HyperLogLog are.
const HYPERLOGLOG: &[u8] = b"HYLL";

static SIZE: Desc = Desc::gauge(
    "redis_key_size",
    "redis_exporter: length of the value, or how many members it has; 0 without the key.",
    &["db", "key"],
);
static MEMORY: Desc =
    Desc::gauge("redis_key_memory_usage_bytes", "redis_exporter: memory that the key takes.", &["db", "key"]);
static VALUE: Desc = Desc::gauge("redis_key_value", "redis_exporter: the value, where it is a number.", &["db", "key"]);
static TEXT: Desc = Desc::gauge(
    "redis_key_value_as_string",
    "redis_exporter: the value, where it is a short text.",
    &["db", "key", "val"],
);
static COUNT: Desc = Desc::gauge("redis_keys_count", "redis_exporter: keys that match the pattern.", &["db", "key"]);

pub(super) static DESCS: [&Desc; 5] = [&SIZE, &MEMORY, &VALUE, &TEXT, &COUNT];

/// What is known of a key.
#[derive(Default)]
struct Known {
    kind: String,
    size: f64,
    memory: Option<f64>,
    value: Option<String>,
}

/// Writes the keys of `check_single_keys` and `check_keys`.
pub(super) async fn sizes(checks: &mut Checks<'_>, batch: &mut Batch) -> Result<bool, Stopped> {
    let config = checks.config;
    let (found, whole) = checks.found(&config.check_single_keys, &config.check_keys, None).await?;
    let mut rows = Vec::new();
    for of_db in found.chunk_by(|a, b| a.db == b.db) {
        for page in of_db.chunks(PAGE) {
            rows.extend(page.iter().zip(known(checks, page).await?));
        }
    }
    for (key, known) in &rows {
        batch.push(&SIZE, &[&key.db_label(), &key.label()], known.size);
    }
    for (key, known) in &rows {
        if let Some(memory) = known.memory {
            batch.push(&MEMORY, &[&key.db_label(), &key.label()], memory);
        }
    }
    for (key, known) in &rows {
        let Some(value) = &known.value else { continue };
        if let Some(number) = value.trim().parse().ok().filter(|number: &f64| number.is_finite()) {
            batch.push(&VALUE, &[&key.db_label(), &key.label()], number);
        } else if !config.disable_exporting_key_values {
            batch.push(&TEXT, &[&key.db_label(), &key.label(), value], 1.0);
        }
    }
    Ok(whole)
}

/// Asks about keys of one database: their types, then sizes, then the values of short strings.
async fn known(checks: &mut Checks<'_>, page: &[Found]) -> Result<Vec<Known>, Stopped> {
    let Some(db) = page.first().map(|key| key.db) else { return Ok(Vec::new()) };
    let types = checks.ask_in(db, |commands| {
        for key in page {
            commands.cmd("TYPE").arg(&key.name);
        }
    });
    let kind = |reply: &Value| reply::text(reply).unwrap_or_default().into_owned();
    let mut rows: Vec<Known> =
        types.await?.iter().map(|reply| Known { kind: kind(reply), ..Known::default() }).collect();
    let sizes = checks.ask_in(db, |commands| {
        for (key, row) in page.iter().zip(&rows) {
            commands.cmd(length_command(&row.kind)).arg(&key.name);
            commands.cmd("MEMORY").arg("USAGE").arg(&key.name);
        }
    });
    let sizes = sizes.await?;
    for (row, replies) in rows.iter_mut().zip(sizes.chunks_exact(2)) {
        row.size = reply::number(&replies[0]).unwrap_or_default();
        row.memory = reply::number(&replies[1]);
    }
    let short: Vec<usize> = (0..rows.len()).filter(|at| rows[*at].kind == "string").collect();
    // To ask a string that is none for its cardinality would count as an error of the server.
    let values = checks.ask_in(db, |commands| {
        for key in short.iter().filter_map(|at| page.get(*at)) {
            commands.cmd("GETRANGE").arg(&key.name).arg(0).arg(LONGEST as i64);
        }
    });
    let values = values.await?;
    let mut sketches = Vec::new();
    for (at, reply) in short.into_iter().zip(values) {
        if matches!(&reply, Value::BulkString(bytes) if bytes.starts_with(HYPERLOGLOG)) {
            sketches.push(at);
        } else if rows[at].size <= LONGEST {
            rows[at].value = reply::text(&reply).map(std::borrow::Cow::into_owned);
        }
    }
    let cardinalities = checks.ask_in(db, |commands| {
        for key in sketches.iter().filter_map(|at| page.get(*at)) {
            commands.cmd("PFCOUNT").arg(&key.name);
        }
    });
    for (at, reply) in sketches.iter().zip(cardinalities.await?) {
        rows[*at].size = reply::number(&reply).unwrap_or(rows[*at].size);
    }
    Ok(rows)
}

/// The command that tells the size of a value of this type. A module's has none: its key exists or not.
fn length_command(kind: &str) -> &'static str {
    match kind {
        "string" => "STRLEN",
        "list" => "LLEN",
        "set" => "SCARD",
        "zset" => "ZCARD",
        "hash" => "HLEN",
        "stream" => "XLEN",
        _ => "EXISTS",
    }
}

/// Writes how many keys match each pattern of `count_keys`.
pub(super) async fn counts(checks: &mut Checks<'_>, batch: &mut Batch) -> Result<bool, Stopped> {
    let list = keys::parse(&checks.config.count_keys).unwrap_or_default();
    for key in list {
        let mut count = 0;
        let counted = checks.scan(&key, None, |names| {
            count += names.len();
            true
        });
        counted.await?;
        batch.push(&COUNT, &[&key.db_label(), &key.name], count as f64);
    }
    Ok(true)
}
