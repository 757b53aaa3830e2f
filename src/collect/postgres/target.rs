//! One server: its connections, kept from run to run, and a run over it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::StreamExt;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

use super::address::Address;
use super::connection::Connection;
use super::custom::{self, Cache};
use super::findings::{Sight, Since};
use super::part::{Part, Scope};
use super::rows::Rows;
use super::run::Run;
use super::section::{Databases, TargetConfig};
use super::session::Session;
use super::trouble::{Failure, Trouble};
use super::work::Shared;
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

/// One server.
pub(super) struct Target {
    pub(super) name: String,
    pub(super) address: Address,
    password_file: Option<PathBuf>,
    databases: Databases,
    /// By database. Held for a whole run, so that nobody opens a second connection beside it.
    connections: Mutex<BTreeMap<String, Connection>>,
    scrapes: AtomicU64,
    pub(super) cache: Cache,
    pub(super) since: Since,
    /// Whether the configuration lists it. The log tells nothing of others: who asks may ask about many.
    listed: bool,
}

/// What a run of one target yields.
pub(super) struct Report {
    pub(super) batches: Vec<(&'static str, Arc<Batch>)>,
    pub(super) sight: Result<Sight, Trouble>,
}

impl Target {
    pub(super) fn new(name: String, config: &TargetConfig, listed: bool) -> Result<Self, String> {
        Ok(Self {
            name,
            address: config.address()?,
            password_file: config.password_file.clone(),
            databases: config.databases.clone(),
            connections: Mutex::default(),
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
    pub(super) fn database(&self) -> &str {
        let Address { database, user, .. } = &self.address;
        database.as_deref().or(user.as_deref()).unwrap_or("postgres")
    }

    /// One run, over by the deadline. What was had until a connection broke remains.
    pub(super) async fn run(&self, shared: &Shared, instance: Option<&str>, deadline: Instant) -> Report {
        let begun = Instant::now();
        let mut run = Run::new(self, shared, instance, deadline);
        let outcome = match timeout_at(deadline, self.connections.lock()).await {
            Ok(mut connections) => self.collect(&mut run, &mut connections).await,
            Err(_) => Err(Trouble::new("another scrape of this target is not over yet", "scrape it less often")),
        };
        let mut own = run.batch();
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
        run.batches.push((super::NAME, Arc::new(own)));
        self.tell(shared, &self.name, outcome.as_ref().err().map(|trouble| trouble.why.as_str()));
        Report { batches: run.batches, sight: outcome.map(|()| run.sight) }
    }

    async fn collect(&self, run: &mut Run<'_>, connections: &mut BTreeMap<String, Connection>) -> Result<(), Trouble> {
        let first = self.database();
        // Taken out: a connection that is not put back is closed, also where this run is cut off.
        let (mut connection, greeting) = self.greet(run, connections.remove(first)).await?;
        run.see(&greeting);
        connection.learned.own = run.own;
        let databases = self.further(run, &mut connection).await.map_err(|failure| failure.trouble().clone())?;
        if !databases.is_empty() {
            run.constant.database = Some(first.to_owned());
        }
        if let Err(cut) = run.parts(&run.shared.parts, &mut connection, first).await {
            run.cut_off(!databases.is_empty());
            return cut.map_or(Ok(()), Err);
        }
        connections.insert(first.to_owned(), connection);
        self.others(run, connections, &databases).await;
        Ok(())
    }

    /// A connection that answers: the one there is, or, where that has broken since, a new one in its place.
    async fn greet(&self, run: &Run<'_>, kept: Option<Connection>) -> Result<(Connection, Rows), Trouble> {
        if let Some(mut connection) = kept.filter(|kept| !kept.session.is_closed()) {
            match run.greet(&mut connection).await {
                Ok(greeting) => return Ok((connection, greeting)),
                // Gone while nobody looked: the server was restarted, or something between has forgotten it.
                Err(Failure::Lost(_)) if connection.session.is_closed() => {}
                Err(failure) => return Err(failure.trouble().clone()),
            }
        }
        let mut connection = self.open(run, self.database()).await?;
        match run.greet(&mut connection).await {
            Ok(greeting) => Ok((connection, greeting)),
            Err(failure) => Err(failure.trouble().clone()),
        }
    }

    async fn open(&self, run: &Run<'_>, database: &str) -> Result<Connection, Trouble> {
        let file = self.password_file.as_deref();
        let Shared { limits, tasks, .. } = run.shared;
        let session = Session::open(&self.address, file, database, limits, false, tasks, run.deadline).await?;
        Ok(Connection::new(session))
    }

    /// The names of the further databases that are read.
    async fn further(&self, run: &Run<'_>, connection: &mut Connection) -> Result<Vec<String>, Failure> {
        let Databases { discover, include, exclude } = &self.databases;
        let wanted = |name: &String| {
            name != self.database() && !exclude.contains(name) && (include.is_empty() || include.contains(name))
        };
        let names = if *discover {
            let sql = "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate \
                       AND has_database_privilege(oid, 'CONNECT') ORDER BY 1";
            let rows = connection.ask("databases", sql, &run.shared.limits, run.deadline).await?;
            rows.iter().filter_map(|row| row.text(0).map(str::to_owned)).collect()
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
    async fn others(&self, run: &mut Run<'_>, connections: &mut BTreeMap<String, Connection>, databases: &[String]) {
        connections.retain(|name, _| name == self.database() || databases.contains(name));
        let parts: Vec<_> = run.shared.parts.iter().copied().filter(|part| part.scope == Scope::Database).collect();
        let each = databases.iter().map(|name| {
            let mut run = run.branch(name);
            let (kept, parts) = (connections.remove(name), &parts);
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
                Ok(connection) => drop(connections.insert(name.clone(), connection)),
                Err(trouble) => run.sight.failed.extend(parts.first().map(|part| (part.name, trouble))),
            }
        }
    }

    async fn other(
        &self,
        run: &mut Run<'_>,
        kept: Option<Connection>,
        name: &str,
        parts: &[&'static Part],
    ) -> Result<Connection, Trouble> {
        let mut connection = match kept.filter(|kept| !kept.session.is_closed()) {
            Some(connection) => connection,
            None => self.open(run, name).await?,
        };
        connection.learned.own = run.own;
        let over = || Trouble::new("not all is read", "see the parts that fail");
        run.parts(parts, &mut connection, name).await.map_err(|cut| cut.unwrap_or_else(over))?;
        Ok(connection)
    }
}
