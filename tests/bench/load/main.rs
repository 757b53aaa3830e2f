//! The clients of the benchmarks: they do as little as a client can, so that the server is what is measured.
//! `tests/bench/run` starts them; each prints one line of JSON.
//!
//! ```text
//! load scrape|scrape-plain ROUNDS HOST:PORT/PATH…
//! load post alertmanager|tidewatch HOST:PORT CONNECTIONS ALERTS new|repeat SECONDS
//! load beat HOST:PORT CONNECTIONS HEARTBEATS SECONDS
//! load disk FOLDER WRITES
//! ```
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a benchmark prints and fails loudly"
)]

use std::time::Duration;

use serde_json::{Value, json};

mod bodies;
mod client;
mod disk;
mod mix;
mod scrape;

/// The value at a place of sorted durations, in microseconds; `share` is between 0 and 1.
fn quantile(sorted: &[Duration], share: f64) -> f64 {
    let place = (sorted.len() as f64 * share) as usize;
    sorted.get(place.min(sorted.len().saturating_sub(1))).map_or(0.0, |time| time.as_secs_f64() * 1e6)
}

/// How long requests took.
fn latencies(mut times: Vec<Duration>) -> Value {
    times.sort_unstable();
    json!({ "requests": times.len(), "p50_us": quantile(&times, 0.5), "p99_us": quantile(&times, 0.99) })
}

fn main() {
    // `cargo bench` adds its own flag.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let number = |word: &str| word.parse().unwrap_or_else(|_| panic!("`{word}` is no number"));
    let result = match words.as_slice() {
        ["scrape", rounds, targets @ ..] => scrape::run(number(rounds), true, targets),
        ["scrape-plain", rounds, targets @ ..] => scrape::run(number(rounds), false, targets),
        ["post", to, address, connections, alerts, kind, seconds] => {
            let mix = bodies::Alerts::new(to.parse().unwrap(), number(alerts), *kind == "repeat");
            mix::run(address, number(connections), &mix, Duration::from_secs(number(seconds) as u64))
        }
        ["beat", address, connections, heartbeats, seconds] => {
            let mix = bodies::Heartbeats::new(number(heartbeats));
            mix::run(address, number(connections), &mix, Duration::from_secs(number(seconds) as u64))
        }
        ["disk", folder, writes] => disk::run(folder.as_ref(), number(writes)),
        // `cargo bench` without a name comes here.
        _ => json!("nothing to do: tests/bench/run starts this program with its arguments"),
    };
    println!("{result}");
}
