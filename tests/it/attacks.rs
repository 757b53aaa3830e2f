//! The HTTP surface as an attacker would try it, by class. What the listener does with slow clients in general is in
//! `server.rs`, who may ask what in `access.rs`.

mod browsers;
mod floods;
mod heads;
mod paths;
mod slow;
mod smuggling;

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::site::Site;

/// Long enough for a machine that has much else to do.
const SOON: Duration = Duration::from_secs(20);

/// Everything that is answered to these bytes on one connection, after which no more are sent.
async fn answered(site: &Site, bytes: &[u8]) -> String {
    let mut stream = site.connect().await;
    // The server may have closed before it has everything.
    drop(stream.write_all(bytes).await);
    drop(stream.shutdown().await);
    rest(&mut stream).await
}

/// Reads until the other side closes.
async fn rest(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    // A connection may end by a reset, which is an end too.
    drop(timeout(SOON, stream.read_to_end(&mut all)).await.expect("the connection stays open"));
    String::from_utf8_lossy(&all).into_owned()
}

/// The statuses of the answers in a text.
fn statuses(text: &str) -> Vec<u16> {
    text.split("HTTP/1.").skip(1).filter_map(|answer| answer.get(2..5)?.parse().ok()).collect()
}

/// It is as it was before: it answers, and nothing has panicked.
async fn unharmed(site: &Site) {
    assert_eq!(site.get("/-/healthy").await.status, 200);
    assert!(!site.text().contains("tidewatch_http_panics_total{"), "a handler panicked");
    assert!(!site.text().contains("tidewatch_task_panics_total{"), "a task panicked");
}
