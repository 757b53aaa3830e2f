//! Vacuum at work.

use crate::collect::postgres::part::{ANY, Column, Part, Query, Scope, Work, gauge};

const TABLE: &[&str] = &["datname", "relname"];

/// Counted until Postgres 16, measured in bytes since: other columns, the same families.
const DEAD: &[Column] = &[
    gauge(
        "most",
        "pg_stat_progress_vacuum_max_dead_tuples",
        TABLE,
        "Number of dead tuples that fit before a cleanup of the indexes; bytes since Postgres 17.",
    ),
    gauge(
        "dead",
        "pg_stat_progress_vacuum_num_dead_tuples",
        TABLE,
        "Number of dead tuples found since the last cleanup; bytes since Postgres 17.",
    ),
];

/// A table of another database has no name here, only its number.
pub(super) static PROGRESS: Part = Part {
    name: "stat_progress_vacuum",
    default: true,
    scope: Scope::Server,
    work: Work::Queries(&[
        Query {
            versions: ANY,
            sql: "SELECT v.datname, coalesce(c.oid::regclass::text, v.relid::text) AS relname, p.phase, \
                  v.phase = p.phase AS current FROM pg_stat_progress_vacuum v \
                  LEFT JOIN pg_class c ON c.oid = v.relid AND v.datname = current_database() \
                  CROSS JOIN (VALUES ('initializing'), ('scanning heap'), ('vacuuming indexes'), ('vacuuming heap'), \
                  ('cleaning up indexes'), ('truncating heap'), ('performing final cleanup')) AS p(phase)",
            columns: &[gauge(
                "current",
                "pg_stat_progress_vacuum_phase",
                &["datname", "relname", "phase"],
                "Current vacuum phase (1 = active, 0 = inactive)",
            )],
        },
        Query {
            versions: ANY,
            sql: "SELECT v.datname, coalesce(c.oid::regclass::text, v.relid::text) AS relname, v.heap_blks_total, \
                  v.heap_blks_scanned, v.heap_blks_vacuumed, v.index_vacuum_count FROM pg_stat_progress_vacuum v \
                  LEFT JOIN pg_class c ON c.oid = v.relid AND v.datname = current_database()",
            columns: &[
                gauge(
                    "heap_blks_total",
                    "pg_stat_progress_vacuum_heap_blks",
                    TABLE,
                    "Total number of heap blocks in the table being vacuumed.",
                ),
                gauge(
                    "heap_blks_scanned",
                    "pg_stat_progress_vacuum_heap_blks_scanned",
                    TABLE,
                    "Number of heap blocks scanned so far.",
                ),
                gauge(
                    "heap_blks_vacuumed",
                    "pg_stat_progress_vacuum_heap_blks_vacuumed",
                    TABLE,
                    "Number of heap blocks vacuumed so far.",
                ),
                gauge(
                    "index_vacuum_count",
                    "pg_stat_progress_vacuum_index_vacuums",
                    TABLE,
                    "Number of completed index vacuum cycles.",
                ),
            ],
        },
        Query {
            versions: 0..170_000,
            sql: "SELECT v.datname, coalesce(c.oid::regclass::text, v.relid::text) AS relname, v.max_dead_tuples AS most, \
                  v.num_dead_tuples AS dead FROM pg_stat_progress_vacuum v \
                  LEFT JOIN pg_class c ON c.oid = v.relid AND v.datname = current_database()",
            columns: DEAD,
        },
        Query {
            versions: 170_000..u32::MAX,
            sql: "SELECT v.datname, coalesce(c.oid::regclass::text, v.relid::text) AS relname, \
                  v.max_dead_tuple_bytes AS most, v.dead_tuple_bytes AS dead FROM pg_stat_progress_vacuum v \
                  LEFT JOIN pg_class c ON c.oid = v.relid AND v.datname = current_database()",
            columns: DEAD,
        },
    ]),
};

pub(super) static AUTOVACUUM: Part = Part {
    name: "stat_activity_autovacuum",
    default: false,
    scope: Scope::Server,
    work: Work::Queries(&[Query {
        versions: ANY,
        sql: "SELECT split_part(query, '.', 2) AS relname, min(extract(epoch FROM xact_start)) AS start \
              FROM pg_stat_activity WHERE query LIKE 'autovacuum:%' GROUP BY 1",
        columns: &[gauge(
            "start",
            "pg_stat_activity_autovacuum_timestamp_seconds",
            &["relname"],
            "The start time of the autovacuum of this table, as a Unix timestamp",
        )],
    }]),
};
