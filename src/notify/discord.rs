//! Discord, by a channel's webhook. An incident is one message, edited in place while it changes; where people must be
//! told again there is a new one, because an edit calls nobody. Nobody is ever mentioned.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri, header};
use serde::{Deserialize, Serialize};

use crate::alert::{Severity, text};
use crate::config::{Environment, HttpUrl, Problem, Problems, Secret, Span};
use crate::net::client::{Answer, Client};
use crate::store::Delivery;

use super::render::{Message, Renderer};
use super::standing::Standing;
use super::{Anchor, Declare, Deps, Limits, Notifier, Retry, SendError, credential, reply};

/// `[notify.discord.NAME]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DiscordConfig {
    /// The webhook's address: `https://discord.com/api/webhooks/…`. A secret: whoever has it can post.
    pub webhook_url: Option<Secret>,
    /// The same, in a file of its own.
    pub webhook_url_file: Option<PathBuf>,
    /// How long one exchange may take.
    pub timeout: Span,
}

impl Default for DiscordConfig {
    fn default() -> Self {
        Self { webhook_url: None, webhook_url_file: None, timeout: Span::seconds(10) }
    }
}

/// Posts and edits.
pub struct Discord {
    renderer: Renderer,
    client: Client,
    /// Without a query and a slash at its end.
    url: String,
    timeout: Duration,
}

/// A message in Discord.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    id: String,
}

/// What is posted: built from structs, so that no text can become structure.
#[derive(Debug, Serialize)]
struct Payload {
    /// What a phone shows before anything is opened.
    content: String,
    embeds: [Embed; 1],
    allowed_mentions: Mentions,
}

/// Nothing that looks like a mention is one.
#[derive(Debug, Serialize)]
struct Mentions {
    parse: [&'static str; 0],
}

#[derive(Debug, Serialize)]
struct Embed {
    title: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    description: String,
    color: u32,
    footer: Footer,
}

#[derive(Debug, Serialize)]
struct Footer {
    text: String,
}

/// What of an answer matters.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Reply {
    /// Of the message that was posted.
    id: String,
    /// Seconds, with 429.
    retry_after: Option<f64>,
}

/// Discord's limits: a content of 2 000 characters, a title of 256, a description of 4 096.
const CONTENT: usize = 1_900;
const TITLE: usize = 250;
const DESCRIPTION: usize = 4_000;
const FOOTER: usize = 500;
/// The answer repeats the message.
const ANSWER: usize = 64 << 10;

impl Payload {
    fn of(message: &Message) -> Self {
        let mut lines = vec![plain(&message.when)];
        lines.extend(message.news.as_deref().map(plain));
        lines.push(plain(message.detail.as_deref().unwrap_or(&message.value)));
        lines.extend(message.next.as_deref().map(|next| format!("**Next:** {}", plain(next))));
        // An address that has been looked at; written as it is, so that people see where it leads.
        lines.extend(message.runbook.as_deref().map(|url| format!("**Runbook:** <{url}>")));
        let mut description = lines.into_iter().filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n");
        let mut more = message.more;
        for member in &message.members {
            let sign = if member.firing { "🔴" } else { "🟢" };
            let line = format!("\n{sign} {}, {}", plain(&member.title), plain(&member.lasted));
            if description.chars().count() + line.chars().count() > DESCRIPTION - 20 {
                more += 1;
            } else {
                description.push_str(&line);
            }
        }
        if more > 0 {
            description = format!("{description}\n+{more} more");
        }
        let source = message.source.as_deref().map(|source| format!(" · {source}")).unwrap_or_default();
        let duplicate = if message.duplicate { " · perhaps a second copy" } else { "" };
        let title = format!("{} {}", message.state, message.title);
        Self {
            content: cut(plain(&message.head()), CONTENT),
            embeds: [Embed {
                title: cut(plain(&text::line(&title, TITLE / 2)), TITLE),
                url: message.link.clone(),
                description: cut(description, DESCRIPTION),
                color: colour(message),
                footer: Footer { text: cut(format!("{}{source}{duplicate}", message.reference), FOOTER) },
            }],
            allowed_mentions: Mentions { parse: [] },
        }
    }
}

/// Escapes a line for Discord: its markup, what would begin a heading, a list or a quote, and what makes an address a
/// link. No more than that: phones show the escapes. Mentions are switched off as a whole.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for (at, c) in text.char_indices() {
        let begins = at == 0 && matches!(c, '#' | '-' | '>');
        let links = text.get(at..).is_some_and(|rest| rest.starts_with("://"));
        if begins || links || matches!(c, '\\' | '*' | '_' | '~' | '`' | '|' | '<' | '[' | ']') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// At most so many characters, and no lonely escape at the end.
fn cut(text: String, most: usize) -> String {
    if text.chars().count() <= most {
        return text;
    }
    let kept: String = text.chars().take(most - 1).collect();
    format!("{}…", kept.trim_end_matches('\\'))
}

fn colour(message: &Message) -> u32 {
    match message.severity {
        _ if message.ended.is_some() => 0x002e_a043,
        Some(Severity::Critical) => 0x00d7_3a49,
        Some(Severity::Warning) => 0x00fb_8c00,
        Some(Severity::Info | Severity::None) => 0x0019_76d2,
        None => 0x0095_9da5,
    }
}

impl Discord {
    async fn exchange(&self, method: Method, path: &str, payload: &Payload) -> Result<Answer, SendError> {
        let invalid = |what: String| SendError { retry: Retry::Never, reason: "invalid", what };
        let body = serde_json::to_vec(payload).map_err(|error| invalid(error.to_string()))?;
        let uri: Uri = format!("{}{path}", self.url).parse().map_err(|_| invalid("the address is none".into()))?;
        let request = Request::builder()
            .method(method)
            .uri(uri)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Bytes::from(body))
            .map_err(|_| invalid("the address is none".into()))?;
        self.client.send(request, self.timeout, ANSWER).await.map_err(|error| reply::unanswered(&error))
    }

    fn refused(&self, answer: &Answer) -> SendError {
        let error = reply::refused(answer, self.renderer.now(), "");
        let asked = serde_json::from_slice::<Reply>(&answer.body).ok().and_then(|reply| reply.retry_after);
        match asked.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()) {
            Some(pause) if answer.status == StatusCode::TOO_MANY_REQUESTS => {
                SendError { retry: Retry::After(pause), ..error }
            }
            _ => error,
        }
    }

    async fn post(&self, payload: &Payload) -> Result<Reply, SendError> {
        // Without `wait` Discord answers before it knows whether it takes the message.
        let answer = self.exchange(Method::POST, "?wait=true", payload).await?;
        if !answer.status.is_success() {
            return Err(self.refused(&answer));
        }
        Ok(serde_json::from_slice(&answer.body).unwrap_or_default())
    }
}

#[async_trait]
impl Notifier for Discord {
    async fn send(&self, delivery: &Delivery) -> Result<Option<Anchor>, SendError> {
        let payload = Payload::of(&self.renderer.message(delivery));
        let Some(incident) = &delivery.incident else {
            // Each notice is news: none is edited.
            return self.post(&payload).await.map(|_| None);
        };
        if let Some(old) = Standing::<Place>::read(delivery.anchor.as_deref()) {
            // The edit comes first: repeated after a failure it changes nothing.
            let answer = self.exchange(Method::PATCH, &format!("/messages/{}", old.place.id), &payload).await;
            let answer = answer.map_err(|error| match error.retry {
                Retry::Ambiguous => SendError { retry: Retry::Later, ..error },
                _ => error,
            })?;
            match answer.status {
                // Somebody deleted it: the incident begins anew here.
                StatusCode::NOT_FOUND => {}
                status if !status.is_success() => return Err(self.refused(&answer)),
                _ if old.must_tell_again(incident, delivery.kind) => {}
                _ => return Ok(old.now(incident)),
            }
        }
        let Reply { id, .. } = self.post(&payload).await?;
        let is_id = !id.is_empty() && id.len() <= 32 && id.bytes().all(|byte| byte.is_ascii_digit());
        Ok(is_id.then(|| Standing::new(Place { id }, incident)).and_then(|standing| standing.written()))
    }
}

impl Declare for Discord {
    type Config = DiscordConfig;

    fn from_environment(environment: &Environment, problems: &mut Problems) -> Option<DiscordConfig> {
        let config = DiscordConfig {
            webhook_url: Some(Secret::new(environment.get("DISCORD_WEBHOOK_URL")?)),
            ..DiscordConfig::default()
        };
        let mut found = Problems::default();
        Self::check(&config, &mut found);
        match found.0.into_iter().next() {
            None => Some(config),
            Some(problem) => {
                problems.push(Problem::warning("DISCORD_WEBHOOK_URL", problem.message));
                None
            }
        }
    }

    fn check(config: &DiscordConfig, problems: &mut Problems) {
        if config.webhook_url.is_none() && config.webhook_url_file.is_none() {
            let hint = "in Discord: Edit Channel, Integrations, Webhooks, Copy Webhook URL";
            problems.push(Problem::error("webhook_url", "is missing").hint(hint));
        }
        credential::check("webhook_url", config.webhook_url.as_ref(), config.webhook_url_file.as_deref(), problems);
        if let Some(Err(why)) = config.webhook_url.as_ref().map(|url| url.expose().parse::<HttpUrl>()) {
            problems.push(Problem::error("webhook_url", why));
        }
    }

    fn limits(config: &DiscordConfig) -> Limits {
        // Five posts in two seconds is what a webhook takes; an incident's message may need two exchanges.
        Limits {
            parallel: 1,
            pace: Duration::from_secs(1),
            timeout: config.timeout.0 * 2 + Duration::from_secs(5),
            ..Limits::default()
        }
    }

    fn build(config: &DiscordConfig, deps: &Deps) -> anyhow::Result<Self> {
        let url = credential::read(config.webhook_url.as_ref(), config.webhook_url_file.as_deref())?;
        let uri = credential::uri(&url.context("`webhook_url` is missing")?)?.to_string();
        let url = uri.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/').to_owned();
        Ok(Self { renderer: Renderer::new(deps), client: deps.client.clone(), url, timeout: config.timeout.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_becomes_markup_a_mention_or_a_link() {
        for (text, expected) in [
            ("<@123> at 02:11", "\\<@123> at 02:11"),
            ("[here](http://x)", "\\[here\\](http\\://x)"),
            ("# big\\", "\\# big\\\\"),
        ] {
            assert_eq!(plain(text), expected);
        }
        assert_eq!(cut("ab\\*cd".into(), 4), "ab…");
    }
}
