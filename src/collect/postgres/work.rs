//! A part at work on a session.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::time::Instant;

use super::custom::File;
use super::learned::{Learned, Stamp};
use super::part::{self, Constant, Part, Query, Work};
use super::parts::INFO;
use super::parts::older::OLDER;
use super::parts::{process_idle, settings, statements};
use super::rows::Rows;
use super::section::Statements;
use super::session::{Limits, Session};
use super::target::Target;
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
    /// As what settings are read.
    pub(super) stamp: &'a Stamp,
}

/// PostgreSQL's code for a column that does not exist.
const UNDEFINED_COLUMN: &str = "42703";

impl Ask<'_> {
    /// What a part asks of this server; nothing, where its samples are known.
    pub(super) fn questions(&self, part: &Part, learned: &Learned) -> Vec<Cow<'static, str>> {
        match &part.work {
            Work::Queries(queries) => {
                self.fitting(part, queries).into_iter().map(|query| Cow::Borrowed(query.sql)).collect()
            }
            Work::Settings if learned.knows_settings(self.stamp) => Vec::new(),
            Work::Settings => vec![Cow::Borrowed(settings::SQL)],
            Work::ProcessIdle => vec![Cow::Borrowed(process_idle::SQL)],
            Work::Statements => self.statements().into_iter().nth(learned.older).map(Cow::Owned).into_iter().collect(),
            Work::Static | Work::Custom => Vec::new(),
        }
    }

    /// A part's samples from the answers to its questions, and whether there were more rows than are read.
    pub(super) fn samples(
        &self,
        part: &'static Part,
        answers: &[Rows],
        mut batch: Batch,
        learned: &mut Learned,
    ) -> (Arc<Batch>, bool) {
        let cut = answers.iter().any(|rows| rows.cut);
        match &part.work {
            Work::Static => {
                self.constant.push(&mut batch, &INFO, &[&self.constant.server, &self.short(), self.version], 1.0);
            }
            Work::Queries(queries) => {
                for (query, rows) in self.fitting(part, queries).iter().zip(answers) {
                    part::write(query.columns, rows, self.constant, &mut batch);
                }
            }
            Work::Settings => {
                let Some(rows) = answers.first() else { return (learned.settings(), false) };
                settings::write(rows, self.constant, &mut batch);
                let batch = Arc::new(batch);
                learned.keep_settings(self.stamp.clone(), &batch);
                return (batch, cut);
            }
            Work::ProcessIdle => {
                for rows in answers {
                    process_idle::write(rows, self.constant, &mut batch);
                }
            }
            Work::Statements => {
                for rows in answers {
                    part::write(&statements::COLUMNS, rows, self.constant, &mut batch);
                    part::write(&statements::TEXTS, rows, self.constant, &mut batch);
                }
            }
            // Runs apart: each query has a batch of its own.
            Work::Custom => {}
        }
        (Arc::new(batch), cut)
    }

    /// Whether a part whose questions were refused should be asked anew, in other words.
    pub(super) fn again(&self, part: &'static Part, code: &str, learned: &mut Learned) -> bool {
        if learned.refused(part.name, code) {
            return true;
        }
        matches!(part.work, Work::Statements)
            && code == UNDEFINED_COLUMN
            && learned.older(part.name, self.statements().len())
    }

    /// The queries that this server understands.
    fn fitting(&self, part: &Part, queries: &'static [Query]) -> Vec<&'static Query> {
        let older = OLDER.iter().filter(|older| older.part == part.name && self.shared.has_names(older.release));
        let all = queries.iter().chain(older.map(|older| &older.query));
        all.filter(|query| query.versions.contains(&self.session.version)).collect()
    }

    fn statements(&self) -> Vec<String> {
        statements::queries(self.session.version, &self.shared.statements)
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
