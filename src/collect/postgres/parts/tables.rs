//! Tables: how they are read, written, vacuumed, and how big they are.

use crate::collect::postgres::part::{ANY, Part, Query, Scope, Work, counter, gauge};

const TABLE: &[&str] = &["datname", "schemaname", "relname"];

/// Asking for a table's size takes a lock of it, and so would wait for whoever rewrites it: a table that is locked
/// exclusively, itself or its indexes or its TOAST table, has no size meanwhile.
pub(super) static STAT_USER_TABLES: Part = Part {
    name: "stat_user_tables",
    default: true,
    scope: Scope::Database,
    work: Work::Queries(&[Query {
        versions: ANY,
        sql: "WITH locked AS (SELECT coalesce(i.indrelid, t.oid, l.relation) AS relid FROM pg_locks l \
              LEFT JOIN pg_class t ON t.reltoastrelid = l.relation AND t.reltoastrelid <> 0 \
              LEFT JOIN pg_index i ON i.indexrelid = l.relation \
              WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' \
              AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())) \
              SELECT current_database() AS datname, u.*, \
              CASE WHEN u.relid NOT IN (SELECT relid FROM locked) THEN pg_indexes_size(u.relid) END AS indexes, \
              CASE WHEN u.relid NOT IN (SELECT relid FROM locked) THEN pg_table_size(u.relid) END AS size FROM ( \
              SELECT relid, schemaname, relname, seq_scan, seq_tup_read, idx_scan, idx_tup_fetch, n_tup_ins, n_tup_upd, \
              n_tup_del, n_tup_hot_upd, n_live_tup, n_dead_tup, n_mod_since_analyze, \
              extract(epoch FROM last_vacuum) AS last_vacuum, extract(epoch FROM last_autovacuum) AS last_autovacuum, \
              extract(epoch FROM last_analyze) AS last_analyze, extract(epoch FROM last_autoanalyze) AS last_autoanalyze, \
              vacuum_count, autovacuum_count, analyze_count, autoanalyze_count FROM pg_stat_user_tables) AS u",
        columns: &[
            counter(
                "seq_scan",
                "pg_stat_user_tables_seq_scan",
                TABLE,
                "Number of sequential scans initiated on this table",
            ),
            counter(
                "seq_tup_read",
                "pg_stat_user_tables_seq_tup_read",
                TABLE,
                "Number of live rows fetched by sequential scans",
            ),
            counter("idx_scan", "pg_stat_user_tables_idx_scan", TABLE, "Number of index scans initiated on this table"),
            counter(
                "idx_tup_fetch",
                "pg_stat_user_tables_idx_tup_fetch",
                TABLE,
                "Number of live rows fetched by index scans",
            ),
            counter("n_tup_ins", "pg_stat_user_tables_n_tup_ins", TABLE, "Number of rows inserted"),
            counter("n_tup_upd", "pg_stat_user_tables_n_tup_upd", TABLE, "Number of rows updated"),
            counter("n_tup_del", "pg_stat_user_tables_n_tup_del", TABLE, "Number of rows deleted"),
            counter(
                "n_tup_hot_upd",
                "pg_stat_user_tables_n_tup_hot_upd",
                TABLE,
                "Number of rows HOT updated (i.e., with no separate index update required)",
            ),
            gauge("n_live_tup", "pg_stat_user_tables_n_live_tup", TABLE, "Estimated number of live rows"),
            gauge("n_dead_tup", "pg_stat_user_tables_n_dead_tup", TABLE, "Estimated number of dead rows"),
            gauge(
                "n_mod_since_analyze",
                "pg_stat_user_tables_n_mod_since_analyze",
                TABLE,
                "Estimated number of rows changed since last analyze",
            ),
            gauge(
                "last_vacuum",
                "pg_stat_user_tables_last_vacuum",
                TABLE,
                "Last time at which this table was manually vacuumed (not counting VACUUM FULL)",
            ),
            gauge(
                "last_autovacuum",
                "pg_stat_user_tables_last_autovacuum",
                TABLE,
                "Last time at which this table was vacuumed by the autovacuum daemon",
            ),
            gauge(
                "last_analyze",
                "pg_stat_user_tables_last_analyze",
                TABLE,
                "Last time at which this table was manually analyzed",
            ),
            gauge(
                "last_autoanalyze",
                "pg_stat_user_tables_last_autoanalyze",
                TABLE,
                "Last time at which this table was analyzed by the autovacuum daemon",
            ),
            counter(
                "vacuum_count",
                "pg_stat_user_tables_vacuum_count",
                TABLE,
                "Number of times this table has been manually vacuumed (not counting VACUUM FULL)",
            ),
            counter(
                "autovacuum_count",
                "pg_stat_user_tables_autovacuum_count",
                TABLE,
                "Number of times this table has been vacuumed by the autovacuum daemon",
            ),
            counter(
                "analyze_count",
                "pg_stat_user_tables_analyze_count",
                TABLE,
                "Number of times this table has been manually analyzed",
            ),
            counter(
                "autoanalyze_count",
                "pg_stat_user_tables_autoanalyze_count",
                TABLE,
                "Number of times this table has been analyzed by the autovacuum daemon",
            ),
            gauge(
                "indexes",
                "pg_stat_user_tables_index_size_bytes",
                TABLE,
                "Total disk space used by the indexes of this table, in bytes",
            )
            .or_absent(),
            gauge(
                "size",
                "pg_stat_user_tables_table_size_bytes",
                TABLE,
                "Total disk space used by this table, in bytes",
            )
            .or_absent(),
        ],
    }]),
};
