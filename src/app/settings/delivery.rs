//! What is settled about deliveries as a whole, the Watchdog, and our own sign of life.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::config::{HttpUrl, Problem, Problems, Secret, Span, credential};
use crate::notify;
use crate::reconcile::Source;

/// `[delivery]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Delivery {
    /// A message that arrives later than this after it fell due is late.
    pub late: Span,
    /// A channel that has delivered nothing for so long hands its incidents to the next.
    pub failover_after: Span,
    /// Which channels are tried then, in this order; those that reach people, if not said.
    pub failover: Vec<String>,
    /// How many messages a minute a channel takes, where its kind's bound does not fit.
    pub per_minute: BTreeMap<String, u32>,
}

impl Default for Delivery {
    fn default() -> Self {
        let notify::deliver::Rules { late, failover_after, failover } = notify::deliver::Rules::default();
        Self { late: Span(late), failover_after: Span(failover_after), failover, per_minute: BTreeMap::new() }
    }
}

impl Delivery {
    /// What is wrong beyond the syntax; keys relative to the section.
    pub(super) fn check(&self, channels: &[String], problems: &mut Problems) {
        let names = self.failover.iter().map(|name| ("failover".to_owned(), name));
        let names = names.chain(self.per_minute.keys().map(|name| (format!("per_minute.{name}"), name)));
        for (key, name) in names.filter(|(_, name)| !channels.contains(name)) {
            let problem = Problem::error(key, format!("there is no channel `{name}`"));
            problems.push(problem.hint(format!("there are: {}", channels.join(", "))));
        }
        for (name, _) in self.per_minute.iter().filter(|(_, most)| !(1..=6_000).contains(*most)) {
            let problem = Problem::error(format!("per_minute.{name}"), "is not between 1 and 6000");
            problems.push(problem.hint("a channel that is to get nothing is named by no route"));
        }
    }

    /// As the workers take it.
    pub(in super::super) fn rules(&self) -> notify::deliver::Rules {
        let (late, failover_after, failover) = (self.late.0, self.failover_after.0, self.failover.clone());
        notify::deliver::Rules { late, failover_after, failover }
    }
}

/// `[watchdog]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Watchdog {
    /// A source that has sent none for so long is silent, and every channel is told.
    pub late: Span,
    /// Whose is watched, from the start. If nobody is named: whose has ever arrived.
    pub sources: Vec<String>,
    /// The sign of life to a dead man's switch outside.
    pub ping: Ping,
}

impl Default for Watchdog {
    fn default() -> Self {
        Self { late: Span::seconds(300), sources: Vec::new(), ping: Ping::default() }
    }
}

/// `[watchdog.ping]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ping {
    /// The address that the switch gave: it is a secret.
    pub url: Option<Secret>,
    /// The same, in a file of its own.
    pub url_file: Option<PathBuf>,
    /// How often.
    pub every: Span,
    /// How long one exchange may take.
    pub timeout: Span,
}

impl Default for Ping {
    fn default() -> Self {
        Self { url: None, url_file: None, every: Span::seconds(60), timeout: Span::seconds(10) }
    }
}

impl Watchdog {
    /// What is wrong beyond the syntax; keys relative to the section.
    pub(super) fn check(&self, sources: &BTreeMap<String, Source>, problems: &mut Problems) {
        for (at, name) in self.sources.iter().enumerate() {
            if name != "default" && !sources.contains_key(name) {
                let problem = Problem::error(format!("sources.{at}"), format!("there is no source `{name}`"));
                problems.push(problem.hint("it is `default`, or has a section [sources.NAME]"));
            }
        }
        if self.late.0 < Duration::from_secs(1) {
            problems.push(Problem::error("late", "is too short").hint("Alertmanager sends one a minute: 5m"));
        }
        if self.ping.every.0 < Duration::from_secs(1) {
            problems.push(Problem::error("ping.every", "is too short").hint("once a minute is plenty: 1m"));
        }
        let Ping { url, url_file, .. } = &self.ping;
        credential::check("ping.url", url.as_ref(), url_file.as_deref(), problems);
        if let Some(Err(why)) = url.as_ref().map(|url| url.expose().parse::<HttpUrl>()) {
            problems.push(Problem::error("ping.url", why));
        }
    }
}
