//! Whom we trust: the system's certificates. The provider of the cryptography is named here and nowhere else.

use std::sync::Arc;

use anyhow::Context;
use rustls::{ClientConfig, RootCertStore};

/// A configuration for connecting: TLS 1.2 and 1.3, certificates checked against the system's, of which bad ones
/// are skipped.
///
/// # Errors
/// The provider has neither version.
pub fn client() -> anyhow::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    let (_, unusable) = roots.add_parsable_certificates(system.certs);
    if unusable > 0 || !system.errors.is_empty() {
        tracing::debug!(unusable, errors = system.errors.len(), "some of the system's certificates were skipped");
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
