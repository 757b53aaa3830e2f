//! Reaching a target through a proxy: `CONNECT` for HTTPS, the whole URL in the first line otherwise.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::collect::probes::found::Found;
use crate::collect::probes::module::Http;
use crate::collect::probes::resolve;
use crate::config::HttpUrl;
use crate::net::dial;

/// A longer answer to `CONNECT` is none.
const HEAD: usize = 16 << 10;

/// Whether `no_proxy` names the host: itself, a domain above it (with a leading dot: that alone), or everything.
pub(super) fn excepted(no_proxy: &str, host: &str) -> bool {
    no_proxy.split(',').map(|name| name.trim().to_ascii_lowercase()).filter(|name| !name.is_empty()).any(|name| {
        let above = name.strip_prefix('*').unwrap_or(&name);
        match above.strip_prefix('.') {
            _ if name == "*" => true,
            Some(domain) => host.strip_suffix(domain).is_some_and(|start| start.ends_with('.')),
            None => host.strip_suffix(&name).is_some_and(|start| start.is_empty() || start.ends_with('.')),
        }
    })
}

/// What the proxy's URL says of us.
pub(super) fn authorization(proxy: &HttpUrl) -> Option<HeaderValue> {
    let url = proxy.expose();
    let decoded = |text: &str| percent(text);
    let (user, password) = (decoded(url.username()), decoded(url.password().unwrap_or_default()));
    if user.is_empty() && password.is_empty() {
        return None;
    }
    let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn percent(text: &str) -> String {
    let plain = text.replace('+', "%2B");
    url::form_urlencoded::parse(plain.as_bytes()).next().map(|(text, _)| text.into_owned()).unwrap_or_default()
}

/// A connection to the proxy, and through it where the target speaks TLS.
pub(super) async fn connect(
    proxy: &HttpUrl,
    host: &str,
    port: u16,
    through: bool,
    options: &Http,
    found: &mut Found,
) -> Result<TcpStream, String> {
    let url = proxy.expose();
    if url.scheme() != "http" {
        return Err("a proxy that is itself reached by https is not done here".into());
    }
    found.stage = "connecting to the proxy";
    let name = super::host(url);
    let known = dial::addresses(&name).await.map_err(|_| "the proxy's name has no address".to_owned())?;
    let ip = known.first().copied().ok_or("the proxy's name has no address")?;
    let to = std::net::SocketAddr::new(ip, url.port_or_known_default().unwrap_or(80));
    let mut stream = resolve::connect(to, None, found).await.map_err(|error| format!("the proxy: {error}"))?;
    if through {
        tunnel(&mut stream, proxy, host, port, options).await?;
        found.transcript.say(|| format!("the proxy connected to {host}:{port}"));
    }
    Ok(stream)
}

async fn tunnel(stream: &mut TcpStream, proxy: &HttpUrl, host: &str, port: u16, options: &Http) -> Result<(), String> {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let mut head = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n").into_bytes();
    let mut add = |name: &str, value: &[u8]| {
        head.extend_from_slice(name.as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value);
        head.extend_from_slice(b"\r\n");
    };
    if let Some(value) = authorization(proxy) {
        add("Proxy-Authorization", value.as_bytes());
    }
    for (name, values) in &options.proxy_connect_header {
        for value in values {
            let value = HeaderValue::from_str(value.expose()).map_err(|_| "a header of the proxy's is none")?;
            add(name, value.as_bytes());
        }
    }
    head.extend_from_slice(b"\r\n");
    let broken = |error: std::io::Error| format!("the proxy: {}", resolve::words(&error));
    stream.write_all(&head).await.map_err(broken)?;
    // A byte at a time: what follows the head belongs to the target.
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() >= HEAD {
            return Err("the proxy's answer has no end".into());
        }
        answer.push(stream.read_u8().await.map_err(broken)?);
    }
    let line = String::from_utf8_lossy(answer.split(|byte| *byte == b'\r').next().unwrap_or_default()).into_owned();
    let status = line.split(' ').nth(1).and_then(|status| status.parse::<u16>().ok());
    match status {
        Some(200..=299) => Ok(()),
        Some(status) => Err(format!("the proxy answered {status}")),
        None => Err("the proxy speaks no HTTP".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_proxy_names_hosts_and_domains() {
        for host in ["example.org", "a.example.org", "localhost", "a.example.net", "a.example.com"] {
            assert!(excepted("localhost, Example.org, .example.net, *.example.com", host), "{host}");
        }
        for host in ["notexample.org", "example.org.evil", "other", "example.net", "example.com", "notexample.net"] {
            assert!(!excepted("localhost, example.org, .example.net, *.example.com", host), "{host}");
        }
        assert!(excepted("*", "anything") && !excepted("", "anything"));
    }

    #[test]
    fn a_proxys_password_is_decoded_and_does_not_print() {
        let url: HttpUrl = "http://us%20er:p%40ss+w@proxy:3128".parse().unwrap();
        let value = authorization(&url).unwrap();
        assert_eq!(value.as_bytes(), format!("Basic {}", STANDARD.encode("us er:p@ss+w")).as_bytes());
        assert!(!format!("{value:?} {url:?}").contains("ss+w"));
    }
}
