//! Blocks of tables and indexes: found in the cache, or read.

use crate::collect::postgres::part::{ANY, Part, Query, Scope, Work, counter};

const TABLE: &[&str] = &["datname", "schemaname", "relname"];
const INDEX: &[&str] = &["schemaname", "relname", "indexrelname"];

pub(super) static TABLES: Part = Part {
    name: "statio_user_tables",
    default: true,
    scope: Scope::Database,
    work: Work::Queries(&[Query {
        versions: ANY,
        sql: "SELECT current_database() AS datname, schemaname, relname, heap_blks_read, heap_blks_hit, idx_blks_read, \
              idx_blks_hit, toast_blks_read, toast_blks_hit, tidx_blks_read, tidx_blks_hit FROM pg_statio_user_tables",
        columns: &[
            counter(
                "heap_blks_read",
                "pg_statio_user_tables_heap_blocks_read",
                TABLE,
                "Number of disk blocks read from this table",
            ),
            counter(
                "heap_blks_hit",
                "pg_statio_user_tables_heap_blocks_hit",
                TABLE,
                "Number of buffer hits in this table",
            ),
            counter(
                "idx_blks_read",
                "pg_statio_user_tables_idx_blocks_read",
                TABLE,
                "Number of disk blocks read from all indexes on this table",
            ),
            counter(
                "idx_blks_hit",
                "pg_statio_user_tables_idx_blocks_hit",
                TABLE,
                "Number of buffer hits in all indexes on this table",
            ),
            counter(
                "toast_blks_read",
                "pg_statio_user_tables_toast_blocks_read",
                TABLE,
                "Number of disk blocks read from this table's TOAST table (if any)",
            ),
            counter(
                "toast_blks_hit",
                "pg_statio_user_tables_toast_blocks_hit",
                TABLE,
                "Number of buffer hits in this table's TOAST table (if any)",
            ),
            counter(
                "tidx_blks_read",
                "pg_statio_user_tables_tidx_blocks_read",
                TABLE,
                "Number of disk blocks read from this table's TOAST table indexes (if any)",
            ),
            counter(
                "tidx_blks_hit",
                "pg_statio_user_tables_tidx_blocks_hit",
                TABLE,
                "Number of buffer hits in this table's TOAST table indexes (if any)",
            ),
        ],
    }]),
};

pub(super) static INDEXES: Part = Part {
    name: "statio_user_indexes",
    default: false,
    scope: Scope::Database,
    work: Work::Queries(&[Query {
        versions: ANY,
        sql: "SELECT schemaname, relname, indexrelname, idx_blks_read, idx_blks_hit FROM pg_statio_user_indexes",
        columns: &[
            counter(
                "idx_blks_read",
                "pg_statio_user_indexes_idx_blks_read_total",
                INDEX,
                "Number of disk blocks read from this index",
            ),
            counter(
                "idx_blks_hit",
                "pg_statio_user_indexes_idx_blks_hit_total",
                INDEX,
                "Number of buffer hits in this index",
            ),
        ],
    }]),
};
