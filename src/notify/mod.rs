//! The notifiers and their list.
//!
//! A notifier is one file here and one line in the list: the line yields the module, the section
//! `[notify.KIND.NAME]`, its row in the documents, and its run through the conformance kit.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::clock::Clock;
use crate::config::{Environment, HttpUrl, Problem, Problems, credential};
use crate::net::client::Client;
use crate::store::Delivery;
use crate::task::Tasks;

mod backoff;
mod blocking;
pub mod deliver;
pub mod render;
mod reply;
mod standing;
pub mod templates;
mod trial;
mod wire;

pub use trial::test;

/// How an attempt failed, and so what follows: the decision is in the type.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{reason}: {what}")]
pub struct SendError {
    /// What follows from it.
    pub retry: Retry,
    /// One of a few words, for the metric's label: `rate_limited`, `unauthorized`, `timeout` …
    pub reason: &'static str,
    /// What happened, without secrets.
    pub what: String,
}

/// What follows from a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// It will never succeed: the message is dead.
    Never,
    /// Try again after a pause that grows.
    Later,
    /// Try again, but not before this has passed: the other side said so.
    After(Duration),
    /// Nobody knows whether it arrived: try again, and say that it may be a second copy.
    Ambiguous,
}

/// Where a message stands, in the notifier's own words: Slack's channel and time stamp, a mail's first Message-ID.
pub type Anchor = String;

/// Sends messages to one channel.
#[async_trait]
pub trait Notifier: Send + Sync + 'static {
    /// Sends one message. Returns where the subject's first message stands, if that is new.
    async fn send(&self, delivery: &Delivery) -> Result<Option<Anchor>, SendError>;
}

/// What the list asks of a notifier's type.
pub trait Declare: Notifier + Sized {
    /// Its section: `deny_unknown_fields`, and a default for every field.
    type Config: DeserializeOwned + Default + Clone + Send + Sync + 'static;

    /// A channel from the environment alone (`SLACK_WEBHOOK_URL` …); `None` where it is not asked for.
    fn from_environment(environment: &Environment, problems: &mut Problems) -> Option<Self::Config>;

    /// What is wrong with its section beyond its syntax; keys relative to the section.
    fn check(config: &Self::Config, problems: &mut Problems);

    /// How often and how long; the worker keeps to it.
    fn limits(_config: &Self::Config) -> Limits {
        Limits::default()
    }

    /// Builds it. Reads secrets from their files; opens nothing else.
    fn build(config: &Self::Config, deps: &Deps) -> anyhow::Result<Self>;
}

/// How much a channel takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Sends at the same time.
    pub parallel: usize,
    /// From the start of one send to the start of the next, at least.
    pub pace: Duration,
    /// Sends that start within any minute; `None` where the other side sets no such bound.
    pub per_minute: Option<u32>,
    /// A send that takes longer is cut off. Notifiers have shorter limits of their own, because only they know whether
    /// the message was on its way.
    pub timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { parallel: 4, pace: Duration::ZERO, per_minute: None, timeout: Duration::from_mins(1) }
    }
}

/// A configured channel, ready to send.
#[derive(Clone)]
pub struct Channel {
    /// Its name: what routes, metrics and the outbox call it.
    pub name: String,
    /// Its kind: the notifier's name in the list.
    pub kind: &'static str,
    /// What sends.
    pub notifier: Arc<dyn Notifier>,
    /// How much it takes.
    pub limits: Limits,
}

/// What a notifier may be built with.
#[derive(Clone)]
pub struct Deps {
    /// Time.
    pub clock: Clock,
    /// Where threads for what may block are started.
    pub tasks: Tasks,
    /// The HTTPS client.
    pub client: Client,
    /// The address that people's phones reach: every link is built from it, none without it.
    pub external_url: Option<HttpUrl>,
    /// The zone in which people read times.
    pub zone: jiff::tz::TimeZone,
}

/// The list: each line yields a module, the sections `[notify.KIND.NAME]`, and what follows from them.
macro_rules! notifiers {
    ($($kind:ident => $notifier:ty,)+) => {
        $(pub mod $kind;)+

        /// The kinds, as sections, documents and logs call them.
        pub const KINDS: &[&str] = &[$(stringify!($kind)),+];

        /// The section `[notify]`: channels by kind and name.
        #[derive(Clone, Debug, Default, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        #[expect(missing_docs, reason = "the kinds document themselves")]
        pub struct Config {
            $(pub $kind: BTreeMap<String, <$notifier as Declare>::Config>,)+
        }

        impl Config {
            /// What is wrong beyond the syntax; keys relative to the section `[notify]`.
            pub fn check(&self, problems: &mut Problems) {
                self.check_names(problems);
                $(for (name, section) in &self.$kind {
                    problems.within(&format!("{}.{name}", stringify!($kind)), |inner| {
                        <$notifier as Declare>::check(section, inner);
                    });
                })+
            }

            /// With the channels that the environment asks for, named after their kinds. A kind that has sections
            /// keeps to them: a file says more than a variable. What is set but not usable becomes a problem.
            #[must_use]
            pub fn with_environment(&self, environment: &Environment, problems: &mut Problems) -> Self {
                let mut all = self.clone();
                $(if all.$kind.is_empty() {
                    if let Some(section) = <$notifier as Declare>::from_environment(environment, problems) {
                        all.$kind.insert(stringify!($kind).to_owned(), section);
                    }
                })+
                all
            }

            /// Every channel's kind and name, by kind in the list's order.
            pub fn names(&self) -> Vec<(&'static str, &str)> {
                let mut names = Vec::new();
                $(names.extend(self.$kind.keys().map(|name| (stringify!($kind), name.as_str())));)+
                names
            }
        }

        /// Builds all channels: the configured ones, and those of the environment.
        ///
        /// # Errors
        /// A credential's file cannot be read, or what [`Config::check`] would have reported.
        pub fn build(config: &Config, environment: &Environment, deps: &Deps) -> anyhow::Result<Vec<Channel>> {
            let all = config.with_environment(environment, &mut Problems::default());
            let mut channels = Vec::new();
            $(for (name, section) in &all.$kind {
                let kind = stringify!($kind);
                let notifier = <$notifier as Declare>::build(section, deps)
                    .with_context(|| format!("channel `{name}` ({kind})"))?;
                let limits = <$notifier as Declare>::limits(section);
                channels.push(Channel { name: name.clone(), kind, notifier: Arc::new(notifier), limits });
            })+
            Ok(channels)
        }
    };
}

notifiers! {
    console => console::Console,
    discord => discord::Discord,
    email => email::Email,
    file => file::File,
    pagerduty => pagerduty::PagerDuty,
    slack => slack::Slack,
    webhook => webhook::Webhook,
}

impl Config {
    /// Names are labels, file names and words on a command line, and one name is one channel.
    fn check_names(&self, problems: &mut Problems) {
        let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
        for (kind, name) in self.names() {
            let key = format!("{kind}.{name}");
            let sane = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
            if name.is_empty() || name.len() > 63 || !name.chars().all(sane) {
                let hint = "use up to 63 lower-case letters, digits, `-` and `_`";
                problems.push(Problem::error(&key, "is no name for a channel").hint(hint));
            }
            if let Some(other) = seen.insert(name, kind) {
                let message = format!("the name `{name}` is taken by `{other}.{name}`");
                problems.push(Problem::error(&key, message).hint("routes name channels without their kind"));
            }
        }
    }
}
