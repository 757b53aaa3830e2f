//! Which server, how encrypted, and as whom: read from a URL. Pure.

use url::{Host, Url};

use crate::config::Secret;

/// How the connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encryption {
    /// TLS from the first byte.
    Implicit,
    /// STARTTLS, and nothing before it; a server without it is refused.
    StartTls,
    /// None at all.
    None,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) encryption: Encryption,
    pub(super) login: Option<(String, Secret)>,
}

impl Server {
    /// Reads `smtp://[user:password@]host[:port][?tls=none]` or `smtps://…`. Ports: 587 and 465. No error repeats the
    /// text, which may hold a password.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let url = Url::parse(text.trim()).map_err(|error| format!("no URL: {error}"))?;
        let implicit = match url.scheme() {
            "smtp" => false,
            "smtps" => true,
            _ => return Err("begins with neither smtp:// nor smtps://".into()),
        };
        let host = match url.host_str().map(Host::parse) {
            Some(Ok(Host::Ipv6(address))) => address.to_string(),
            Some(Ok(host)) => host.to_string(),
            _ => return Err("has no usable host".into()),
        };
        if !matches!(url.path(), "" | "/") {
            return Err("has a path: nothing follows the port".into());
        }
        let port = url.port().unwrap_or(if implicit { 465 } else { 587 });
        // 465 is TLS from the first byte by its registration (RFC 8314).
        let mut encryption = if implicit || port == 465 { Encryption::Implicit } else { Encryption::StartTls };
        match url.query() {
            None => {}
            Some("tls=none") if !implicit => encryption = Encryption::None,
            Some(_) => return Err("has options after `?` that are not known: only smtp://…?tls=none is".into()),
        }
        let login = match (url.username(), url.password()) {
            ("", None) => None,
            (user, Some(password)) => Some((decoded(user), Secret::new(decoded(password)))),
            (_, None) => return Err("has a user without a password".into()),
        };
        Ok(Self { host, port, encryption, login })
    }

    /// Whether what is sent never leaves this machine.
    pub(super) fn is_loopback(&self) -> bool {
        let address = self.host.parse::<std::net::IpAddr>();
        self.host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }
}

/// Percent-decoded: passwords hold `@` and `/`.
fn decoded(text: &str) -> String {
    let escaped = text.replace('+', "%2B").replace('&', "%26").replace('=', "%3D");
    url::form_urlencoded::parse(escaped.as_bytes()).next().map(|(text, _)| text.into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_as_people_write_them() {
        let parse = |text: &str| {
            let server = Server::parse(text).unwrap();
            (server.host, server.port, server.encryption)
        };
        assert_eq!(parse("smtp://mail.example"), ("mail.example".into(), 587, Encryption::StartTls));
        assert_eq!(parse("smtps://mail.example/"), ("mail.example".into(), 465, Encryption::Implicit));
        assert_eq!(parse("smtp://mail.example:465"), ("mail.example".into(), 465, Encryption::Implicit));
        assert_eq!(parse("smtp://[::1]:25?tls=none"), ("::1".into(), 25, Encryption::None));
    }

    #[test]
    fn a_password_may_hold_what_urls_escape() {
        let server = Server::parse("smtp://u%40x:a%2Fb+c%3D&%40@h").unwrap();
        assert_eq!(server.login, Some(("u@x".into(), Secret::new("a/b+c=&@"))));
    }

    #[test]
    fn no_error_repeats_the_password() {
        for text in ["imap://u:canary@h", "smtp://u:canary@h/path", "smtp://u:canary@h?tls=maybe", "smtp://u:canary@["]
        {
            assert!(!Server::parse(text).unwrap_err().contains("canary"), "{text}");
        }
    }
}
