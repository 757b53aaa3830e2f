//! What tests share: waiting for conditions, free ports, child processes, stubs of what cannot be had.

use std::time::{Duration, Instant};

pub(crate) mod alerts;
pub(crate) mod certificates;
pub(crate) mod compat;
pub(crate) mod deliveries;
pub(crate) mod docker;
pub(crate) mod docker_stub;
pub(crate) mod fakes;
pub(crate) mod http_stub;
pub(crate) mod monitoring;
pub(crate) mod name_server;
pub(crate) mod outbox_stub;
pub(crate) mod pair;
pub(crate) mod peers;
pub(crate) mod postgres;
pub(crate) mod probing;
pub(crate) mod process;
pub(crate) mod program;
pub(crate) mod promql;
pub(crate) mod proxy;
pub(crate) mod python;
pub(crate) mod redis;
pub(crate) mod site;
pub(crate) mod slack_stub;
pub(crate) mod small_disk;
pub(crate) mod smtp;

/// Waits until `condition` gives a value, at most `limit`; says `what` was awaited when it never does.
pub(crate) async fn eventually<T>(what: &str, limit: Duration, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(start.elapsed() < limit, "{what}: not within {limit:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A port of the loopback interface that nobody listens on at the moment.
pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
