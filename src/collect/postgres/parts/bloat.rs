//! Bloat: how much of tables and indexes is empty, estimated from statistics, without reading them and without locks.

use crate::collect::postgres::part::{ANY, Part, Query, Scope, Work, gauge};

const TABLE: &[&str] = &["datname", "schemaname", "relname"];
const INDEX: &[&str] = &["datname", "schemaname", "relname", "indexrelname"];

/// The pages that the rows would fill at the table's fill factor, against the pages that there are. A row is its header
/// (23 bytes, aligned to 24), a line pointer (4), and its columns' average widths, aligned to 8; a page has 24 bytes of
/// header. Needs ANALYZE to have run, and the right to read the table: its columns' statistics are hidden otherwise.
pub(super) static TABLES: Part = Part {
    name: "bloat_tables",
    default: false,
    scope: Scope::Database,
    work: Work::Queries(&[Query {
        versions: ANY,
        sql: "SELECT current_database() AS datname, schemaname, relname, relpages * block AS size, \
              greatest(0, relpages - ceil(reltuples / greatest(1, \
              floor((block - 24) * fill / 100.0 / (28 + 8 * ceil(width / 8.0)))))) * block AS bloat \
              FROM (SELECT n.nspname AS schemaname, c.relname, c.relpages::numeric, c.reltuples::numeric, \
              current_setting('block_size')::numeric AS block, \
              coalesce((SELECT option_value::numeric FROM pg_options_to_table(c.reloptions) \
              WHERE option_name = 'fillfactor'), 100) AS fill, \
              (SELECT sum((1 - s.null_frac) * s.avg_width)::numeric FROM pg_stats s \
              WHERE s.schemaname = n.nspname AND s.tablename = c.relname AND NOT s.inherited) AS width \
              FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'm') \
              AND c.reltuples > 0 AND n.nspname NOT IN ('pg_catalog', 'information_schema')) AS t \
              WHERE width IS NOT NULL",
        columns: &[
            gauge("size", "pg_bloat_table_size_bytes", TABLE, "Size of the table at its last ANALYZE or VACUUM"),
            gauge("bloat", "pg_bloat_table_bytes", TABLE, "Estimated bytes of the table that hold no rows"),
        ],
    }]),
};

/// The same for B-trees: an entry is a header (8 bytes), a line pointer (4) and the columns' average widths, aligned to 8;
/// leaves are filled to 90 % unless the index says otherwise; a page has 24 bytes of header and 16 of its own.
pub(super) static INDEXES: Part = Part {
    name: "bloat_indexes",
    default: false,
    scope: Scope::Database,
    work: Work::Queries(&[Query {
        versions: ANY,
        sql: "SELECT current_database() AS datname, schemaname, relname, indexrelname, relpages * block AS size, \
              greatest(0, relpages - 1 - ceil(reltuples / greatest(1, \
              floor((block - 40) * fill / 100.0 / (12 + 8 * ceil(width / 8.0)))))) * block AS bloat \
              FROM (SELECT n.nspname AS schemaname, t.relname, c.relname AS indexrelname, c.relpages::numeric, \
              c.reltuples::numeric, current_setting('block_size')::numeric AS block, \
              coalesce((SELECT option_value::numeric FROM pg_options_to_table(c.reloptions) \
              WHERE option_name = 'fillfactor'), 90) AS fill, \
              (SELECT sum((1 - s.null_frac) * s.avg_width)::numeric FROM pg_stats s \
              JOIN pg_attribute a ON a.attrelid = t.oid AND a.attname = s.attname \
              WHERE s.schemaname = n.nspname AND s.tablename = t.relname AND NOT s.inherited \
              AND a.attnum = ANY (i.indkey)) AS width \
              FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid \
              JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_am am ON am.oid = c.relam \
              WHERE am.amname = 'btree' AND c.relkind = 'i' AND c.reltuples > 0 AND i.indpred IS NULL \
              AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')) AS x WHERE width IS NOT NULL",
        columns: &[
            gauge("size", "pg_bloat_index_size_bytes", INDEX, "Size of the index at its last ANALYZE or VACUUM"),
            gauge("bloat", "pg_bloat_index_bytes", INDEX, "Estimated bytes of the index that hold no entries"),
        ],
    }]),
};
