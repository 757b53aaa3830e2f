//! The server as a whole: its version, its roles, its start, its cache.

use crate::collect::postgres::part::{ANY, Part, Query, Scope, Work, gauge};
use crate::metrics::Desc;

/// The families that are known since the connection stands.
pub(in crate::collect::postgres) static INFO: Desc =
    Desc::unknown("pg_static", "Version string as reported by postgres", &["server", "short_version", "version"]);

pub(super) static STATIC: Part = Part { name: "static", default: true, scope: Scope::Server, work: Work::Static };

pub(super) static ROLES: Part = Part {
    name: "roles",
    default: true,
    scope: Scope::Server,
    work: Work::Queries(&[Query {
        versions: ANY,
        sql: "SELECT rolname, rolconnlimit FROM pg_roles",
        columns: &[gauge(
            "rolconnlimit",
            "pg_roles_connection_limit",
            &["rolname"],
            "Connection limit set for the role",
        )],
    }]),
};

pub(super) static POSTMASTER: Part = Part {
    name: "postmaster",
    default: false,
    scope: Scope::Server,
    work: Work::Queries(&[Query {
        versions: ANY,
        sql: "SELECT extract(epoch FROM pg_postmaster_start_time()) AS start",
        columns: &[gauge("start", "pg_postmaster_start_time_seconds", &[], "Time at which postmaster started")],
    }]),
};

/// Needs the extension `pg_buffercache`, 1.4 of which (Postgres 16) has the summary.
pub(super) static BUFFERCACHE: Part = Part {
    name: "buffercache_summary",
    default: false,
    scope: Scope::Server,
    work: Work::Queries(&[Query {
        versions: 160_000..u32::MAX,
        sql: "SELECT buffers_used, buffers_unused, buffers_dirty, buffers_pinned, usagecount_avg \
              FROM pg_buffercache_summary()",
        columns: &[
            gauge("buffers_used", "pg_buffercache_summary_buffers_used", &[], "Number of used shared buffers"),
            gauge("buffers_unused", "pg_buffercache_summary_buffers_unused", &[], "Number of unused shared buffers"),
            gauge("buffers_dirty", "pg_buffercache_summary_buffers_dirty", &[], "Number of dirty shared buffers"),
            gauge("buffers_pinned", "pg_buffercache_summary_buffers_pinned", &[], "Number of pinned shared buffers"),
            gauge(
                "usagecount_avg",
                "pg_buffercache_summary_usagecount_avg",
                &[],
                "Average usage count of used shared buffers",
            ),
        ],
    }]),
};
