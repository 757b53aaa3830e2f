//! Slack, in both its ways. An incoming webhook can only post. A bot posts an incident's first message, edits it in
//! place while the incident changes, and answers in its thread, also shown in the channel, where people must be told
//! again: editing pings nobody.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Uri, header};
use serde::{Deserialize, Serialize};

use crate::config::{Environment, HttpUrl, Problem, Problems, Secret, Span};
use crate::net::client::{Answer, Client};
use crate::store::Delivery;

use super::render::Renderer;
use super::standing::Standing;
use super::templates::Templates;
use super::{Anchor, Declare, Deps, Limits, Notifier, Retry, SendError, credential, reply};

use blocks::Payload;

pub mod blocks;
mod errors;

/// `[notify.slack.NAME]`: either a webhook, or a bot's token and a channel.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SlackConfig {
    /// An incoming webhook's address: `https://hooks.slack.com/services/…`.
    pub webhook_url: Option<Secret>,
    /// The same, in a file of its own.
    pub webhook_url_file: Option<PathBuf>,
    /// A bot's token: `xoxb-…`, with the scope `chat:write`.
    pub bot_token: Option<Secret>,
    /// The same, in a file of its own.
    pub bot_token_file: Option<PathBuf>,
    /// Where the bot posts: a channel's id, or its name.
    pub channel: String,
    /// Who is mentioned when something critical begins, rises or returns: `<!here>`, `<!channel>`, `<@U…>`,
    /// `<!subteam^S…>`.
    pub mentions: Vec<String>,
    /// The Web API's address.
    pub api_url: Option<HttpUrl>,
    /// How long one exchange may take.
    pub timeout: Span,
}

impl Default for SlackConfig {
    fn default() -> Self {
        Self {
            webhook_url: None,
            webhook_url_file: None,
            bot_token: None,
            bot_token_file: None,
            channel: String::new(),
            mentions: Vec::new(),
            api_url: None,
            timeout: Span::seconds(10),
        }
    }
}

/// Posts to one channel.
pub struct Slack {
    renderer: Renderer,
    templates: Templates,
    client: Client,
    way: Way,
    mentions: Vec<String>,
    timeout: Duration,
}

enum Way {
    Webhook(Uri),
    Bot { api: String, token: Secret, channel: String },
}

/// A message in Slack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    channel: String,
    ts: String,
}

/// What of an answer of the Web API matters.
#[derive(Debug, Deserialize)]
struct Reply {
    ok: bool,
    #[serde(default)]
    error: String,
    #[serde(default)]
    channel: String,
    #[serde(default)]
    ts: String,
}

/// The Web API returns the message with its blocks.
const ANSWER: usize = 256 << 10;

/// Why a call of the Web API did not do its work.
enum CallError {
    /// The message to edit is gone, or cannot be edited any more.
    Gone,
    Failed(SendError),
}

impl From<CallError> for SendError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Gone => Self { retry: Retry::Never, reason: "not_found", what: "the message is gone".into() },
            CallError::Failed(error) => error,
        }
    }
}

impl Slack {
    /// What a delivery becomes, before it is known where it goes.
    pub fn payload(&self, delivery: &Delivery) -> Payload {
        let message = self.renderer.message(delivery);
        let mentions = if message.calls() { self.mentions.as_slice() } else { &[] };
        blocks::payload(&self.templates, message, mentions, delivery)
    }

    async fn exchange(&self, request: http::request::Builder, payload: &Payload) -> Result<Answer, SendError> {
        let invalid = |what: String| SendError { retry: Retry::Never, reason: "invalid", what };
        let body = serde_json::to_vec(payload).map_err(|error| invalid(error.to_string()))?;
        let request = request
            .header(header::CONTENT_TYPE, "application/json; charset=utf-8")
            .body(Bytes::from(body))
            .map_err(|_| invalid("the token or the address holds characters that none can have".into()))?;
        self.client.send(request, self.timeout, ANSWER).await.map_err(|error| reply::unanswered(&error))
    }

    async fn by_webhook(&self, uri: &Uri, payload: &Payload) -> Result<Option<Anchor>, SendError> {
        let answer = self.exchange(Request::post(uri.clone()), payload).await?;
        errors::webhook(&answer, self.renderer.now()).map(|()| None)
    }

    async fn by_bot(
        &self,
        (api, token, channel): (&str, &Secret, &str),
        delivery: &Delivery,
        mut payload: Payload,
    ) -> Result<Option<Anchor>, SendError> {
        let call = async |method: &str, payload: &Payload| self.call(api, token, method, payload).await;
        payload.channel = Some(channel.to_owned());
        let Some(incident) = &delivery.incident else {
            // Each notice is news: none is edited.
            call("chat.postMessage", &payload).await?;
            return Ok(None);
        };
        if let Some(old) = Standing::<Place>::read(delivery.anchor.as_deref()) {
            // The edit comes first: repeated after a failure it changes nothing, a second answer would ping again.
            let edit =
                Payload { channel: Some(old.place.channel.clone()), ts: Some(old.place.ts.clone()), ..payload.clone() };
            match call("chat.update", &edit).await {
                Ok(_) => {
                    if old.must_tell_again(incident, delivery.kind) {
                        let answer = Payload {
                            channel: Some(old.place.channel.clone()),
                            thread_ts: Some(old.place.ts.clone()),
                            reply_broadcast: Some(true),
                            ..payload
                        };
                        call("chat.postMessage", &answer).await?;
                    }
                    return Ok(old.now(incident));
                }
                Err(CallError::Gone) => {}
                Err(CallError::Failed(error)) => return Err(errors::of_edit(error)),
            }
        }
        let reply = call("chat.postMessage", &payload).await?;
        let channel = if reply.channel.is_empty() { channel.to_owned() } else { reply.channel };
        Ok(Standing::new(Place { channel, ts: reply.ts }, incident).written())
    }

    async fn call(&self, api: &str, token: &Secret, method: &str, payload: &Payload) -> Result<Reply, CallError> {
        let request = Request::post(format!("{api}/{method}"))
            .header(header::AUTHORIZATION, format!("Bearer {}", token.expose()));
        let answer = self.exchange(request, payload).await.map_err(CallError::Failed)?;
        errors::api(&answer, self.renderer.now())
    }
}

#[async_trait]
impl Notifier for Slack {
    async fn send(&self, delivery: &Delivery) -> Result<Option<Anchor>, SendError> {
        let payload = self.payload(delivery);
        match &self.way {
            Way::Webhook(uri) => self.by_webhook(uri, &payload).await,
            Way::Bot { api, token, channel } => self.by_bot((api, token, channel), delivery, payload).await,
        }
    }
}

impl Declare for Slack {
    type Config = SlackConfig;

    fn from_environment(environment: &Environment, problems: &mut Problems) -> Option<SlackConfig> {
        let secret = |name: &str| environment.get(name).map(Secret::new);
        let webhook_url = secret("SLACK_WEBHOOK_URL");
        let channel = environment.get("SLACK_CHANNEL");
        let config = match (secret("SLACK_BOT_TOKEN"), channel) {
            (Some(token), Some(channel)) => {
                SlackConfig { bot_token: Some(token), channel: channel.to_owned(), ..SlackConfig::default() }
            }
            (token, _) => {
                if token.is_some() {
                    let hint = "set SLACK_CHANNEL to the channel that the bot was invited to";
                    problems.push(Problem::warning("SLACK_BOT_TOKEN", "is set without SLACK_CHANNEL").hint(hint));
                }
                SlackConfig { webhook_url: Some(webhook_url?), ..SlackConfig::default() }
            }
        };
        let mut found = Problems::default();
        Self::check(&config, &mut found);
        match found.0.into_iter().find(|problem| problem.key == "webhook_url") {
            None => Some(config),
            Some(problem) => {
                problems.push(Problem::warning("SLACK_WEBHOOK_URL", problem.message));
                None
            }
        }
    }

    fn check(config: &SlackConfig, problems: &mut Problems) {
        let webhook = config.webhook_url.is_some() || config.webhook_url_file.is_some();
        let bot = config.bot_token.is_some() || config.bot_token_file.is_some();
        match (webhook, bot) {
            (false, false) => problems.push(
                Problem::error("", "has neither `webhook_url` nor `bot_token`")
                    .hint("docs/notify.md says how to get either of them"),
            ),
            (true, true) => problems.push(
                Problem::error("bot_token", "is given beside `webhook_url`")
                    .hint("keep the bot: it can edit and thread"),
            ),
            (false, true) if config.channel.is_empty() => {
                problems.push(Problem::error("channel", "is missing").hint("channel = \"C0123456789\""));
            }
            (true, false) if !config.channel.is_empty() => {
                let hint = "a webhook posts to the channel that it was made for; a bot can choose";
                problems.push(Problem::warning("channel", "has no effect on a webhook").hint(hint));
            }
            _ => {}
        }
        credential::check("webhook_url", config.webhook_url.as_ref(), config.webhook_url_file.as_deref(), problems);
        credential::check("bot_token", config.bot_token.as_ref(), config.bot_token_file.as_deref(), problems);
        if let Some(Err(why)) = config.webhook_url.as_ref().map(|url| url.expose().parse::<HttpUrl>()) {
            problems.push(Problem::error("webhook_url", why));
        }
        for (index, mention) in config.mentions.iter().enumerate().filter(|(_, mention)| !blocks::is_mention(mention)) {
            let message = format!("`{}` is no mention", crate::alert::text::line(mention, 40));
            let hint = "write <!here>, <!channel>, <@U0123456789> or <!subteam^S0123456789>";
            problems.push(Problem::error(format!("mentions.{index}"), message).hint(hint));
        }
    }

    fn limits(config: &SlackConfig) -> Limits {
        // Slack takes one message a second and channel; what comes faster it may take and not show. An incident's
        // message may need two exchanges.
        Limits {
            parallel: 1,
            pace: Duration::from_secs(1),
            timeout: config.timeout.0 * 2 + Duration::from_secs(5),
            ..Limits::default()
        }
    }

    fn build(config: &SlackConfig, deps: &Deps) -> anyhow::Result<Self> {
        let webhook = credential::read(config.webhook_url.as_ref(), config.webhook_url_file.as_deref())?;
        let token = credential::read(config.bot_token.as_ref(), config.bot_token_file.as_deref())?;
        let way = match (webhook, token) {
            (Some(url), None) => Way::Webhook(credential::uri(&url)?),
            (None, Some(token)) if !config.channel.is_empty() => {
                let api = config.api_url.as_ref().map_or("https://slack.com/api", |url| url.expose().as_str());
                Way::Bot { api: api.trim_end_matches('/').to_owned(), token, channel: config.channel.clone() }
            }
            _ => bail!("either `webhook_url`, or `bot_token` and `channel`, is needed"),
        };
        let mentions = config.mentions.iter().filter(|mention| blocks::is_mention(mention)).cloned().collect();
        Ok(Self {
            renderer: Renderer::new(deps),
            templates: Templates::new()?,
            client: deps.client.clone(),
            way,
            mentions,
            timeout: config.timeout.0,
        })
    }
}
