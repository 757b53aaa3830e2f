//! Whether a request may come from a web page that is not ours. Pure.
//!
//! A page that the operator happens to open must not be able to post to 127.0.0.1 (a browser then sends `Origin`), nor
//! to read it through a name of its own that it lets point there (DNS rebinding: the name stands in `Host`).

use std::net::IpAddr;

use http::header::{HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, Uri};
use url::{Host, Url};

/// The host and port that a request is for: the one `Host`, or the target's own if it has one (RFC 9112, 3.2.2).
pub(super) fn authority(uri: &Uri, headers: &HeaderMap) -> Option<Authority> {
    if let Some(authority) = uri.authority() {
        return Some(authority.clone());
    }
    let mut hosts = headers.get_all(HOST).iter();
    let host = hosts.next()?;
    if hosts.next().is_some() {
        return None;
    }
    let authority: Authority = host.to_str().ok()?.parse().ok()?;
    (!authority.as_str().contains('@')).then_some(authority)
}

/// Whether a name that only we or the operator can give stands in `Host`.
pub(super) fn is_trusted(authority: &Authority, external: Option<&Url>) -> bool {
    let host = authority.host();
    is_loopback(host) || external.and_then(Url::host_str).is_some_and(|known| known.eq_ignore_ascii_case(host))
}

fn is_loopback(host: &str) -> bool {
    let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    match address.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

/// Whether no other site's page sent it: it has no `Origin`, or one of our own pages' (at the address it is for, or at
/// `external_url`).
pub(super) fn is_own(uri: &Uri, headers: &HeaderMap, external: Option<&Url>) -> bool {
    !is_embedded(headers)
        && headers.get_all(ORIGIN).iter().all(|origin| {
            let Some(origin) = origin.to_str().ok().and_then(|text| Url::parse(text).ok()) else { return false };
            if external.is_some_and(|external| external.origin() == origin.origin()) {
                return true;
            }
            authority(uri, headers).is_some_and(|authority| is_at(&origin, &authority))
        })
}

/// Whether another site's page fetches this behind its visitor's back, as an image or a frame, which some browsers do
/// without `Origin`. Following a link is not that.
fn is_embedded(headers: &HeaderMap) -> bool {
    let says = |name: &str, values: &[&str]| {
        headers.get(name).is_some_and(|found| values.iter().any(|value| found.as_bytes() == value.as_bytes()))
    };
    let foreign = says("sec-fetch-site", &["cross-site", "same-site"]);
    foreign && !(says("sec-fetch-mode", &["navigate"]) && says("sec-fetch-dest", &["document"]))
}

fn is_at(origin: &Url, authority: &Authority) -> bool {
    // Parsed by the same rules, so that both are in one spelling.
    let Ok(ours) = Url::parse(&format!("{}://{authority}/", origin.scheme())) else { return false };
    let web = matches!(origin.scheme(), "http" | "https");
    web && matches!(origin.host(), Some(Host::Domain(_) | Host::Ipv4(_) | Host::Ipv6(_)))
        && ours.origin() == origin.origin()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn trusted(host: &str) -> bool {
        let external = Url::parse("https://tide.example/watch/").unwrap();
        authority(&Uri::from_static("/"), &headers(&[("host", host)]))
            .is_some_and(|it| is_trusted(&it, Some(&external)))
    }

    #[test]
    fn only_our_own_names_are_trusted() {
        for host in [
            "127.0.0.1:9480",
            "localhost",
            "LOCALHOST:1",
            "[::1]:9480",
            "127.8.9.1",
            "tide.example",
            "[::ffff:127.0.0.1]",
        ] {
            assert!(trusted(host), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:9480",
            "10.0.0.1",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "me@localhost",
            "0.0.0.0",
            "a b",
            "",
        ] {
            assert!(!trusted(host), "{host}");
        }
    }

    #[test]
    fn two_hosts_are_none() {
        let mut two = headers(&[("host", "localhost")]);
        two.append(HOST, "evil.example".parse().unwrap());
        assert_eq!(authority(&Uri::from_static("/"), &two), None);
        let absolute = Uri::from_static("http://evil.example/api");
        assert_eq!(authority(&absolute, &headers(&[("host", "localhost")])).unwrap().host(), "evil.example");
    }

    #[test]
    fn an_origin_is_ours_or_refused() {
        let external = Url::parse("https://tide.example/watch/").unwrap();
        let own = |host: &str, origin: &str| {
            is_own(&Uri::from_static("/"), &headers(&[("host", host), ("origin", origin)]), Some(&external))
        };
        assert!(own("localhost:9480", "http://localhost:9480"));
        assert!(own("[::1]:9480", "http://[::1]:9480"));
        assert!(own("tide.example", "https://tide.example"));
        assert!(own("127.0.0.1:9480", "https://tide.example"), "a proxy may set its own Host");
        for origin in [
            "null",
            "",
            "http://localhost:3000",
            "http://localhost",
            "http://127.0.0.1:9480",
            "https://evil.example",
            "file://",
            "chrome-extension://localhost:9480",
        ] {
            assert!(!own("localhost:9480", origin), "{origin}");
        }
        assert!(is_own(&Uri::from_static("/"), &headers(&[("host", "evil.example")]), None), "no Origin");
    }

    #[test]
    fn what_another_page_embeds_is_refused_and_a_link_is_not() {
        let own = |site: &str, mode: &str, dest: &str| {
            let fetch = [("sec-fetch-site", site), ("sec-fetch-mode", mode), ("sec-fetch-dest", dest)];
            is_own(&Uri::from_static("/"), &headers(&[&[("host", "localhost")], &fetch[..]].concat()), None)
        };
        assert!(own("cross-site", "navigate", "document"), "a link in a message");
        assert!(own("same-origin", "no-cors", "style") && own("none", "navigate", "document"));
        assert!(!own("cross-site", "no-cors", "image") && !own("same-site", "no-cors", "script"));
        assert!(!own("cross-site", "navigate", "iframe"));
    }
}
