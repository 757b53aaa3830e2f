//! The client's side of a TLS handshake over a stream that is open already.

use std::io;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

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
