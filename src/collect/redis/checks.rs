//! What is looked at on request: keys, streams, scripts, search indexes. Bounded in count and in time.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::time::Duration;

use ::redis::{Pipeline, Value};
use tokio::time::{Instant, timeout_at};

use super::info::Info;
use super::keys::{self, Key};
use super::link::{Down, Session};
use super::section::TargetConfig;
use super::standard::Standard;
use super::{own, reply};
use crate::metrics::{Batch, Desc};

mod groups;
mod key;
mod script;
mod search;
mod streams;

static COMPLETE: Desc = Desc::gauge(
    "tidewatch_redis_check_complete",
    "Whether what was asked about keys was found within its time and its count; what was not is left out whole.",
    &["check"],
);

pub(super) fn descs() -> impl Iterator<Item = &'static Desc> {
    let own = std::iter::once(&COMPLETE).chain(key::DESCS).chain(groups::DESCS).chain(script::DESCS);
    own.chain(streams::descs()).chain(search::descs())
}

/// The checks of one run.
pub(super) struct Checks<'c> {
    pub(super) session: &'c mut Session,
    pub(super) config: &'c TargetConfig,
    pub(super) deadline: Instant,
}

/// Why a check has nothing: the time is up, the connection broke, or the server will not.
#[derive(Debug)]
pub(super) enum Stopped {
    /// The connection has a question in flight, or is broken: nothing more can be asked.
    Lost,
    /// This check alone.
    Refused,
}

/// A key that was found, with its name as the server has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Found {
    db: u32,
    name: Vec<u8>,
}

impl Found {
    fn label(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.name)
    }

    fn db_label(&self) -> String {
        format!("db{}", self.db)
    }
}

impl Checks<'_> {
    /// Runs all that are configured. Whether the connection can be used again.
    pub(super) async fn run(&mut self, standard: &Standard, batch: &mut Batch) -> bool {
        let (config, info) = (self.config, Info::parse(&standard.info));
        if info.is_sentinel() {
            own::write_groups(Duration::ZERO, batch);
            return true;
        }
        let mut usable = true;
        let mut done = |check: &str, outcome: Result<bool, Stopped>, batch: &mut Batch| {
            usable &= !matches!(outcome, Err(Stopped::Lost));
            batch.push(&COMPLETE, &[check], f64::from(u8::from(matches!(outcome, Ok(true)))));
        };
        let master = config.skip_checkkeys_for_role_master && info.get("role") == "master";
        if !(master || config.check_keys.is_empty() && config.check_single_keys.is_empty()) {
            done("check-keys", key::sizes(self, batch).await, batch);
        }
        if !config.count_keys.is_empty() {
            done("count-keys", key::counts(self, batch).await, batch);
        }
        if !(config.check_streams.is_empty() && config.check_single_streams.is_empty()) {
            done("check-streams", streams::write(self, batch).await, batch);
        }
        if !config.script.is_empty() {
            done("script", script::write(self, batch).await, batch);
        }
        if config.include_search_indexes_metrics {
            done("check-search-indexes", search::write(self, batch).await, batch);
        }
        let mut grouping = Duration::ZERO;
        if !config.check_key_groups.is_empty() {
            let began = Instant::now();
            done("check-key-groups", groups::write(self, &info, batch).await, batch);
            grouping = began.elapsed();
        }
        own::write_groups(grouping, batch);
        usable
    }

    /// Sends commands within the time that is left.
    async fn ask(&mut self, commands: &Pipeline) -> Result<Vec<Value>, Stopped> {
        match timeout_at(self.deadline, self.session.ask(commands)).await {
            Ok(Ok(replies)) => Ok(replies),
            Ok(Err(Down::Odd(_) | Down::Refused(_))) => Err(Stopped::Refused),
            Ok(Err(_)) | Err(_) => Err(Stopped::Lost),
        }
    }

    /// Commands on one database. The server's refusal of the database is that of all.
    async fn ask_in(&mut self, db: u32, fill: impl FnOnce(&mut Pipeline)) -> Result<Vec<Value>, Stopped> {
        let mut commands = Pipeline::new();
        commands.cmd("SELECT").arg(db);
        fill(&mut commands);
        let mut replies = self.ask(&commands).await?;
        let selected = replies.remove(0);
        if matches!(selected, Value::ServerError(_)) { Err(Stopped::Refused) } else { Ok(replies) }
    }

    /// Goes through the keys of a pattern, a page at a time, until `page` says that it is enough.
    async fn scan(
        &mut self,
        key: &Key,
        kind: Option<&str>,
        mut page: impl FnMut(&[Value]) -> bool,
    ) -> Result<bool, Stopped> {
        let mut cursor = "0".to_owned();
        loop {
            let batch_size = self.config.check_keys_batch_size;
            let replies = self.ask_in(key.db, |commands| {
                let command =
                    commands.cmd("SCAN").arg(&cursor).arg("MATCH").arg(&key.name).arg("COUNT").arg(batch_size);
                if let Some(kind) = kind {
                    command.arg("TYPE").arg(kind);
                }
            });
            let replies = replies.await?;
            let [next, names] = replies.first().map(reply::items).unwrap_or_default() else {
                return Err(Stopped::Refused);
            };
            if !page(reply::items(names)) {
                return Ok(false);
            }
            cursor = reply::text(next).ok_or(Stopped::Refused)?.into_owned();
            if cursor == "0" {
                return Ok(true);
            }
        }
    }

    /// The keys of two lists: named ones, and those of patterns. A pattern with too many keys is left out whole, since a
    /// part of them would be another part each time. Whether all are there.
    async fn found(
        &mut self,
        single: &[String],
        patterns: &[String],
        kind: Option<&str>,
    ) -> Result<(Vec<Found>, bool), Stopped> {
        // Both were checked with the configuration, or with the query.
        let named = |key: Key| Found { db: key.db, name: key.name.into_bytes() };
        let mut found: BTreeSet<Found> = keys::parse(single).unwrap_or_default().into_iter().map(named).collect();
        let most = self.config.max_keys;
        let mut whole = found.len() <= most;
        for key in keys::parse(patterns).unwrap_or_default() {
            if !key.is_pattern() {
                found.insert(named(key));
                continue;
            }
            let mut of_pattern = BTreeSet::new();
            let room = most.saturating_sub(found.len());
            let fits = self.scan(&key, kind, |names| {
                let bytes = |name: &Value| match name {
                    Value::BulkString(name) => Some(Found { db: key.db, name: name.clone() }),
                    _ => None,
                };
                of_pattern.extend(names.iter().filter_map(bytes));
                of_pattern.len() <= room
            });
            if fits.await? {
                found.append(&mut of_pattern);
            } else {
                whole = false;
            }
        }
        Ok((found.into_iter().take(most).collect(), whole))
    }
}
