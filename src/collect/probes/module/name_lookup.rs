//! The section `dns` of a module.

use std::net::IpAddr;

use serde::Deserialize;

use super::{Pattern, Protocol, TlsConfig};

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(clippy::struct_field_names, reason = "the keys of the file")]
pub(crate) struct Dns {
    pub(crate) preferred_ip_protocol: Protocol,
    pub(crate) ip_protocol_fallback: bool,
    pub(crate) source_ip_address: Option<IpAddr>,
    pub(crate) dns_over_tls: bool,
    pub(crate) tls_config: TlsConfig,
    pub(crate) transport_protocol: Transport,
    pub(crate) query_class: String,
    pub(crate) query_name: String,
    pub(crate) query_type: String,
    pub(crate) recursion_desired: bool,
    /// By their names: `NOERROR`, `NXDOMAIN`.
    pub(crate) valid_rcodes: Vec<String>,
    pub(crate) validate_answer_rrs: Records,
    pub(crate) validate_authority_rrs: Records,
    pub(crate) validate_additional_rrs: Records,
}

impl Default for Dns {
    fn default() -> Self {
        Self {
            preferred_ip_protocol: Protocol::default(),
            ip_protocol_fallback: true,
            source_ip_address: None,
            dns_over_tls: false,
            tls_config: TlsConfig::default(),
            transport_protocol: Transport::Udp,
            query_class: "IN".into(),
            query_name: String::new(),
            query_type: "ANY".into(),
            recursion_desired: true,
            valid_rcodes: vec!["NOERROR".into()],
            validate_answer_rrs: Records::default(),
            validate_authority_rrs: Records::default(),
            validate_additional_rrs: Records::default(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Transport {
    Udp,
    Tcp,
}

/// What must hold of the records of a section, each written as `name TTL class type data`, separated by tabs.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(clippy::struct_field_names, reason = "the keys of the file")]
pub(crate) struct Records {
    /// No record matches any of them.
    pub(crate) fail_if_matches_regexp: Vec<Pattern>,
    /// Of each of them: a record does not match it.
    pub(crate) fail_if_all_match_regexp: Vec<Pattern>,
    /// Every record matches each of them, and there is one.
    pub(crate) fail_if_not_matches_regexp: Vec<Pattern>,
    /// A record matches one of them.
    pub(crate) fail_if_none_matches_regexp: Vec<Pattern>,
}
