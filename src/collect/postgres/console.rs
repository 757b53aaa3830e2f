//! PgBouncer, asked at its console: `SHOW POOLS` and `SHOW STATS`, under the names of pgbouncer_exporter.

use std::path::PathBuf;

use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

use super::address::Address;
use super::findings::Since;
use super::rows::Rows;
use super::section::TargetConfig;
use super::session::Session;
use super::trouble::{Failure, Trouble};
use super::work::Shared;
use crate::facts::{ServiceState, State};
use crate::metrics::{Batch, Desc};

pub(super) const PART: &str = "pgbouncer";

static UP: Desc = Desc::gauge("pgbouncer_up", "Whether PgBouncer's console answered (1 for yes, 0 for no).", &[]);

/// A column of the console and its family.
struct Column {
    name: &'static str,
    desc: Desc,
    /// What one of the console's units is in the family's.
    unit: f64,
}

const POOL: &[&str] = &["database", "user"];
const DATABASE: &[&str] = &["database"];
const MICROSECOND: f64 = 1e-6;

const fn pool(name: &'static str, family: &'static str, help: &'static str) -> Column {
    Column { name, desc: Desc::gauge(family, help, POOL), unit: 1.0 }
}

const fn stat(name: &'static str, family: &'static str, unit: f64, help: &'static str) -> Column {
    Column { name, desc: Desc::counter(family, help, DATABASE), unit }
}

static POOLS: [Column; 9] = [
    pool("cl_active", "pgbouncer_pools_client_active_connections", "Clients that have a server, or wait for no answer"),
    pool("cl_waiting", "pgbouncer_pools_client_waiting_connections", "Clients that wait for a server"),
    pool("sv_active", "pgbouncer_pools_server_active_connections", "Servers that a client has"),
    pool("sv_idle", "pgbouncer_pools_server_idle_connections", "Servers that no client has"),
    pool("sv_used", "pgbouncer_pools_server_used_connections", "Servers idle so long that they are checked before use"),
    pool("sv_tested", "pgbouncer_pools_server_testing_connections", "Servers that are being reset or checked"),
    pool("sv_login", "pgbouncer_pools_server_login_connections", "Servers that are logging in"),
    pool("maxwait", "pgbouncer_pools_client_maxwait_seconds", "How long the client has waited that waits longest"),
    pool("cl_cancel_req", "pgbouncer_pools_client_cancel_requests", "Clients whose cancel has not been passed on"),
];

static STATS: [Column; 7] = [
    stat("total_xact_count", "pgbouncer_stats_sql_transactions_pooled_total", 1.0, "Transactions that were pooled"),
    stat("total_query_count", "pgbouncer_stats_queries_pooled_total", 1.0, "Queries that were pooled"),
    stat("total_received", "pgbouncer_stats_received_bytes_total", 1.0, "Bytes received"),
    stat("total_sent", "pgbouncer_stats_sent_bytes_total", 1.0, "Bytes sent"),
    stat(
        "total_xact_time",
        "pgbouncer_stats_server_in_transaction_seconds_total",
        MICROSECOND,
        "Time that servers were in a transaction",
    ),
    stat("total_query_time", "pgbouncer_stats_queries_duration_seconds_total", MICROSECOND, "Time that queries took"),
    stat("total_wait_time", "pgbouncer_stats_client_wait_seconds_total", MICROSECOND, "Time that clients waited"),
];

pub(super) fn descs() -> impl Iterator<Item = &'static Desc> {
    std::iter::once(&UP).chain(POOLS.iter().chain(&STATS).map(|column| &column.desc))
}

/// One PgBouncer.
pub(super) struct Console {
    pub(super) name: String,
    address: Address,
    password_file: Option<PathBuf>,
    session: Mutex<Option<Session>>,
    since: Since,
}

impl Console {
    pub(super) fn new(name: String, config: &TargetConfig) -> Result<Self, String> {
        let (address, password_file) = (config.address()?, config.password_file.clone());
        Ok(Self { name, address, password_file, session: Mutex::default(), since: Since::default() })
    }

    /// One run, over by the deadline, and how the console is.
    pub(super) async fn run(
        &self,
        shared: &Shared,
        instance: Option<&str>,
        deadline: Instant,
    ) -> (Batch, ServiceState) {
        let mut batch = instance.map_or_else(Batch::new, Batch::of_instance);
        let outcome = match timeout_at(deadline, self.session.lock()).await {
            Ok(mut session) => self.ask(shared, &mut session, deadline, &mut batch).await,
            Err(_) => Err(Trouble::new("another scrape of this target is not over yet", "scrape it less often")),
        };
        batch.push(&UP, &[], f64::from(outcome.is_ok()));
        let subject = format!("{PART} {}", self.name);
        shared.said.tell(super::NAME, &subject, outcome.as_ref().err().map(|trouble| trouble.why.as_str()));
        let service = instance.map_or_else(|| PART.to_owned(), |name| format!("{PART}:{name}"));
        let judged = match outcome {
            Ok(()) => (State::Ok, "the console answers".to_owned(), String::new()),
            Err(trouble) => (State::Critical, trouble.why, trouble.next.to_owned()),
        };
        (batch, self.since.told(service, shared.clock.now(), judged))
    }

    async fn ask(
        &self,
        shared: &Shared,
        kept: &mut Option<Session>,
        deadline: Instant,
        batch: &mut Batch,
    ) -> Result<(), Trouble> {
        let session = match kept.take().filter(|session| !session.is_closed()) {
            Some(session) => session,
            None => self.open(shared, deadline).await?,
        };
        // The console takes one statement at a time.
        for (sql, columns) in [("SHOW POOLS", POOLS.as_slice()), ("SHOW STATS", STATS.as_slice())] {
            let answers = session.query(sql, &shared.limits, deadline).await;
            let answers = answers.map_err(|failure: Failure| failure.trouble().clone())?;
            for rows in &answers {
                write(columns, rows, batch);
            }
        }
        *kept = Some(session);
        Ok(())
    }

    async fn open(&self, shared: &Shared, deadline: Instant) -> Result<Session, Trouble> {
        let database = self.address.database.as_deref().unwrap_or("pgbouncer");
        let file = self.password_file.as_deref();
        Session::open(&self.address, file, database, &shared.limits, true, &shared.tasks, deadline).await
    }
}

fn write(columns: &[Column], rows: &Rows, batch: &mut Batch) {
    for column in columns {
        let Some(value) = rows.index(column.name) else { continue };
        let labels: Vec<_> = column.desc.labels.iter().map(|name| rows.index(name)).collect();
        for row in rows.iter() {
            let texts: Vec<_> =
                labels.iter().map(|index| index.and_then(|index| row.text(index)).unwrap_or_default()).collect();
            if let Some(value) = row.number(value) {
                batch.push(&column.desc, &texts, value * column.unit);
            }
        }
    }
}
