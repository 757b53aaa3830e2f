//! Who is connected: `CLIENT LIST`.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::metrics::{Batch, Desc};

static INFO: Desc = Desc::gauge(
    "redis_connected_client_info",
    "redis_exporter: a client. With `export_client_port` its port too.",
    &["id", "name", "flags", "db", "host", "user", "resp"],
);
static CREATED: Desc = Desc::gauge(
    "redis_connected_client_created_at_timestamp",
    "redis_exporter: when the client connected, since the epoch.",
    &["id", "name"],
);
static IDLE: Desc = Desc::gauge(
    "redis_connected_client_idle_since_timestamp",
    "redis_exporter: since when the client is idle, since the epoch.",
    &["id", "name"],
);
static DETAILS: Desc = Desc::gauge(
    "redis_connected_clients_details",
    "redis_exporter 1.45: a client; written where `names` asks for that release.",
    &["name", "created_at", "idle_since", "flags", "db", "omem", "cmd", "host"],
);

macro_rules! per_client {
    ($($field:literal => $name:literal, $help:literal;)*) => {
        [$(($field, Desc::gauge($name, concat!("redis_exporter: ", $help), &["id", "name"]))),*]
    };
}

/// Numbers of a client that are families by themselves.
static NUMBERS: [(&str, Desc); 10] = per_client![
    "sub" => "redis_connected_client_channel_subscriptions_count", "channels that the client is subscribed to.";
    "psub" => "redis_connected_client_pattern_matching_subscriptions_count", "patterns that the client is subscribed to.";
    "ssub" => "redis_connected_client_shard_channel_subscriptions_count", "shard channels that the client is subscribed to.";
    "watch" => "redis_connected_client_shard_channel_watched_keys", "keys that the client watches.";
    "qbuf" => "redis_connected_client_query_buffer_length_bytes", "bytes of the client that wait to be read.";
    "qbuf-free" => "redis_connected_client_query_buffer_free_space_bytes", "free bytes of the client's query buffer.";
    "obl" => "redis_connected_client_output_buffer_length_bytes", "bytes in the client's output buffer.";
    "oll" => "redis_connected_client_output_list_length", "replies that wait for the client.";
    "omem" => "redis_connected_client_output_buffer_memory_usage_bytes", "memory of the replies that wait for the client.";
    "tot-mem" => "redis_connected_client_total_memory_consumed_bytes", "memory that the client takes.";
];

pub(super) fn descs() -> impl Iterator<Item = &'static Desc> {
    [&INFO, &CREATED, &IDLE, &DETAILS].into_iter().chain(NUMBERS.iter().map(|(_, desc)| desc))
}

/// Writes each client: with its port where `port` says so, in the older form too where `older` does.
pub(super) fn write(list: &str, now: Timestamp, port: bool, older: bool, batch: &mut Batch) {
    for line in list.lines() {
        let client: HashMap<&str, &str> = line.split(' ').filter_map(|part| part.split_once('=')).collect();
        let get = |name: &str| client.get(name).copied().unwrap_or_default();
        let Some((host, its_port)) = get("addr").rsplit_once(':').filter(|_| !get("id").is_empty()) else { continue };
        let since = |field: &str| get(field).parse::<i64>().ok().map(|ago| now.as_second().saturating_sub(ago));
        let (Some(created), Some(idle)) = (since("age"), since("idle")) else { continue };
        let mut labels = vec![("host", host)];
        labels.extend(["id", "name", "flags", "db", "user", "resp"].map(|name| (name, get(name))));
        if port {
            labels.push(("port", its_port));
        }
        batch.push_labelled(&INFO, &labels, 1.0);
        let who = [get("id"), get("name")];
        batch.push(&CREATED, &who, created as f64);
        batch.push(&IDLE, &who, idle as f64);
        for (field, desc) in &NUMBERS {
            if let Ok(value) = get(field).parse() {
                batch.push(desc, &who, value);
            }
        }
        if older {
            let (created, idle) = (created.to_string(), idle.to_string());
            let plain = ["flags", "db", "omem", "cmd"].map(get);
            batch.push(&DETAILS, &[get("name"), &created, &idle, plain[0], plain[1], plain[2], plain[3], host], 1.0);
        }
    }
}
