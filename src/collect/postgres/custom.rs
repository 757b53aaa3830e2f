//! Queries of one's own, from files in the form of postgres_exporter's `queries.yaml`.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use crate::config::{Problem, yaml};
use crate::metrics::{Batch, Desc};

mod range;
mod rows;

use super::part::{Constant, Part, Scope, Work};
use super::trouble::Failure;
use super::work::Ask;
use range::Range;

pub(super) static CUSTOM: Part =
    Part { name: "custom_queries", default: true, scope: Scope::Database, work: Work::Custom };

/// What the original tells of its files of queries.
pub(super) static LOAD_ERROR: Desc = Desc::gauge(
    "pg_exporter_user_queries_load_error",
    "Whether the user queries file was loaded and parsed successfully (1 for error, 0 for success).",
    &["filename", "hashsum"],
);

/// No file has more queries.
const MOST: usize = 500;

/// A file's queries.
#[derive(Debug)]
pub(super) struct File {
    /// Its path, as it was given.
    pub(super) name: String,
    /// The SHA-256 of its content.
    pub(super) hash: String,
    queries: Vec<Query>,
}

/// One query; its name begins those of its families.
#[derive(Debug)]
struct Query {
    name: String,
    sql: String,
    columns: Vec<(String, Column)>,
    /// Only in the first database.
    master: bool,
    cache: Duration,
    /// On servers of these versions.
    servers: Range,
}

/// What a column is.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Column {
    usage: Usage,
    description: String,
    /// The number for each text, of a `MAPPEDMETRIC`.
    metric_mapping: BTreeMap<String, f64>,
    /// On servers of these versions.
    pg_version: Range,
}

/// How a column is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Usage {
    #[default]
    Discard,
    Label,
    Counter,
    Gauge,
    MappedMetric,
    Duration,
    Histogram,
}

/// A query as the file has it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Written {
    query: String,
    metrics: Vec<BTreeMap<String, Column>>,
    master: bool,
    cache_seconds: u64,
    runonserver: Range,
}

/// Reads a file.
pub(super) fn load(path: &Path) -> Result<File, Problem> {
    let wrong = |what: String| Problem::error("", format!("{}: {what}", path.display()));
    let content = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let written: BTreeMap<String, Written> = yaml::read(path)?;
    if written.len() > MOST {
        return Err(wrong(format!("more than {MOST} queries")));
    }
    let mut queries = Vec::new();
    for (name, written) in written {
        let Written { query, metrics, master, cache_seconds, runonserver } = written;
        if query.trim().is_empty() {
            return Err(wrong(format!("`{name}` has no `query`")));
        }
        queries.push(Query {
            name,
            sql: query,
            columns: metrics.into_iter().flatten().collect(),
            master,
            cache: Duration::from_secs(cache_seconds),
            servers: runonserver,
        });
    }
    let hash = Sha256::digest(&content).iter().fold(String::new(), |hash, byte| hash + &format!("{byte:02x}"));
    Ok(File { name: path.display().to_string(), hash, queries })
}

/// Reads all files that can be read; what is wrong with the others, the check of the configuration has told.
pub(super) fn load_all(paths: &[PathBuf]) -> Vec<File> {
    paths.iter().filter_map(|path| load(path).ok()).collect()
}

/// What was had of queries that need not run each time, by database and query.
#[derive(Debug, Default)]
pub(super) struct Cache(Mutex<HashMap<(String, String), Kept>>);

/// When it was had, and what.
type Kept = (Instant, Arc<Batch>);

/// Runs the queries that fit into a database. One that fails costs its own families, and is told; the last such failure
/// is the part's.
pub(super) async fn run(
    ask: &Ask<'_>,
    batches: &mut Vec<Arc<Batch>>,
    empty: impl Fn() -> Batch,
) -> Result<bool, Failure> {
    let (mut cut, mut failed) = (false, None);
    let version = ask.session.version;
    let queries = ask.shared.custom.iter().flat_map(|file| &file.queries);
    for query in queries.filter(|query| query.servers.contains(version) && (ask.first || !query.master)) {
        let key = (ask.database.to_owned(), query.name.clone());
        if let Some(kept) = ask.target.cache.fresh(&key, query.cache) {
            batches.push(kept);
            continue;
        }
        let subject = format!("{} query {}", ask.target.name, query.name);
        match ask.session.query(&query.sql, &ask.shared.limits, ask.deadline).await {
            Ok(answers) => {
                let mut batch = empty();
                for rows in &answers {
                    rows::write(query, version, rows, ask.constant, &mut batch);
                    cut |= rows.cut;
                }
                ask.target.tell(ask.shared, &subject, None);
                let batch = Arc::new(batch);
                if !query.cache.is_zero() {
                    ask.target.cache.keep(key, &batch);
                }
                batches.push(batch);
            }
            Err(failure @ (Failure::Lost(_) | Failure::Cut(_))) => return Err(failure),
            Err(failure) => {
                ask.target.tell(ask.shared, &subject, Some(&failure.trouble().why));
                failed = Some(failure);
            }
        }
    }
    failed.map_or(Ok(cut), Err)
}

impl Cache {
    fn fresh(&self, key: &(String, String), limit: Duration) -> Option<Arc<Batch>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(key).filter(|(at, _)| at.elapsed() < limit).map(|(_, batch)| Arc::clone(batch))
    }

    fn keep(&self, key: (String, String), batch: &Arc<Batch>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.insert(key, (Instant::now(), Arc::clone(batch)));
    }
}

/// Labels of a row, and the families' constant ones.
fn labels<'a>(own: &[(&'a str, &'a str)], constant: &'a Constant) -> Vec<(&'a str, &'a str)> {
    let names: Vec<&str> = own.iter().map(|(name, _)| *name).collect();
    let mut labels = own.to_vec();
    // The original's families of this kind have the label to this day.
    if !names.contains(&"server") {
        labels.push(("server", &constant.server));
    }
    labels.extend(constant.missing(&names).into_iter().filter(|(name, _)| *name != "server"));
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_the_original_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("queries.yaml");
        let text = "pg_replication:\n  query: \"SELECT 1 AS lag\"\n  master: true\n  cache_seconds: 30\n  \
            runonserver: \">=9.5.0 <17.0.0\"\n  metrics:\n    - lag:\n        usage: \"GAUGE\"\n        description: \"Lag\"\n\
            pg_x:\n  query: SELECT 2\n  timeout: 0.5\n";
        std::fs::write(&path, text).unwrap();
        let file = load(&path).unwrap();
        assert_eq!(file.hash.len(), 64);
        let [replication, x] = file.queries.as_slice() else { panic!("{:?}", file.queries) };
        assert!(replication.master && replication.cache == Duration::from_secs(30));
        assert_eq!(replication.columns[0].1.usage, Usage::Gauge);
        assert!(replication.servers.contains(150_018) && !replication.servers.contains(170_000));
        assert!(x.columns.is_empty() && x.servers.contains(90_300));
        for wrong in ["a:\n  metrics: []\n", "a:\n  query: x\n  metrics:\n    - b:\n        usage: GUAGE\n"] {
            std::fs::write(&path, wrong).unwrap();
            load(&path).unwrap_err();
        }
    }
}
