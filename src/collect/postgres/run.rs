//! A run over one server under way: what it has so far, and how it asks.

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::connection::Connection;
use super::custom;
use super::findings::Sight;
use super::learned::Stamp;
use super::part::{Constant, Part, Scope, Work};
use super::rows::Rows;
use super::target::Target;
use super::trouble::{Failure, Trouble};
use super::work::{Ask, Shared};
use crate::metrics::Batch;

/// What a run asks first: it shows that the server answers, and what `health` tells; whether the session has the limits
/// that ours was opened with; and of when the settings are.
const GREETING: &str = "SELECT version() AS version, pg_is_in_recovery() AS replica, \
    (SELECT sum(numbackends) FROM pg_stat_database) AS connections, current_setting('max_connections') AS most, \
    extract(epoch FROM current_setting('statement_timeout')::interval) AS patience, pg_conf_load_time() AS loaded";

/// What is asked of a server that refuses that, because something is locked or forbidden: such a server is up.
const VERSION: &str = "SELECT version() AS version, pg_is_in_recovery() AS replica";

/// So many parts are asked before the first of them has answered: enough that the server need not wait for us, even where
/// the way is long; few enough that one which hangs has not much before it when it wakes up.
const AHEAD: usize = 8;

/// A run under way.
pub(super) struct Run<'a> {
    target: &'a Target,
    pub(super) shared: &'a Shared,
    pub(super) deadline: Instant,
    pub(super) constant: Constant,
    pub(super) batches: Vec<(&'static str, Arc<Batch>)>,
    pub(super) tally: BTreeMap<&'static str, (Duration, bool)>,
    pub(super) sight: Sight,
    /// Whether the sessions are ours alone.
    pub(super) own: bool,
    stamp: Stamp,
}

impl<'a> Run<'a> {
    /// `instance` is the target's name, where there are several.
    pub(super) fn new(target: &'a Target, shared: &'a Shared, instance: Option<&str>, deadline: Instant) -> Self {
        let (server, server_everywhere) = (target.address.server(), shared.has_names("0.11"));
        Self {
            target,
            shared,
            deadline,
            constant: Constant { server, server_everywhere, database: None },
            batches: Vec::new(),
            tally: BTreeMap::new(),
            sight: Sight::default(),
            own: false,
            stamp: Stamp { state: None, instance: instance.map(str::to_owned) },
        }
    }

    /// An empty batch of this target's.
    pub(super) fn batch(&self) -> Batch {
        self.stamp.instance.as_deref().map_or_else(Batch::new, Batch::of_instance)
    }

    pub(super) async fn greet(&self, connection: &mut Connection) -> Result<Rows, Failure> {
        let (limits, deadline) = (&self.shared.limits, self.deadline);
        match connection.ask("greeting", GREETING, limits, deadline).await {
            Err(Failure::Refused { .. }) => connection.ask("version", VERSION, limits, deadline).await,
            answer => answer,
        }
    }

    pub(super) fn see(&mut self, greeting: &Rows) {
        let number = |name: &str| greeting.first(name).and_then(super::rows::number).unwrap_or(0.0);
        greeting.first("version").unwrap_or_default().clone_into(&mut self.sight.version);
        self.sight.replica = number("replica") > 0.0;
        self.sight.connections = number("connections");
        self.sight.max_connections = number("most");
        let limit = self.shared.limits.statement.as_millis() as f64;
        self.own = (number("patience") * 1e3).round().total_cmp(&limit).is_eq();
        self.stamp.state = greeting.first("loaded").map(|loaded| format!("{loaded} {}", self.sight.replica));
    }

    /// Asks parts on one database, each in a message of its own. A refusal costs the part; otherwise the connection is of no
    /// more use, and the trouble is there where the server is not either.
    pub(super) async fn parts(
        &mut self,
        parts: &[&'static Part],
        connection: &mut Connection,
        database: &str,
    ) -> Result<(), Option<Trouble>> {
        let Connection { session, learned } = connection;
        let (target, shared, deadline) = (self.target, self.shared, self.deadline);
        let (stamp, version) = (self.stamp.clone(), self.sight.version.clone());
        // What is the same in all databases does not name the first.
        let once = Constant { database: None, ..self.constant.clone() };
        let each = self.constant.clone();
        let ask = |part: &Part| Ask {
            session,
            shared,
            deadline,
            constant: if part.scope == Scope::Server { &once } else { &each },
            version: &version,
            target,
            database,
            first: database == target.database(),
            stamp: &stamp,
        };
        let is_custom = |part: &&Part| matches!(part.work, Work::Custom);
        let mut waiting: VecDeque<_> = parts.iter().copied().filter(|part| !is_custom(part)).collect();
        let mut asked = VecDeque::new();
        let mut free = Instant::now();
        loop {
            while asked.len() < AHEAD
                && let Some(part) = waiting.pop_front()
            {
                let questions = ask(part).questions(part, learned);
                let sent = match questions.as_slice() {
                    [] => None,
                    questions => Some(session.send(&learned.words(part.name, questions)).await),
                };
                asked.push_back((part, questions, Instant::now(), sent));
            }
            let Some((part, questions, at, sent)) = asked.pop_front() else { break };
            let answers = match sent {
                Some(sent) => session.receive(sent, &shared.limits, deadline).await,
                None => Ok(Vec::new()),
            };
            // The server begins with a part when it is done with the one before.
            let begun = mem::replace(&mut free, Instant::now()).max(at);
            let result = match answers {
                Ok(answers) => {
                    learned.worked(part.name, &questions);
                    let (batch, cut) = ask(part).samples(part, &answers, self.batch(), learned);
                    self.batches.push((part.name, batch));
                    Ok(cut)
                }
                Err(Failure::Refused { code, .. }) if ask(part).again(part, &code, learned) => {
                    waiting.push_front(part);
                    continue;
                }
                Err(failure) => Err(failure),
            };
            self.record(part, begun.elapsed(), result)?;
        }
        for part in parts.iter().copied().filter(is_custom) {
            let (begun, mut batches) = (Instant::now(), Vec::new());
            let result = custom::run(&ask(part), &mut batches, || self.batch()).await;
            self.batches.extend(batches.into_iter().map(|batch| (part.name, batch)));
            self.record(part, begun.elapsed(), result)?;
        }
        Ok(())
    }

    fn record(
        &mut self,
        part: &'static Part,
        took: Duration,
        result: Result<bool, Failure>,
    ) -> Result<(), Option<Trouble>> {
        let (duration, whole) = self.tally.entry(part.name).or_insert((Duration::ZERO, true));
        *duration += took;
        *whole &= result.is_ok();
        let subject = format!("{} {}", self.target.name, part.name);
        match result {
            Ok(cut) => {
                let why = cut.then(|| format!("more than {} rows: the rest is not read", self.shared.limits.rows));
                self.target.tell(self.shared, &subject, why.as_deref());
                Ok(())
            }
            Err(Failure::Lost(trouble)) => Err(Some(trouble)),
            Err(failure) => {
                self.target.tell(self.shared, &subject, Some(&failure.trouble().why));
                if self.sight.failed.iter().all(|(failed, _)| *failed != part.name) {
                    self.sight.failed.push((part.name, failure.trouble().clone()));
                }
                if matches!(failure, Failure::Cut(_)) { Err(None) } else { Ok(()) }
            }
        }
    }

    /// Nothing more is read; of what is read in each database, where there are further ones, not all is.
    pub(super) fn cut_off(&mut self, further: bool) {
        let each = self.shared.parts.iter().filter(|part| further && part.scope == Scope::Database);
        for part in each {
            self.tally.entry(part.name).or_default().1 = false;
        }
    }

    /// A run over a further database beside this one.
    pub(super) fn branch(&self, database: &str) -> Self {
        Self {
            target: self.target,
            shared: self.shared,
            deadline: self.deadline,
            constant: Constant { database: Some(database.to_owned()), ..self.constant.clone() },
            batches: Vec::new(),
            tally: BTreeMap::new(),
            sight: self.sight.clone(),
            own: self.own,
            stamp: self.stamp.clone(),
        }
    }

    pub(super) fn join(&mut self, branch: Run<'_>, parts: &[&'static Part], whole: bool) {
        self.batches.extend(branch.batches);
        for part in parts {
            let (duration, success) = branch.tally.get(part.name).copied().unwrap_or_default();
            let (sum, all) = self.tally.entry(part.name).or_insert((Duration::ZERO, true));
            *sum += duration;
            *all &= success && whole;
        }
        for failed in branch.sight.failed {
            if self.sight.failed.iter().all(|(part, _)| *part != failed.0) {
                self.sight.failed.push(failed);
            }
        }
    }
}
