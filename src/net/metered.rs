//! A stream of which only so much may be read: the protocol lets a server announce half a gigabyte.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream whose reading ends in an error once the allowance is used up.
pub struct Metered<S> {
    stream: S,
    left: Arc<AtomicU64>,
}

impl<S> Metered<S> {
    /// `left` is the bytes that may be read; whoever holds it may give more. It is 0 where more was sent.
    pub fn new(stream: S, left: Arc<AtomicU64>) -> Self {
        Self { stream, left }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        let read = (buffer.filled().len() - before) as u64;
        let take = |left: u64| Some(left.saturating_sub(read));
        match self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take) {
            Ok(left) if left >= read => Poll::Ready(Ok(())),
            _ => Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "the server sends too much"))),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn reading_ends_at_the_allowance() {
        let left = Arc::new(AtomicU64::new(10));
        let mut stream = Metered::new(&b"0123456789abcdef"[..], Arc::clone(&left));
        let mut read = [0; 8];
        stream.read_exact(&mut read).await.unwrap();
        assert_eq!(left.load(Ordering::Relaxed), 2);
        let error = stream.read_exact(&mut read).await.unwrap_err();
        assert_eq!((error.kind(), left.load(Ordering::Relaxed)), (io::ErrorKind::InvalidData, 0));
    }
}
