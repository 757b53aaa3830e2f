//! Probing over HTTP.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Method, StatusCode, Version, header};
use tokio::time::Instant;
use url::Url;

use super::Around;
use super::found::{self, Found};
use super::module::Http;
use super::resolve;
use super::secure::Speaks;
use super::wire::{self, Answer, Stream};

mod body;
mod credentials;
mod proxy;
mod request;
mod verdict;

/// As many redirects as the original follows.
const REDIRECTS: u32 = 10;

/// One request of a probe: the first, or one that a redirect asked for.
struct Hop<'h> {
    url: &'h Url,
    /// Whether the module's credentials belong there.
    own: bool,
    method: Method,
    body: Bytes,
}

/// The URL of a target; `http` where it says no scheme.
pub(super) fn url(target: &str) -> Result<Url, String> {
    let url = if target.starts_with("http://") || target.starts_with("https://") {
        Url::parse(target)
    } else {
        Url::parse(&format!("http://{target}"))
    };
    url.map_err(|error| format!("the target is no URL: {error}"))
}

/// Probes `target`.
pub(super) async fn probe(
    around: &Around<'_>,
    options: &Http,
    target: &str,
    found: &mut Found,
    http: &mut found::Http,
) -> Result<(), String> {
    let first = url(target)?;
    let mut url = first.clone();
    let mut method: Method = options.method.parse().map_err(|_| "the module's method is none".to_owned())?;
    let mut body = credentials::body(options)?;
    let answer = loop {
        let hop = Hop { url: &url, own: is_own(&first, &url), method: method.clone(), body: body.clone() };
        let answer = hop.go(around, options, found, http).await?;
        http.status = answer.head.status.as_u16();
        http.ssl = url.scheme() == "https";
        http.version = version(answer.head.version);
        let follow = options.follow_redirects && !options.no_follow_redirects;
        let Some(next) = redirect(&answer, &url).filter(|_| follow) else { break answer };
        let shown = next.origin().ascii_serialization();
        if http.redirects >= REDIRECTS {
            return Err(format!("more than {REDIRECTS} redirects"));
        }
        if !around.reach.redirect(around.target, around.module, &next) {
            return Err(format!("redirected to {shown}, which `allow` does not let be reached"));
        }
        found.transcript.say(|| format!("redirected to {shown}"));
        http.redirects += 1;
        if !matches!(answer.head.status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT) {
            method = if method == Method::HEAD { Method::HEAD } else { Method::GET };
            body = Bytes::new();
        } else if !body.is_empty() && !is_own(&first, &next) {
            return Err(format!("redirected with the body to {shown}, which is another origin"));
        }
        url = next;
    };
    verdict::judge(answer, options, found, http).await
}

impl Hop<'_> {
    async fn go(
        &self,
        around: &Around<'_>,
        options: &Http,
        found: &mut Found,
        http: &mut found::Http,
    ) -> Result<Answer, String> {
        let host = host(self.url);
        let port = self.url.port_or_known_default().ok_or("the target has no port")?;
        let secure = self.url.scheme() == "https";
        let proxy = options.proxy().filter(|_| !proxy::excepted(&options.no_proxy, &host));
        let request = request::build(self, around.hostname, options, proxy.is_some() && !secure)?;

        let begun = Instant::now();
        let mut stream: Box<dyn Stream> = match proxy {
            None => {
                let ip = self.look_up(&host, options, found, http).await?;
                let begun = Instant::now();
                let stream = resolve::connect(SocketAddr::new(ip, port), None, found).await?;
                http.connect += begun.elapsed().as_secs_f64();
                Box::new(stream)
            }
            Some(proxy) => {
                if http.redirects == 0 && !options.skip_resolve_phase_with_proxy {
                    self.look_up(&host, options, found, http).await?;
                }
                let stream = proxy::connect(proxy, &host, port, secure, options, found).await?;
                http.connect += begun.elapsed().as_secs_f64();
                Box::new(stream)
            }
        };
        let mut two = false;
        if secure {
            let begun = Instant::now();
            let speaks = if options.enable_http2 { Speaks::Both } else { Speaks::Http1 };
            let name = request::name(self, around.hostname, options).unwrap_or(host);
            let stream_tls = around.tls.secure(stream, &name, &options.tls_config, speaks, found).await?;
            http.tls += begun.elapsed().as_secs_f64();
            two = stream_tls.get_ref().1.alpn_protocol() == Some(b"h2");
            stream = Box::new(stream_tls);
        } else {
            found.tls = None;
        }
        found.stage = "waiting for the answer";
        let begun = Instant::now();
        let request = if two { request.two()? } else { request.one()? };
        let answer = wire::exchange(stream, two, request).await?;
        http.processing += begun.elapsed().as_secs_f64();
        found.transcript.say(|| format!("answered {} in {:?}", answer.head.status, answer.head.version));
        Ok(answer)
    }

    /// The first host's address is what the samples tell; of the others only the time.
    async fn look_up(
        &self,
        host: &str,
        options: &Http,
        found: &mut Found,
        http: &mut found::Http,
    ) -> Result<std::net::IpAddr, String> {
        let first = (http.redirects > 0).then(|| found.address.clone());
        let (preferred, fallback) = (options.preferred_ip_protocol, options.ip_protocol_fallback);
        let ip = resolve::address(host, preferred, fallback, found).await;
        http.resolve += found.address.lookup;
        if let Some(first) = first {
            found.address = first;
        }
        ip
    }
}

/// The host without brackets.
pub(super) fn host(url: &Url) -> String {
    url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned()
}

/// Whether `url` has the target's origin, or is its way up from the usual port of http to that of https.
fn is_own(target: &Url, url: &Url) -> bool {
    let secured = (target.scheme(), url.scheme()) == ("http", "https") && target.host() == url.host();
    target.origin() == url.origin() || (secured && target.port().is_none() && url.port().is_none())
}

fn redirect(answer: &Answer, from: &Url) -> Option<Url> {
    if !matches!(answer.head.status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let to = answer.head.headers.get(header::LOCATION)?.to_str().ok()?;
    from.join(to).ok()
}

fn version(version: Version) -> f64 {
    match version {
        Version::HTTP_10 => 1.0,
        Version::HTTP_2 => 2.0,
        Version::HTTP_3 => 3.0,
        _ => 1.1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_go_up_to_https_on_the_same_host_and_nowhere_else() {
        let own = |target: &str, to: &str| is_own(&url(target).unwrap(), &Url::parse(to).unwrap());
        for to in ["http://example.org/x", "https://example.org/"] {
            assert!(own("example.org", to), "{to}");
        }
        for to in ["https://other.example/", "https://example.org:8443/", "http://example.org:8080/"] {
            assert!(!own("example.org", to), "{to}");
        }
        assert!(!own("https://example.org/", "http://example.org/"), "down to http");
        assert!(!own("http://example.org:8080/", "https://example.org/"), "from a port that is not http's own");
    }
}
