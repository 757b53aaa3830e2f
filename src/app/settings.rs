//! The configuration: read, completed by the environment and the command line, and checked as a whole. Only what has
//! been checked can be used.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::alert::policy::Policy;
use crate::alert::route::{self, Routes};
use crate::alert::severity::{Severities, Words};
use crate::config::{Document, Environment, HttpUrl, Problem, Problems, Secret, Span};
use crate::telemetry::LogFormat;
use crate::{collect, notify};

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
}

/// The configuration file, section by section. Every field has a default.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Which half runs.
    pub role: Role,
    /// Where the main listener listens.
    pub listen: String,
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
    /// Which alerts go to which channels.
    pub routes: Vec<route::Config>,
    /// What the values of the label `severity` mean.
    pub severities: Words,
    /// The Alertmanagers, by the name that `?source=` gives.
    pub sources: BTreeMap<String, Source>,
    /// How alerts become incidents.
    pub incidents: Incidents,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            role: Role::default(),
            listen: "127.0.0.1:9480".into(),
            data_dir: "tidewatch-data".into(),
            external_url: None,
            timezone: None,
            log: Log::default(),
            access: Access::default(),
            listeners: Vec::new(),
            scrape: Scrape::default(),
            collectors: collect::Config::default(),
            notify: notify::Config::default(),
            routes: Vec::new(),
            severities: Words::default(),
            sources: BTreeMap::new(),
            incidents: Incidents::default(),
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
    /// Whether `/metrics`, `/health` and the like ask for the token too.
    pub protect_metrics: bool,
    /// In words: whoever reaches the port may read everything and post alerts.
    pub open_without_token: bool,
}

/// `[[listeners]]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Listener {
    /// Where it listens: `0.0.0.0:9100`.
    pub address: String,
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

/// `[sources.NAME]`: what a group of Alertmanager peers is set to.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Source {
    /// Its `repeat_interval`.
    pub repeat_interval: Span,
    /// Its `--cluster.peer-timeout`.
    pub peer_timeout: Span,
}

impl Default for Source {
    fn default() -> Self {
        Self { repeat_interval: Span::seconds(4 * 3600), peer_timeout: Span::seconds(15) }
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

/// A configuration without a fault that would keep the program from running.
#[derive(Clone, Debug)]
pub struct Validated {
    /// The sections, completed.
    pub settings: Settings,
    /// The resolved main address, then the others with their collectors.
    pub addresses: Vec<(SocketAddr, Vec<String>)>,
    /// The bearer token.
    pub token: Option<Secret>,
    /// The zone in which people read times.
    pub zone: TimeZone,
    /// The channels' names, in the order in which messages name them.
    pub channels: Vec<String>,
    /// What decisions about alerts take.
    pub policy: Policy,
    /// What a person should know, though it works.
    pub warnings: Problems,
}

impl Validated {
    /// Reads, completes and checks the configuration.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its place.
    pub fn load(flags: &Flags, environment: &Environment) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let document = match &flags.config {
            None => Document::new("", ""),
            Some(file) => match std::fs::read_to_string(file) {
                Ok(text) => Document::new(file, text),
                Err(error) => {
                    let problem = Problem::error("", format!("{}: {error}", file.display()));
                    problems.push(problem.hint("--config names a TOML file; without it the defaults are used"));
                    return Err(problems);
                }
            },
        };
        let (mut settings, found) = document.parse::<Settings>();
        problems.0.extend(found.0);
        settings.complete(flags, environment, &mut problems);
        let validated = settings.check(&mut problems);
        if flags.config.is_some() {
            document.locate(&mut problems);
        }
        if problems.fatal() {
            return Err(problems);
        }
        validated.map(|validated| Self { warnings: problems.clone(), ..validated }).ok_or(problems)
    }
}

impl Validated {
    /// What differs and is read at the start only.
    pub(super) fn needs_restart(&self, new: &Self) -> Vec<&'static str> {
        let (old, new_settings) = (&self.settings, &new.settings);
        let differs = [
            ("listen, listeners", self.addresses != new.addresses),
            ("data_dir", old.data_dir != new_settings.data_dir),
            ("role", old.role != new_settings.role),
            ("log.format", old.log.format != new_settings.log.format),
        ];
        differs.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
    }
}

impl Settings {
    /// Lays the environment, then the command line, over what the file says.
    fn complete(&mut self, flags: &Flags, environment: &Environment, problems: &mut Problems) {
        let url = flags.external_url.as_deref().or_else(|| environment.get("TIDEWATCH_EXTERNAL_URL"));
        match url.map(str::parse).transpose() {
            Ok(url) => self.external_url = url.or(self.external_url.take()),
            Err(error) => problems.push(Problem::error("external_url", error)),
        }
        if let Some(token) = environment.get("TIDEWATCH_TOKEN") {
            self.access.token = Some(Secret::new(token));
            self.access.token_file = None;
        } else if let Some(file) = environment.get("TIDEWATCH_TOKEN_FILE") {
            self.access.token_file = Some(file.into());
            self.access.token = None;
        }
        if let Some(root) = environment.get("TIDEWATCH_HOST_ROOT") {
            self.collectors.host.below(Path::new(root));
        }
        self.notify = self.notify.with_environment(environment, problems);
        if self.notify.console.is_empty() {
            self.notify.console.insert("console".into(), notify::console::ConsoleConfig::default());
        }
        self.listen = flags.listen.clone().unwrap_or(std::mem::take(&mut self.listen));
        self.data_dir = flags.data_dir.clone().unwrap_or(std::mem::take(&mut self.data_dir));
        self.log.format = flags.log_format.unwrap_or(self.log.format);
        self.role = flags.role.unwrap_or(self.role);
    }

    /// `None` where something is so wrong that nothing can be made of it; the problems say what.
    fn check(self, problems: &mut Problems) -> Option<Validated> {
        let mut addresses = Vec::new();
        let listeners = self.listeners.iter().enumerate();
        let listeners = listeners.map(|(at, one)| (format!("listeners.{at}.address"), &one.address, &one.collectors));
        for (key, text, collectors) in
            std::iter::once(("listen".to_owned(), &self.listen, &Vec::new())).chain(listeners)
        {
            match address(text) {
                Ok(address) => addresses.push((address, collectors.clone())),
                Err(error) => problems.push(Problem::error(key, error).hint("write it like 127.0.0.1:9480")),
            }
        }
        let collectors: Vec<&str> = collect::NAMES.iter().map(|(name, _)| *name).collect();
        for (at, listener) in self.listeners.iter().enumerate() {
            for name in listener.collectors.iter().filter(|name| !collectors.contains(&name.as_str())) {
                let key = format!("listeners.{at}.collectors");
                let problem = Problem::error(key, format!("there is no collector `{name}`"));
                problems.push(problem.hint(format!("there are: {}", collectors.join(", "))));
            }
        }
        let token = self.access.resolve(problems);
        let beyond = addresses.iter().find(|(address, _)| !address.ip().is_loopback());
        if let (Some((address, _)), None, false) = (beyond, &token, self.access.open_without_token) {
            let key =
                if self.listen.parse().is_ok_and(|main: SocketAddr| main == *address) { "listen" } else { "listeners" };
            let problem = Problem::error(key, format!("{address} is reached from other hosts, and there is no token"));
            problems.push(problem.hint(
                "set access.token_file (or TIDEWATCH_TOKEN), or, in a network you trust, access.open_without_token = true",
            ));
        }
        let zone = self.zone(problems);
        problems.within("collectors", |problems| self.collectors.check(problems));
        problems.within("notify", |problems| self.notify.check(problems));
        let channels: Vec<String> = self.notify.names().into_iter().map(|(_, name)| name.to_owned()).collect();
        let always = self.notify.console.keys().cloned().collect();
        let routes = Routes::new(&self.routes, channels.clone(), always, problems);
        if self.external_url.is_none() && self.role.receives() {
            let problem = Problem::warning("external_url", "not set: messages carry no links");
            problems.push(problem.hint("set it to the address at which people's phones reach this program"));
        }
        let source = self.sources.get("default").cloned().unwrap_or_default();
        let policy = Policy {
            routes,
            severities: Severities::new(&self.severities),
            dedup: self.incidents.reopen_within.0,
            cooldown: self.incidents.cooldown.0,
            hold: source.peer_timeout.0 * 2,
            sources: self.sources.keys().cloned().collect(),
        };
        Some(Validated {
            settings: self,
            addresses,
            token,
            zone: zone?,
            channels,
            policy,
            warnings: Problems::default(),
        })
    }

    fn zone(&self, problems: &mut Problems) -> Option<TimeZone> {
        let Some(name) = &self.timezone else { return Some(TimeZone::system()) };
        TimeZone::get(name)
            .map_err(|error| {
                problems.push(Problem::error("timezone", error.to_string()).hint("write it like Europe/Berlin or UTC"));
            })
            .ok()
    }
}

impl Access {
    /// The token, from wherever it is.
    fn resolve(&self, problems: &mut Problems) -> Option<Secret> {
        let (key, token) = match (&self.token, &self.token_file) {
            (Some(_), Some(_)) => {
                problems.push(Problem::error("access.token_file", "access.token is set too").hint("keep one of them"));
                return None;
            }
            (Some(token), None) => ("access.token", token.clone()),
            (None, Some(file)) => match std::fs::read_to_string(file) {
                Ok(text) => ("access.token_file", Secret::new(text.trim())),
                Err(error) => {
                    problems.push(Problem::error("access.token_file", format!("{}: {error}", file.display())));
                    return None;
                }
            },
            (None, None) => return None,
        };
        if token.expose().len() < 16 {
            let problem = Problem::error(key, "a token has at least 16 characters");
            problems.push(problem.hint("make one: head -c 24 /dev/urandom | base64"));
        }
        Some(token)
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let text = text.strip_prefix(':').map_or_else(|| text.to_owned(), |port| format!("0.0.0.0:{port}"));
    let text = text.replacen("localhost:", "127.0.0.1:", 1);
    text.parse().map_err(|_| format!("`{text}` is no address with a port"))
}
