//! Replication: how far behind a replica is, who replicates from here, and the slots that hold the log for them.

use crate::collect::postgres::part::{ANY, Part, Query, Scope, Work, gauge};

pub(super) static REPLICATION: Part = Part {
    name: "replication",
    default: true,
    scope: Scope::Server,
    work: Work::Queries(&[Query {
        versions: ANY,
        // A replica that has replayed all it received is not behind, however long the primary has been silent.
        sql: "SELECT pg_is_in_recovery() AS replica, \
              CASE WHEN NOT pg_is_in_recovery() OR pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0 \
              ELSE greatest(0, extract(epoch FROM now() - pg_last_xact_replay_timestamp())) END AS lag, \
              greatest(0, extract(epoch FROM now() - pg_last_xact_replay_timestamp())) AS replayed",
        columns: &[
            gauge("lag", "pg_replication_lag_seconds", &[], "Replication lag behind master in seconds"),
            gauge("replica", "pg_replication_is_replica", &[], "Indicates if the server is a replica"),
            gauge("replayed", "pg_replication_last_replay_seconds", &[], "Age of last replay in seconds"),
        ],
    }]),
};

const SLOT: &[&str] = &["slot_name", "slot_type"];
const SLOT_OF_DATABASE: &[&str] = &["database", "slot_name"];

pub(super) static SLOTS: Part = Part {
    name: "replication_slots",
    default: true,
    scope: Scope::Server,
    work: Work::Queries(&[
        Query {
            versions: 130_000..u32::MAX,
            // A logical slot's confirmed position is told while somebody reads from it, as the original does.
            sql: "SELECT slot_name, slot_type, coalesce(database, '') AS database, active, now_lsn - '0/0' AS position, \
                  CASE WHEN active THEN coalesce(confirmed_flush_lsn, '0/0') - '0/0' END AS confirmed, \
                  now_lsn - restart_lsn AS held, safe_wal_size, wal_status, \
                  CASE WHEN wal_status IS NOT NULL THEN 1 END AS present \
                  FROM pg_replication_slots, (SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() \
                  ELSE pg_current_wal_lsn() END AS now_lsn) AS place",
            columns: &[
                gauge(
                    "active",
                    "pg_replication_slots_active",
                    SLOT_OF_DATABASE,
                    "Flag indicating if the slot is active",
                ),
                gauge("held", "pg_replication_slots_pg_wal_lsn_diff", SLOT_OF_DATABASE, "Replication lag in bytes"),
                gauge("position", "pg_replication_slots_slot_current_wal_lsn", SLOT, "current wal lsn value"),
                gauge(
                    "confirmed",
                    "pg_replication_slots_slot_confirmed_flush_lsn",
                    SLOT,
                    "last lsn confirmed flushed to the replication slot",
                )
                .or_absent(),
                gauge(
                    "active",
                    "pg_replication_slots_slot_is_active",
                    SLOT,
                    "whether the replication slot is active or not",
                ),
                gauge(
                    "safe_wal_size",
                    "pg_replication_slots_safe_wal_size_bytes",
                    SLOT,
                    "bytes that can be written to the log before this slot is in danger of being lost",
                )
                .or_absent(),
                gauge(
                    "present",
                    "pg_replication_slots_wal_status",
                    &["slot_name", "slot_type", "wal_status"],
                    "availability of WAL files claimed by this slot",
                )
                .or_absent(),
            ],
        },
        Query {
            versions: 0..130_000,
            sql: "SELECT slot_name, coalesce(database, '') AS database, active, \
                  CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END \
                  - restart_lsn AS held FROM pg_replication_slots",
            columns: &[
                gauge(
                    "active",
                    "pg_replication_slots_active",
                    SLOT_OF_DATABASE,
                    "Flag indicating if the slot is active",
                ),
                gauge("held", "pg_replication_slots_pg_wal_lsn_diff", SLOT_OF_DATABASE, "Replication lag in bytes"),
            ],
        },
    ]),
};

const STANDBY: &[&str] = &["application_name", "client_addr", "slot_name", "state"];

/// A role without `pg_read_all_stats` sees that somebody replicates, but not who and how far.
pub(super) static STAT_REPLICATION: Part = Part {
    name: "stat_replication",
    default: true,
    scope: Scope::Server,
    work: Work::Queries(&[Query {
        versions: ANY,
        sql: "SELECT r.application_name, r.client_addr, s.slot_name, r.state, now_lsn - '0/0' AS position, \
              now_lsn - r.replay_lsn AS behind, extract(epoch FROM r.reply_time) AS reply \
              FROM pg_stat_replication r LEFT JOIN pg_replication_slots s ON s.active_pid = r.pid, \
              (SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() \
              ELSE pg_current_wal_lsn() END AS now_lsn) AS place",
        columns: &[
            gauge("position", "pg_stat_replication_pg_current_wal_lsn_bytes", STANDBY, "WAL position in bytes"),
            gauge("behind", "pg_stat_replication_pg_wal_lsn_diff", STANDBY, "Lag in bytes between master and slave")
                .or_absent(),
        ],
    }]),
};
