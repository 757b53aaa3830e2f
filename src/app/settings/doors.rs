//! The listeners and who may come in: the part of the configuration that must not be wrong.

use std::net::SocketAddr;
use std::sync::Arc;

use super::{Access, Settings};
use crate::collect;
use crate::config::{Problem, Problems, Secret};
use crate::http::access::{self as http, Scope, may_listen};
use crate::http::credential::{self, Grant};
use crate::net::serve;

/// A listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Door {
    /// Where it listens.
    pub address: SocketAddr,
    /// The collectors that it serves; empty means everything.
    pub collectors: Vec<String>,
    /// TLS, if it speaks that.
    pub tls: Option<serve::Options>,
}

impl Door {
    /// Whether it may listen there.
    ///
    /// # Errors
    /// Others reach it without a credential.
    pub(super) fn may_open(&self, access: &http::Access, open: bool) -> Result<(), String> {
        let certified = self.tls.as_ref().is_some_and(serve::Options::requires_certificate);
        may_listen(&self.address, certified, access, open)
    }
}

/// The costs of a hash: below, it is guessed quickly; above, a check takes many seconds of a core.
const COSTS: std::ops::RangeInclusive<u32> = 4..=16;

impl Settings {
    /// The listeners, the main one first.
    pub(super) fn doors(&self, problems: &mut Problems) -> Vec<Door> {
        let mut doors = Vec::new();
        let known: Vec<&str> = collect::NAMES.iter().map(|(name, _)| *name).collect();
        let main = (String::new(), "listen".to_owned(), &self.listen, &Vec::new(), &self.tls);
        let others = self.listeners.iter().enumerate().map(|(at, one)| {
            let key = format!("listeners.{at}.");
            (key.clone(), format!("{key}address"), &one.address, &one.collectors, &one.tls)
        });
        for (section, key, text, collectors, tls) in std::iter::once(main).chain(others) {
            for name in collectors.iter().filter(|name| !known.contains(&name.as_str())) {
                let problem = Problem::error(format!("{section}collectors"), format!("there is no collector `{name}`"));
                problems.push(problem.hint(format!("there are: {}", known.join(", "))));
            }
            if let Some(tls) = tls {
                check_tls(tls, &format!("{section}tls"), problems);
            }
            match address(text) {
                Ok(address) => doors.push(Door { address, collectors: collectors.clone(), tls: tls.clone() }),
                Err(error) => problems.push(Problem::error(key, error).hint("write it like 127.0.0.1:9480")),
            }
        }
        doors
    }

    /// Checks that nobody comes in where nobody should.
    pub(super) fn guard(&self, doors: &[Door], access: &http::Access, problems: &mut Problems) {
        for (at, door) in doors.iter().enumerate() {
            let key = at.checked_sub(1).map_or("listen".to_owned(), |at| format!("listeners.{at}.address"));
            if let Err(error) = door.may_open(access, self.access.open_without_token) {
                problems.push(Problem::error(key, error).hint(
                    "make a token (`tidewatch token create NAME --scope …`), or set access.token_file or TIDEWATCH_TOKEN, or, in a network you trust, access.open_without_token = true",
                ));
            }
        }
        if self.access.open_without_token && !access.is_closed() {
            let what = "posts to another name than localhost or the host of external_url are refused with 403";
            let problem = Problem::warning("access.open_without_token", what);
            problems.push(problem.hint("Alertmanager and agents must use that name, or a token, which ends the limit"));
        }
        if !access.certificates.is_empty() && !doors.iter().any(Door::asks_for_certificates) {
            let problem = Problem::warning("access.certificates", "no listener asks for a certificate");
            problems.push(problem.hint("set client_ca_file in its `tls`"));
        }
        let proxied = self.external_url.as_ref().is_some_and(|url| url.expose().scheme() == "https");
        let plain = |door: &&Door| door.tls.is_none() && !door.address.ip().to_canonical().is_loopback();
        if let Some(door) = doors.iter().find(plain).filter(|_| !access.users.is_empty() && !proxied) {
            let what = format!("passwords cross the network as they are: {} speaks no TLS", door.address);
            let problem = Problem::warning("access.users", what);
            problems.push(problem.hint("set `tls` of the listener, or let a proxy speak it and set external_url"));
        }
    }
}

impl Door {
    fn asks_for_certificates(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.client_ca_file.is_some())
    }
}

fn check_tls(tls: &serve::Options, section: &str, problems: &mut Problems) {
    if let Err(error) = tls.load() {
        let hint = match error.option {
            "key_file" => "a key in PEM, the certificate's own, that tidewatch's user can read",
            "client_ca_file" => "the certificates in PEM of whoever signs the clients'",
            _ => "the certificate in PEM, followed by those between it and its authority",
        };
        problems.push(Problem::error(format!("{section}.{}", error.option), error.to_string()).hint(hint));
    }
    if tls.client_auth == serve::ClientAuth::Optional && tls.client_ca_file.is_none() {
        let key = format!("{section}.client_auth");
        problems.push(Problem::error(key, "no client is asked for a certificate").hint("set client_ca_file too"));
    }
}

impl Access {
    /// The token, from wherever it is.
    pub(super) fn resolve(&self, problems: &mut Problems) -> Option<Secret> {
        let (key, token) = match (&self.token, &self.token_file) {
            (Some(_), Some(_)) => {
                problems.push(Problem::error("access.token_file", "access.token is set too").hint("keep one of them"));
                return None;
            }
            (Some(token), None) => ("access.token", token.clone()),
            (None, Some(file)) => match std::fs::read_to_string(file) {
                Ok(text) => ("access.token_file", Secret::new(text.trim())),
                Err(error) => {
                    problems.push(
                        Problem::error("access.token_file", format!("{}: {error}", file.display()))
                            .hint("the file holds the token alone, and tidewatch's user must be able to read it"),
                    );
                    return None;
                }
            },
            (None, None) => return None,
        };
        if token.expose().len() < 16 {
            let problem = Problem::error(key, "a token has at least 16 characters");
            problems.push(problem.hint("make one: head -c 24 /dev/urandom | base64"));
        }
        Some(token)
    }

    /// Checks users and certificates.
    pub(super) fn check(&self, problems: &mut Problems) {
        for (name, user) in &self.users {
            let key = format!("access.users.{name}");
            if name.is_empty() || name.len() > 63 || name.chars().any(|c| c == ':' || c.is_control()) {
                let problem = Problem::error(&key, "no name that a client can send");
                problems.push(problem.hint("up to 63 bytes, and no colon"));
            }
            let parts = user.password_hash.expose().parse::<bcrypt::HashParts>();
            match parts.map(|parts| parts.get_cost()) {
                Ok(cost) if COSTS.contains(&cost) => {}
                Ok(cost) => {
                    let problem = Problem::error(format!("{key}.password_hash"), format!("a cost of {cost}"));
                    problems.push(problem.hint("10 is usual; each step doubles the time of a check"));
                }
                Err(_) => {
                    let problem = Problem::error(format!("{key}.password_hash"), "no bcrypt hash");
                    problems.push(problem.hint("tidewatch hash-password makes one; so does htpasswd -nBC 10 \"\""));
                }
            }
            granted(&key, &user.scopes, user.agent.is_some(), problems);
        }
        for (name, certificate) in &self.certificates {
            let key = format!("access.certificates.{name}");
            if certificate.subject.is_empty() {
                let problem = Problem::error(format!("{key}.subject"), "no certificate has an empty name");
                problems.push(problem.hint("its common name, or one of its DNS names, mail addresses and URIs"));
            }
            granted(&key, &certificate.scopes, certificate.agent.is_some(), problems);
        }
    }

    /// The users, as they are asked.
    pub(super) fn users(&self) -> Vec<credential::User> {
        let user = |(name, user): (&String, &super::User)| credential::User {
            name: Arc::from(name.as_str()),
            password_hash: user.password_hash.clone(),
            grant: Grant { scopes: user.scopes.clone(), agent: user.agent.clone() },
        };
        self.users.iter().map(user).collect()
    }

    /// The certificates, as they are compared.
    pub(super) fn certificates(&self) -> Vec<credential::Certificate> {
        let certificate = |(name, it): (&String, &super::Certificate)| credential::Certificate {
            name: Arc::from(name.as_str()),
            subject: it.subject.clone(),
            grant: Grant { scopes: it.scopes.clone(), agent: it.agent.clone() },
        };
        self.certificates.iter().map(certificate).collect()
    }
}

fn granted(key: &str, scopes: &[Scope], bound: bool, problems: &mut Problems) {
    let all = "metrics, alerts, heartbeat, read, write";
    if scopes.is_empty() {
        problems.push(Problem::error(format!("{key}.scopes"), "opens nothing").hint(format!("name some of: {all}")));
    }
    if bound && scopes.iter().any(|scope| *scope != Scope::Heartbeat) {
        let problem = Problem::error(format!("{key}.agent"), "only heartbeats are bound to an agent");
        problems.push(problem.hint("scopes = [\"heartbeat\"]"));
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let text = text.strip_prefix(':').map_or_else(|| text.to_owned(), |port| format!("0.0.0.0:{port}"));
    let text = text.replacen("localhost:", "127.0.0.1:", 1);
    text.parse().map_err(|_| format!("`{text}` is no address with a port"))
}
