//! What a request comes with, and whose that is: tokens, users with passwords, certificates.

use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderMap, header};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::access::{Access, Denied, Principal, Scope};
use super::tokens::Tokens;
use crate::agents::AgentId;
use crate::config::Secret;
use crate::net::serve::Client;

/// What a credential allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// What it allows.
    pub scopes: Vec<Scope>,
    /// The one agent whose heartbeats it may send; any, if none is named.
    pub agent: Option<AgentId>,
}

/// Somebody with a name and a password.
#[derive(Clone, Debug)]
pub struct User {
    /// The name; the actor of what is done with it.
    pub name: Arc<str>,
    /// The password's bcrypt hash.
    pub password_hash: Secret,
    /// What the user may do.
    pub grant: Grant,
}

/// A client's certificate that opens something by itself.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The actor of what is done with it.
    pub name: Arc<str>,
    /// Its common name, or one of its DNS names, mail addresses and URIs.
    pub subject: String,
    /// What it may do.
    pub grant: Grant,
}

/// What the configuration and the data folder know, ready to compare with.
pub(super) struct Known {
    token: Option<[u8; 32]>,
    tokens: Option<Arc<Tokens>>,
    users: Vec<User>,
    certificates: Vec<Certificate>,
}

/// A name and a password that take long to check.
pub(super) struct Claim {
    /// Who it is, if the password is right; `None` where there is no such user.
    pub(super) principal: Option<Principal>,
    /// The hash to check against: that of another, where there is no such user, so that it takes as long.
    pub(super) hash: Secret,
    pub(super) password: Vec<u8>,
    /// What the request needs.
    pub(super) scope: Scope,
}

/// Somebody, or who says so.
pub(super) enum Asker {
    Known(Principal),
    Claimed(Claim),
}

/// What `Authorization` holds.
enum Given {
    Token(Vec<u8>),
    /// Also how a person's browser sends a token: as the password of any name.
    Password(Vec<u8>, Vec<u8>),
}

impl From<Access> for Known {
    fn from(access: Access) -> Self {
        let token = access.token.map(|token| Sha256::digest(token.expose()).into());
        Self { token, tokens: access.tokens, users: access.users, certificates: access.certificates }
    }
}

impl Known {
    /// Whether there is any credential, so that who asks must have one.
    pub(super) fn any(&self) -> bool {
        let tokens = self.token.is_some() || self.tokens.as_ref().is_some_and(|tokens| tokens.any());
        tokens || !self.users.is_empty() || !self.certificates.is_empty()
    }

    /// Who asks for what needs `scope`. What the header says counts before the certificate.
    pub(super) fn asker(&self, headers: &HeaderMap, client: Option<&Client>, scope: Scope) -> Result<Asker, Denied> {
        if !headers.contains_key(header::AUTHORIZATION) {
            return self.certified(client).map(Asker::Known).ok_or(Denied::Missing);
        }
        let (name, password) = match given(headers).ok_or(Denied::Missing)? {
            Given::Token(token) => return self.holder(&token).map(Asker::Known).ok_or(Denied::Wrong),
            Given::Password(name, password) => (name, password),
        };
        if let Some(holder) = self.holder(&password) {
            return Ok(Asker::Known(holder));
        }
        let user = self.users.iter().find(|user| user.name.as_bytes() == name);
        let hash = user.or(self.users.first()).ok_or(Denied::Wrong)?.password_hash.clone();
        let principal = user.map(|user| Principal::granted(Arc::clone(&user.name), user.grant.clone()));
        Ok(Asker::Claimed(Claim { principal, hash, password, scope }))
    }

    fn holder(&self, given: &[u8]) -> Option<Principal> {
        let is = |token: &[u8; 32]| bool::from(Sha256::digest(given).ct_eq(token));
        if self.token.as_ref().is_some_and(is) {
            return Some(Principal::token());
        }
        let token = self.tokens.as_ref()?.find(given)?;
        Some(Principal::granted(token.name, Grant { scopes: token.scopes, agent: token.agent }))
    }

    fn certified(&self, client: Option<&Client>) -> Option<Principal> {
        let names = &client?.names;
        let known = self.certificates.iter().find(|known| names.contains(&known.subject))?;
        Some(Principal::granted(Arc::clone(&known.name), known.grant.clone()))
    }
}

/// `None` for what is none of both, and for two at once.
fn given(headers: &HeaderMap) -> Option<Given> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let (scheme, value) = all.next().filter(|_| all.next().is_none())?.to_str().ok()?.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(Given::Token(value.trim().as_bytes().to_vec()));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let plain = BASE64_STANDARD.decode(value.trim()).ok()?;
    let colon = plain.iter().position(|byte| *byte == b':')?;
    let (name, password) = plain.split_at_checked(colon)?;
    Some(Given::Password(name.to_vec(), password.get(1..)?.to_vec()))
}
