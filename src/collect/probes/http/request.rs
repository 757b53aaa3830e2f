//! The request of a probe.

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request, Uri, Version};
use http_body_util::Full;
use url::Url;

use super::{Hop, credentials};
use crate::collect::probes::module::Http;

/// Names the program to the other side's operators.
const AGENT: &str = concat!("tidewatch/", env!("CARGO_PKG_VERSION"));

/// What another origin than the target's own is told of the module's headers: no key among them.
const HARMLESS: [HeaderName; 5] =
    [header::ACCEPT, header::ACCEPT_ENCODING, header::ACCEPT_LANGUAGE, header::CACHE_CONTROL, header::USER_AGENT];

/// A request that can be written for either version of HTTP.
pub(super) struct Draft {
    method: Method,
    url: Url,
    /// The authority as the request names it.
    authority: String,
    headers: HeaderMap,
    body: Bytes,
    /// A proxy wants the whole URL in the first line.
    absolute: bool,
}

/// What a request names as its host, where that is not the URL's: the question's `hostname`, or the module's header.
pub(super) fn name(hop: &Hop<'_>, hostname: Option<&str>, options: &Http) -> Option<String> {
    let header = || {
        let host = options.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("host"));
        host.map(|(_, value)| value.expose().to_owned())
    };
    let name = hostname.map(str::to_owned).or_else(header).filter(|_| hop.own)?;
    Some(crate::collect::probes::resolve::split(&name).map_or(name.clone(), |(host, _)| host.to_owned()))
}

pub(super) fn build(hop: &Hop<'_>, hostname: Option<&str>, options: &Http, proxied: bool) -> Result<Draft, String> {
    let url = hop.url.clone();
    let host = url.host_str().ok_or("the target has no host")?;
    let mut authority = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let mut headers = HeaderMap::new();
    for (name, value) in credentials::headers(options)? {
        if name == header::HOST {
            if hop.own {
                value.to_str().map_err(|_| "the header Host is no text")?.clone_into(&mut authority);
            }
        } else if hop.own || HARMLESS.contains(&name) {
            headers.append(name, value);
        }
    }
    if let Some(hostname) = hostname.filter(|_| hop.own) {
        hostname.clone_into(&mut authority);
    }
    headers.entry(header::USER_AGENT).or_insert(HeaderValue::from_static(AGENT));
    if !options.compression.is_empty() && !headers.contains_key(header::ACCEPT_ENCODING) {
        let value = HeaderValue::from_str(&options.compression).map_err(|_| "`compression` is no header's value")?;
        headers.insert(header::ACCEPT_ENCODING, value);
    }
    if proxied && let Some(value) = options.proxy().and_then(super::proxy::authorization) {
        headers.insert(header::PROXY_AUTHORIZATION, value);
    }
    Ok(Draft { method: hop.method.clone(), url, authority, headers, body: hop.body.clone(), absolute: proxied })
}

impl Draft {
    pub(super) fn one(mut self) -> Result<Request<Full<Bytes>>, String> {
        let host = HeaderValue::from_str(&self.authority).map_err(|_| "the host is no header's value")?;
        self.headers.insert(header::HOST, host);
        self.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        let path = &self.url[url::Position::BeforePath..url::Position::AfterQuery];
        let line = if self.absolute { format!("http://{}{path}", self.authority) } else { path.to_owned() };
        self.finish(&line, Version::HTTP_11)
    }

    pub(super) fn two(self) -> Result<Request<Full<Bytes>>, String> {
        let path = &self.url[url::Position::BeforePath..url::Position::AfterQuery];
        let line = format!("{}://{}{path}", self.url.scheme(), self.authority);
        self.finish(&line, Version::HTTP_2)
    }

    fn finish(self, line: &str, version: Version) -> Result<Request<Full<Bytes>>, String> {
        let uri: Uri = line.parse().map_err(|_| "the target's path is none that a request can name")?;
        let mut request = Request::new(Full::new(self.body));
        *request.method_mut() = self.method;
        *request.uri_mut() = uri;
        *request.version_mut() = version;
        *request.headers_mut() = self.headers;
        Ok(request)
    }
}
