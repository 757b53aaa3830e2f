//! PagerDuty, by its Events API v2. An incident here is an incident there, by `dedup_key`: it is triggered, and resolved.
//! The key makes a second copy harmless, so whatever is not known to have failed for good is sent again.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, StatusCode, header};
use serde::{Deserialize, Serialize};

use crate::alert::{Labels, Severity, text};
use crate::config::{Environment, HttpUrl, Problem, Problems, Secret, Span};
use crate::net::client::Client;
use crate::store::{Delivery, Subject};

use super::render::{Message, Renderer};
use super::{Anchor, Declare, Deps, Limits, Notifier, Retry, SendError, credential, reply};

/// `[notify.pagerduty.NAME]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PagerDutyConfig {
    /// The integration key of a service's integration *Events API V2*.
    pub routing_key: Option<Secret>,
    /// The same, in a file of its own.
    pub routing_key_file: Option<PathBuf>,
    /// The Events API's address; `https://events.eu.pagerduty.com` for accounts in Europe.
    pub api_url: Option<HttpUrl>,
    /// How long one exchange may take.
    pub timeout: Span,
}

impl Default for PagerDutyConfig {
    fn default() -> Self {
        Self { routing_key: None, routing_key_file: None, api_url: None, timeout: Span::seconds(10) }
    }
}

/// Triggers and resolves.
pub struct PagerDuty {
    renderer: Renderer,
    client: Client,
    url: String,
    key: Secret,
    timeout: Duration,
}

/// One event.
#[derive(Debug, Serialize)]
struct Event<'a> {
    routing_key: &'a str,
    #[serde(rename = "event_action")]
    action: &'static str,
    dedup_key: String,
    client: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_url: Option<&'a str>,
    payload: Payload<'a>,
    links: Vec<Link<'a>>,
}

#[derive(Debug, Serialize)]
struct Payload<'a> {
    summary: String,
    source: String,
    severity: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<String>,
    custom_details: Details<'a>,
}

#[derive(Debug, Serialize)]
struct Details<'a> {
    reference: &'a str,
    description: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    alerts: &'a [super::render::Member],
    more: u64,
    labels: Labels,
}

#[derive(Debug, Serialize)]
struct Link<'a> {
    href: &'a str,
    text: &'static str,
}

/// PagerDuty cuts a summary at 1 024 characters.
const SUMMARY: usize = 1_000;
const ANSWER: usize = 4_096;

impl PagerDuty {
    fn event<'a>(&'a self, delivery: &Delivery, message: &'a Message) -> Event<'a> {
        let first = delivery.incident.as_ref().and_then(|incident| incident.members.first());
        let label = |name: &str| first.and_then(|member| member.labels.get(name)).map(|value| text::line(value, 200));
        let source = ["instance", "agent_id", "host", "node"].iter().find_map(|name| label(name));
        let mut links: Vec<_> = message.link.iter().map(|href| Link { href, text: "The incident" }).collect();
        links.extend(message.runbook.iter().map(|href| Link { href, text: "Runbook" }));
        Event {
            routing_key: self.key.expose(),
            action: if message.ended.is_some() { "resolve" } else { "trigger" },
            dedup_key: key(delivery),
            client: "tidewatch",
            client_url: message.link.as_deref(),
            payload: Payload {
                summary: text::line(&message.head(), SUMMARY),
                source: source.unwrap_or_else(|| "tidewatch".into()),
                severity: severity(message.severity),
                timestamp: delivery.incident.as_ref().map(|incident| incident.opened_at.to_string()),
                class: label("alertname"),
                custom_details: Details {
                    reference: &message.reference,
                    description: message.detail.as_deref().unwrap_or(&message.value),
                    next: message.next.as_deref(),
                    alerts: &message.members,
                    more: message.more,
                    labels: message.labels.iter().cloned().collect(),
                },
            },
            links,
        }
    }
}

/// The same for all messages about a subject, and another for another tidewatch's incident of the same number.
fn key(delivery: &Delivery) -> String {
    match (&delivery.incident, &delivery.subject) {
        (Some(incident), _) => format!("tidewatch-{}-{}", incident.opened_at.as_millisecond(), incident.id),
        // tidewatch's own words: each kind of notice is one incident.
        (None, Subject::Notice(kind)) => format!("tidewatch-notice-{}", text::line(kind, 200)),
        (None, Subject::Incident(id)) => format!("tidewatch-{id}"),
    }
}

/// The four words that PagerDuty knows. A notice is about tidewatch itself, which then may not be able to tell.
fn severity(severity: Option<Severity>) -> &'static str {
    match severity {
        Some(Severity::Critical) => "critical",
        None => "error",
        Some(Severity::Warning) => "warning",
        Some(Severity::Info | Severity::None) => "info",
    }
}

#[async_trait]
impl Notifier for PagerDuty {
    async fn send(&self, delivery: &Delivery) -> Result<Option<Anchor>, SendError> {
        let invalid = |what: String| SendError { retry: Retry::Never, reason: "invalid", what };
        let message = self.renderer.message(delivery);
        let body = serde_json::to_vec(&self.event(delivery, &message)).map_err(|error| invalid(error.to_string()))?;
        let request = Request::post(&self.url)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Bytes::from(body))
            .map_err(|_| invalid("the address is none".into()))?;
        let answer = self.client.send(request, self.timeout, ANSWER).await;
        match answer.map_err(|error| reply::unanswered(&error)) {
            Ok(answer) if answer.status.is_success() => Ok(None),
            Ok(answer) => {
                let what = if answer.status == StatusCode::BAD_REQUEST { "the key or the event" } else { "" };
                Err(harmless(reply::refused(&answer, self.renderer.now(), what)))
            }
            Err(error) => Err(harmless(error)),
        }
    }
}

/// A second copy has the same key: nobody sees it.
fn harmless(error: SendError) -> SendError {
    if error.retry == Retry::Ambiguous { SendError { retry: Retry::Later, ..error } } else { error }
}

impl Declare for PagerDuty {
    type Config = PagerDutyConfig;

    fn from_environment(environment: &Environment, _problems: &mut Problems) -> Option<PagerDutyConfig> {
        let key = environment.get("PAGERDUTY_ROUTING_KEY")?;
        Some(PagerDutyConfig { routing_key: Some(Secret::new(key)), ..PagerDutyConfig::default() })
    }

    fn check(config: &PagerDutyConfig, problems: &mut Problems) {
        if config.routing_key.is_none() && config.routing_key_file.is_none() {
            let hint = "it is the Integration Key of a service's integration \"Events API V2\"";
            problems.push(Problem::error("routing_key", "is missing").hint(hint));
        }
        credential::check("routing_key", config.routing_key.as_ref(), config.routing_key_file.as_deref(), problems);
    }

    fn limits(config: &PagerDutyConfig) -> Limits {
        // PagerDuty answers 429 to more than this of one key.
        let per_minute = Some(120);
        Limits { timeout: config.timeout.0 + Duration::from_secs(5), per_minute, ..Limits::default() }
    }

    fn build(config: &PagerDutyConfig, deps: &Deps) -> anyhow::Result<Self> {
        let key = credential::read(config.routing_key.as_ref(), config.routing_key_file.as_deref())?;
        let base = config.api_url.as_ref().map_or("https://events.pagerduty.com", |url| url.expose().as_str());
        Ok(Self {
            renderer: Renderer::new(deps),
            client: deps.client.clone(),
            url: format!("{}/v2/enqueue", base.trim_end_matches('/')),
            key: key.context("`routing_key` is missing")?,
            timeout: config.timeout.0,
        })
    }
}
