//! A TCP proxy that cuts and stalls what goes through it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What happens to the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// They pass.
    Open,
    /// So many more of the server's on each connection pass, then nothing.
    Stall(usize),
}

/// A listener on loopback before a server on loopback.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    line: watch::Sender<Line>,
    /// Changes when all connections are to be closed.
    cut: watch::Sender<u32>,
    accepted: Arc<AtomicUsize>,
}

impl Proxy {
    /// Listens on a free port of `host`.
    pub(crate) async fn before(host: &str, port: u16) -> Self {
        let listener = TcpListener::bind((host, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (line, cut) = (watch::Sender::new(Line::Open), watch::Sender::new(0));
        let accepted = Arc::new(AtomicUsize::new(0));
        let (watched, cutting, counted) = (line.subscribe(), cut.subscribe(), Arc::clone(&accepted));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let (watched, mut cutting) = (watched.clone(), cutting.clone());
                cutting.mark_unchanged();
                tokio::spawn(async move {
                    tokio::select! {
                        () = pass(client, port, watched) => {}
                        _ = cutting.changed() => {}
                    }
                });
            }
        });
        Self { address, line, cut, accepted }
    }

    pub(crate) fn set(&self, line: Line) {
        self.line.send_replace(line);
    }

    /// Closes what is open; new connections pass.
    pub(crate) fn cut(&self) {
        self.cut.send_modify(|cuts| *cuts += 1);
    }

    /// How many connections there ever were.
    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

async fn pass(client: TcpStream, port: u16, line: watch::Receiver<Line>) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let up = async { tokio::io::copy(&mut from_client, &mut to_server).await.map(drop) };
    let down = async {
        let mut buffer = [0; 4_096];
        let (mut known, mut passed) = (*line.borrow(), 0);
        loop {
            let count = from_server.read(&mut buffer).await?;
            if count == 0 {
                return Ok(());
            }
            if *line.borrow() != known {
                (known, passed) = (*line.borrow(), 0);
            }
            let allowed = match known {
                Line::Open => count,
                Line::Stall(most) => count.min(most - passed),
            };
            to_client.write_all(&buffer[..allowed]).await?;
            passed += allowed;
            if allowed < count {
                // Never more: whoever waits has to give up.
                std::future::pending::<()>().await;
            }
        }
    };
    let end: std::io::Result<()> = tokio::select! {
        end = up => end,
        end = down => end,
    };
    // Either side may have gone: that is what it is for.
    drop(end);
}
