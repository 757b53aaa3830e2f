//! Messages as JSON to an address of one's own, signed where a secret is given.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::{Request, header};
use serde::Deserialize;
use sha2::Sha256;

use crate::config::{Environment, Problem, Problems, Secret, Span};
use crate::net::client::Client;
use crate::store::Delivery;

use super::render::Renderer;
use super::wire::Event;
use super::{Anchor, Declare, Deps, Limits, Notifier, Retry, SendError, credential, reply};

/// `[notify.webhook.NAME]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebhookConfig {
    /// Where the messages are posted to. A secret, because such addresses carry keys.
    pub url: Option<Secret>,
    /// The same, in a file of its own.
    pub url_file: Option<PathBuf>,
    /// Sent as `Authorization: Bearer …`.
    pub bearer_token: Option<Secret>,
    /// The same, in a file of its own.
    pub bearer_token_file: Option<PathBuf>,
    /// Signs each message: `X-Tidewatch-Signature`.
    pub hmac_secret: Option<Secret>,
    /// The same, in a file of its own.
    pub hmac_secret_file: Option<PathBuf>,
    /// How long one exchange may take.
    pub timeout: Span,
}

impl Default for WebhookConfig {
    fn default() -> Self {
        Self {
            url: None,
            url_file: None,
            bearer_token: None,
            bearer_token_file: None,
            hmac_secret: None,
            hmac_secret_file: None,
            timeout: Span::seconds(10),
        }
    }
}

/// Posts JSON.
pub struct Webhook {
    renderer: Renderer,
    client: Client,
    url: http::Uri,
    bearer: Option<Secret>,
    hmac: Option<Secret>,
    timeout: Duration,
}

/// Nothing of an answer's body is used.
const ANSWER: usize = 1_024;

/// The signature over `v1:{timestamp}:{body}`, in the form of its header. A receiver computes the same, compares in
/// constant time, and refuses timestamps that are minutes old.
fn signature(secret: &str, timestamp: i64, body: &[u8]) -> String {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key of any length");
    mac.update(format!("v1:{timestamp}:").as_bytes());
    mac.update(body);
    format!("v1={:x}", Bytes::copy_from_slice(&mac.finalize().into_bytes()))
}

#[async_trait]
impl Notifier for Webhook {
    async fn send(&self, delivery: &Delivery) -> Result<Option<Anchor>, SendError> {
        let impossible = |what: &str| SendError { retry: Retry::Never, reason: "invalid", what: what.to_owned() };
        let event = Event::of(delivery, &self.renderer);
        let body = serde_json::to_vec(&event).map_err(|error| impossible(&error.to_string()))?;
        let now = self.renderer.now();
        let mut request = Request::post(self.url.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header("X-Tidewatch-Id", &event.id)
            .header("X-Tidewatch-Timestamp", now.as_second());
        if let Some(bearer) = &self.bearer {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", bearer.expose()));
        }
        if let Some(secret) = &self.hmac {
            request = request.header("X-Tidewatch-Signature", signature(secret.expose(), now.as_second(), &body));
        }
        let request =
            request.body(Bytes::from(body)).map_err(|_| impossible("a header's value is no header's value"))?;
        let answer =
            self.client.send(request, self.timeout, ANSWER).await.map_err(|error| reply::unanswered(&error))?;
        if answer.status.is_success() { Ok(None) } else { Err(reply::refused(&answer, now, "")) }
    }
}

impl Declare for Webhook {
    type Config = WebhookConfig;

    fn from_environment(_environment: &Environment, _problems: &mut Problems) -> Option<WebhookConfig> {
        None
    }

    fn check(config: &WebhookConfig, problems: &mut Problems) {
        if config.url.is_none() && config.url_file.is_none() {
            problems.push(Problem::error("url", "is missing").hint("url = \"https://…\", or url_file"));
        }
        if let Some(url) = &config.url
            && let Err(why) = url.expose().parse::<crate::config::HttpUrl>()
        {
            problems.push(Problem::error("url", why));
        }
        credential::check("url", config.url.as_ref(), config.url_file.as_deref(), problems);
        credential::check("bearer_token", config.bearer_token.as_ref(), config.bearer_token_file.as_deref(), problems);
        credential::check("hmac_secret", config.hmac_secret.as_ref(), config.hmac_secret_file.as_deref(), problems);
    }

    fn limits(config: &WebhookConfig) -> Limits {
        Limits { timeout: config.timeout.0 + Duration::from_secs(5), ..Limits::default() }
    }

    fn build(config: &WebhookConfig, deps: &Deps) -> anyhow::Result<Self> {
        let url = credential::read(config.url.as_ref(), config.url_file.as_deref())?.context("`url` is missing")?;
        Ok(Self {
            renderer: Renderer::new(deps),
            client: deps.client.clone(),
            url: credential::uri(&url)?,
            bearer: credential::read(config.bearer_token.as_ref(), config.bearer_token_file.as_deref())?,
            hmac: credential::read(config.hmac_secret.as_ref(), config.hmac_secret_file.as_deref())?,
            timeout: config.timeout.0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_other_programs() {
        // printf 'v1:1763690340:{}' | openssl dgst -sha256 -hmac key
        assert_eq!(
            signature("key", 1_763_690_340, b"{}"),
            "v1=b8bf94d4ce3ae6044f4259ab2b7909ef1714c4c300c55f11f6fd90efd3e87ef8"
        );
    }
}
