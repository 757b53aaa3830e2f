//! The statements that took the longest, from the extension `pg_stat_statements`.

use std::ops::Range;

use crate::collect::postgres::part::{Column, Part, Scope, Work, counter, gauge};
use crate::collect::postgres::section::Statements;

pub(in crate::collect::postgres) static STATEMENTS: Part =
    Part { name: "stat_statements", default: false, scope: Scope::Server, work: Work::Statements };

const STATEMENT: &[&str] = &["user", "datname", "queryid"];

pub(in crate::collect::postgres) static COLUMNS: [Column; 5] = [
    counter("calls", "pg_stat_statements_calls_total", STATEMENT, "Number of times executed"),
    counter("seconds", "pg_stat_statements_seconds_total", STATEMENT, "Total time spent in the statement, in seconds"),
    counter(
        "rows",
        "pg_stat_statements_rows_total",
        STATEMENT,
        "Total number of rows retrieved or affected by the statement",
    ),
    counter(
        "block_read",
        "pg_stat_statements_block_read_seconds_total",
        STATEMENT,
        "Total time the statement spent reading blocks, in seconds",
    ),
    counter(
        "block_write",
        "pg_stat_statements_block_write_seconds_total",
        STATEMENT,
        "Total time the statement spent writing blocks, in seconds",
    ),
];

/// The texts, where they are wanted: a text may hold what nobody should read in a label.
pub(in crate::collect::postgres) static TEXTS: [Column; 1] =
    [gauge("present", "pg_stat_statements_query_id", &["queryid", "query"], "SQL Query to queryid mapping")];

/// The columns of the extension follow its own version, which an upgrade of the server leaves behind: where the newest
/// query that the server could have is refused, the next older one is tried.
const TIMES: &[(Range<u32>, &str)] = &[
    (
        170_000..u32::MAX,
        "sum(s.total_exec_time) / 1000 AS seconds, sum(s.shared_blk_read_time) / 1000 AS block_read, sum(s.shared_blk_write_time) / 1000 AS block_write",
    ),
    (
        130_000..u32::MAX,
        "sum(s.total_exec_time) / 1000 AS seconds, sum(s.blk_read_time) / 1000 AS block_read, sum(s.blk_write_time) / 1000 AS block_write",
    ),
    (
        0..u32::MAX,
        "sum(s.total_time) / 1000 AS seconds, sum(s.blk_read_time) / 1000 AS block_read, sum(s.blk_write_time) / 1000 AS block_write",
    ),
];

/// The queries for a server, the newest first.
pub(in crate::collect::postgres) fn queries(version: u32, options: &Statements) -> Vec<String> {
    let Statements { limit, query_length, .. } = options;
    // One statement is counted apart where it is nested in a function, and for each user.
    let text = if options.include_query {
        format!(", 1 AS present, left(min(s.query), {query_length}) AS query")
    } else {
        String::new()
    };
    let tail = format!(
        "FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid JOIN pg_roles r ON r.oid = s.userid \
         WHERE s.queryid IS NOT NULL GROUP BY 1, 2, 3 ORDER BY seconds DESC LIMIT {limit}"
    );
    let head = "SELECT r.rolname AS user, d.datname, s.queryid, sum(s.calls) AS calls, sum(s.rows) AS rows";
    let fits = TIMES.iter().filter(|(versions, _)| versions.contains(&version));
    fits.map(|(_, times)| format!("{head}, {times}{text} {tail}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_extension_is_asked_in_its_own_words() {
        let ask = |version| queries(version, &Statements::default());
        assert_eq!([120_000, 150_000, 180_000].map(|version| ask(version).len()), [1, 2, 3]);
        assert!(ask(180_000)[0].contains("shared_blk_read_time") && ask(180_000)[1].contains("s.blk_read_time"));
        assert!(ask(150_000)[0].ends_with("LIMIT 100") && !ask(150_000)[0].contains("query,"));
        let options = Statements { include_query: true, query_length: 7, ..Statements::default() };
        assert!(queries(150_000, &options)[0].contains("left(min(s.query), 7) AS query"));
    }
}
