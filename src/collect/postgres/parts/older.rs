//! Families of older releases that the server still offers, by the option `names`.

use crate::collect::postgres::part::{ANY, Query, counter, gauge, unknown};

/// Further queries of a part.
pub(in crate::collect::postgres) struct Older {
    pub(in crate::collect::postgres) release: &'static str,
    pub(in crate::collect::postgres) part: &'static str,
    pub(in crate::collect::postgres) query: Query,
}

/// Parts that ran in release 0.11, or whose families it had.
pub(in crate::collect::postgres) const PARTS_OF_0_11: &[&str] =
    &["stat_database_sessions", "stat_database_checksums", "postmaster"];

const SLOT: &[&str] = &["slot_name", "slot_type"];
const TABLE: &[&str] = &["datname", "schemaname", "relname"];

pub(in crate::collect::postgres) static OLDER: &[Older] = &[
    Older {
        release: "0.19",
        part: "replication_slots",
        query: Query {
            versions: 130_000..u32::MAX,
            sql: "SELECT slot_name, slot_type, active, safe_wal_size, wal_status, \
                  CASE WHEN wal_status IS NOT NULL THEN 1 END AS present, \
                  CASE WHEN active THEN coalesce(confirmed_flush_lsn, '0/0') - '0/0' END AS confirmed, \
                  CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END - '0/0' \
                  AS position FROM pg_replication_slots",
            columns: &[
                gauge("position", "pg_replication_slot_slot_current_wal_lsn", SLOT, "current wal lsn value"),
                gauge(
                    "confirmed",
                    "pg_replication_slot_slot_confirmed_flush_lsn",
                    SLOT,
                    "last lsn confirmed flushed to the replication slot",
                )
                .or_absent(),
                gauge(
                    "active",
                    "pg_replication_slot_slot_is_active",
                    SLOT,
                    "whether the replication slot is active or not",
                ),
                gauge(
                    "safe_wal_size",
                    "pg_replication_slot_safe_wal_size_bytes",
                    SLOT,
                    "bytes that can be written to the log before this slot is in danger of being lost",
                )
                .or_absent(),
                gauge(
                    "present",
                    "pg_replication_slot_wal_status",
                    &["slot_name", "slot_type", "wal_status"],
                    "availability of WAL files claimed by this slot",
                )
                .or_absent(),
            ],
        },
    },
    Older {
        release: "0.11",
        part: "replication",
        query: Query {
            versions: ANY,
            sql: "SELECT CASE WHEN NOT pg_is_in_recovery() THEN 0 \
                  ELSE greatest(0, extract(epoch FROM now() - pg_last_xact_replay_timestamp())) END AS lag",
            columns: &[gauge("lag", "pg_replication_lag", &[], "Replication lag behind master in seconds")],
        },
    },
    Older {
        release: "0.11",
        part: "stat_archiver",
        query: Query {
            versions: ANY,
            sql: "SELECT extract(epoch FROM now() - last_archived_time) AS age FROM pg_stat_archiver \
                  WHERE last_archived_time IS NULL",
            columns: &[gauge(
                "age",
                "pg_stat_archiver_last_archive_age",
                &[],
                "Time in seconds since last WAL segment was successfully archived",
            )
            .or_nan()],
        },
    },
    Older {
        release: "0.11",
        part: "stat_replication",
        query: Query {
            versions: 120_000..u32::MAX,
            sql: "SELECT r.application_name, r.client_addr, s.slot_name, r.state, \
                  extract(epoch FROM r.reply_time) AS reply FROM pg_stat_replication r \
                  LEFT JOIN pg_replication_slots s ON s.active_pid = r.pid",
            columns: &[unknown(
                "reply",
                "pg_stat_replication_reply_time",
                &["application_name", "client_addr", "slot_name", "state"],
                "Send time of the last reply message received from the standby",
            )],
        },
    },
    Older {
        release: "0.11",
        part: "statio_user_tables",
        query: Query {
            versions: ANY,
            sql: "SELECT current_database() AS datname, schemaname, relname, heap_blks_read, heap_blks_hit, \
                  idx_blks_read, idx_blks_hit, toast_blks_read, toast_blks_hit, tidx_blks_read, tidx_blks_hit \
                  FROM pg_statio_user_tables",
            columns: &[
                counter(
                    "heap_blks_read",
                    "pg_statio_user_tables_heap_blks_read",
                    TABLE,
                    "Disk blocks read from this table",
                )
                .or_nan(),
                counter("heap_blks_hit", "pg_statio_user_tables_heap_blks_hit", TABLE, "Buffer hits in this table")
                    .or_nan(),
                counter(
                    "idx_blks_read",
                    "pg_statio_user_tables_idx_blks_read",
                    TABLE,
                    "Disk blocks read from all indexes on this table",
                )
                .or_nan(),
                counter(
                    "idx_blks_hit",
                    "pg_statio_user_tables_idx_blks_hit",
                    TABLE,
                    "Buffer hits in all indexes on this table",
                )
                .or_nan(),
                counter(
                    "toast_blks_read",
                    "pg_statio_user_tables_toast_blks_read",
                    TABLE,
                    "Disk blocks read from this table's TOAST table",
                )
                .or_nan(),
                counter(
                    "toast_blks_hit",
                    "pg_statio_user_tables_toast_blks_hit",
                    TABLE,
                    "Buffer hits in this table's TOAST table",
                )
                .or_nan(),
                counter(
                    "tidx_blks_read",
                    "pg_statio_user_tables_tidx_blks_read",
                    TABLE,
                    "Disk blocks read from this table's TOAST table indexes",
                )
                .or_nan(),
                counter(
                    "tidx_blks_hit",
                    "pg_statio_user_tables_tidx_blks_hit",
                    TABLE,
                    "Buffer hits in this table's TOAST table indexes",
                )
                .or_nan(),
            ],
        },
    },
];
