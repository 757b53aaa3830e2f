//! Whom we trust: the system's certificates and, where asked, one more file. The provider of the cryptography is named
//! here and nowhere else.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// A configuration for connecting: TLS 1.2 and 1.3, certificates checked against the system's and those of `ca_file`.
///
/// # Errors
/// There is no usable certificate at all, or `ca_file` holds none. Single bad ones in the system's store are skipped.
pub fn client(ca_file: Option<&Path>) -> anyhow::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    let (_, unusable) = roots.add_parsable_certificates(system.certs);
    if unusable > 0 || !system.errors.is_empty() {
        tracing::debug!(unusable, errors = system.errors.len(), "some of the system's certificates were skipped");
    }
    if let Some(file) = ca_file {
        let certificates = CertificateDer::pem_file_iter(file)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .with_context(|| format!("{}: no certificates in PEM form", file.display()))?;
        if certificates.is_empty() {
            bail!("{}: no certificates in PEM form", file.display());
        }
        for certificate in certificates {
            roots.add(certificate).with_context(|| format!("{}: no usable certificate", file.display()))?;
        }
    }
    if roots.is_empty() {
        // Plain HTTP still works without: that is for the caller's target to show, not for the start to fail on.
        tracing::warn!("the system has no certificates: no HTTPS server can be trusted (package ca-certificates)");
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("TLS cannot be set up")?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
