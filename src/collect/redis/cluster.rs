//! What a node knows of its cluster: `CLUSTER INFO`, and the fields of `INFO` that begin like it.

use std::collections::BTreeSet;

use super::fields;
use super::info::Info;
use crate::metrics::{Batch, Desc, Kind};

/// So many fields are taken: the names are the server's.
const MOST: usize = 200;

/// The longest name that is taken.
const LONGEST: usize = 100;

/// Fields whose family has another name.
static RENAMED: [(&str, Desc); 2] = [
    (
        "cluster_stats_messages_sent",
        Desc::gauge("redis_cluster_messages_sent_total", "redis_exporter: messages sent over the cluster's bus.", &[]),
    ),
    (
        "cluster_stats_messages_received",
        Desc::gauge(
            "redis_cluster_messages_received_total",
            "redis_exporter: messages received over the cluster's bus.",
            &[],
        ),
    ),
];

/// All others: the server's name of the field after `redis_`.
static OTHER: Desc = Desc::gauge("redis_cluster_*", "redis_exporter: a field of `CLUSTER INFO`.", &[]);

pub(super) fn descs() -> impl Iterator<Item = &'static Desc> {
    RENAMED.iter().map(|(_, desc)| desc).chain([&OTHER])
}

/// Writes every field that begins with `cluster_`, of the server and then of its cluster.
pub(super) fn write(info: &Info<'_>, cluster: Option<&str>, batch: &mut Batch) {
    let cluster = Info::parse(cluster.unwrap_or_default());
    let mut seen = BTreeSet::new();
    for line in info.lines().iter().chain(cluster.lines()) {
        // Connections of the cluster's bus are in the table of fields.
        let wanted = line.field.starts_with("cluster_") && fields::find(line.field, false).is_none();
        let Some(value) = fields::value(line.value).filter(|_| wanted && line.field.len() <= LONGEST) else { continue };
        if seen.len() >= MOST || !seen.insert(line.field) {
            continue;
        }
        if let Some((_, desc)) = RENAMED.iter().find(|(field, _)| *field == line.field) {
            batch.push(desc, &[], value);
        } else {
            let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
            let name = format!("redis_{}", line.field.chars().map(plain).collect::<String>());
            batch.push(&Desc::named(Kind::Gauge, name, OTHER.help.to_string(), &[]), &[], value);
        }
    }
}
