//! The configuration: read, completed by the environment and the command line, and checked as a whole. Only what has
//! been checked can be used.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::agents::AgentId;
use crate::alert::route;
use crate::alert::severity::Words;
use crate::config::{HttpUrl, Secret, Size, Span};
use crate::http::access::Scope;
use crate::net::serve;
use crate::telemetry::LogFormat;
use crate::{collect, notify, reconcile};

mod delivery;
mod doors;
mod validate;

pub use delivery::{Delivery, Ping, Watchdog};
pub use doors::Door;
pub use validate::Validated;

/// Which half of the program runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Both halves: one box.
    #[default]
    Both,
    /// Collects and exposes: on every box. Keeps nothing but the agents' heartbeats.
    Exporter,
    /// Receives and notifies: once.
    Receiver,
}

impl Role {
    /// Whether the collectors run.
    pub fn exports(self) -> bool {
        self != Self::Receiver
    }

    /// Whether alerts are received.
    pub fn receives(self) -> bool {
        self != Self::Exporter
    }

    /// Whether it uses a section, `notify` or `collectors.host`. Heartbeats are watched in every role.
    pub fn uses(self, section: &str) -> bool {
        match section.split('.').next() {
            Some(
                "notify" | "delivery" | "watchdog" | "routes" | "severities" | "sources" | "incidents" | "storage",
            ) => self.receives(),
            Some("collectors") => self.exports() || section == "collectors.agents",
            _ => true,
        }
    }
}

/// The configuration file, section by section. Every field has a default.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Which half runs.
    pub role: Role,
    /// Where the main listener listens.
    pub listen: String,
    /// TLS of the main listener.
    pub tls: Option<serve::Options>,
    /// Where everything that is kept lies.
    pub data_dir: PathBuf,
    /// The address that people's phones reach, with a path where a proxy adds one.
    pub external_url: Option<HttpUrl>,
    /// The zone in which people read times: `Europe/Berlin`. The system's, if not said.
    pub timezone: Option<String>,
    /// Logs.
    pub log: Log,
    /// Who may ask.
    pub access: Access,
    /// Further listeners, each of which may serve some collectors only.
    pub listeners: Vec<Listener>,
    /// Scrapes.
    pub scrape: Scrape,
    /// The collectors' own sections.
    pub collectors: collect::Config,
    /// The channels: `[notify.KIND.NAME]`.
    pub notify: notify::Config,
    /// Room on the disk.
    pub storage: Storage,
    /// Which alerts go to which channels.
    pub routes: Vec<route::Config>,
    /// What the values of the label `severity` mean.
    pub severities: Words,
    /// The Alertmanagers, by the name that `?source=` gives.
    pub sources: BTreeMap<String, reconcile::Source>,
    /// How alerts become incidents.
    pub incidents: Incidents,
    /// What holds for all channels.
    pub delivery: Delivery,
    /// The sign of life that Alertmanager sends, and our own.
    pub watchdog: Watchdog,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            role: Role::default(),
            listen: "127.0.0.1:9480".into(),
            tls: None,
            data_dir: "tidewatch-data".into(),
            external_url: None,
            timezone: None,
            log: Log::default(),
            access: Access::default(),
            listeners: Vec::new(),
            scrape: Scrape::default(),
            collectors: collect::Config::default(),
            notify: notify::Config::default(),
            storage: Storage::default(),
            routes: Vec::new(),
            severities: Words::default(),
            sources: BTreeMap::new(),
            incidents: Incidents::default(),
            delivery: Delivery::default(),
            watchdog: Watchdog::default(),
        }
    }
}

/// `[log]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// `text` or `json`.
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug`, `trace`, or a list by module: `info,tidewatch::notify=debug`.
    pub level: String,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: "info".into() }
    }
}

/// `[access]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Access {
    /// One bearer token with every scope.
    pub token: Option<Secret>,
    /// The file that holds it.
    pub token_file: Option<PathBuf>,
    /// Names with passwords: `[access.users.NAME]`.
    pub users: BTreeMap<String, User>,
    /// Clients' certificates that open something by themselves: `[access.certificates.NAME]`.
    pub certificates: BTreeMap<String, Certificate>,
    /// Whether `/metrics`, `/health` and the like ask for the token too.
    pub protect_metrics: bool,
    /// In words: whoever reaches the port may read everything and post alerts.
    pub open_without_token: bool,
}

/// `[access.users.NAME]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// The password's bcrypt hash, as in Prometheus' `basic_auth_users`.
    pub password_hash: Secret,
    /// What the user may do.
    pub scopes: Vec<Scope>,
    /// The one agent whose heartbeats it may send.
    pub agent: Option<AgentId>,
}

/// `[access.certificates.NAME]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// The certificate's common name, or one of its DNS names, mail addresses and URIs.
    pub subject: String,
    /// What its holder may do.
    pub scopes: Vec<Scope>,
    /// The one agent whose heartbeats it may send.
    pub agent: Option<AgentId>,
}

/// `[[listeners]]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Listener {
    /// Where it listens: `0.0.0.0:9100`.
    pub address: String,
    /// TLS, if it speaks that.
    pub tls: Option<serve::Options>,
    /// The collectors that it serves; all, if none is named.
    pub collectors: Vec<String>,
}

/// `[scrape]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scrape {
    /// The longest that a scraper waits, where it does not say less.
    pub timeout: Span,
    /// With no scraper for so long, the collectors run by themselves.
    pub idle: Span,
}

impl Default for Scrape {
    fn default() -> Self {
        Self { timeout: Span(Duration::from_millis(9_500)), idle: Span::seconds(30) }
    }
}

/// `[storage]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Storage {
    /// With less room than this on the data folder's volume, posts are refused; at most a tenth of it. 0: never.
    pub min_free: Size,
    /// So much is kept in a file that is given up then; at most a fortieth of the volume.
    pub reserve: Size,
}

impl Default for Storage {
    fn default() -> Self {
        Self { min_free: Size(64 << 20), reserve: Size(16 << 20) }
    }
}

/// `[incidents]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Incidents {
    /// An alert that fires again within this of its end re-opens its incident.
    pub reopen_within: Span,
    /// A change of an incident does not notify the same channel again within this.
    pub cooldown: Span,
}

impl Default for Incidents {
    fn default() -> Self {
        Self { reopen_within: Span::seconds(600), cooldown: Span::seconds(900) }
    }
}

/// What the command line says; it wins over the file and the environment.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--config`
    pub config: Option<PathBuf>,
    /// `--listen`
    pub listen: Option<String>,
    /// `--data-dir`
    pub data_dir: Option<PathBuf>,
    /// `--external-url`
    pub external_url: Option<String>,
    /// `--log-format`
    pub log_format: Option<LogFormat>,
    /// `--role`
    pub role: Option<Role>,
}
