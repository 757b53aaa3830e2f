//! Databases: their size, their limit, how far they are from running out of transaction numbers.

use crate::collect::postgres::part::{ANY, Part, Query, Scope, Work, gauge};

/// A size that the role may not ask for is left out instead of failing the whole: it needs CONNECT, or the rights of
/// `pg_read_all_stats`. A limit below -1 marks a database whose DROP broke off.
pub(super) static DATABASE: Part = Part {
    name: "database",
    default: true,
    scope: Scope::Server,
    work: Work::Queries(&[Query {
        versions: ANY,
        sql: "SELECT datname, datconnlimit, \
              CASE WHEN has_database_privilege(oid, 'CONNECT') OR pg_has_role('pg_read_all_stats', 'USAGE') \
              THEN pg_database_size(oid) END AS size \
              FROM pg_database WHERE datconnlimit >= -1",
        columns: &[
            gauge(
                "datconnlimit",
                "pg_database_connection_limit",
                &["datname"],
                "Connection limit set for the database",
            ),
            gauge("size", "pg_database_size_bytes", &["datname"], "Disk space used by the database").or_absent(),
        ],
    }]),
};

pub(super) static WRAPAROUND: Part = Part {
    name: "database_wraparound",
    default: false,
    scope: Scope::Server,
    work: Work::Queries(&[Query {
        versions: ANY,
        sql: "SELECT datname, age(datfrozenxid) AS xid, mxid_age(datminmxid) AS mxid \
              FROM pg_database WHERE datallowconn",
        columns: &[
            gauge(
                "xid",
                "pg_database_wraparound_age_datfrozenxid_seconds",
                &["datname"],
                "Age of the oldest transaction ID that has not been frozen, in transactions in spite of the name.",
            ),
            gauge(
                "mxid",
                "pg_database_wraparound_age_datminmxid_seconds",
                &["datname"],
                "Age of the oldest multi-transaction ID that has been replaced with a transaction ID, in transactions.",
            ),
        ],
    }]),
};
