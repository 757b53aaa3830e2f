//! A part at work on a session.

use std::borrow::Cow;
use std::collections::BTreeSet;

use tokio::time::Instant;

use super::custom::File;
use super::part::{self, Constant, Part, Query, Work};
use super::parts::INFO;
use super::parts::older::OLDER;
use super::parts::{process_idle, settings, statements};
use super::rows::Rows;
use super::section::Statements;
use super::session::{Limits, Session};
use super::target::Target;
use super::trouble::Failure;
use crate::clock::Clock;
use crate::collect::Said;
use crate::metrics::Batch;
use crate::task::Tasks;

/// What the targets share.
pub(super) struct Shared {
    pub(super) clock: Clock,
    pub(super) tasks: Tasks,
    pub(super) limits: Limits,
    /// Those that run, in their order.
    pub(super) parts: Vec<&'static Part>,
    /// The older releases whose names are wanted too.
    pub(super) names: BTreeSet<String>,
    pub(super) statements: Statements,
    /// The operator's own queries.
    pub(super) custom: Vec<File>,
    pub(super) said: Said,
}

impl Shared {
    pub(super) fn has_names(&self, release: &str) -> bool {
        self.names.contains(release)
    }
}

/// One part's questions to one database.
pub(super) struct Ask<'a> {
    pub(super) session: &'a Session,
    pub(super) shared: &'a Shared,
    pub(super) deadline: Instant,
    pub(super) constant: &'a Constant,
    /// What `version()` says.
    pub(super) version: &'a str,
    pub(super) target: &'a Target,
    pub(super) database: &'a str,
    /// Whether this is the target's first database.
    pub(super) first: bool,
}

/// PostgreSQL's code for a column that does not exist.
const UNDEFINED_COLUMN: &str = "42703";

impl Ask<'_> {
    /// Writes a part's samples. Returns whether there were more rows than are read.
    pub(super) async fn part(&self, part: &'static Part, batch: &mut Batch) -> Result<bool, Failure> {
        match &part.work {
            Work::Static => {
                self.constant.push(batch, &INFO, &[&self.constant.server, &self.short(), self.version], 1.0);
                Ok(false)
            }
            Work::Queries(queries) => self.queries(part, queries, batch).await,
            Work::Settings => {
                let rows = self.one(settings::SQL).await?;
                settings::write(&rows, self.constant, batch);
                Ok(rows.cut)
            }
            Work::ProcessIdle => {
                let rows = self.one(process_idle::SQL).await?;
                process_idle::write(&rows, self.constant, batch);
                Ok(rows.cut)
            }
            Work::Statements => self.statements(batch).await,
            // Runs apart: each query has a batch of its own.
            Work::Custom => Ok(false),
        }
    }

    /// The queries that this server understands, in one message.
    async fn queries(
        &self,
        part: &'static Part,
        queries: &'static [Query],
        batch: &mut Batch,
    ) -> Result<bool, Failure> {
        let older = OLDER.iter().filter(|older| older.part == part.name && self.shared.has_names(older.release));
        let all = queries.iter().chain(older.map(|older| &older.query));
        let fitting: Vec<_> = all.filter(|query| query.versions.contains(&self.session.version)).collect();
        if fitting.is_empty() {
            return Ok(false);
        }
        let sql = match fitting.as_slice() {
            [only] => Cow::Borrowed(only.sql),
            several => Cow::Owned(several.iter().map(|query| query.sql).collect::<Vec<_>>().join(";\n")),
        };
        let answers = self.session.query(&sql, &self.shared.limits, self.deadline).await?;
        for (query, rows) in fitting.iter().zip(&answers) {
            part::write(query.columns, rows, self.constant, batch);
        }
        Ok(answers.iter().any(|rows| rows.cut))
    }

    async fn statements(&self, batch: &mut Batch) -> Result<bool, Failure> {
        let queries = statements::queries(self.session.version, &self.shared.statements);
        let mut tried = queries.iter().peekable();
        while let Some(sql) = tried.next() {
            match self.one(sql).await {
                Err(Failure::Refused { code, .. }) if code == UNDEFINED_COLUMN && tried.peek().is_some() => {}
                answer => {
                    let rows = answer?;
                    part::write(&statements::COLUMNS, &rows, self.constant, batch);
                    part::write(&statements::TEXTS, &rows, self.constant, batch);
                    return Ok(rows.cut);
                }
            }
        }
        Ok(false)
    }

    async fn one(&self, sql: &str) -> Result<Rows, Failure> {
        let mut answers = self.session.query(sql, &self.shared.limits, self.deadline).await?;
        Ok(answers.pop().unwrap_or_default())
    }

    /// `18.4.0`, as the original writes a version.
    fn short(&self) -> String {
        let version = self.session.version;
        match version {
            100_000.. => format!("{}.{}.0", version / 10_000, version % 10_000),
            _ => format!("{}.{}.{}", version / 10_000, version / 100 % 100, version % 100),
        }
    }
}
