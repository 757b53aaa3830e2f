//! Where a server is, as people write it.

use std::fmt;
use std::path::PathBuf;

use crate::config::Secret;

/// The port of a server that names none.
const PORT: u16 = 6379;

/// How a server is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// By TCP, within TLS where `tls` says so.
    Tcp {
        /// A name or an address, without brackets.
        host: String,
        port: u16,
        tls: bool,
    },
    /// By a socket in the file system.
    Unix(PathBuf),
}

/// An address with the credentials that it may hold. It prints without them.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) place: Place,
    pub(super) user: Option<String>,
    pub(super) password: Option<Secret>,
}

impl std::str::FromStr for Address {
    type Err = &'static str;

    /// `redis://[user[:password]@]host[:port]`, `rediss://` and `valkeys://` with TLS, `unix:///path`, or `host:port`.
    /// The errors do not repeat the text: a password may be in it.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let whole = if text.contains("://") { text.to_owned() } else { format!("redis://{text}") };
        let url = url::Url::parse(&whole).map_err(|_| "no address: write it like redis://host:6379")?;
        let tls = match url.scheme() {
            "redis" | "valkey" | "tcp" => false,
            "rediss" | "valkeys" => true,
            "unix" | "redis+unix" | "redis-socket" => {
                return Self::of(Place::Unix(PathBuf::from(decoded(url.path())?)), &url);
            }
            _ => return Err("the scheme is none of redis, rediss, valkey, valkeys, unix"),
        };
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or("an address without a host")?;
        let host = decoded(host.trim_matches(['[', ']']))?;
        Self::of(Place::Tcp { host, port: url.port().unwrap_or(PORT), tls }, &url)
    }
}

impl Address {
    fn of(place: Place, url: &url::Url) -> Result<Self, &'static str> {
        let user = Some(decoded(url.username())?).filter(|user| !user.is_empty());
        let password = url.password().map(decoded).transpose()?.filter(|password| !password.is_empty());
        Ok(Self { place, user, password: password.map(Secret::new) })
    }

    /// The host and port, as patterns of allowed targets name it; the path of a socket.
    pub(super) fn endpoint(&self) -> String {
        match &self.place {
            Place::Tcp { host, port, .. } if host.contains(':') => format!("[{host}]:{port}"),
            Place::Tcp { host, port, .. } => format!("{host}:{port}"),
            Place::Unix(path) => path.display().to_string(),
        }
    }

    /// What a person types to ask the server.
    pub(super) fn cli(&self) -> String {
        match &self.place {
            Place::Tcp { host, port, tls } => {
                let tls = if *tls { " --tls" } else { "" };
                format!("redis-cli -h {host} -p {port}{tls}")
            }
            Place::Unix(path) => format!("redis-cli -s {}", path.display()),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match &self.place {
            Place::Tcp { tls: false, .. } => "redis",
            Place::Tcp { tls: true, .. } => "rediss",
            Place::Unix(_) => "unix",
        };
        write!(out, "{scheme}://{}", self.endpoint())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

fn decoded(text: &str) -> Result<String, &'static str> {
    super::keys::unescaped(text, false).ok_or("the address holds a % that is no escape")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_people_write_them() {
        for (text, shown) in [
            ("localhost", "redis://localhost:6379"),
            ("10.0.0.1:7000", "redis://10.0.0.1:7000"),
            ("redis://:pw@h", "redis://h:6379"),
            ("rediss://u:p%40w@h:6380/3", "rediss://h:6380"),
            ("valkey://h", "redis://h:6379"),
            ("redis://[::1]:7001", "redis://[::1]:7001"),
            ("unix:///run/redis.sock", "unix:///run/redis.sock"),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!((address.to_string().as_str(), format!("{address:?}")), (shown, shown.to_owned()), "{text}");
        }
        let address: Address = "rediss://u:p%40w@h".parse().unwrap();
        assert_eq!((address.user.as_deref(), address.password), (Some("u"), Some(Secret::new("p@w"))));
    }

    #[test]
    fn what_is_no_address_is_refused_without_repeating_it() {
        for text in ["http://h:1", "redis://:hunter2@", "redis://u:hunter2@h:99999", "redis://u:hunter2%zz@h"] {
            let error = text.parse::<Address>().unwrap_err();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
