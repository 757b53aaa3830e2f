//! What the server is set to: `CONFIG GET *`.

use std::collections::BTreeMap;

use ::redis::Value;

use super::reply;
use super::section::TargetConfig;
use crate::metrics::{Batch, Desc};

/// A longer setting is cut where it is a label.
const LONGEST: usize = 512;

static KEY_VALUE: Desc = Desc::gauge("redis_config_key_value", "redis_exporter: a setting as text.", &["key", "value"]);
static VALUE: Desc = Desc::gauge("redis_config_value", "redis_exporter: a setting that is a number.", &["key"]);
static LIMIT: Desc = Desc::gauge(
    "redis_config_client_output_buffer_limit_bytes",
    "redis_exporter: the limit of output that waits for a client of the class.",
    &["class", "limit"],
);
static OVERCOME: Desc = Desc::gauge(
    "redis_config_client_output_buffer_limit_overcome_seconds",
    "redis_exporter: how long the soft limit may be exceeded before the client is dropped.",
    &["class", "limit"],
);

/// Settings that are always written.
static ALWAYS: [(&str, Desc); 4] = [
    ("io-threads", Desc::gauge("redis_config_io_threads", "redis_exporter: threads that read and write.", &[])),
    ("maxclients", Desc::gauge("redis_config_maxclients", "redis_exporter: connections that are allowed.", &[])),
    (
        "maxmemory",
        Desc::gauge("redis_config_maxmemory", "redis_exporter: bytes that data may use; 0 is no limit.", &[]),
    ),
    (
        "repl-backlog-size",
        Desc::gauge("redis_config_repl_backlog_size", "redis_exporter: bytes kept for replicas that reconnect.", &[]),
    ),
];

/// Settings of Valkey's command log.
static COMMANDLOG: [(&str, Desc); 6] = [
    (
        "commandlog-execution-slower-than",
        Desc::gauge(
            "redis_commandlog_execution_slower_than",
            "redis_exporter: microseconds from which a command is logged as slow.",
            &[],
        ),
    ),
    (
        "commandlog-slow-execution-max-len",
        Desc::gauge("redis_commandlog_slow_execution_max_len", "redis_exporter: how many slow commands are kept.", &[]),
    ),
    (
        "commandlog-request-larger-than",
        Desc::gauge(
            "redis_commandlog_request_larger_than",
            "redis_exporter: bytes from which a request is logged as large.",
            &[],
        ),
    ),
    (
        "commandlog-large-request-max-len",
        Desc::gauge("redis_commandlog_large_request_max_len", "redis_exporter: how many large requests are kept.", &[]),
    ),
    (
        "commandlog-reply-larger-than",
        Desc::gauge(
            "redis_commandlog_reply_larger_than",
            "redis_exporter: bytes from which a reply is logged as large.",
            &[],
        ),
    ),
    (
        "commandlog-large-reply-max-len",
        Desc::gauge("redis_commandlog_large_reply_max_len", "redis_exporter: how many large replies are kept.", &[]),
    ),
];

pub(super) fn descs() -> impl Iterator<Item = &'static Desc> {
    let own = [&KEY_VALUE, &VALUE, &LIMIT, &OVERCOME];
    own.into_iter().chain(ALWAYS.iter().chain(&COMMANDLOG).map(|(_, desc)| desc))
}

/// The settings, by name.
pub(super) type Settings = BTreeMap<String, String>;

/// Reads the reply of `CONFIG GET *`.
pub(super) fn read(reply: Option<&Value>) -> Settings {
    let pairs = reply.map(reply::pairs).unwrap_or_default();
    pairs.into_iter().filter_map(|(name, value)| Some((name.into_owned(), reply::text(value)?.into_owned()))).collect()
}

/// How many databases the server has: as set, or 16 as it is by default. A cluster's nodes have a setting of their own.
pub(super) fn databases(settings: &Settings, cluster: bool) -> usize {
    let set = |name: &str| settings.get(name).and_then(|count| count.parse().ok());
    if cluster { set("cluster-databases").unwrap_or(1) } else { set("databases").unwrap_or(16) }
}

/// Writes the settings that dashboards use, and all of them where they are wanted.
pub(super) fn write(settings: &Settings, config: &TargetConfig, batch: &mut Batch) {
    for (name, desc) in ALWAYS.iter().chain(&COMMANDLOG) {
        if let Some(value) = settings.get(*name).and_then(|value| value.parse().ok()) {
            batch.push(desc, &[], value);
        }
    }
    if let Some(limits) = settings.get("client-output-buffer-limit") {
        write_limits(limits, batch);
    }
    if !config.include_config_metrics {
        return;
    }
    for (name, value) in settings {
        if config.redact_config_metrics && is_secret(name) {
            continue;
        }
        let cut: String = value.chars().take(LONGEST).collect();
        batch.push(&KEY_VALUE, &[name, &cut], 1.0);
        if let Some(value) = value.parse().ok().filter(|value: &f64| value.is_finite()) {
            batch.push(&VALUE, &[name], value);
        }
    }
}

/// `normal 0 0 0 slave 268435456 67108864 60 …`: class, hard limit, soft limit, seconds.
fn write_limits(text: &str, batch: &mut Batch) {
    let words: Vec<&str> = text.split_whitespace().collect();
    for row in words.chunks_exact(4) {
        for (desc, limit, word) in [(&LIMIT, "hard", row[1]), (&LIMIT, "soft", row[2]), (&OVERCOME, "soft", row[3])] {
            if let Ok(value) = word.parse() {
                batch.push(desc, &[row[0], limit], value);
            }
        }
    }
}

/// Whether a setting holds a password.
fn is_secret(name: &str) -> bool {
    matches!(name, "requirepass" | "masterauth" | "primaryauth" | "sentinel-pass") || name.ends_with("-pass")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_and_secrets_are_known_by_their_settings() {
        let settings = Settings::from([("databases".into(), "1000".into()), ("cluster-databases".into(), "2".into())]);
        assert_eq!((databases(&settings, false), databases(&settings, true)), (1000, 2));
        assert_eq!((databases(&Settings::new(), false), databases(&Settings::new(), true)), (16, 1));
        for name in ["requirepass", "masterauth", "primaryauth", "tls-key-file-pass", "tls-client-key-file-pass"] {
            assert!(is_secret(name), "{name}");
        }
        assert!(!is_secret("maxmemory"));
    }
}
