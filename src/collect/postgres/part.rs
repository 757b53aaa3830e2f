//! Parts as data: a part is queries, a query is columns, a column is a family.

use std::ops::Range;

use crate::metrics::{Batch, Desc};

use super::rows::Rows;

/// The numbers of server versions, as `server_version_num` has them: all that there are.
pub(super) const ANY: Range<u32> = 0..u32::MAX;

/// Where a part's queries run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// Once for the server, in the first database.
    Server,
    /// In each database: its tables are seen only from within.
    Database,
}

/// What one of postgres_exporter's collectors reads.
pub(super) struct Part {
    /// The original's name of it.
    pub(super) name: &'static str,
    /// Whether it runs unless it is turned off.
    pub(super) default: bool,
    pub(super) scope: Scope,
    pub(super) work: Work,
}

/// How a part gets its samples.
pub(super) enum Work {
    /// By queries of one form.
    Queries(&'static [Query]),
    /// By a query of its own and code that reads its rows.
    Settings,
    /// The same for the histogram of idle processes.
    ProcessIdle,
    /// The same for the statements, whose query depends on options.
    Statements,
    /// What is known since the connection stands.
    Static,
    /// By the operator's own queries.
    Custom,
}

/// One question to the server.
pub(super) struct Query {
    /// The servers that understand it. Queries of one part with ranges that do not meet are one query's versions.
    pub(super) versions: Range<u32>,
    /// Its columns have the names of labels and of [`Column::name`].
    pub(super) sql: &'static str,
    pub(super) columns: &'static [Column],
}

/// A column that is a family.
pub(super) struct Column {
    /// Its name in the query.
    pub(super) name: &'static str,
    pub(super) desc: Desc,
    /// What NULL means.
    pub(super) null: Null,
}

/// What NULL means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Null {
    /// Nothing has happened yet: 0, as the original has it.
    Zero,
    /// There is no such value: no series.
    Absent,
    /// Not a number, as the original's older families have it.
    Nan,
}

/// A counter whose column may be NULL until something is counted.
pub(super) const fn counter(
    column: &'static str,
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> Column {
    Column { name: column, desc: Desc::counter(name, help, labels), null: Null::Zero }
}

/// A gauge whose column may be NULL until something is counted.
pub(super) const fn gauge(
    column: &'static str,
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> Column {
    Column { name: column, desc: Desc::gauge(name, help, labels), null: Null::Zero }
}

/// A family without type, as the original's older ones are.
pub(super) const fn unknown(
    column: &'static str,
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> Column {
    Column { name: column, desc: Desc::unknown(name, help, labels), null: Null::Nan }
}

impl Column {
    /// The same where NULL is no series.
    pub(super) const fn or_absent(mut self) -> Self {
        self.null = Null::Absent;
        self
    }

    /// The same where NULL is not a number.
    pub(super) const fn or_nan(mut self) -> Self {
        self.null = Null::Nan;
        self
    }
}

/// Labels that do not come from a query.
#[derive(Clone, Debug, Default)]
pub(super) struct Constant {
    /// `host:port`, which the families carry that have the label `server`.
    pub(super) server: String,
    /// All families carry `server`, as those of release 0.11 did.
    pub(super) server_everywhere: bool,
    /// The database, for families that do not name it, where several are read: their series would be the same.
    pub(super) database: Option<String>,
}

impl Constant {
    /// The labels to be added to a family that has `names` already.
    pub(super) fn missing(&self, names: &[&str]) -> Vec<(&'static str, &str)> {
        let mut missing = Vec::new();
        if self.server_everywhere && !names.contains(&"server") {
            missing.push(("server", self.server.as_str()));
        }
        if let Some(database) = self.database.as_deref().filter(|_| !names.contains(&"datname")) {
            missing.push(("datname", database));
        }
        missing
    }

    /// Adds a sample of a family that no query has.
    pub(super) fn push(&self, batch: &mut Batch, desc: &Desc, labels: &[&str], value: f64) {
        let mut pairs: Vec<_> = desc.labels.iter().copied().zip(labels.iter().copied()).collect();
        pairs.extend(self.missing(&desc.labels));
        batch.push_labelled(desc, &pairs, value);
    }
}

/// Writes the rows of a query as its families.
pub(super) fn write(columns: &[Column], rows: &Rows, constant: &Constant, batch: &mut Batch) {
    for Column { name, desc, null } in columns {
        let Some(value) = rows.index(name) else { continue };
        let labels: Vec<_> = desc.labels.iter().map(|name| (*name, rows.index(name))).collect();
        let missing = constant.missing(&desc.labels);
        let mut texts = Vec::with_capacity(labels.len());
        for row in rows.iter() {
            let value = match (row.number(value), null) {
                (Some(value), _) => value,
                (None, Null::Zero) => 0.0,
                (None, Null::Nan) => f64::NAN,
                (None, Null::Absent) => continue,
            };
            texts.clear();
            texts.extend(labels.iter().map(|(name, index)| match index {
                Some(index) => row.text(*index).unwrap_or_default(),
                None if *name == "server" => constant.server.as_str(),
                None => "",
            }));
            if missing.is_empty() {
                batch.push(desc, &texts, value);
            } else {
                let own = desc.labels.iter().copied().zip(texts.iter().copied());
                batch.push_labelled(desc, &own.chain(missing.iter().copied()).collect::<Vec<_>>(), value);
            }
        }
    }
}
