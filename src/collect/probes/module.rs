//! What a module is: how to probe, as `blackbox.yml` says it. The same keys in TOML make a module of our own.

use std::net::IpAddr;

use serde::Deserialize;

use super::pattern::Pattern;
use crate::config::{Secret, Span};

mod http;
mod name_lookup;
mod stream;

pub(super) use http::{Authorization, BasicAuth, HeaderMatch, Http, JsonMatch};
pub(super) use name_lookup::{Dns, Records, Transport};
pub(super) use stream::{Exchange, Grpc, Tcp, TlsConfig, TlsVersion};

/// What a module speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Prober {
    /// HTTP/1.1 or HTTP/2, in the clear or over TLS.
    #[default]
    Http,
    /// A connection, and lines over it.
    Tcp,
    /// The same over TLS from the start: a word of ours, the original has `tcp` with `tls: true`.
    Tls,
    /// An echo request.
    Icmp,
    /// A question to a name server.
    Dns,
    /// The health service of gRPC.
    Grpc,
    /// A socket of the file system, which is not done here.
    Unix,
}

/// One module. It stands in a file or in our section; unknown keys are mistakes in both.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Module {
    pub(super) prober: Prober,
    /// The longest that a probe takes; what the scrape leaves, if not said.
    pub(super) timeout: Option<Span>,
    pub(super) http: Http,
    pub(super) tcp: Tcp,
    pub(super) icmp: Icmp,
    pub(super) dns: Dns,
    pub(super) grpc: Grpc,
    pub(super) unix: Present,
}

/// An echo request's options.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Icmp {
    pub(super) preferred_ip_protocol: Protocol,
    pub(super) ip_protocol_fallback: bool,
    pub(super) source_ip_address: Option<IpAddr>,
    /// Bytes after the header.
    pub(super) payload_size: Option<u16>,
    pub(super) dont_fragment: bool,
    pub(super) ttl: Option<u8>,
}

impl Default for Icmp {
    fn default() -> Self {
        Self {
            preferred_ip_protocol: Protocol::default(),
            ip_protocol_fallback: true,
            source_ip_address: None,
            payload_size: None,
            dont_fragment: false,
            ttl: None,
        }
    }
}

/// Which kind of address is taken where a name has both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) enum Protocol {
    #[serde(rename = "ip4")]
    Ip4,
    #[default]
    #[serde(rename = "ip6", alias = "")]
    Ip6,
}

/// That an option is there which is not done here; what it says is skipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Present(pub(super) bool);

impl<'de> Deserialize<'de> for Present {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer)?;
        Ok(Self(true))
    }
}

impl Module {
    /// A module that speaks `prober` with everything else at its default.
    pub(super) fn of(prober: Prober) -> Self {
        Self { prober, ..Self::default() }
    }

    /// The TCP options, with TLS from the start where the prober says so.
    pub(super) fn stream(&self) -> Tcp {
        Tcp { tls: self.tcp.tls || self.prober == Prober::Tls, ..self.tcp.clone() }
    }
}
