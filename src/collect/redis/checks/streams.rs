//! Streams, their groups, and their consumers.

use ::redis::Value;

use super::{Checks, Found, Stopped};
use crate::collect::redis::reply;
use crate::metrics::{Batch, Desc};

/// So many groups of a stream, and consumers of a group, are written.
const MOST: usize = 1_000;

const STREAM: &[&str] = &["db", "stream"];
const GROUP: &[&str] = &["db", "stream", "group"];
const CONSUMER: &[&str] = &["db", "stream", "group", "consumer"];

/// How a field is read.
#[derive(Clone, Copy)]
enum Read {
    Number,
    /// Milliseconds, written as seconds.
    Millis,
    /// An id `1700000000000-0`: its time, in milliseconds.
    Id,
    /// An entry, which begins with its id.
    Entry,
}

struct Field {
    name: &'static str,
    read: Read,
    desc: Desc,
}

const fn field(name: &'static str, read: Read, desc: Desc) -> Field {
    Field { name, read, desc }
}

static OF_STREAM: [Field; 9] = [
    field("length", Read::Number, Desc::gauge("redis_stream_length", "redis_exporter: entries of the stream.", STREAM)),
    field("groups", Read::Number, Desc::gauge("redis_stream_groups", "redis_exporter: groups of the stream.", STREAM)),
    field(
        "radix-tree-keys",
        Read::Number,
        Desc::gauge("redis_stream_radix_tree_keys", "redis_exporter: keys of the stream's tree.", STREAM),
    ),
    field(
        "radix-tree-nodes",
        Read::Number,
        Desc::gauge("redis_stream_radix_tree_nodes", "redis_exporter: nodes of the stream's tree.", STREAM),
    ),
    field(
        "last-generated-id",
        Read::Id,
        Desc::gauge("redis_stream_last_generated_id", "redis_exporter: time of the last id, milliseconds.", STREAM),
    ),
    field(
        "max-deleted-entry-id",
        Read::Id,
        Desc::gauge(
            "redis_stream_max_deleted_entry_id",
            "redis_exporter: time of the last deleted entry, milliseconds.",
            STREAM,
        ),
    ),
    field(
        "first-entry",
        Read::Entry,
        Desc::gauge("redis_stream_first_entry_id", "redis_exporter: time of the first entry, milliseconds.", STREAM),
    ),
    field(
        "last-entry",
        Read::Entry,
        Desc::gauge("redis_stream_last_entry_id", "redis_exporter: time of the last entry, milliseconds.", STREAM),
    ),
    field(
        "entries-added",
        Read::Number,
        Desc::counter("redis_stream_entries_added_total", "redis_exporter: entries ever added.", STREAM),
    ),
];

static OF_GROUP: [Field; 5] = [
    field(
        "consumers",
        Read::Number,
        Desc::gauge("redis_stream_group_consumers", "redis_exporter: consumers of the group.", GROUP),
    ),
    field(
        "pending",
        Read::Number,
        Desc::gauge(
            "redis_stream_group_messages_pending",
            "redis_exporter: entries delivered and not acknowledged.",
            GROUP,
        ),
    ),
    field(
        "last-delivered-id",
        Read::Id,
        Desc::gauge(
            "redis_stream_group_last_delivered_id",
            "redis_exporter: time of the last delivered entry, milliseconds.",
            GROUP,
        ),
    ),
    field(
        "entries-read",
        Read::Number,
        Desc::gauge("redis_stream_group_entries_read", "redis_exporter: entries that the group has read.", GROUP),
    ),
    field(
        "lag",
        Read::Number,
        Desc::gauge("redis_stream_group_lag", "redis_exporter: entries that wait for the group.", GROUP),
    ),
];

static OF_CONSUMER: [Field; 2] = [
    field(
        "pending",
        Read::Number,
        Desc::gauge(
            "redis_stream_group_consumer_messages_pending",
            "redis_exporter: entries that wait for its acknowledgement.",
            CONSUMER,
        ),
    ),
    field(
        "idle",
        Read::Millis,
        Desc::gauge(
            "redis_stream_group_consumer_idle_seconds",
            "redis_exporter: since when the consumer did nothing.",
            CONSUMER,
        ),
    ),
];

pub(super) fn descs() -> impl Iterator<Item = &'static Desc> {
    OF_STREAM.iter().chain(&OF_GROUP).chain(&OF_CONSUMER).map(|field| &field.desc)
}

/// Writes the streams of `check_single_streams` and `check_streams`.
pub(super) async fn write(checks: &mut Checks<'_>, batch: &mut Batch) -> Result<bool, Stopped> {
    let config = checks.config;
    let (found, mut whole) = checks.found(&config.check_single_streams, &config.check_streams, Some("stream")).await?;
    for stream in &found {
        whole &= write_one(checks, stream, batch).await?;
    }
    Ok(whole)
}

async fn write_one(checks: &mut Checks<'_>, stream: &Found, batch: &mut Batch) -> Result<bool, Stopped> {
    let asked = checks.ask_in(stream.db, |commands| {
        for what in ["STREAM", "GROUPS"] {
            commands.cmd("XINFO").arg(what).arg(&stream.name);
        }
    });
    let replies = asked.await?;
    let [about @ (Value::Array(_) | Value::Map(_)), groups] = replies.as_slice() else { return Ok(false) };
    let (db, name) = (stream.db_label(), stream.label());
    write_fields(&OF_STREAM, &[&db, &name], about, batch);
    let groups = reply::items(groups);
    let named = |group| reply::get(group, "name").and_then(reply::text);
    let groups: Vec<_> = groups.iter().take(MOST).filter_map(|group| Some((named(group)?, group))).collect();
    for (group, about) in &groups {
        write_fields(&OF_GROUP, &[&db, &name, group], about, batch);
    }
    if checks.config.streams_exclude_consumer_metrics || groups.is_empty() {
        return Ok(true);
    }
    let asked = checks.ask_in(stream.db, |commands| {
        for (group, _) in &groups {
            commands.cmd("XINFO").arg("CONSUMERS").arg(&stream.name).arg(group.as_ref());
        }
    });
    for ((group, _), consumers) in groups.iter().zip(&asked.await?) {
        for about in reply::items(consumers).iter().take(MOST) {
            if let Some(consumer) = reply::get(about, "name").and_then(reply::text) {
                write_fields(&OF_CONSUMER, &[&db, &name, group, &consumer], about, batch);
            }
        }
    }
    Ok(true)
}

fn write_fields(fields: &'static [Field], labels: &[&str], about: &Value, batch: &mut Batch) {
    let values = reply::pairs(about);
    for field in fields {
        let value = values.iter().find(|(name, _)| name == field.name);
        if let Some(value) = value.and_then(|(_, value)| read(field.read, value)) {
            batch.push(&field.desc, labels, value);
        }
    }
}

fn read(how: Read, value: &Value) -> Option<f64> {
    match how {
        Read::Number => reply::number(value),
        Read::Millis => reply::number(value).map(|millis| millis / 1e3),
        Read::Id => reply::text(value)?.split('-').next()?.parse().ok(),
        // A stream without entries has none.
        Read::Entry => read(Read::Id, reply::items(value).first()?),
    }
}
