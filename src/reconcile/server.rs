//! One server that is asked: an Alertmanager, or a Prometheus. Nothing that a payload named is ever asked.

use std::time::Duration;

use anyhow::Context;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, Uri, header};
use jiff::Timestamp;

use super::config::Source;
use crate::alert::listing::Listing;
use crate::alert::webhook::Limits;
use crate::config::{HttpUrl, credential};
use crate::net::client::Client;
use crate::net::tls;

/// The longest answer: as much as the longest post.
const LONGEST: usize = 64 << 20;

/// The longest status: it repeats the server's configuration.
const LONGEST_STATUS: usize = 4 << 20;

/// Everything that fires, whatever is done with it.
const ALERTS: &str = "api/v2/alerts?active=true&silenced=true&inhibited=true&unprocessed=true";

/// A server's address, and how we come to it.
#[derive(Clone)]
pub(super) struct Server {
    base: HttpUrl,
    client: Client,
    authorization: Option<HeaderValue>,
    timeout: Duration,
}

impl Server {
    /// The server at `base`, asked as its source says.
    ///
    /// # Errors
    /// A credential or a certificate cannot be read.
    pub(super) fn new(base: &HttpUrl, source: &Source) -> anyhow::Result<Self> {
        let options = tls::Options { ca_file: source.ca_file.clone(), ..tls::Options::default() };
        let password = credential::read(source.password.as_ref(), source.password_file.as_deref())?;
        let bearer = credential::read(source.bearer_token.as_ref(), source.bearer_token_file.as_deref())?;
        let given = match (&source.username, password, bearer) {
            (Some(user), Some(password), _) => {
                Some(format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{}", password.expose()))))
            }
            (_, _, Some(token)) => Some(format!("Bearer {}", token.expose())),
            _ => None,
        };
        let authorization = given.map(|given| HeaderValue::from_str(&given)).transpose();
        let mut authorization = authorization.context("the credential is no header's value")?;
        authorization.iter_mut().for_each(|value| value.set_sensitive(true));
        Ok(Self { base: base.clone(), client: Client::with(&options)?, authorization, timeout: source.timeout.0 })
    }

    /// Scheme, host and port, for the log.
    pub(super) fn shown(&self) -> String {
        self.base.to_string()
    }

    /// The body of `path`, which is below the server's own, answered 200 and not cut.
    pub(super) async fn get(&self, path: &str, longest: usize) -> Result<Bytes, String> {
        let base = self.base.expose().as_str().trim_end_matches('/');
        let uri: Uri = format!("{base}/{path}").parse().map_err(|_| "the address is not usable".to_owned())?;
        let mut request = Request::get(uri);
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let request = request.body(Bytes::new()).map_err(|_| "the address is not usable".to_owned())?;
        let answer = self.client.send(request, self.timeout, longest).await.map_err(|error| error.what)?;
        match answer.status {
            StatusCode::OK if answer.body.len() >= longest => Err(format!("its answer is above {longest} bytes")),
            StatusCode::OK => Ok(answer.body),
            status => Err(format!("it answered {status}")),
        }
    }

    /// What fires at an Alertmanager.
    pub(super) async fn list(&self, now: Timestamp) -> Result<Listing, String> {
        let (status, alerts) = tokio::try_join!(self.get("api/v2/status", LONGEST_STATUS), self.get(ALERTS, LONGEST))?;
        Listing::read(&status, &alerts, &Limits::default(), now)
    }
}
