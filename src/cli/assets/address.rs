//! Addresses as people type them, narrow enough to stand in a configuration of any of the three programs.

use std::fmt;
use std::str::FromStr;

/// `HOST:PORT`: a name, an IPv4 address, or an IPv6 address in brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    host: String,
    port: u16,
}

impl Endpoint {
    /// The address to listen on so that it is reached there: of the loopback where it names that, else every one.
    pub(super) fn to_listen(&self) -> String {
        let here = match self.host.as_str() {
            "localhost" => "127.0.0.1",
            host if host.starts_with("127.") || host == "[::1]" => host,
            _ => "0.0.0.0",
        };
        format!("{here}:{}", self.port)
    }
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not HOST:PORT, like localhost:9093 or [::1]:9093");
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse().ok().filter(|port| *port > 0).ok_or_else(wrong)?;
        let name = |host: &str| {
            !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
        };
        let six = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        if name(host) || six.is_some_and(|six| six.parse::<std::net::Ipv6Addr>().is_ok()) {
            Ok(Self { host: host.to_owned(), port })
        } else {
            Err(wrong())
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.host, self.port)
    }
}

/// A mail address without a display name, in the characters that need no quoting anywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MailAddress(String);

impl FromStr for MailAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = |part: &str, more: &str| {
            !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
        };
        match text.trim().split_once('@') {
            Some((user, host)) if plain(user, ".!#$%&*+/=?^_~-") && plain(host, ".-") => {
                Ok(Self(text.trim().to_owned()))
            }
            _ => Err(format!("`{text}` is not a mail address like ops@example.com")),
        }
    }
}

impl fmt::Display for MailAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// A mail server, perhaps with a login. TLS is always required: Alertmanager's way, STARTTLS, but on port 465 at once.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Smtp {
    pub(super) endpoint: Endpoint,
    pub(super) login: Option<(String, String)>,
}

impl FromStr for Smtp {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // A URL may hold a password, so no message repeats it.
        if !text.contains("://") {
            return Ok(Self { endpoint: text.parse()?, login: None });
        }
        let url = url::Url::parse(text.trim()).map_err(|error| format!("no URL: {error}"))?;
        let standard = match url.scheme() {
            "smtp" => 587,
            "smtps" => 465,
            other => return Err(format!("`{other}` is not smtp or smtps")),
        };
        let port = url.port().unwrap_or(standard);
        if url.scheme() == "smtps" && port != 465 {
            return Err(
                "Alertmanager speaks smtps on port 465 only; elsewhere use smtp, which asks for STARTTLS".into()
            );
        }
        let endpoint = format!("{}:{port}", url.host_str().unwrap_or_default()).parse()?;
        let login = match (url.username(), url.password()) {
            ("", None) => None,
            (user, password) => Some((decoded(user)?, decoded(password.unwrap_or_default())?)),
        };
        Ok(Self { endpoint, login })
    }
}

impl fmt::Debug for Smtp {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "smtp://{}", self.endpoint)
    }
}

/// A part of a URL without its percent encoding.
fn decoded(text: &str) -> Result<String, String> {
    // The form's decoder takes `+` for a space; in a user or password it is a plus.
    let pair = format!("={}", text.replace('+', "%2B").replace('&', "%26"));
    let value = url::form_urlencoded::parse(pair.as_bytes()).next().map(|(_, value)| value.into_owned());
    match value.unwrap_or_default() {
        value if value.contains(char::is_control) || value.contains('\u{fffd}') => {
            Err("a user or password with control characters".into())
        }
        value => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_host_and_a_port() {
        for text in ["localhost:9093", "10.0.0.1:1", "[::1]:65535", "am-1.example.com:9093", "heretek_am:9093"] {
            assert_eq!(text.parse::<Endpoint>().map(|endpoint| endpoint.to_string()), Ok(text.to_owned()));
        }
        for text in
            ["", "localhost", ":9093", "a:0", "a:99999", "::1:80", "[x]:1", "a'b:1", "a b:1", "http://a:1", "a:1\n"]
        {
            assert!(text.parse::<Endpoint>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn what_is_reached_on_the_loopback_listens_there_only() {
        for (text, listen) in [("localhost:1", "127.0.0.1:1"), ("[::1]:2", "[::1]:2"), ("tidewatch:3", "0.0.0.0:3")] {
            assert_eq!(text.parse::<Endpoint>().map(|endpoint| endpoint.to_listen()), Ok(listen.to_owned()));
        }
    }

    #[test]
    fn a_mail_address_needs_no_quoting() {
        assert_eq!("ops+night@example.com".parse::<MailAddress>().unwrap().to_string(), "ops+night@example.com");
        for text in ["ops", "@x", "a@", "a@b@c", "a b@c", "'a@c", "{{x}}@c", "a@c\nb"] {
            assert!(text.parse::<MailAddress>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_mail_server_may_have_a_login() {
        let smtp: Smtp = "smtp://me%40example.com:p%27a+s%3As&@mail.example.com".parse().unwrap();
        assert_eq!(smtp.endpoint.to_string(), "mail.example.com:587");
        assert_eq!(smtp.login, Some(("me@example.com".into(), "p'a+s:s&".into())));
        assert!(!format!("{smtp:?}").contains("p'a"), "a password does not print");
        assert_eq!("smtps://mail:465".parse::<Smtp>().unwrap().endpoint.to_string(), "mail:465");
        assert_eq!("mail:25".parse::<Smtp>().unwrap().login, None);
        for text in ["smtps://mail:1465", "http://mail", "smtp://u:hunter2@", "smtp://u:a%0Ab@mail"] {
            let error = text.parse::<Smtp>().unwrap_err();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
