//! TLS under a connection to Postgres, which asks for it in its own protocol first.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};

use super::address::{Address, SslMode};
use crate::net::tls::{self, Check, Options};

/// What is checked in a mode; `None` where no TLS is spoken.
pub(super) fn options(address: &Address) -> Option<Options> {
    let check = match (address.sslmode.unwrap_or_default(), &address.ca_file) {
        (SslMode::Disable, _) => return None,
        // As libpq: an authority that is named is checked against.
        (SslMode::Prefer | SslMode::Require, None) => Check::Nothing,
        (SslMode::Prefer | SslMode::Require | SslMode::VerifyCa, _) => Check::Chain,
        (SslMode::VerifyFull, _) => Check::Full,
    };
    let identity = address.cert_file.clone().zip(address.key_file.clone());
    Some(Options { ca_file: address.ca_file.clone(), identity, check, ..Options::default() })
}

/// Shakes hands with one host.
pub(super) struct Connector {
    pub(super) config: Arc<ClientConfig>,
    pub(super) host: String,
}

impl<S> TlsConnect<S> for Connector
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = Encrypted<S>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Encrypted<S>>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        Box::pin(async move { tls::connect(self.config, &self.host, stream).await.map(Encrypted) })
    }
}

/// The stream that results.
pub(super) struct Encrypted<S>(tls::Stream<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for Encrypted<S> {
    fn channel_binding(&self) -> ChannelBinding {
        tls::server_end_point(&self.0).map_or_else(ChannelBinding::none, ChannelBinding::tls_server_end_point)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Encrypted<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Encrypted<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mode_checks_what_libpq_checks() {
        let check = |text: &str| options(&Address::parse(text).unwrap()).map(|options| options.check);
        assert_eq!(check("host=a sslmode=disable"), None);
        assert_eq!(check("host=a"), Some(Check::Nothing));
        assert_eq!(check("host=a sslmode=require"), Some(Check::Nothing));
        assert_eq!(check("host=a sslmode=require sslrootcert=/ca"), Some(Check::Chain));
        assert_eq!(check("host=a sslmode=verify-ca"), Some(Check::Chain));
        assert_eq!(check("host=a sslmode=verify-full sslrootcert=/ca"), Some(Check::Full));
    }
}
