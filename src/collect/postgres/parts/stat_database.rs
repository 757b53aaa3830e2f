//! Counts of each database.

use crate::collect::postgres::part::{ANY, Column, Part, Query, Scope, Work, counter, gauge, unknown};

const DATABASE: &[&str] = &["datid", "datname"];
const DATABASE_OF_SERVER: &[&str] = &["datid", "datname", "server"];

pub(super) static STAT_DATABASE: Part = Part {
    name: "stat_database",
    default: true,
    scope: Scope::Server,
    work: Work::Queries(&[
        Query {
            versions: ANY,
            sql: "SELECT datid, datname, numbackends, xact_commit, xact_rollback, blks_read, blks_hit, tup_returned, \
                  tup_fetched, tup_inserted, tup_updated, tup_deleted, conflicts, temp_files, temp_bytes, deadlocks, \
                  blk_read_time, blk_write_time, extract(epoch FROM stats_reset) AS reset \
                  FROM pg_stat_database WHERE datname IS NOT NULL",
            columns: COUNTS,
        },
        Query {
            versions: 140_000..u32::MAX,
            sql: "SELECT datid, datname, active_time / 1000 AS active FROM pg_stat_database WHERE datname IS NOT NULL",
            columns: &[counter(
                "active",
                "pg_stat_database_active_time_seconds_total",
                DATABASE,
                "Time spent executing SQL statements in this database, in seconds",
            )],
        },
    ]),
};

const COUNTS: &[Column] = &[
    gauge(
        "numbackends",
        "pg_stat_database_numbackends",
        DATABASE,
        "Number of backends currently connected to this database",
    ),
    counter(
        "xact_commit",
        "pg_stat_database_xact_commit",
        DATABASE,
        "Number of transactions in this database that have been committed",
    ),
    counter(
        "xact_rollback",
        "pg_stat_database_xact_rollback",
        DATABASE,
        "Number of transactions in this database that have been rolled back",
    ),
    counter("blks_read", "pg_stat_database_blks_read", DATABASE, "Number of disk blocks read in this database"),
    counter(
        "blks_hit",
        "pg_stat_database_blks_hit",
        DATABASE,
        "Number of times disk blocks were found already in the server's own buffer cache",
    ),
    counter(
        "tup_returned",
        "pg_stat_database_tup_returned",
        DATABASE,
        "Number of rows returned by queries in this database",
    ),
    counter(
        "tup_fetched",
        "pg_stat_database_tup_fetched",
        DATABASE,
        "Number of rows fetched by queries in this database",
    ),
    counter(
        "tup_inserted",
        "pg_stat_database_tup_inserted",
        DATABASE,
        "Number of rows inserted by queries in this database",
    ),
    counter(
        "tup_updated",
        "pg_stat_database_tup_updated",
        DATABASE,
        "Number of rows updated by queries in this database",
    ),
    counter(
        "tup_deleted",
        "pg_stat_database_tup_deleted",
        DATABASE,
        "Number of rows deleted by queries in this database",
    ),
    counter(
        "conflicts",
        "pg_stat_database_conflicts",
        DATABASE,
        "Number of queries canceled due to conflicts with recovery in this database, on a standby",
    ),
    counter(
        "temp_files",
        "pg_stat_database_temp_files",
        DATABASE,
        "Number of temporary files created by queries in this database",
    ),
    counter(
        "temp_bytes",
        "pg_stat_database_temp_bytes",
        DATABASE,
        "Total amount of data written to temporary files by queries in this database",
    ),
    counter("deadlocks", "pg_stat_database_deadlocks", DATABASE, "Number of deadlocks detected in this database"),
    counter(
        "blk_read_time",
        "pg_stat_database_blk_read_time",
        DATABASE,
        "Time spent reading data file blocks by backends in this database, in milliseconds",
    ),
    counter(
        "blk_write_time",
        "pg_stat_database_blk_write_time",
        DATABASE,
        "Time spent writing data file blocks by backends in this database, in milliseconds",
    ),
    counter("reset", "pg_stat_database_stats_reset", DATABASE, "Time at which these statistics were last reset"),
];

/// One of the original's families that have the label `server` to this day.
pub(super) static CONFLICTS: Part = Part {
    name: "stat_database_conflicts",
    default: true,
    scope: Scope::Server,
    work: Work::Queries(&[
        Query {
            versions: ANY,
            sql: "SELECT datid, datname, confl_tablespace, confl_lock, confl_snapshot, confl_bufferpin, confl_deadlock \
                  FROM pg_stat_database_conflicts",
            columns: &[
                counter(
                    "confl_tablespace",
                    "pg_stat_database_conflicts_confl_tablespace",
                    DATABASE_OF_SERVER,
                    "Number of queries in this database that have been canceled due to dropped tablespaces",
                ),
                counter(
                    "confl_lock",
                    "pg_stat_database_conflicts_confl_lock",
                    DATABASE_OF_SERVER,
                    "Number of queries in this database that have been canceled due to lock timeouts",
                ),
                counter(
                    "confl_snapshot",
                    "pg_stat_database_conflicts_confl_snapshot",
                    DATABASE_OF_SERVER,
                    "Number of queries in this database that have been canceled due to old snapshots",
                ),
                counter(
                    "confl_bufferpin",
                    "pg_stat_database_conflicts_confl_bufferpin",
                    DATABASE_OF_SERVER,
                    "Number of queries in this database that have been canceled due to pinned buffers",
                ),
                counter(
                    "confl_deadlock",
                    "pg_stat_database_conflicts_confl_deadlock",
                    DATABASE_OF_SERVER,
                    "Number of queries in this database that have been canceled due to deadlocks",
                ),
            ],
        },
        Query {
            versions: 160_000..u32::MAX,
            sql: "SELECT datid, datname, confl_active_logicalslot FROM pg_stat_database_conflicts",
            columns: &[unknown(
                "confl_active_logicalslot",
                "pg_stat_database_conflicts_confl_active_logicalslot",
                DATABASE_OF_SERVER,
                "Number of uses of logical slots in this database that have been canceled",
            )],
        },
    ]),
};

/// Sessions and the time they spent, in milliseconds: names and types of release 0.11, which 0.20 does not have.
pub(super) static SESSIONS: Part = Part {
    name: "stat_database_sessions",
    default: false,
    scope: Scope::Server,
    work: Work::Queries(&[Query {
        versions: 140_000..u32::MAX,
        sql: "SELECT datid, coalesce(datname, '') AS datname, session_time, active_time, idle_in_transaction_time, \
              sessions, sessions_abandoned, sessions_fatal, sessions_killed FROM pg_stat_database",
        columns: &[
            unknown(
                "session_time",
                "pg_stat_database_session_time",
                DATABASE,
                "Time spent by database sessions in this database, in milliseconds",
            ),
            unknown(
                "active_time",
                "pg_stat_database_active_time",
                DATABASE,
                "Time spent executing SQL statements in this database, in milliseconds",
            ),
            unknown(
                "idle_in_transaction_time",
                "pg_stat_database_idle_in_transaction_time",
                DATABASE,
                "Time spent idling while in a transaction in this database, in milliseconds",
            ),
            unknown(
                "sessions",
                "pg_stat_database_sessions",
                DATABASE,
                "Total number of sessions established to this database",
            ),
            unknown(
                "sessions_abandoned",
                "pg_stat_database_sessions_abandoned",
                DATABASE,
                "Number of sessions whose connection to the client was lost",
            ),
            unknown(
                "sessions_fatal",
                "pg_stat_database_sessions_fatal",
                DATABASE,
                "Number of sessions that were ended by fatal errors",
            ),
            unknown(
                "sessions_killed",
                "pg_stat_database_sessions_killed",
                DATABASE,
                "Number of sessions that were ended by an operator",
            ),
        ],
    }]),
};

/// NULL where the cluster has no checksums, and so NaN.
pub(super) static CHECKSUMS: Part = Part {
    name: "stat_database_checksums",
    default: false,
    scope: Scope::Server,
    work: Work::Queries(&[Query {
        versions: 120_000..u32::MAX,
        sql: "SELECT datid, coalesce(datname, '') AS datname, checksum_failures, \
              extract(epoch FROM checksum_last_failure) AS last FROM pg_stat_database",
        columns: &[
            unknown(
                "checksum_failures",
                "pg_stat_database_checksum_failures",
                DATABASE,
                "Number of data page checksum failures detected in this database; NaN without checksums",
            ),
            unknown(
                "last",
                "pg_stat_database_checksum_last_failure",
                DATABASE,
                "Time at which the last data page checksum failure was detected; NaN for never",
            ),
        ],
    }]),
};
