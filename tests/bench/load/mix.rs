//! Posts over several connections for a time.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::bodies::Requests;
use super::client::Client;
use super::latencies;

/// Posts over `connections` connections at the same time, each with one request at a time. Any answer but a 2xx ends
/// the benchmark: its figure would be worth nothing.
pub(crate) fn run(address: &str, connections: usize, requests: &dyn Requests, time: Duration) -> Value {
    let ready = Barrier::new(connections + 1);
    let (times, began) = thread::scope(|scope| {
        let connection = || one(address, requests, &ready, time);
        let threads: Vec<_> = (0..connections).map(|_| scope.spawn(connection)).collect();
        ready.wait();
        let began = Instant::now();
        let times: Vec<Duration> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        (times, began)
    });
    let taken = times.len() * requests.size();
    let mut result = latencies(times);
    result["per_second"] = json!(taken as f64 / began.elapsed().as_secs_f64());
    result
}

fn one(address: &str, requests: &dyn Requests, ready: &Barrier, time: Duration) -> Vec<Duration> {
    let mut client = Client::connect(address);
    let mut ask = |request: &str| {
        let begun = Instant::now();
        let (status, _) = client.ask(request.as_bytes());
        assert!((200..300).contains(&status), "{}", client.text());
        begun.elapsed()
    };
    let again: Vec<String> = (0..requests.again()).map(|_| request(address, requests)).collect();
    for request in &again {
        ask(request);
    }
    let mut again = again.iter().cycle();
    ready.wait();
    let end = Instant::now() + time;
    let mut times = Vec::new();
    while Instant::now() < end {
        times.push(match again.next() {
            Some(known) => ask(known),
            None => ask(&request(address, requests)),
        });
    }
    times
}

fn request(address: &str, requests: &dyn Requests) -> String {
    let (path, body) = requests.next();
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}
