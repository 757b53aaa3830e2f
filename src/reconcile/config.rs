//! `[sources.NAME]`: a group of Alertmanagers that are peers of each other.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::config::{HttpUrl, Problem, Problems, Secret, Span, credential};

/// What a source is set to, and where it can be asked.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Source {
    /// Its `repeat_interval`.
    pub repeat_interval: Span,
    /// Its longest `group_interval`.
    pub group_interval: Span,
    /// Its `--cluster.peer-timeout`.
    pub peer_timeout: Span,
    /// Where its peers are asked what fires: their addresses, with the path that a proxy adds.
    pub alertmanager: Vec<HttpUrl>,
    /// The names of the receivers that post here; those that did so are known by themselves.
    pub receivers: Vec<String>,
    /// Where its Prometheus is asked what fired while nobody listened.
    pub prometheus: Option<HttpUrl>,
    /// How often the peers are asked.
    pub reconcile_interval: Span,
    /// How long an answer may take.
    pub timeout: Span,
    /// For basic authentication.
    pub username: Option<String>,
    /// The password that goes with it.
    pub password: Option<Secret>,
    /// The same, in a file of its own.
    pub password_file: Option<PathBuf>,
    /// Sent as `Authorization: Bearer …`.
    pub bearer_token: Option<Secret>,
    /// The same, in a file of its own.
    pub bearer_token_file: Option<PathBuf>,
    /// The authorities that are trusted; the system's, if none is named.
    pub ca_file: Option<PathBuf>,
}

impl Default for Source {
    fn default() -> Self {
        Self {
            repeat_interval: Span::seconds(4 * 3600),
            group_interval: Span::seconds(300),
            peer_timeout: Span::seconds(15),
            alertmanager: Vec::new(),
            receivers: vec!["tidewatch".into()],
            prometheus: None,
            reconcile_interval: Span::seconds(60),
            timeout: Span::seconds(10),
            username: None,
            password: None,
            password_file: None,
            bearer_token: None,
            bearer_token_file: None,
            ca_file: None,
        }
    }
}

/// Shorter periods and waits would keep an Alertmanager busy, or never hear its answer.
const SHORTEST: Duration = Duration::from_millis(100);

/// More peers than this are no cluster of Alertmanagers.
const MOST_PEERS: usize = 16;

impl Source {
    /// How long a firing that looks stale is held.
    pub fn hold(&self) -> Duration {
        self.peer_timeout.0 * 2
    }

    /// What is wrong with it.
    pub fn check(&self, problems: &mut Problems) {
        let urls = self.alertmanager.iter().map(|url| ("alertmanager", url));
        for (key, url) in urls.chain(self.prometheus.iter().map(|url| ("prometheus", url))) {
            let url = url.expose();
            if !url.username().is_empty() || url.password().is_some() {
                let problem = Problem::error(key, "a user and a password do not belong into the address");
                problems.push(problem.hint("write them as username and password_file"));
            }
            if url.query().is_some() || url.fragment().is_some() {
                let problem = Problem::error(key, "the address has more than a path");
                problems.push(problem.hint("write it like http://127.0.0.1:9093"));
            }
        }
        if self.alertmanager.len() > MOST_PEERS {
            problems.push(Problem::error("alertmanager", format!("more than {MOST_PEERS} peers")));
        }
        for (key, span) in [("reconcile_interval", self.reconcile_interval), ("timeout", self.timeout)] {
            if span.0 < SHORTEST {
                problems
                    .push(Problem::error(key, "is too short").hint("a minute is usual for asking, 10 s for waiting"));
            }
        }
        credential::check("password", self.password.as_ref(), self.password_file.as_deref(), problems);
        credential::check("bearer_token", self.bearer_token.as_ref(), self.bearer_token_file.as_deref(), problems);
        let password = self.password.is_some() || self.password_file.is_some();
        let bearer = self.bearer_token.is_some() || self.bearer_token_file.is_some();
        if password != self.username.is_some() {
            problems.push(Problem::error("username", "a user and a password go together"));
        }
        if password && bearer {
            problems.push(Problem::error("bearer_token", "there is a password too").hint("keep one of them"));
        }
    }
}
