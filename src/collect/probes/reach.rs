//! What `/probe` and redirects may reach: the configured targets, and what the patterns of `allow` name. Nothing else: an
//! endpoint that probes whatever it is told is a way into the network.

use url::{Position, Url};

use super::http;
use super::module::Prober;
use super::resolve;
use crate::collect::allow::{self, glob};

/// The targets with their modules, and the patterns.
#[derive(Debug, Default)]
pub(super) struct Reach {
    targets: Vec<(String, String)>,
    patterns: Vec<Pattern>,
}

/// `[scheme://]host[:port][/path]`, with `*` for anything in host and path, and for any port. What a pattern does not
/// say is the default: any scheme, the scheme's port, the path `/`. Stars among digits and dots take addresses only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    scheme: Option<String>,
    host: String,
    port: Port,
    path: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Port {
    Any,
    Default,
    Number(u16),
}

/// A target taken apart.
struct Goal {
    scheme: Option<String>,
    host: String,
    port: Option<u16>,
    /// Whether the port is what comes without saying one.
    usual: bool,
    path: String,
}

impl Reach {
    /// `targets` with the names of their modules, and patterns that [`Pattern::parse`] takes.
    pub(super) fn new(targets: impl Iterator<Item = (String, String)>, patterns: &[String]) -> Self {
        let patterns = patterns.iter().filter_map(|text| Pattern::parse(text).ok()).collect();
        Self { targets: targets.collect(), patterns }
    }

    /// Whether a question may have this target probed by this module.
    pub(super) fn asked(&self, target: &str, module: &str, prober: Prober, hostname: Option<&str>) -> bool {
        let listed = |target: &str| self.targets.iter().any(|(known, by)| known == target && by == module);
        if hostname.is_none() && listed(target) {
            return true;
        }
        let Some(goal) = Goal::of(target, prober) else { return false };
        // The name that the request is to carry is a place to reach too: it chooses among what one address serves.
        let named = hostname.map(|hostname| Goal { host: hostname.to_lowercase(), ..goal.clone() });
        self.takes(&goal) && named.is_none_or(|named| self.takes(&named))
    }

    /// Whether a probe of `target` may go on at `next`: at a listed place, or at the target's own host, where it stays
    /// at its port or changes between those of http and https.
    pub(super) fn redirect(&self, target: &str, module: &str, next: &Url) -> bool {
        let (Ok(from), Some(goal)) = (http::url(target), Goal::of_url(next)) else { return false };
        let usual = |url: &Url| matches!(url.port_or_known_default(), Some(80 | 443));
        let own = from.host_str() == next.host_str()
            && (from.port_or_known_default() == next.port_or_known_default() || (usual(&from) && usual(next)));
        own || self.takes(&goal) || self.targets.iter().any(|(known, by)| by == module && known == next.as_str())
    }

    fn takes(&self, goal: &Goal) -> bool {
        self.patterns.iter().any(|pattern| pattern.takes(goal))
    }
}

impl Pattern {
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme @ ("http" | "https"), rest)) => (Some(scheme.to_owned()), rest),
            Some((scheme, _)) => return Err(format!("`{scheme}` is not http or https")),
            None => (None, text),
        };
        let (place, path) = rest.find('/').map_or((rest, None), |at| {
            let (place, path) = rest.split_at(at);
            (place, Some(path.to_owned()))
        });
        if place.contains('@') {
            return Err("credentials come from modules, not from targets".into());
        }
        let (host, port) = if let Some(host) = place.strip_suffix(":*") {
            (host.trim_start_matches('[').trim_end_matches(']'), Port::Any)
        } else {
            let (host, port) = resolve::split(place).ok_or("no `host:port`")?;
            (host, port.map_or(Port::Default, Port::Number))
        };
        if host.is_empty() {
            return Err("no host".into());
        }
        Ok(Self { scheme, host: host.to_lowercase(), port, path })
    }

    fn takes(&self, goal: &Goal) -> bool {
        let port = match self.port {
            Port::Any => true,
            Port::Default => goal.usual,
            Port::Number(port) => goal.port == Some(port),
        };
        port && self.scheme.as_ref().is_none_or(|scheme| goal.scheme.as_ref() == Some(scheme))
            && allow::host(&self.host, &goal.host)
            && glob(self.path.as_deref().unwrap_or("/"), &goal.path)
    }

    /// Whether it names every host.
    pub(super) fn is_everywhere(&self) -> bool {
        self.host.chars().all(|c| c == '*')
    }

    /// Addresses that this pattern lets be reached: for a look at what they could cost.
    pub(super) fn examples(&self) -> impl Iterator<Item = String> {
        let port = match self.port {
            Port::Number(port) => format!(":{port}"),
            Port::Any | Port::Default => String::new(),
        };
        let place = format!("{}://{}{port}", self.scheme.as_deref().unwrap_or("http"), self.host.replace('*', "any"));
        let path = self.path.clone().unwrap_or_else(|| "/".into());
        let health = glob(&path, "/health").then(|| "/health".to_owned());
        health.into_iter().chain([path]).map(move |path| format!("{place}{path}"))
    }
}

impl Goal {
    fn of(target: &str, prober: Prober) -> Option<Self> {
        if prober == Prober::Http {
            return Self::of_url(&http::url(target).ok()?);
        }
        let target = match prober {
            Prober::Grpc => target.trim_start_matches("http://").trim_start_matches("https://").trim_end_matches('/'),
            _ => target,
        };
        // What looks like a host to us must not look like something else to a resolver.
        let (host, port) = resolve::split(target)?;
        let sound = !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:%".contains(c));
        let usual = port.is_none() || (prober == Prober::Dns && port == Some(53));
        sound.then(|| Self { scheme: None, host: host.to_lowercase(), port, usual, path: "/".into() })
    }

    fn of_url(url: &Url) -> Option<Self> {
        let plain = url.username().is_empty() && url.password().is_none() && matches!(url.scheme(), "http" | "https");
        plain.then(|| Self {
            scheme: Some(url.scheme().to_owned()),
            host: http::host(url),
            port: url.port_or_known_default(),
            usual: url.port().is_none(),
            path: url[Position::BeforePath..Position::AfterQuery].to_owned(),
        })
    }

    fn clone(&self) -> Self {
        Self { scheme: self.scheme.clone(), host: self.host.clone(), path: self.path.clone(), ..*self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(patterns: &[&str]) -> Reach {
        let patterns: Vec<String> = patterns.iter().map(|text| (*text).to_owned()).collect();
        let targets = [("http://status.example/health".to_owned(), "http_2xx".to_owned())];
        Reach::new(targets.into_iter(), &patterns)
    }

    #[test]
    fn nothing_is_reached_but_the_targets_by_their_modules() {
        let reach = reach(&[]);
        assert!(reach.asked("http://status.example/health", "http_2xx", Prober::Http, None));
        assert!(!reach.asked("http://status.example/health", "http_post_2xx", Prober::Http, None));
        assert!(!reach.asked("http://status.example/health", "http_2xx", Prober::Http, Some("other")));
        assert!(!reach.asked("http://status.example/", "http_2xx", Prober::Http, None));
        assert!(!reach.asked("169.254.169.254", "icmp", Prober::Icmp, None));
    }

    #[test]
    fn a_pattern_takes_what_it_says_and_nothing_that_looks_like_it() {
        let reach = reach(&["https://*.example.org/*", "10.0.0.5:9000", "http://api.example:*/health", "ns.example"]);
        let http = |target: &str| reach.asked(target, "http_2xx", Prober::Http, None);
        for target in ["https://a.example.org/x?y=z", "https://a.b.example.org", "http://api.example:81/health"] {
            assert!(http(target), "{target}");
        }
        for target in [
            "http://a.example.org/x",
            "https://a.example.org:8443/x",
            "https://evil.example/.example.org/x",
            "https://a.example.org@evil.example/",
            "https://evil.example#.example.org/",
            "https://evil.example\\.example.org/",
            "http://api.example:81/health/../admin",
            "http://10.0.0.5:9000/admin",
            "ftp://a.example.org/",
        ] {
            assert!(!http(target), "{target}");
        }
        assert!(http("10.0.0.5:9000"), "the scheme is any, the path is /");
        assert!(reach.asked("10.0.0.5:9000", "tcp_connect", Prober::Tcp, None));
        assert!(!reach.asked("10.0.0.5:22", "tcp_connect", Prober::Tcp, None));
        assert!(reach.asked("ns.example:53", "dns", Prober::Dns, None));
        assert!(!reach.asked("ns.example:25", "tcp_connect", Prober::Tcp, None));
        assert!(reach.asked("https://a.example.org/", "http_2xx", Prober::Http, Some("b.example.org")));
        assert!(!reach.asked("https://a.example.org/", "http_2xx", Prober::Http, Some("internal")));
    }

    #[test]
    fn a_pattern_of_addresses_takes_no_name() {
        let reach = reach(&["http://10.0.0.*/*", "10.0.1.*:*"]);
        assert!(reach.asked("http://10.0.0.7/x", "http_2xx", Prober::Http, None));
        assert!(reach.asked("10.0.1.7:22", "tcp_connect", Prober::Tcp, None));
        assert!(!reach.asked("http://10.0.0.attacker.example/x", "http_2xx", Prober::Http, None));
        assert!(!reach.asked("http://10.0.0.7/x", "http_2xx", Prober::Http, Some("10.0.0.attacker.example")));
        assert!(!reach.asked("10.0.1.attacker.example:22", "tcp_connect", Prober::Tcp, None));
        let next = Url::parse("http://10.0.0.attacker.example/").unwrap();
        assert!(!reach.redirect("http://10.0.0.7/x", "http_2xx", &next));
    }

    #[test]
    fn a_redirect_stays_where_it_may() {
        let reach = reach(&["https://login.example/*"]);
        let redirect = |to: &str| reach.redirect("http://status.example/health", "http_2xx", &Url::parse(to).unwrap());
        for to in ["https://status.example/health", "http://status.example/other", "https://login.example/x"] {
            assert!(redirect(to), "{to}");
        }
        for to in
            ["http://status.example:9090/", "http://127.0.0.1/", "http://169.254.169.254/", "https://u@login.example/x"]
        {
            assert!(!redirect(to), "{to}");
        }
    }

    #[test]
    fn a_pattern_that_makes_no_sense_is_refused() {
        for text in ["", "ftp://h", "https://", "u:p@h/", "h:port", "http://:80"] {
            assert!(Pattern::parse(text).is_err(), "{text}");
        }
    }
}
