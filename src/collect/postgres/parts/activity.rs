//! What is connected, what it does, what it holds.

use crate::collect::postgres::part::{ANY, Part, Query, Scope, Work, gauge};

const ACTIVITY_LABELS: &[&str] =
    &["datname", "state", "usename", "application_name", "backend_type", "wait_event_type", "wait_event"];

/// Each database and state has a series, 0 where nobody is in it, so that an alert on an absence is possible.
pub(super) static ACTIVITY: Part = Part {
    name: "stat_activity",
    default: true,
    scope: Scope::Server,
    work: Work::Queries(&[Query {
        versions: ANY,
        sql: "SELECT d.datname, s.state, a.usename, a.application_name, a.backend_type, a.wait_event_type, \
              a.wait_event, a.connections, a.duration \
              FROM pg_database d CROSS JOIN (VALUES ('active'), ('idle'), ('idle in transaction'), \
              ('idle in transaction (aborted)'), ('fastpath function call'), ('disabled')) AS s(state) \
              LEFT JOIN (SELECT datname, state, usename, application_name, backend_type, wait_event_type, wait_event, \
              count(*) AS connections, max(extract(epoch FROM now() - xact_start)) AS duration \
              FROM pg_stat_activity WHERE pid <> pg_backend_pid() GROUP BY 1, 2, 3, 4, 5, 6, 7) AS a \
              ON a.datname = d.datname AND a.state = s.state",
        columns: &[
            gauge("connections", "pg_stat_activity_count", ACTIVITY_LABELS, "number of connections in this state"),
            gauge(
                "duration",
                "pg_stat_activity_max_tx_duration",
                ACTIVITY_LABELS,
                "max duration in seconds any active transaction has been running",
            ),
        ],
    }]),
};

/// Each database and mode has a series. The view itself takes no lock that anybody waits for.
pub(super) static LOCKS: Part = Part {
    name: "locks",
    default: true,
    scope: Scope::Server,
    work: Work::Queries(&[Query {
        versions: ANY,
        sql: "SELECT d.datname, m.mode, count(l.mode) AS locks FROM pg_database d \
              CROSS JOIN (VALUES ('accesssharelock'), ('rowsharelock'), ('rowexclusivelock'), \
              ('shareupdateexclusivelock'), ('sharelock'), ('sharerowexclusivelock'), ('exclusivelock'), \
              ('accessexclusivelock'), ('sireadlock')) AS m(mode) \
              LEFT JOIN pg_locks l ON l.database = d.oid AND lower(l.mode) = m.mode GROUP BY 1, 2",
        columns: &[gauge("locks", "pg_locks_count", &["datname", "mode"], "Number of locks")],
    }]),
};

/// Those that have run for a minute or longer, as the original counts them.
pub(super) static LONG_RUNNING: Part = Part {
    name: "long_running_transactions",
    default: false,
    scope: Scope::Server,
    work: Work::Queries(&[Query {
        versions: ANY,
        sql: "SELECT count(*) FILTER (WHERE age >= 60) AS transactions, max(age) FILTER (WHERE age >= 60) AS oldest \
              FROM (SELECT extract(epoch FROM clock_timestamp() - xact_start) AS age FROM pg_stat_activity \
              WHERE xact_start IS NOT NULL AND state IS DISTINCT FROM 'idle' AND query NOT LIKE 'autovacuum:%' \
              AND pid <> pg_backend_pid()) AS running",
        columns: &[
            gauge("transactions", "pg_long_running_transactions", &[], "Current number of long running transactions"),
            gauge(
                "oldest",
                "pg_long_running_transactions_oldest_timestamp_seconds",
                &[],
                "The current maximum transaction age in seconds",
            ),
        ],
    }]),
};
