//! The section `[collectors.postgres]`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::address::{Address, ChannelBinding, SslMode};
use super::parts::{PARTS, find};
use super::session::Limits;
use crate::collect::Schedule;
use crate::config::{Problem, Problems, Secret, Span};

/// Which servers are read, and what of them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PostgresConfig {
    /// When and how much.
    pub schedule: Schedule,
    /// The servers. With one, series have the original's labels; with several, `instance` has the server's name here.
    pub targets: BTreeMap<String, TargetConfig>,
    /// Consoles of PgBouncer: `SHOW POOLS` and `SHOW STATS`.
    pub pgbouncer: BTreeMap<String, TargetConfig>,
    /// Which parts run.
    pub parts: Parts,
    /// Names and labels of older releases beside today's: "0.19" (`pg_replication_slot_*`), "0.11" (the label `server`
    /// everywhere, and families that 0.20 lacks).
    pub names: Vec<String>,
    /// The server gives up waiting for a lock after this.
    pub lock_timeout: Span,
    /// The server ends a query of ours after this.
    pub statement_timeout: Span,
    /// Opening a connection may take this long.
    pub connect_timeout: Span,
    /// More rows of one query are not read.
    pub max_rows: usize,
    /// The part `stat_statements`.
    pub statements: Statements,
    /// Files with queries of your own, in the form of the original's `queries.yaml`.
    pub queries: Vec<PathBuf>,
    /// Who may be asked about at `/probe`.
    pub probe: ProbeConfig,
}

impl Default for PostgresConfig {
    fn default() -> Self {
        Self {
            schedule: Schedule::default(),
            targets: BTreeMap::new(),
            pgbouncer: BTreeMap::new(),
            parts: Parts::default(),
            names: Vec::new(),
            lock_timeout: Span(Duration::from_millis(100)),
            statement_timeout: Span::seconds(3),
            connect_timeout: Span::seconds(3),
            max_rows: 10_000,
            statements: Statements::default(),
            queries: Vec::new(),
            probe: ProbeConfig::default(),
        }
    }
}

/// Which parts run: those that the original runs, with `include`, without `exclude`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Parts {
    /// These too.
    pub include: Vec<String>,
    /// Not these.
    pub exclude: Vec<String>,
}

impl Parts {
    /// Whether a part runs.
    pub(super) fn takes(&self, name: &str, default: bool) -> bool {
        let among = |names: &[String]| names.iter().any(|listed| listed == name);
        (default || among(&self.include)) && !among(&self.exclude)
    }
}

/// A server: by `url`, or by what it would say.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TargetConfig {
    /// `postgresql://user:password@host:port/database?sslmode=…`, or libpq's `host=… user=…`.
    pub url: Option<Secret>,
    /// A name, an address, or the folder of a Unix socket.
    pub host: Option<String>,
    /// 5432 unless told.
    pub port: Option<u16>,
    /// The role, best a member of `pg_monitor`.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<Secret>,
    /// A file with it, read at every connection.
    pub password_file: Option<PathBuf>,
    /// The first database; the role's name unless told.
    pub database: Option<String>,
    /// How the connection is protected; `prefer` unless told.
    pub sslmode: Option<SslMode>,
    /// Whether a login by password is bound to that connection; `prefer` unless told.
    pub channel_binding: Option<ChannelBinding>,
    /// The authorities that are trusted; the system's, if none is named.
    pub ca_file: Option<PathBuf>,
    /// Our own certificate.
    pub cert_file: Option<PathBuf>,
    /// Its key.
    pub key_file: Option<PathBuf>,
    /// Further databases whose tables are read.
    pub databases: Databases,
}

/// Which databases beside the first are read: listed, or found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Databases {
    /// All that allow connections and are no templates.
    pub discover: bool,
    /// These, and where `discover` is set only these.
    pub include: Vec<String>,
    /// Not these.
    pub exclude: Vec<String>,
}

/// The part `stat_statements`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Statements {
    /// So many statements, those that took the longest.
    pub limit: u32,
    /// Also their texts, as `pg_stat_statements_query_id`.
    pub include_query: bool,
    /// A text's first characters.
    pub query_length: u32,
}

impl Default for Statements {
    fn default() -> Self {
        Self { limit: 100, include_query: false, query_length: 120 }
    }
}

/// Who may be asked about at `/probe?target=…&auth_module=…`: the targets by their names here, always, and others by
/// what stands here.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProbeConfig {
    /// `host:port` with `*` for any letters: `"db-*.internal:5432"`. A pattern of addresses (`10.0.0.*`) takes no names.
    pub allow: Vec<String>,
    /// The original's `postgres_exporter.yml`, for its `auth_modules`.
    pub config_file: Option<PathBuf>,
}

impl TargetConfig {
    /// The address: what `url` says, and over it what stands beside it.
    pub(super) fn address(&self) -> Result<Address, String> {
        let mut address = match &self.url {
            Some(url) => Address::parse(url.expose())?,
            None => Address::default(),
        };
        let Self { host, user, password, database, ca_file, cert_file, key_file, .. } = self.clone();
        address.host = host.or(address.host);
        address.port = self.port.or(address.port);
        address.user = user.or(address.user);
        address.password = password.or(address.password);
        address.database = database.or(address.database);
        address.sslmode = self.sslmode.or(address.sslmode);
        address.channel_binding = self.channel_binding.or(address.channel_binding);
        address.ca_file = ca_file.or(address.ca_file);
        address.cert_file = cert_file.or(address.cert_file);
        address.key_file = key_file.or(address.key_file);
        Ok(address)
    }

    fn check(&self, problems: &mut Problems) {
        let address = match self.address() {
            Ok(address) => address,
            Err(why) => {
                let hint = "write postgresql://user@host:5432/database, or host=… user=… dbname=…";
                return problems
                    .push(Problem::error("url", format!("the connection string is not usable: {why}")).hint(hint));
            }
        };
        if self.url.is_none() && self.host.is_none() {
            problems.push(Problem::error("host", "the target has neither `url` nor `host`"));
        }
        if self.password.is_some() && self.password_file.is_some() {
            let message = "`password` and `password_file` are both given";
            problems.push(Problem::error("password_file", message).hint("keep one of them"));
        }
        if address.cert_file.is_some() != address.key_file.is_some() {
            problems.push(Problem::error("cert_file", "a certificate needs its key, and a key its certificate"));
        }
        if !address.ignored.is_empty() {
            let message = format!("the connection string has what means nothing here: {}", address.ignored.join(", "));
            problems.push(Problem::warning("url", message));
        }
    }
}

/// The releases whose names can be had beside today's.
pub(super) const NAMES: [&str; 3] = ["0.20", "0.19", "0.11"];

impl PostgresConfig {
    pub(super) fn limits(&self) -> Limits {
        Limits {
            lock: self.lock_timeout.0,
            statement: self.statement_timeout.0,
            connect: self.connect_timeout.0,
            rows: self.max_rows,
        }
    }

    pub(super) fn check(&self, problems: &mut Problems) {
        for (kind, targets) in [("targets", &self.targets), ("pgbouncer", &self.pgbouncer)] {
            for (name, target) in targets {
                problems.within(&format!("{kind}.{name}"), |problems| target.check(problems));
            }
        }
        for (key, names) in [("include", &self.parts.include), ("exclude", &self.parts.exclude)] {
            for (index, name) in names.iter().enumerate().filter(|(_, name)| find(name).is_none()) {
                let parts: Vec<_> = PARTS.iter().map(|part| part.name).collect();
                problems.push(
                    Problem::error(format!("parts.{key}.{index}"), format!("there is no part `{name}`"))
                        .hint(format!("the parts are {}", parts.join(", "))),
                );
            }
        }
        for (index, name) in self.names.iter().enumerate().filter(|(_, name)| !NAMES.contains(&name.as_str())) {
            problems.push(
                Problem::error(format!("names.{index}"), format!("no names of a release `{name}` are known"))
                    .hint(format!("known are {}", NAMES.join(", "))),
            );
        }
        for (index, file) in self.queries.iter().enumerate() {
            if let Err(problem) = super::custom::load(file) {
                problems.push(Problem { key: format!("queries.{index}"), ..problem });
            }
        }
        if let Some(file) = &self.probe.config_file
            && let Err(problem) = super::probe::load(file)
        {
            problems.push(Problem { key: "probe.config_file".into(), ..problem });
        }
        let ordered = [
            ("lock_timeout", self.lock_timeout, "statement_timeout", self.statement_timeout),
            ("statement_timeout", self.statement_timeout, "schedule.timeout", self.schedule.timeout),
            ("connect_timeout", self.connect_timeout, "schedule.timeout", self.schedule.timeout),
        ];
        for (inner, span, outer, limit) in ordered {
            if span >= limit {
                problems.push(Problem::warning(inner, format!("not shorter than `{outer}`")));
            }
            if span.0.as_millis() == 0 {
                problems.push(Problem::error(inner, "0 would mean without a limit"));
            }
        }
    }
}
