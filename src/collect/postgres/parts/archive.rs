//! The write-ahead log: its files, its archiving.

use crate::collect::postgres::part::{ANY, Part, Query, Scope, Work, counter, gauge};

pub(super) static ARCHIVER: Part = Part {
    name: "stat_archiver",
    default: true,
    scope: Scope::Server,
    work: Work::Queries(&[Query {
        versions: ANY,
        sql: "SELECT archived_count, failed_count, extract(epoch FROM now() - last_archived_time) AS age \
              FROM pg_stat_archiver",
        columns: &[
            counter(
                "archived_count",
                "pg_stat_archiver_archived_count",
                &[],
                "Number of WAL files that have been successfully archived",
            ),
            counter(
                "failed_count",
                "pg_stat_archiver_failed_count",
                &[],
                "Number of failed attempts for archiving WAL files",
            ),
            gauge(
                "age",
                "pg_stat_archiver_last_archive_age",
                &[],
                "Time in seconds since last WAL segment was successfully archived",
            )
            .or_absent(),
        ],
    }]),
};

/// Reads the folder of the log, for which the role needs the rights of `pg_monitor`.
pub(super) static WAL: Part = Part {
    name: "wal",
    default: true,
    scope: Scope::Server,
    work: Work::Queries(&[Query {
        versions: 100_000..u32::MAX,
        sql: "SELECT count(*) AS segments, sum(size) AS size FROM pg_ls_waldir() WHERE name ~ '^[0-9A-F]{24}$'",
        columns: &[
            gauge("segments", "pg_wal_segments", &[], "Number of WAL segments"),
            gauge("size", "pg_wal_size_bytes", &[], "Total size of WAL segments"),
        ],
    }]),
};

/// Servers before 10 had the functions that this reads under these names; later ones have no such family, as in the
/// original.
pub(super) static LOCATION: Part = Part {
    name: "xlog_location",
    default: false,
    scope: Scope::Server,
    work: Work::Queries(&[Query {
        versions: 0..100_000,
        sql: "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_xlog_replay_location() - '0/0' \
              ELSE pg_current_xlog_location() - '0/0' END AS bytes",
        columns: &[gauge(
            "bytes",
            "pg_xlog_location_bytes",
            &[],
            "Postgres LSN (log sequence number) being generated on primary or replayed on replica",
        )],
    }]),
};
