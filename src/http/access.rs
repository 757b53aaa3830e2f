//! Who may ask what: the table of `docs/ARCHITECTURE.md` as data, and the decision over it.

use std::net::SocketAddr;
use std::sync::Arc;

use http::{HeaderMap, Method, Uri, header};
use serde::{Deserialize, Serialize};
use url::Url;

use super::credential::{Asker, Certificate, Grant, Known, User};
use super::origin;
use super::tokens::Tokens;
use crate::agents::AgentId;
use crate::config::{HttpUrl, Secret};
use crate::net::serve::Client;

/// What the configuration says about access.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// A token with every scope but [`Scope::Local`]. Without any credential, everything is open on loopback.
    pub token: Option<Secret>,
    /// The tokens that were given out.
    pub tokens: Option<Arc<Tokens>>,
    /// Who has a password.
    pub users: Vec<User>,
    /// The clients' certificates that open something by themselves.
    pub certificates: Vec<Certificate>,
    /// Whether metrics and health ask for the token too.
    pub protect_metrics: bool,
    /// The address that people's phones reach.
    pub external_url: Option<HttpUrl>,
}

impl Access {
    /// Whether there is any credential, so that who asks must have one.
    pub fn is_closed(&self) -> bool {
        Known::from(self.clone()).any()
    }
}

/// What a request needs, and what a token allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Nothing: the pages' style.
    #[serde(skip)]
    #[value(skip)]
    Nothing,
    /// Metrics and health: open unless they are protected.
    Metrics,
    /// Posting alerts.
    Alerts,
    /// Posting heartbeats.
    Heartbeat,
    /// Pages and what they show.
    Read,
    /// Changing something.
    Write,
    /// What only a process of our own user on this machine may do: it names files.
    #[serde(skip)]
    #[value(skip)]
    Local,
}

/// What kind of actor asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActorKind {
    /// A person.
    Human,
    /// A program, by the token or without one.
    System,
}

/// Who asks: an extension of every request that is let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// For the audit: `local`, `loopback`, `certificate`, `token`, `anonymous`, or the name of a token that was given
    /// out, of a user, or of a certificate.
    pub actor: Arc<str>,
    /// What kind of actor.
    pub kind: ActorKind,
    allowed: Allowed,
}

/// What a principal may do.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Allowed {
    /// All: it came by the control socket.
    All,
    /// All but [`Scope::Local`].
    Remote,
    /// What its credential says.
    Granted(Grant),
}

impl Principal {
    /// Who comes by the control socket.
    pub(super) fn local() -> Self {
        Self { actor: "local".into(), kind: ActorKind::Human, allowed: Allowed::All }
    }

    fn remote(actor: &str, kind: ActorKind) -> Self {
        Self { actor: actor.into(), kind, allowed: Allowed::Remote }
    }

    /// Who has the one token with every scope.
    pub(super) fn token() -> Self {
        Self::remote("token", ActorKind::System)
    }

    /// Who has a credential of a name.
    pub(super) fn granted(name: Arc<str>, grant: Grant) -> Self {
        Self { actor: name, kind: ActorKind::System, allowed: Allowed::Granted(grant) }
    }

    /// Whether it may do what needs `scope`.
    pub fn may(&self, scope: Scope) -> bool {
        match &self.allowed {
            Allowed::All => true,
            Allowed::Remote => scope != Scope::Local,
            Allowed::Granted(grant) => scope == Scope::Nothing || grant.scopes.contains(&scope),
        }
    }

    /// Itself, if it may do what needs `scope`.
    pub(super) fn allowed(self, scope: Scope) -> Result<Self, Denied> {
        if self.may(scope) { Ok(self) } else { Err(Denied::Scope(scope)) }
    }

    /// Whether it may send heartbeats of `agent`.
    pub fn may_speak_for(&self, agent: &AgentId) -> bool {
        match &self.allowed {
            Allowed::Granted(Grant { agent: Some(bound), .. }) => bound == agent,
            _ => true,
        }
    }
}

/// One row of the table.
#[derive(Debug)]
pub(super) struct Rule {
    /// A path, or with a `*` at its end, all paths that begin so.
    path: &'static str,
    /// What GET and HEAD need.
    reading: Scope,
    /// What other methods need.
    changing: Scope,
    /// The value of the label `path`.
    pub(super) class: &'static str,
}

/// The first row that fits decides.
static TABLE: &[Rule] = &[
    rule("/-/healthy", Scope::Metrics, Scope::Write, "health"),
    rule("/-/ready", Scope::Metrics, Scope::Write, "health"),
    rule("/health", Scope::Metrics, Scope::Write, "health"),
    rule("/metrics", Scope::Metrics, Scope::Write, "metrics"),
    rule("/probe", Scope::Metrics, Scope::Write, "probe"),
    rule("/scrape", Scope::Metrics, Scope::Write, "probe"),
    rule("/style.css", Scope::Nothing, Scope::Write, "page"),
    rule("/webhook/*", Scope::Alerts, Scope::Alerts, "webhook"),
    rule("/api/v1/agents/*", Scope::Read, Scope::Heartbeat, "heartbeat"),
    rule("/api/v1/heartbeats", Scope::Read, Scope::Heartbeat, "heartbeat"),
    rule("/v1/agents/*", Scope::Read, Scope::Heartbeat, "heartbeat"),
    rule("/api/backup", Scope::Local, Scope::Local, "api"),
    rule("/api/*", Scope::Read, Scope::Write, "api"),
    rule("/-/reload", Scope::Write, Scope::Write, "reload"),
    rule("/i/*", Scope::Read, Scope::Write, "page"),
    rule("/", Scope::Read, Scope::Write, "page"),
];

/// All other paths: an unknown one tells nothing to who may not read.
static OTHER: Rule = rule("", Scope::Read, Scope::Write, "other");

const fn rule(path: &'static str, reading: Scope, changing: Scope, class: &'static str) -> Rule {
    Rule { path, reading, changing, class }
}

/// The row for a path.
pub(super) fn rule_for(path: &str) -> &'static Rule {
    let fits = |rule: &&Rule| match rule.path.strip_suffix('*') {
        Some(begin) => path.starts_with(begin),
        None => path == rule.path,
    };
    TABLE.iter().find(fits).unwrap_or(&OTHER)
}

pub(super) fn only_reads(method: &Method) -> bool {
    method == Method::GET || method == Method::HEAD
}

/// Why a request is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denied {
    /// Another web site's page sent it.
    Origin,
    /// It is for a name that is not ours.
    Host,
    /// No credentials.
    Missing,
    /// Wrong ones.
    Wrong,
    /// A password that could not be checked in time.
    Busy,
    /// What it comes with does not allow that.
    Scope(Scope),
}

/// [`Access`] made ready to compare with.
pub(super) struct Rules {
    known: Known,
    protect_metrics: bool,
    external: Option<Url>,
}

impl From<Access> for Rules {
    fn from(access: Access) -> Self {
        let external = access.external_url.as_ref().map(|url| url.expose().clone());
        Self { protect_metrics: access.protect_metrics, external, known: access.into() }
    }
}

impl Rules {
    /// The path that a proxy may leave before ours: `external_url`'s, without the slash at its end.
    pub(super) fn prefix(&self) -> &str {
        self.external.as_ref().map_or("", |url| url.path().trim_end_matches('/'))
    }

    /// Decides about a request over TCP, from `client` if it came over TLS with a certificate. A password is still to be
    /// checked, and then what its user may do.
    pub(super) fn admit(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        client: Option<&Client>,
    ) -> Result<Asker, Denied> {
        let rule = rule_for(uri.path());
        let scope = if only_reads(method) { rule.reading } else { rule.changing };
        let external = self.external.as_ref();
        if !origin::is_own(uri, headers, external) {
            return Err(Denied::Origin);
        }
        let open = match scope {
            Scope::Nothing => true,
            Scope::Metrics => !self.protect_metrics,
            _ => false,
        };
        let asker = match self.known.any() {
            // Who has shown a certificate has also checked ours, for the name that it asked for.
            false if client.is_some() => Asker::Known(Principal::remote("certificate", ActorKind::System)),
            false => {
                let bare = matches!(scope, Scope::Nothing | Scope::Metrics) && !headers.contains_key(header::ORIGIN);
                if !bare && !origin::authority(uri, headers).is_some_and(|host| origin::is_trusted(&host, external)) {
                    return Err(Denied::Host);
                }
                Asker::Known(Principal::remote("loopback", ActorKind::Human))
            }
            true if open => Asker::Known(Principal::remote("anonymous", ActorKind::System)),
            true => self.known.asker(headers, client, scope)?,
        };
        match asker {
            Asker::Known(principal) => principal.allowed(scope).map(Asker::Known),
            claimed @ Asker::Claimed(_) => Ok(claimed),
        }
    }
}

/// Whether a listener may be bound to `address`: beyond loopback only with a credential, which may be the certificate that
/// nobody connects without (`certified`), or where the configuration says in words that it is to be open.
///
/// # Errors
/// What is wrong, and what to do.
pub fn may_listen(address: &SocketAddr, certified: bool, access: &Access, open: bool) -> Result<(), String> {
    if address.ip().to_canonical().is_loopback() || certified || access.is_closed() || open {
        return Ok(());
    }
    Err(format!(
        "{address} is reachable from other machines and no token is configured: set one, or listen on 127.0.0.1"
    ))
}
