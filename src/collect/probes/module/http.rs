//! The section `http` of a module.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

use super::{Pattern, Present, Protocol, Secret, TlsConfig};
use crate::config::{HttpUrl, Size};

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(clippy::struct_field_names, reason = "the keys of the file")]
pub(crate) struct Http {
    /// Empty: 200 to 299.
    pub(crate) valid_status_codes: Vec<StatusRange>,
    pub(crate) valid_http_versions: Vec<String>,
    pub(crate) preferred_ip_protocol: Protocol,
    pub(crate) ip_protocol_fallback: bool,
    pub(crate) skip_resolve_phase_with_proxy: bool,
    /// The old opposite of `follow_redirects`.
    pub(crate) no_follow_redirects: bool,
    pub(crate) follow_redirects: bool,
    pub(crate) fail_if_ssl: bool,
    pub(crate) fail_if_not_ssl: bool,
    pub(crate) method: String,
    /// Values may be keys.
    pub(crate) headers: BTreeMap<String, Secret>,
    pub(crate) fail_if_body_matches_regexp: Vec<Pattern>,
    pub(crate) fail_if_body_not_matches_regexp: Vec<Pattern>,
    pub(crate) fail_if_body_json_matches_cel: Present,
    pub(crate) fail_if_body_json_not_matches_cel: Present,
    /// Ours.
    pub(crate) fail_if_body_json_not_matches: Vec<JsonMatch>,
    pub(crate) fail_if_header_matches: Vec<HeaderMatch>,
    pub(crate) fail_if_header_not_matches: Vec<HeaderMatch>,
    pub(crate) body: Secret,
    pub(crate) body_file: Option<PathBuf>,
    pub(crate) body_size_limit: Option<ByteSize>,
    pub(crate) compression: String,
    pub(crate) basic_auth: Option<BasicAuth>,
    pub(crate) authorization: Option<Authorization>,
    pub(crate) oauth2: Present,
    pub(crate) bearer_token: Option<Secret>,
    pub(crate) bearer_token_file: Option<PathBuf>,
    pub(crate) tls_config: TlsConfig,
    /// With its password, if it has one.
    pub(crate) proxy_url: Option<ProxyUrl>,
    pub(crate) no_proxy: String,
    pub(crate) proxy_from_environment: bool,
    pub(crate) proxy_connect_header: BTreeMap<String, Vec<Secret>>,
    pub(crate) http_headers: BTreeMap<String, HeaderValues>,
    pub(crate) enable_http2: bool,
    pub(crate) enable_http3: bool,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            valid_status_codes: Vec::new(),
            valid_http_versions: Vec::new(),
            preferred_ip_protocol: Protocol::default(),
            ip_protocol_fallback: true,
            skip_resolve_phase_with_proxy: false,
            no_follow_redirects: false,
            follow_redirects: true,
            fail_if_ssl: false,
            fail_if_not_ssl: false,
            method: "GET".into(),
            headers: BTreeMap::new(),
            fail_if_body_matches_regexp: Vec::new(),
            fail_if_body_not_matches_regexp: Vec::new(),
            fail_if_body_json_matches_cel: Present(false),
            fail_if_body_json_not_matches_cel: Present(false),
            fail_if_body_json_not_matches: Vec::new(),
            fail_if_header_matches: Vec::new(),
            fail_if_header_not_matches: Vec::new(),
            body: Secret::new(""),
            body_file: None,
            body_size_limit: None,
            compression: String::new(),
            basic_auth: None,
            authorization: None,
            oauth2: Present(false),
            bearer_token: None,
            bearer_token_file: None,
            tls_config: TlsConfig::default(),
            proxy_url: None,
            no_proxy: String::new(),
            proxy_from_environment: false,
            proxy_connect_header: BTreeMap::new(),
            http_headers: BTreeMap::new(),
            enable_http2: true,
            enable_http3: false,
        }
    }
}

/// A proxy's URL, or what is wrong with it: a gap of the module, not an error of its file.
#[derive(Clone, Debug)]
pub(crate) struct ProxyUrl(pub(crate) Result<HttpUrl, String>);

impl<'de> Deserialize<'de> for ProxyUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Secret::deserialize(deserializer)?;
        Ok(Self(text.expose().parse()))
    }
}

impl Http {
    /// The proxy. One that is none is told by the module's gaps, before anything is asked of it.
    pub(crate) fn proxy(&self) -> Option<&HttpUrl> {
        self.proxy_url.as_ref()?.0.as_ref().ok()
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct BasicAuth {
    pub(crate) username: String,
    pub(crate) username_file: Option<PathBuf>,
    pub(crate) username_ref: Present,
    pub(crate) password: Option<Secret>,
    pub(crate) password_file: Option<PathBuf>,
    pub(crate) password_ref: Present,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Authorization {
    /// `Bearer`, if not said.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) credentials: Option<Secret>,
    pub(crate) credentials_file: Option<PathBuf>,
    pub(crate) credentials_ref: Present,
}

/// The values of one header, each a line of its own.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct HeaderValues {
    pub(crate) values: Vec<Secret>,
    pub(crate) secrets: Vec<Secret>,
    pub(crate) files: Vec<PathBuf>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HeaderMatch {
    pub(crate) header: String,
    pub(crate) regexp: Pattern,
    #[serde(default)]
    pub(crate) allow_missing: bool,
}

/// What a JSON body must hold. With neither `equals` nor `regexp` the place must be there.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct JsonMatch {
    /// The place, by RFC 6901: `/status`, `/agents/0/online`. Empty: the whole body.
    pub(crate) pointer: String,
    #[serde(default)]
    pub(crate) equals: Option<serde_json::Value>,
    #[serde(default)]
    pub(crate) regexp: Option<Pattern>,
}

/// A status, or a range of them: `200`, `"200-299"`, `"2xx"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StatusRange(u16, u16);

impl StatusRange {
    pub(crate) fn takes(self, status: u16) -> bool {
        (self.0..=self.1).contains(&status)
    }
}

impl<'de> Deserialize<'de> for StatusRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = StatusRange;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a status like 200, or a range like \"200-299\" or \"2xx\"")
            }
            fn visit_u64<E: Error>(self, status: u64) -> Result<StatusRange, E> {
                let status = u16::try_from(status).map_err(|_| E::custom("no HTTP status"))?;
                Ok(StatusRange(status, status))
            }
            fn visit_i64<E: Error>(self, status: i64) -> Result<StatusRange, E> {
                self.visit_u64(u64::try_from(status).map_err(|_| E::custom("no HTTP status"))?)
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<StatusRange, E> {
                let number = |text: &str| text.trim().parse::<u16>().ok();
                let range = match (text.split_once('-'), text.strip_suffix("xx").and_then(number)) {
                    (Some((from, to)), _) => number(from).zip(number(to)),
                    (None, Some(hundred @ 1..=9)) => Some((hundred * 100, hundred * 100 + 99)),
                    _ => number(text).map(|status| (status, status)),
                };
                let range = range.filter(|(from, to)| from <= to);
                range.map(|(from, to)| StatusRange(from, to)).ok_or_else(|| E::custom(format!("`{text}` is no status")))
            }
        }
        deserializer.deserialize_any(Text)
    }
}

/// A number of bytes as the original writes it: `10MB` (binary, as there), `64KiB`, or a plain number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ByteSize(pub(crate) u64);

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = ByteSize;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a size like \"10MB\"")
            }
            fn visit_u64<E: Error>(self, bytes: u64) -> Result<ByteSize, E> {
                Ok(ByteSize(bytes))
            }
            fn visit_i64<E: Error>(self, bytes: i64) -> Result<ByteSize, E> {
                u64::try_from(bytes).map(ByteSize).map_err(|_| E::custom("no size"))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<ByteSize, E> {
                // The original's units are powers of 1024 with and without the i.
                let binary = match text.trim().strip_suffix('B') {
                    Some(start) if start.ends_with(['K', 'M', 'G']) => format!("{start}iB"),
                    _ => text.to_owned(),
                };
                binary.parse::<Size>().map(|size| ByteSize(size.0)).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_numbers_or_ranges() {
        let read = |text: &str| serde_json::from_str::<StatusRange>(text).ok();
        assert_eq!(read("204"), Some(StatusRange(204, 204)));
        assert_eq!(read("\"200-299\""), Some(StatusRange(200, 299)));
        assert_eq!(read("\"4xx\""), Some(StatusRange(400, 499)));
        for wrong in ["\"\"", "\"xx\"", "\"299-200\"", "-1", "99999", "\"ok\""] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        assert!(StatusRange(200, 299).takes(200) && !StatusRange(200, 299).takes(300));
    }

    #[test]
    fn sizes_are_binary_as_the_original_means_them() {
        let read = |text: &str| serde_json::from_str::<ByteSize>(text).unwrap().0;
        assert_eq!([read("\"10MB\""), read("\"10MiB\""), read("\"5KB\""), read("7")], [10 << 20, 10 << 20, 5 << 10, 7]);
    }
}
