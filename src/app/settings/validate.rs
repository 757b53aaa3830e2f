//! From what was written to what can be used: everything that is wrong with it is said at once.

use std::sync::Arc;

use jiff::tz::TimeZone;

use super::{Door, Flags, Settings};
use crate::alert::OWN_SOURCE;
use crate::alert::policy::Policy;
use crate::alert::route::Routes;
use crate::alert::severity::Severities;
use crate::config::{Document, Environment, Problem, ProblemSeverity as Severity, Problems, Secret};
use crate::http::access as http;
use crate::http::tokens::Tokens;
use crate::telemetry::check_level;
use crate::{notify, reconcile};

/// A configuration without a fault that would keep the program from running.
#[derive(Clone, Debug)]
pub struct Validated {
    /// The sections, completed.
    pub settings: Settings,
    /// Where it listens, the main listener first.
    pub doors: Vec<Door>,
    /// The bearer token.
    pub token: Option<Secret>,
    /// Those that were given out for the data folder.
    pub tokens: Arc<Tokens>,
    /// The zone in which people read times.
    pub zone: TimeZone,
    /// The channels' names, in the order in which messages name them.
    pub channels: Vec<String>,
    /// What decisions about alerts take.
    pub policy: Policy,
    /// What a person should know, though it works.
    pub warnings: Problems,
    /// What the file says though the role does not use it, by the sections' names.
    pub unused: Vec<String>,
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
        let (mut settings, unread) = document.parse::<Settings>();
        settings.complete(flags, environment, &mut problems);
        let validated = settings.check(&mut problems);
        if flags.config.is_some() {
            document.locate(&mut problems);
            // A key that could not be read was taken out: that it is missing then is no second fault.
            let line = |problem: &Problem| problem.at.as_ref().map(|(_, line, _)| *line);
            problems.0.retain(|problem| !unread.0.iter().any(|unread| line(unread) == line(problem)));
            problems.0.extend(unread.0);
            problems.0.sort_by(|left, right| left.at.cmp(&right.at));
        }
        if problems.fatal() {
            // What is warned of may follow from an error alone.
            problems.0.retain(|problem| problem.severity == Severity::Error);
            return Err(problems);
        }
        let unused = |validated: &Self| {
            let sections = document.sections();
            sections.into_iter().filter(|section| !validated.settings.role.uses(section)).collect()
        };
        validated
            .map(|validated| Self { unused: unused(&validated), warnings: problems.clone(), ..validated })
            .ok_or(problems)
    }

    /// Who may ask what.
    pub(in super::super) fn access(&self) -> http::Access {
        let Settings { access, external_url, .. } = &self.settings;
        let (token, external_url) = (self.token.clone(), external_url.clone());
        let tokens = Some(Arc::clone(&self.tokens));
        let (users, certificates) = (access.users(), access.certificates());
        http::Access { token, tokens, users, certificates, protect_metrics: access.protect_metrics, external_url }
    }

    /// Whether it may listen where it does.
    ///
    /// # Errors
    /// What others reach without a token.
    pub(in super::super) fn may_listen(&self) -> Result<(), String> {
        let (access, open) = (self.access(), self.settings.access.open_without_token);
        self.doors.iter().try_for_each(|door| door.may_open(&access, open))
    }

    /// Tells the log what a person should know.
    pub(crate) fn warn(&self) {
        for Problem { key, message, hint, .. } in &self.warnings.0 {
            let hint = hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
            tracing::warn!("`{key}`: {message}{hint}");
        }
    }

    /// Takes over what is read at the start only, and names what of it differs.
    pub(in super::super) fn started_as(&mut self, old: &Self) -> Vec<&'static str> {
        let (new, started) = (&mut self.settings, &old.settings);
        let differs = [
            ("listen, tls, listeners", self.doors != old.doors),
            ("data_dir", new.data_dir != started.data_dir),
            ("role", new.role != started.role),
            ("log.format", new.log.format != started.log.format),
        ];
        self.doors.clone_from(&old.doors);
        new.data_dir.clone_from(&started.data_dir);
        (new.role, new.log.format) = (started.role, started.log.format);
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
        problems.within("collectors", |problems| self.collectors.complete(environment, problems));
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
        let doors = self.doors(problems);
        let token = self.access.resolve(problems);
        self.access.check(problems);
        let tokens = Tokens::open(&self.data_dir).map(Arc::new);
        let tokens = tokens.map_err(|error| problems.push(Problem::error("data_dir", error.to_string()))).ok();
        let guard = http::Access {
            token: token.clone(),
            tokens: tokens.clone(),
            users: self.access.users(),
            certificates: self.access.certificates(),
            ..http::Access::default()
        };
        self.guard(&doors, &guard, problems);
        let zone = self.zone(problems);
        if let Err(error) = check_level(&self.log.level) {
            problems.push(
                Problem::error("log.level", error).hint("write for example info, or warn,tidewatch::store=debug"),
            );
        }
        problems.within("collectors", |problems| self.collectors.check(problems));
        problems.within("notify", |problems| self.notify.check(problems));
        let channels: Vec<String> = self.notify.names().into_iter().map(|(_, name)| name.to_owned()).collect();
        let always = self.notify.console.keys().cloned().collect();
        let routes = Routes::new(&self.routes, channels.clone(), always, problems);
        if self.sources.contains_key(OWN_SOURCE) {
            let problem = Problem::error(format!("sources.{OWN_SOURCE}"), "is the name of tidewatch's own alerts");
            problems.push(problem.hint("choose another name, and write it into the webhook's ?source="));
        }
        problems.within("watchdog", |problems| self.watchdog.check(&self.sources, problems));
        problems.within("delivery", |problems| self.delivery.check(&channels, problems));
        if self.external_url.is_none() && self.role.receives() {
            let problem = Problem::warning("external_url", "not set, so messages carry no links");
            problems.push(problem.hint("set it to the address at which people's phones reach this program"));
        }
        for (name, source) in &self.sources {
            problems.within(&format!("sources.{name}"), |problems| source.check(problems));
        }
        self.warn_unasked(problems);
        let policy = Policy {
            routes,
            severities: Severities::new(&self.severities),
            dedup: self.incidents.reopen_within.0,
            cooldown: self.incidents.cooldown.0,
            hold: reconcile::Source::default().hold(),
            holds: self.sources.iter().map(|(name, source)| (name.clone(), source.hold())).collect(),
            sources: self.sources.keys().cloned().collect(),
        };
        Some(Validated {
            settings: self,
            doors,
            token,
            tokens: tokens?,
            zone: zone?,
            channels,
            policy,
            warnings: Problems::default(),
            unused: Vec::new(),
        })
    }

    /// Where no Alertmanager can be asked, what a post leaves out is told to nobody.
    fn warn_unasked(&self, problems: &mut Problems) {
        if !self.role.receives() {
            return;
        }
        let default = ("default".to_owned(), reconcile::Source::default());
        let configured = self.sources.iter().map(|(name, source)| (name, source));
        let unnamed = (!self.sources.contains_key("default")).then_some((&default.0, &default.1));
        for (name, _) in configured.chain(unnamed).filter(|(_, source)| source.alertmanager.is_empty()) {
            let what = "no Alertmanager to ask: with `max_alerts` above 0, or after an outage, alerts may go untold";
            let problem = Problem::warning(format!("sources.{name}.alertmanager"), what);
            problems.push(problem.hint("alertmanager = [\"http://localhost:9093\"], and max_alerts: 0 there"));
        }
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
