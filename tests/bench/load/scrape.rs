//! Scrapes of several servers in turn.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::client::Client;
use super::latencies;

/// What Prometheus 2 and 3 send.
const HEAD: &str = "User-Agent: Prometheus/2.42.0\r\n\
    Accept: application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
    text/plain;version=0.0.4;q=0.5,*/*;q=0.1\r\nX-Prometheus-Scrape-Timeout-Seconds: 10\r\n\r\n";

/// Scrapes each target once a round, so that all see the same state of the machine. With `gzip`, as Prometheus does,
/// each may compress.
pub(crate) fn run(rounds: usize, gzip: bool, targets: &[&str]) -> Value {
    let encoding = if gzip { "gzip" } else { "identity" };
    let mut connections: Vec<_> = targets
        .iter()
        .map(|target| {
            let (address, path) = target.split_once('/').unwrap_or((target, "metrics"));
            let request = format!("GET /{path} HTTP/1.1\r\nHost: {address}\r\nAccept-Encoding: {encoding}\r\n{HEAD}");
            (Client::connect(address), request, Vec::<Duration>::new(), 0)
        })
        .collect();
    for _ in 0..rounds {
        for (client, request, times, bytes) in &mut connections {
            let begun = Instant::now();
            let (status, length) = client.ask(request.as_bytes());
            times.push(begun.elapsed());
            assert_eq!(status, 200, "{}", client.text());
            *bytes = length;
        }
    }
    let results = connections.into_iter().map(|(_, _, times, bytes)| {
        let mut result = latencies(times);
        result["bytes"] = json!(bytes);
        result
    });
    results.collect()
}
