//! The client's side of a TLS handshake over a stream that is open already, and what it leaves for the login above it.

use std::io;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use sha2::{Digest, Sha256, Sha384, Sha512};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use x509_parser::prelude::{FromDer, X509Certificate};

pub use tokio_rustls::client::TlsStream;

/// Speaks TLS on `stream` with the server that `name` calls, a host's name or its address.
///
/// # Errors
/// The name is none that TLS knows, or the handshake failed.
pub async fn client<S>(config: Arc<ClientConfig>, name: &str, stream: S) -> io::Result<TlsStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let unknown = |_| io::Error::new(io::ErrorKind::InvalidInput, "the host is no name that TLS knows");
    let name = ServerName::try_from(name.to_owned()).map_err(unknown)?;
    TlsConnector::from(config).connect(name, stream).await
}

/// What binds a login to this connection: `tls-server-end-point` of RFC 5929, the hash of the other side's certificate
/// by the algorithm of its signature; `None` where that names no single one.
pub fn server_end_point<S>(stream: &TlsStream<S>) -> Option<Vec<u8>> {
    let (_, session) = stream.get_ref();
    let certificate = session.peer_certificates()?.first()?;
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    match parsed.signature_algorithm.algorithm.to_id_string().as_str() {
        // RSA and ECDSA with SHA-256; MD5 and SHA-1 count as it.
        "1.2.840.113549.1.1.11" | "1.2.840.10045.4.3.2" | "1.2.840.113549.1.1.4" | "1.2.840.113549.1.1.5" => {
            Some(Sha256::digest(certificate).to_vec())
        }
        "1.2.840.113549.1.1.12" | "1.2.840.10045.4.3.3" => Some(Sha384::digest(certificate).to_vec()),
        "1.2.840.113549.1.1.13" | "1.2.840.10045.4.3.4" => Some(Sha512::digest(certificate).to_vec()),
        _ => None,
    }
}
