//! TLS of probes: configurations that are built once for each set of files, and what a handshake told.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use rustls::client::Resumption;
use rustls::{ClientConfig, ProtocolVersion};
use tokio::io::{AsyncRead, AsyncWrite};

use super::certificate;
use super::found::{Found, Tls};
use super::module::TlsConfig;
use super::resolve::words;
use crate::net::tls::{self, Check, Options};

/// What applications say in the handshake that they speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speaks {
    /// Nothing is said.
    Unsaid,
    Http1,
    Http2,
    Both,
}

impl Speaks {
    fn protocols(self) -> Vec<Vec<u8>> {
        match self {
            Self::Unsaid => Vec::new(),
            Self::Http1 => vec![b"http/1.1".to_vec()],
            Self::Http2 => vec![b"h2".to_vec()],
            Self::Both => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        }
    }
}

/// The configurations that modules share. The system's authorities are some hundred kilobytes: modules with the same
/// options have them once, and a file is read again only when it changed.
#[derive(Debug, Default)]
pub(super) struct Configurations(Mutex<Vec<Kept>>);

#[derive(Debug)]
struct Kept {
    options: Options,
    speaks: Speaks,
    changed: [Option<SystemTime>; 3],
    config: Arc<ClientConfig>,
}

impl Configurations {
    fn get(&self, options: Options, speaks: Speaks) -> Result<Arc<ClientConfig>, String> {
        let identity = options.identity.as_ref();
        let files = [options.ca_file.as_deref(), identity.map(|it| &*it.0), identity.map(|it| &*it.1)];
        let changed = files.map(|file| file.and_then(modified));
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = kept.iter().position(|it| it.options == options && it.speaks == speaks);
        if let Some(it) = place.and_then(|at| kept.get(at)).filter(|it| it.changed == changed) {
            return Ok(Arc::clone(&it.config));
        }
        // The same authorities with another protocol are a cheap copy.
        let alike = kept.iter().find(|it| it.options == options && it.changed == changed);
        let mut config = match alike {
            Some(it) => (*it.config).clone(),
            None => tls::configure(&options).map_err(|error| error.to_string())?,
        };
        config.alpn_protocols = speaks.protocols();
        // Each probe asks for the certificate anew.
        config.resumption = Resumption::disabled();
        let config = Arc::new(config);
        let new = Kept { options, speaks, changed, config: Arc::clone(&config) };
        match place.and_then(|at| kept.get_mut(at)) {
            Some(old) => *old = new,
            None => kept.push(new),
        }
        Ok(config)
    }

    /// Speaks TLS on `stream` as `options` say, with the server that they or `host` name.
    pub(super) async fn secure<S>(
        &self,
        stream: S,
        host: &str,
        options: &TlsConfig,
        speaks: Speaks,
        found: &mut Found,
    ) -> Result<tls::Stream<S>, String>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let name = if options.server_name.is_empty() { host } else { &options.server_name };
        let options = options.options();
        let checked = options.check != Check::Nothing;
        let config = self.get(options, speaks)?;
        found.stage = "agreeing on TLS";
        let stream = tls::connect(config, name, stream).await;
        let stream = stream.map_err(|error| format!("TLS: {}", words(&error)))?;
        let (_, session) = stream.get_ref();
        let chain: Vec<&[u8]> = session.peer_certificates().unwrap_or_default().iter().map(AsRef::as_ref).collect();
        let (earliest_expiry, chain_expiry, leaf) = certificate::read(&chain, checked);
        let version = match session.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
            Some(ProtocolVersion::TLSv1_2) => "TLS 1.2",
            _ => "unknown",
        };
        let suite = session.negotiated_cipher_suite().map(|suite| format!("{:?}", suite.suite()));
        // The registry's name has no 13.
        let cipher = suite.unwrap_or_default().replacen("TLS13_", "TLS_", 1);
        found.transcript.say(|| format!("{version} with {cipher}, subject {}, issuer {}", leaf.subject, leaf.issuer));
        found.tls = Some(Tls { version, cipher, earliest_expiry, chain_expiry, leaf });
        Ok(stream)
    }
}

fn modified(file: &Path) -> Option<SystemTime> {
    std::fs::metadata(file).and_then(|data| data.modified()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_built_once_and_shared() {
        let all = Configurations::default();
        let first = all.get(Options::default(), Speaks::Both).unwrap();
        assert!(Arc::ptr_eq(&first, &all.get(Options::default(), Speaks::Both).unwrap()));
        let other = all.get(Options::default(), Speaks::Http2).unwrap();
        assert_eq!(other.alpn_protocols, [b"h2"]);
        assert_eq!(all.0.lock().unwrap().len(), 2);
    }

    #[test]
    fn a_file_that_changed_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        let all = Configurations::default();
        let options = Options { ca_file: Some(file.clone()), ..Options::default() };
        assert!(all.get(options.clone(), Speaks::Unsaid).unwrap_err().contains("ca.pem"));
        std::fs::write(&file, "no certificate").unwrap();
        assert!(all.get(options, Speaks::Unsaid).unwrap_err().contains("ca.pem"));
    }
}
