//! Where a server is and as whom we come: connection strings in both of libpq's forms.

use std::path::PathBuf;

use serde::Deserialize;

use crate::config::Secret;

/// How a connection is protected, in libpq's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SslMode {
    /// Never by TLS.
    Disable,
    /// By TLS where the server offers it; whoever answers is believed.
    #[default]
    Prefer,
    /// Always by TLS; whoever answers is believed, unless an authority is named.
    Require,
    /// Always by TLS, by a certificate of an authority that is trusted.
    VerifyCa,
    /// The same, and the certificate names the host.
    VerifyFull,
}

/// Whether a login by password is bound to the TLS connection that it comes by, in libpq's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChannelBinding {
    /// Never: what stands between may end TLS with a certificate of its own.
    Disable,
    /// Where the server offers it.
    #[default]
    Prefer,
    /// Always; a server that does not offer it is refused.
    Require,
}

/// A server, and who we are there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Address {
    /// A name, an address, or the folder of a Unix socket.
    pub host: Option<String>,
    /// 5432 unless told.
    pub port: Option<u16>,
    /// Who we are; the process's own user unless told.
    pub user: Option<String>,
    /// The password, where it stands here.
    pub password: Option<Secret>,
    /// A file with lines `host:port:database:user:password`.
    pub passfile: Option<PathBuf>,
    /// The first database; the user's name unless told.
    pub database: Option<String>,
    /// How the connection is protected.
    pub sslmode: Option<SslMode>,
    /// Whether the login is bound to it.
    pub channel_binding: Option<ChannelBinding>,
    /// The authorities that are trusted.
    pub ca_file: Option<PathBuf>,
    /// Our own certificate.
    pub cert_file: Option<PathBuf>,
    /// Its key.
    pub key_file: Option<PathBuf>,
    /// What was given but means nothing here.
    pub ignored: Vec<String>,
}

const PORT: u16 = 5_432;

/// Keys of libpq, and of the original's driver, that mean nothing here.
const MEANINGLESS: [&str; 39] = [
    "application_name",
    "binary_parameters",
    "client_encoding",
    "connect_timeout",
    "datestyle",
    "default_transaction_read_only",
    "disable_prepared_binary_result",
    "extra_float_digits",
    "fallback_application_name",
    "gssdelegation",
    "gssencmode",
    "gsslib",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "krbspn",
    "krbsrvname",
    "load_balance_hosts",
    "lock_timeout",
    "options",
    "replication",
    "require_auth",
    "requirepeer",
    "search_path",
    "service",
    "ssl_max_protocol_version",
    "ssl_min_protocol_version",
    "sslcompression",
    "sslcertmode",
    "sslcrl",
    "sslcrldir",
    "sslinline",
    "sslnegotiation",
    "sslpassword",
    "sslsni",
    "statement_timeout",
    "target_session_attrs",
    "tcp_user_timeout",
];

impl Address {
    /// Reads `postgresql://user:password@host:port/database?key=value` or `host=… user=… key='…'`. The error never
    /// repeats a value.
    ///
    /// # Errors
    /// It is neither, or a value makes no sense.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let url = ["postgres://", "postgresql://"].iter().find_map(|scheme| text.strip_prefix(scheme));
        let pairs = match url {
            Some(rest) => url_pairs(rest)?,
            None => word_pairs(text)?,
        };
        let mut address = Self::default();
        for (key, value) in pairs {
            address.set(&key, value)?;
        }
        Ok(address)
    }

    pub(super) fn set(&mut self, key: &str, value: String) -> Result<(), String> {
        if value.is_empty() {
            return Ok(());
        }
        if matches!(key, "host" | "port") && value.contains(',') {
            return Err(format!("`{key}` names several servers: write a target for each"));
        }
        match key {
            "host" | "hostaddr" if key == "host" || self.host.is_none() => self.host = Some(value),
            "hostaddr" => self.ignored.push(key.to_owned()),
            "port" => self.port = Some(value.parse().map_err(|_| "`port` is no number of a port".to_owned())?),
            "user" => self.user = Some(value),
            "password" => self.password = Some(Secret::new(value)),
            "passfile" => self.passfile = Some(value.into()),
            "dbname" | "database" => self.database = Some(value),
            "sslmode" => self.sslmode = Some(mode(&value)?),
            "channel_binding" => self.channel_binding = Some(binding(&value)?),
            // libpq's word for the system's authorities.
            "sslrootcert" if value == "system" => {}
            "sslrootcert" => self.ca_file = Some(value.into()),
            "sslcert" => self.cert_file = Some(value.into()),
            "sslkey" => self.key_file = Some(value.into()),
            _ => {
                // What libpq does not know either may be a piece of a password that should have been escaped.
                let known = MEANINGLESS.iter().find(|known| **known == key);
                self.ignored.push((*known.unwrap_or(&"a key that is not known")).to_owned());
            }
        }
        Ok(())
    }

    /// The folder of the server's Unix socket, if it is reached by one.
    pub fn socket(&self) -> Option<PathBuf> {
        let folder = self.host.as_deref().filter(|host| host.starts_with('/'))?;
        Some(PathBuf::from(format!("{folder}/.s.PGSQL.{}", self.port())))
    }

    /// The host, `localhost` unless told.
    pub fn host(&self) -> &str {
        self.host.as_deref().unwrap_or("localhost")
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(PORT)
    }

    /// `host:port`, as the label `server` has it.
    pub fn server(&self) -> String {
        match self.host() {
            host if host.contains(':') => format!("[{host}]:{}", self.port()),
            host => format!("{host}:{}", self.port()),
        }
    }
}

fn mode(text: &str) -> Result<SslMode, String> {
    Ok(match text {
        "disable" => SslMode::Disable,
        "allow" | "prefer" => SslMode::Prefer,
        "require" => SslMode::Require,
        "verify-ca" => SslMode::VerifyCa,
        "verify-full" => SslMode::VerifyFull,
        _ => return Err("`sslmode` is one of disable, prefer, require, verify-ca, verify-full".into()),
    })
}

fn binding(text: &str) -> Result<ChannelBinding, String> {
    Ok(match text {
        "disable" => ChannelBinding::Disable,
        "prefer" => ChannelBinding::Prefer,
        "require" => ChannelBinding::Require,
        _ => return Err("`channel_binding` is one of disable, prefer, require".into()),
    })
}

/// A URL's parts by libpq's keys. `rest` begins after the scheme; read by hand, because a host may be a folder and a
/// password may hold what a URL should have escaped.
fn url_pairs(rest: &str) -> Result<Vec<(String, String)>, String> {
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    // The last @ ends the user: a password may hold one that should have been escaped.
    let (user, place) = rest.rsplit_once('@').unwrap_or(("", rest));
    let (place, database) = place.split_once('/').unwrap_or((place, ""));
    let (user, password) = user.split_once(':').unwrap_or((user, ""));
    let (host, port) = match place.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
        Some((host, port)) => (host, port.trim_start_matches(':')),
        None => place.rsplit_once(':').unwrap_or((place, "")),
    };
    let parts = [("user", user), ("password", password), ("host", host), ("port", port), ("dbname", database)];
    let mut pairs = Vec::new();
    for (key, value) in parts {
        pairs.push((key.to_owned(), decoded(value)?));
    }
    pairs.extend(url::form_urlencoded::parse(query.as_bytes()).map(|(key, value)| (key.into(), value.into())));
    Ok(pairs)
}

/// Undoes `%2F`; a plus stays one.
fn decoded(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = || std::str::from_utf8(tail.get(..2)?).ok().and_then(|hex| u8::from_str_radix(hex, 16).ok());
        let (byte, after) = match escaped().filter(|_| *first == b'%') {
            Some(byte) => (byte, tail.get(2..).unwrap_or_default()),
            None => (*first, tail),
        };
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8".into())
}

/// `key=value key='with \' spaces'`.
fn word_pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let wrong = || "it is neither a URL nor a list of key=value".to_owned();
    let mut pairs = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (key, tail) = rest.split_once('=').ok_or_else(wrong)?;
        let key = key.trim();
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err(wrong());
        }
        let tail = tail.trim_start();
        let quoted = tail.starts_with('\'');
        let mut value = String::new();
        let mut end = tail.len();
        let mut letters = tail.char_indices().skip(usize::from(quoted));
        let mut closed = !quoted;
        while let Some((at, letter)) = letters.next() {
            match letter {
                '\\' => value.extend(letters.next().map(|(_, letter)| letter)),
                '\'' if quoted => {
                    (end, closed) = (at + 1, true);
                    break;
                }
                _ if !quoted && letter.is_whitespace() => {
                    end = at;
                    break;
                }
                _ => value.push(letter),
            }
        }
        if !closed {
            return Err("a quote is not closed".into());
        }
        pairs.push((key.to_owned(), value));
        rest = tail.get(end..).unwrap_or_default().trim_start();
    }
    if pairs.is_empty() { Err(wrong()) } else { Ok(pairs) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn brief(text: &str) -> String {
        let address = Address::parse(text).unwrap();
        let password = address.password.as_ref().map_or("", Secret::expose);
        let (user, database) = (address.user.as_deref().unwrap_or(""), address.database.as_deref().unwrap_or(""));
        format!("{user}|{password}|{}|{database}|{:?}", address.server(), address.sslmode)
    }

    #[test]
    fn both_forms_are_read() {
        for (text, read) in [
            ("postgresql://u:p%40ss@db:5433/app?sslmode=disable", "u|p@ss|db:5433|app|Some(Disable)"),
            ("postgres://u:p@[::1]:6000/app", "u|p|[::1]:6000|app|None"),
            ("postgresql:///app?host=/run/postgresql&user=me", "me||/run/postgresql:5432|app|None"),
            ("postgresql://%2Frun%2Fpg/app", "||/run/pg:5432|app|None"),
            (
                "host=db user=u password='it\\'s so' dbname=app sslmode=verify-full",
                "u|it's so|db:5432|app|Some(VerifyFull)",
            ),
            ("  user = u   host = /tmp ", "u||/tmp:5432||None"),
        ] {
            assert_eq!(brief(text), read, "{text}");
        }
        let address = Address::parse("host=/run/postgresql port=5433 connect_timeout=3").unwrap();
        assert_eq!(address.socket(), Some("/run/postgresql/.s.PGSQL.5433".into()));
        assert_eq!(address.ignored, ["connect_timeout"]);
        let address = Address::parse("postgresql://db/app?channel_binding=require").unwrap();
        assert_eq!((address.channel_binding, address.ignored), (Some(ChannelBinding::Require), Vec::new()));
        for text in ["postgresql://u:?hunter2=x@db/app", "host=db password=my hunter2=x"] {
            assert_eq!(Address::parse(text).unwrap().ignored, ["a key that is not known"]);
        }
    }

    #[test]
    fn what_is_wrong_is_told_without_a_value() {
        for text in [
            "hunter2",
            "",
            "password='hunter2",
            "host=a port=hunter2",
            "sslmode=hunter2",
            "channel_binding=hunter2",
            "host=hunter2,b",
        ] {
            let error = Address::parse(text).unwrap_err();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
