//! What an exposition of 100 000 series costs, beside the `prometheus` crate in the same run, and what gzip adds.
//!
//! `cargo bench --profile dist --bench exposition`; with `go` on `PATH` the compressed size stands beside Go's.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark prints, may fail loudly, and runs Go to compare with"
)]

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use prometheus::{GaugeVec, Opts, Registry, TextEncoder};
use tidewatch::metrics::expose::{self, Format, Gzip};
use tidewatch::metrics::{Batch, Desc, Kind};

const FAMILIES: usize = 100;
const ROWS: usize = 1000;
const ROUNDS: usize = 15;
const LABELS: &[&str] = &["agent_id", "instance", "outcome"];

/// One row of label values, the same for both sides.
struct Row {
    agent: String,
    instance: String,
    outcome: &'static str,
}

fn rows() -> Vec<Row> {
    (0..ROWS)
        .map(|row| Row {
            agent: format!("agent-{row:05}"),
            instance: format!("10.0.{}.{}:9100", row / 250, row % 250),
            outcome: if row % 2 == 0 { "completed" } else { "failed" },
        })
        .collect()
}

/// Whole numbers and fractions, half and half, another one for each series.
fn value(family: usize, row: usize) -> f64 {
    let number = (family * ROWS + row) as f64;
    if row.is_multiple_of(2) { number * 37.0 } else { number / 7.0 }
}

fn name(family: usize) -> String {
    format!("bench_family_{family:03}_seconds")
}

/// The middle one of several durations.
fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn timed<T>(times: &mut Vec<Duration>, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = work();
    times.push(start.elapsed());
    result
}

/// How many bytes `plain` has after Go's default gzip; `None` without Go.
fn go_gzip(plain: &[u8]) -> Option<usize> {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bench/gzip.go");
    let mut go = Command::new("go").args(["run", program]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
    go.stdin.take()?.write_all(plain).ok()?;
    String::from_utf8(go.wait_with_output().ok()?.stdout).ok()?.trim().parse().ok()
}

fn main() {
    let rows = rows();
    let descs: Vec<Desc> = (0..FAMILIES)
        .map(|at| Desc::named(Kind::Gauge, name(at), "A family of the benchmark.".into(), LABELS))
        .collect();
    let registry = Registry::new();
    let vectors: Vec<GaugeVec> = (0..FAMILIES)
        .map(|at| GaugeVec::new(Opts::new(name(at), "A family of the benchmark."), LABELS).unwrap())
        .collect();
    for vector in &vectors {
        registry.register(Box::new(vector.clone())).unwrap();
    }

    let (mut ours, mut open_ours, mut theirs, mut packing) = (vec![], vec![], vec![], vec![]);
    let (mut text, mut open, mut packed, mut other) = (vec![], vec![], vec![], String::new());
    let mut gzip = Gzip::default();
    let render = |format, out: &mut Vec<u8>| {
        out.clear();
        let mut batch = Batch::new();
        for (at, desc) in descs.iter().enumerate() {
            for (number, row) in rows.iter().enumerate() {
                batch.push(desc, &[&row.agent, &row.instance, row.outcome], value(at, number));
            }
        }
        assert!(expose::write(&[&batch], format, out).is_empty());
    };
    for _ in 0..ROUNDS {
        timed(&mut ours, || render(Format::Text, &mut text));
        timed(&mut open_ours, || render(Format::OpenMetrics, &mut open));
        timed(&mut theirs, || {
            other.clear();
            for (at, vector) in vectors.iter().enumerate() {
                for (number, row) in rows.iter().enumerate() {
                    let labels = [row.agent.as_str(), row.instance.as_str(), row.outcome];
                    vector.with_label_values(&labels).set(value(at, number));
                }
            }
            TextEncoder::new().encode_utf8(&registry.gather(), &mut other).unwrap();
        });
        packed.clear();
        timed(&mut packing, || gzip.pack(&text, &mut packed));
    }
    let samples = |text: &str| text.lines().filter(|line| !line.starts_with('#')).count();
    assert_eq!(samples(std::str::from_utf8(&text).unwrap()), FAMILIES * ROWS);
    assert_eq!(samples(&other), FAMILIES * ROWS);

    let (ours, open_ours, theirs, packing) = (median(ours), median(open_ours), median(theirs), median(packing));
    let ratio = |a: Duration, b: Duration| a.as_secs_f64() / b.as_secs_f64();
    println!("{} series, {} bytes, medians of {ROUNDS} rounds", FAMILIES * ROWS, text.len());
    println!("text / prometheus crate         {:.3}  ({ours:.1?} / {theirs:.1?})", ratio(ours, theirs));
    println!("OpenMetrics / prometheus crate  {:.3}  ({open_ours:.1?})", ratio(open_ours, theirs));
    println!("gzip / rendering                {:.2}  ({packing:.1?})", ratio(packing, ours));
    match go_gzip(&text) {
        Some(go) => println!(
            "bytes / Go's gzip               {:.3}  ({} / {go})",
            packed.len() as f64 / go as f64,
            packed.len()
        ),
        None => println!("bytes / Go's gzip               -      ({}; no `go` on PATH)", packed.len()),
    }
}
