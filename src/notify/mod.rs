//! The notifiers and their list.
//!
//! A notifier is one file here and one line in the list: the line yields the module, the section
//! `[notify.KIND.NAME]`, its row in the documents, and its run through the conformance kit.

use std::time::Duration;

use async_trait::async_trait;
use serde::de::DeserializeOwned;

use crate::clock::Clock;
use crate::config::{Environment, HttpUrl, Problems};
use crate::net::client::Client;
use crate::store::Delivery;

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

    /// Builds it. Reads secrets from their files; opens nothing else.
    fn build(config: &Self::Config, deps: &Deps) -> anyhow::Result<Self>;
}

/// What a notifier may be built with.
#[derive(Clone)]
pub struct Deps {
    /// Time.
    pub clock: Clock,
    /// The HTTPS client.
    pub client: Client,
    /// The address that people's phones reach: every link is built from it, none without it.
    pub external_url: Option<HttpUrl>,
    /// The zone in which people read times.
    pub zone: jiff::tz::TimeZone,
}
