//! Whom we trust, and as whom we come. The provider of the cryptography is named here and nowhere else.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    SupportedProtocolVersion, version,
};
use serde::Deserialize;

use super::pinned::Pinned;

/// How much of the other side's certificate is checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// Its chain and its name.
    #[default]
    Full,
    /// Its chain; the name may be another's.
    Chain,
    /// Nothing: whoever answers is believed.
    Nothing,
}

/// The versions of TLS that are spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Versions {
    /// 1.2 and 1.3.
    #[default]
    Both,
    /// 1.2 alone.
    Only12,
    /// 1.3 alone.
    Only13,
}

/// How to connect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The authorities that are trusted; the system's, if none is named.
    pub ca_file: Option<PathBuf>,
    /// Our own certificate and its key, where the other side asks for one.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// How much is checked.
    pub check: Check,
    /// What is spoken.
    pub versions: Versions,
}

/// Why no TLS can be set up. It names files, never what is in them.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or holds nothing of what it should.
    #[error("{file}: {what}", file = file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The library refused.
    #[error("TLS cannot be set up: {0}")]
    Refused(#[from] Error),
}

/// A configuration for connecting with the defaults: TLS 1.2 and 1.3, certificates checked against the system's.
///
/// # Errors
/// The provider has neither version.
pub fn client() -> Result<Arc<ClientConfig>, TlsError> {
    configure(&Options::default()).map(Arc::new)
}

/// A configuration for connecting.
///
/// # Errors
/// A file cannot be read or used.
pub fn configure(options: &Options) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions: &[&SupportedProtocolVersion] = match options.versions {
        Versions::Both => &[&version::TLS13, &version::TLS12],
        Versions::Only12 => &[&version::TLS12],
        Versions::Only13 => &[&version::TLS13],
    };
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(versions)?;
    let builder = match options.check {
        Check::Full => match options.ca_file.as_deref() {
            // Also where the system has none: then no server is trusted, and plain connections go on.
            None => builder.with_root_certificates(roots(None)?),
            file => builder.dangerous().with_custom_certificate_verifier(verifier(file, &provider)?),
        },
        Check::Chain => {
            let chain = Some(verifier(options.ca_file.as_deref(), &provider)?);
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Lenient { provider, chain }))
        }
        Check::Nothing => {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Lenient { provider, chain: None }))
        }
    };
    match &options.identity {
        None => Ok(builder.with_no_client_auth()),
        Some((certificate, key)) => {
            let chain = certificates(certificate)?;
            let key = PrivateKeyDer::from_pem_file(key)
                .map_err(|error| TlsError::File { file: key.clone(), what: error.to_string() })?;
            Ok(builder.with_client_auth_cert(chain, key)?)
        }
    }
}

/// Checks chain and name; of what a file holds also a server's own certificate.
fn verifier(file: Option<&Path>, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
    let usual = WebPkiServerVerifier::builder_with_provider(Arc::new(roots(file)?), Arc::clone(provider));
    let usual = usual.build().map_err(|error| Error::General(error.to_string()))?;
    Ok(match file {
        None => usual,
        Some(file) => Arc::new(Pinned { usual, trusted: certificates(file)? }),
    })
}

/// The authorities in a file, or the system's, of which bad ones are skipped.
pub(super) fn roots(file: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let Some(file) = file else {
        let system = rustls_native_certs::load_native_certs();
        let (_, unusable) = roots.add_parsable_certificates(system.certs);
        if unusable > 0 || !system.errors.is_empty() {
            tracing::debug!(unusable, errors = system.errors.len(), "some of the system's certificates were skipped");
        }
        if roots.is_empty() {
            // Plain HTTP still works without: that is for the caller's target to show, not for the start to fail on.
            tracing::warn!("the system has no certificates: no TLS server can be trusted (package ca-certificates)");
        }
        return Ok(roots);
    };
    for certificate in certificates(file)? {
        roots.add(certificate).map_err(|error| TlsError::File { file: file.to_owned(), what: error.to_string() })?;
    }
    Ok(roots)
}

pub(super) fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let wrong = |what: String| TlsError::File { file: file.to_owned(), what };
    let read = CertificateDer::pem_file_iter(file).map_err(|error| wrong(error.to_string()))?;
    let read: Vec<_> = read.collect::<Result<_, _>>().map_err(|error| wrong(error.to_string()))?;
    if read.is_empty() { Err(wrong("no certificate in it".into())) } else { Ok(read) }
}

/// Checks the chain but not the name, or nothing; signatures always.
#[derive(Debug)]
struct Lenient {
    provider: Arc<CryptoProvider>,
    chain: Option<Arc<dyn ServerCertVerifier>>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(chain) = &self.chain else { return Ok(ServerCertVerified::assertion()) };
        match chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // The name is checked last: the chain is good.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
