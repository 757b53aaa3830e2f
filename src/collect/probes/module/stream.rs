//! The sections `tcp` and `grpc` of a module, and TLS, which all of them share.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use serde::Deserialize;

use super::{Pattern, Present, Protocol, Secret};
use crate::net::tls::{Check, Options, Versions};

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Tcp {
    pub(crate) preferred_ip_protocol: Protocol,
    pub(crate) ip_protocol_fallback: bool,
    pub(crate) source_ip_address: Option<IpAddr>,
    pub(crate) query_response: Vec<Exchange>,
    pub(crate) tls: bool,
    pub(crate) tls_config: TlsConfig,
}

impl Default for Tcp {
    fn default() -> Self {
        Self {
            preferred_ip_protocol: Protocol::default(),
            ip_protocol_fallback: true,
            source_ip_address: None,
            query_response: Vec::new(),
            tls: false,
            tls_config: TlsConfig::default(),
        }
    }
}

/// One step of a conversation: wait for a line, then say one, then change to TLS.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Exchange {
    pub(crate) expect: Option<Pattern>,
    pub(crate) expect_bytes: String,
    /// `${1}` stands for what the expression's first group matched.
    pub(crate) send: Option<Secret>,
    pub(crate) starttls: bool,
    pub(crate) labels: Vec<Label>,
}

/// A label of `probe_expect_info`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Label {
    pub(crate) name: String,
    pub(crate) value: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Grpc {
    /// Empty: the server as a whole.
    pub(crate) service: String,
    pub(crate) tls: bool,
    pub(crate) tls_config: TlsConfig,
    pub(crate) preferred_ip_protocol: Protocol,
    pub(crate) ip_protocol_fallback: bool,
    pub(crate) metadata: BTreeMap<String, Vec<Secret>>,
}

impl Default for Grpc {
    fn default() -> Self {
        Self {
            service: String::new(),
            tls: false,
            tls_config: TlsConfig::default(),
            preferred_ip_protocol: Protocol::default(),
            ip_protocol_fallback: true,
            metadata: BTreeMap::new(),
        }
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TlsConfig {
    pub(crate) insecure_skip_verify: bool,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) cert_file: Option<PathBuf>,
    pub(crate) key_file: Option<PathBuf>,
    pub(crate) ca: Present,
    pub(crate) cert: Present,
    pub(crate) key: Present,
    pub(crate) ca_ref: Present,
    pub(crate) cert_ref: Present,
    pub(crate) key_ref: Present,
    /// The name in the certificate, where it is not the target's.
    pub(crate) server_name: String,
    pub(crate) min_version: Option<TlsVersion>,
    pub(crate) max_version: Option<TlsVersion>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(crate) enum TlsVersion {
    #[serde(rename = "TLS10")]
    Tls10,
    #[serde(rename = "TLS11")]
    Tls11,
    #[serde(rename = "TLS12")]
    Tls12,
    #[serde(rename = "TLS13")]
    Tls13,
}

impl TlsConfig {
    /// What of it `net::tls` takes.
    pub(crate) fn options(&self) -> Options {
        let versions = match (self.min_version, self.max_version) {
            (Some(TlsVersion::Tls13), _) => Versions::Only13,
            (_, Some(TlsVersion::Tls12)) => Versions::Only12,
            _ => Versions::Both,
        };
        Options {
            ca_file: self.ca_file.clone(),
            identity: self.cert_file.clone().zip(self.key_file.clone()),
            check: if self.insecure_skip_verify { Check::Nothing } else { Check::Full },
            versions,
        }
    }
}
