//! One server: its connections, kept from run to run, and a run over it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

use super::address::Address;
use super::custom::{self, Cache};
use super::findings::{Sight, Since};
use super::part::{Constant, Part, Scope, Work};
use super::rows::Rows;
use super::section::{Databases, TargetConfig};
use super::session::Session;
use super::trouble::{Failure, Trouble};
use super::work::{Ask, Shared};
use crate::metrics::{Batch, Desc};

pub(super) static UP: Desc = Desc::gauge(
    "pg_up",
    "Whether the last scrape of metrics from PostgreSQL was able to connect to the server (1 for yes, 0 for no).",
    &[],
);
pub(super) static LAST_DURATION: Desc = Desc::gauge(
    "pg_exporter_last_scrape_duration_seconds",
    "Duration of the last scrape of metrics from PostgreSQL.",
    &[],
);
pub(super) static LAST_ERROR: Desc = Desc::gauge(
    "pg_exporter_last_scrape_error",
    "Whether the last scrape of metrics from PostgreSQL resulted in an error (1 for error, 0 for success).",
    &[],
);
pub(super) static SCRAPES: Desc =
    Desc::counter("pg_exporter_scrapes_total", "Total number of times PostgreSQL was scraped for metrics.", &[]);
pub(super) static PART_DURATION: Desc = Desc::gauge(
    "pg_scrape_collector_duration_seconds",
    "postgres_exporter: Duration of a collector scrape.",
    &["collector"],
);
pub(super) static PART_SUCCESS: Desc =
    Desc::gauge("pg_scrape_collector_success", "postgres_exporter: Whether a collector succeeded.", &["collector"]);

/// More databases of one server are not read: each holds a connection.
const MOST_DATABASES: usize = 100;
/// So many of them are read at once: a monitor is no load.
const AT_ONCE: usize = 4;

/// What a run asks first: it shows that the server answers, and what `health` tells.
const GREETING: &str = "SELECT version() AS version, pg_is_in_recovery() AS replica, \
    (SELECT sum(numbackends) FROM pg_stat_database) AS connections, current_setting('max_connections') AS most";

/// One server.
pub(super) struct Target {
    pub(super) name: String,
    pub(super) address: Address,
    password_file: Option<PathBuf>,
    databases: Databases,
    /// By database. Held for a whole run, so that nobody opens a second connection beside it.
    sessions: Mutex<BTreeMap<String, Session>>,
    scrapes: AtomicU64,
    pub(super) cache: Cache,
    pub(super) since: Since,
    /// Whether the configuration lists it. The log tells nothing of others: who asks may ask about many.
    listed: bool,
}

/// What a run of one target yields.
pub(super) struct Report {
    pub(super) batches: Vec<(&'static str, Batch)>,
    pub(super) sight: Result<Sight, Trouble>,
}

/// A run under way.
struct Run<'a> {
    shared: &'a Shared,
    deadline: Instant,
    constant: Constant,
    /// Of several targets, this one's name.
    instance: Option<&'a str>,
    batches: Vec<(&'static str, Batch)>,
    tally: BTreeMap<&'static str, (Duration, bool)>,
    sight: Sight,
}

impl Target {
    pub(super) fn new(name: String, config: &TargetConfig, listed: bool) -> Result<Self, String> {
        Ok(Self {
            name,
            address: config.address()?,
            password_file: config.password_file.clone(),
            databases: config.databases.clone(),
            sessions: Mutex::default(),
            scrapes: AtomicU64::new(0),
            cache: Cache::default(),
            since: Since::default(),
            listed,
        })
    }

    /// Tells the log how something of this target is.
    pub(super) fn tell(&self, shared: &Shared, subject: &str, why: Option<&str>) {
        if self.listed {
            shared.said.tell(super::NAME, subject, why);
        }
    }

    /// The database that a connection opens unless another is named.
    fn database(&self) -> &str {
        let Address { database, user, .. } = &self.address;
        database.as_deref().or(user.as_deref()).unwrap_or("postgres")
    }

    /// One run, over by the deadline. What was had until a connection broke remains.
    pub(super) async fn run(&self, shared: &Shared, instance: Option<&str>, deadline: Instant) -> Report {
        let begun = Instant::now();
        let constant =
            Constant { server: self.address.server(), server_everywhere: shared.has_names("0.11"), database: None };
        let (batches, tally, sight) = (Vec::new(), BTreeMap::new(), Sight::default());
        let mut run = Run { shared, deadline, constant, instance, batches, tally, sight };
        let outcome = match timeout_at(deadline, self.sessions.lock()).await {
            Ok(mut sessions) => self.collect(&mut run, &mut sessions).await,
            Err(_) => Err(Trouble::new("another scrape of this target is not over yet", "scrape it less often")),
        };
        let mut own = batch(instance);
        let failed = run.tally.values().any(|(_, success)| !success);
        let scrapes = self.scrapes.fetch_add(1, Ordering::Relaxed) + 1;
        for (desc, value) in [
            (&UP, f64::from(outcome.is_ok())),
            (&LAST_DURATION, begun.elapsed().as_secs_f64()),
            (&LAST_ERROR, f64::from(outcome.is_err() || failed)),
            (&SCRAPES, scrapes as f64),
        ] {
            own.push(desc, &[], value);
        }
        for file in &shared.custom {
            own.push(&custom::LOAD_ERROR, &[&file.name, &file.hash], 0.0);
        }
        for part in &shared.parts {
            let (duration, success) = run.tally.get(part.name).copied().unwrap_or_default();
            own.push(&PART_DURATION, &[part.name], duration.as_secs_f64());
            own.push(&PART_SUCCESS, &[part.name], f64::from(success));
        }
        run.batches.push((super::NAME, own));
        self.tell(shared, &self.name, outcome.as_ref().err().map(|trouble| trouble.why.as_str()));
        Report { batches: run.batches, sight: outcome.map(|()| run.sight) }
    }

    async fn collect(&self, run: &mut Run<'_>, sessions: &mut BTreeMap<String, Session>) -> Result<(), Trouble> {
        let first = self.database();
        // Taken out: a session that is not put back is closed, also where this run is cut off.
        let (session, greeting) = self.greet(run, sessions.remove(first)).await?;
        run.see(&greeting);
        let databases = self.further(run, &session).await.map_err(|failure| failure.trouble().clone())?;
        if !databases.is_empty() {
            run.constant.database = Some(first.to_owned());
        }
        for part in run.shared.parts.clone() {
            // What is the same in all databases does not name the first.
            let constant = match part.scope {
                Scope::Server => Constant { database: None, ..run.constant.clone() },
                Scope::Database => run.constant.clone(),
            };
            if let Err(cut) = self.part(run, part, &session, first, &constant).await {
                run.cut_off(!databases.is_empty());
                return cut.map_or(Ok(()), Err);
            }
        }
        sessions.insert(first.to_owned(), session);
        self.others(run, sessions, &databases).await;
        Ok(())
    }

    /// A session that answers: the one there is, or, where that has broken since, a new one in its place.
    async fn greet(&self, run: &Run<'_>, kept: Option<Session>) -> Result<(Session, Rows), Trouble> {
        if let Some(session) = kept.filter(|session| !session.is_closed()) {
            match session.query(GREETING, &run.shared.limits, run.deadline).await {
                Ok(mut answers) => return Ok((session, answers.pop().unwrap_or_default())),
                // Gone while nobody looked: the server was restarted, or something between has forgotten it.
                Err(Failure::Lost(_)) if session.is_closed() => {}
                Err(failure) => return Err(failure.trouble().clone()),
            }
        }
        let session = self.open(run, self.database()).await?;
        match session.query(GREETING, &run.shared.limits, run.deadline).await {
            Ok(mut answers) => Ok((session, answers.pop().unwrap_or_default())),
            Err(failure) => Err(failure.trouble().clone()),
        }
    }

    async fn open(&self, run: &Run<'_>, database: &str) -> Result<Session, Trouble> {
        let file = self.password_file.as_deref();
        let Shared { limits, tasks, .. } = run.shared;
        Session::open(&self.address, file, database, limits, false, tasks, run.deadline).await
    }

    /// One part on one database. A refusal costs the part; otherwise the connection is of no more use, and the trouble
    /// is there where the server is not either.
    async fn part(
        &self,
        run: &mut Run<'_>,
        part: &'static Part,
        session: &Session,
        database: &str,
        constant: &Constant,
    ) -> Result<(), Option<Trouble>> {
        let begun = Instant::now();
        let ask = Ask {
            session,
            shared: run.shared,
            deadline: run.deadline,
            constant,
            version: &run.sight.version,
            target: self,
            database,
            first: database == self.database(),
        };
        let mut batches = Vec::new();
        let result = if let Work::Custom = part.work {
            custom::run(&ask, &mut batches, || batch(run.instance)).await
        } else {
            let mut batch = batch(run.instance);
            let result = ask.part(part, &mut batch).await;
            batches.extend(result.is_ok().then_some(batch));
            result
        };
        run.batches.extend(batches.into_iter().map(|batch| (part.name, batch)));
        let subject = format!("{} {}", self.name, part.name);
        let success = result.is_ok();
        let outcome = match result {
            Ok(cut) => {
                let why = cut.then(|| format!("more than {} rows: the rest is not read", run.shared.limits.rows));
                self.tell(run.shared, &subject, why.as_deref());
                Ok(())
            }
            Err(Failure::Lost(trouble)) => Err(Some(trouble)),
            Err(failure) => {
                self.tell(run.shared, &subject, Some(&failure.trouble().why));
                if run.sight.failed.iter().all(|(failed, _)| *failed != part.name) {
                    run.sight.failed.push((part.name, failure.trouble().clone()));
                }
                if matches!(failure, Failure::Cut(_)) { Err(None) } else { Ok(()) }
            }
        };
        let (duration, whole) = run.tally.entry(part.name).or_insert((Duration::ZERO, true));
        *duration += begun.elapsed();
        *whole &= success;
        outcome
    }

    /// The names of the further databases that are read.
    async fn further(&self, run: &Run<'_>, session: &Session) -> Result<Vec<String>, Failure> {
        let Databases { discover, include, exclude } = &self.databases;
        let wanted = |name: &String| {
            name != self.database() && !exclude.contains(name) && (include.is_empty() || include.contains(name))
        };
        let names = if *discover {
            let sql = "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate \
                       AND has_database_privilege(oid, 'CONNECT') ORDER BY 1";
            let answers = session.query(sql, &run.shared.limits, run.deadline).await?;
            let rows = answers.first();
            rows.map_or_else(Vec::new, |rows| rows.iter().filter_map(|row| row.text(0).map(str::to_owned)).collect())
        } else {
            include.clone()
        };
        let mut names: Vec<_> = names.into_iter().filter(wanted).collect();
        let many = names.len() > MOST_DATABASES;
        names.truncate(MOST_DATABASES);
        let why = many.then(|| format!("more than {MOST_DATABASES} databases: the rest is not read"));
        self.tell(run.shared, &format!("{} databases", self.name), why.as_deref());
        Ok(names)
    }

    /// The tables of the further databases. One that cannot be opened costs its own series and the parts' success.
    async fn others(&self, run: &mut Run<'_>, sessions: &mut BTreeMap<String, Session>, databases: &[String]) {
        sessions.retain(|name, _| name == self.database() || databases.contains(name));
        let parts: Vec<_> = run.shared.parts.iter().copied().filter(|part| part.scope == Scope::Database).collect();
        let each = databases.iter().map(|name| {
            let mut run = run.branch(name);
            let (kept, parts) = (sessions.remove(name), &parts);
            async move {
                let outcome = self.other(&mut run, kept, name, parts).await;
                (name, run, outcome)
            }
        });
        let each: Vec<_> = each.collect();
        let done: Vec<_> = futures_util::stream::iter(each).buffered(AT_ONCE).collect().await;
        for (name, branch, outcome) in done {
            let subject = format!("{} database {name}", self.name);
            let why = outcome.as_ref().err().map(|trouble| trouble.why.as_str());
            self.tell(run.shared, &subject, why);
            run.join(branch, &parts, outcome.is_ok());
            match outcome {
                Ok(session) => drop(sessions.insert(name.clone(), session)),
                Err(trouble) => run.sight.failed.extend(parts.first().map(|part| (part.name, trouble))),
            }
        }
    }

    async fn other(
        &self,
        run: &mut Run<'_>,
        kept: Option<Session>,
        name: &str,
        parts: &[&'static Part],
    ) -> Result<Session, Trouble> {
        let session = match kept.filter(|session| !session.is_closed()) {
            Some(session) => session,
            None => self.open(run, name).await?,
        };
        let constant = run.constant.clone();
        for part in parts {
            if let Err(cut) = self.part(run, part, &session, name, &constant).await {
                let over = || Trouble::new("not all is read", "see the parts that fail");
                return Err(cut.unwrap_or_else(over));
            }
        }
        Ok(session)
    }
}

impl<'a> Run<'a> {
    fn see(&mut self, greeting: &Rows) {
        let number = |name: &str| greeting.first(name).and_then(super::rows::number).unwrap_or(0.0);
        greeting.first("version").unwrap_or_default().clone_into(&mut self.sight.version);
        self.sight.replica = number("replica") > 0.0;
        self.sight.connections = number("connections");
        self.sight.max_connections = number("most");
    }

    /// Nothing more is read; of what is read in each database, where there are further ones, not all is.
    fn cut_off(&mut self, further: bool) {
        let each = self.shared.parts.iter().filter(|part| further && part.scope == Scope::Database);
        for part in each {
            self.tally.entry(part.name).or_default().1 = false;
        }
    }

    /// A run over a further database beside this one.
    fn branch(&self, database: &str) -> Run<'a> {
        Run {
            shared: self.shared,
            deadline: self.deadline,
            constant: Constant { database: Some(database.to_owned()), ..self.constant.clone() },
            instance: self.instance,
            batches: Vec::new(),
            tally: BTreeMap::new(),
            sight: self.sight.clone(),
        }
    }

    fn join(&mut self, branch: Run<'_>, parts: &[&'static Part], whole: bool) {
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

fn batch(instance: Option<&str>) -> Batch {
    instance.map_or_else(Batch::new, Batch::of_instance)
}
