//! Who copies from whom.

use super::info::{Info, part, word};
use crate::metrics::{Batch, Desc};

/// So many replicas are written.
const MOST: usize = 1_000;

static OFFSET: Desc = Desc::gauge(
    "redis_connected_slave_offset_bytes",
    "redis_exporter: how far the replica has come.",
    &["slave_ip", "slave_port", "slave_state"],
);
static LAG: Desc = Desc::gauge(
    "redis_connected_slave_lag_seconds",
    "redis_exporter: since when the replica has not been heard.",
    &["slave_ip", "slave_port", "slave_state"],
);
static INFO: Desc = Desc::gauge(
    "redis_slave_info",
    "redis_exporter: the master of this replica.",
    &["master_host", "master_port", "read_only"],
);
static LINK: Desc = Desc::gauge(
    "redis_master_link_up",
    "redis_exporter: whether this replica is connected to its master.",
    &["master_host", "master_port"],
);
static LAST_IO: Desc = Desc::gauge(
    "redis_master_last_io_seconds_ago",
    "redis_exporter: seconds since this replica last heard its master; -1 while it is not connected.",
    &["master_host", "master_port"],
);
static OWN_OFFSET: Desc = Desc::gauge(
    "redis_slave_repl_offset",
    "redis_exporter: how far this replica has come.",
    &["master_host", "master_port"],
);
static SYNCING: Desc = Desc::gauge(
    "redis_master_sync_in_progress",
    "redis_exporter: whether this replica loads its master's data.",
    &["master_host", "master_port"],
);

pub(super) static DESCS: [&Desc; 7] = [&OFFSET, &LAG, &INFO, &LINK, &LAST_IO, &OWN_OFFSET, &SYNCING];

/// Writes both sides of it: this server's replicas, and its master.
pub(super) fn write(info: &Info<'_>, batch: &mut Batch) {
    for line in info.section("Replication").take(MOST) {
        let is_replica = line.field.strip_prefix("slave").is_some_and(|number| number.parse::<u32>().is_ok());
        let Some(offset) = part(line.value, "offset").filter(|_| is_replica) else { continue };
        let labels = ["ip", "port", "state"].map(|name| word(line.value, name));
        batch.push(&OFFSET, &labels, offset);
        if let Some(lag) = part(line.value, "lag") {
            batch.push(&LAG, &labels, lag);
        }
    }
    if info.get("role") != "slave" {
        return;
    }
    let master = [info.get("master_host"), info.get("master_port")];
    batch.push(&INFO, &[master[0], master[1], info.get("slave_read_only")], 1.0);
    batch.push(&LINK, &master, f64::from(u8::from(info.get("master_link_status") == "up")));
    for (desc, field) in [
        (&LAST_IO, "master_last_io_seconds_ago"),
        (&OWN_OFFSET, "slave_repl_offset"),
        (&SYNCING, "master_sync_in_progress"),
    ] {
        if let Some(value) = info.number(field) {
            batch.push(desc, &master, value);
        }
    }
}
