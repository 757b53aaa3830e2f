//! Slowloris: heads, bodies, answers and handshakes that never end.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::{SOON, rest, unharmed};
use crate::support::certificates::Certificates;
use crate::support::eventually;
use crate::support::program::{Program, alert, ask, post};
use crate::support::site::{Reply, Setup, Site};

/// R15 to the letter: 1 000 connections that drip, heads and bodies; a real post is committed and answered within a
/// second, 99 times of 100.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r15_slowloris_of_a_thousand_connections_delays_no_post() {
    tidewatch::http::server::raise_open_files();
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start(&folder.path().join("data"), &[]).await;
    let port = program.port;
    let begin = async move |n: usize| {
        let head = "POST /webhook/alerts HTTP/1.1\r\nHost: localhost\r\n";
        let begin =
            if n.is_multiple_of(2) { head.to_owned() } else { format!("{head}Content-Length: 90000\r\n\r\n{{") };
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.write_all(begin.as_bytes()).await.unwrap();
        stream
    };
    let mut slow = Vec::new();
    for n in 0..1_000 {
        slow.push(begin(n).await);
    }
    let dripping = tokio::spawn(async move {
        loop {
            for (n, stream) in slow.iter_mut().enumerate() {
                // Whose time is over comes again.
                if stream.write_all(b"a").await.is_err() {
                    *stream = begin(n).await;
                }
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
    let mut times = Vec::new();
    for n in 0..100 {
        let body = post(&[alert(&[("alertname", &format!("A{n}"))], "2026-11-21T02:00:00Z", None)]);
        let begin = Instant::now();
        let reply = ask(program.port, "POST", "/webhook/alerts", &body).await.expect("an answer");
        times.push(begin.elapsed());
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    dripping.abort();
    times.sort();
    assert!(times[98] < Duration::from_secs(1), "p50 {:?}, p99 {:?}", times[49], times[98]);
    program.stop().await;
}

/// Who takes a little of an answer now and then keeps it in our memory no longer than its length deserves.
#[tokio::test]
async fn r15_slowloris_on_an_answer_is_cut_off_though_it_moves() {
    let mut setup = Setup::default();
    (setup.limits.patience.write, setup.limits.patience.rate) = (Duration::from_secs(2), 1 << 30);
    let site = Site::start(setup).await;
    *site.scraper.text.lock().unwrap() = "x".repeat(64 << 20);
    let mut slow = site.connect().await;
    slow.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let begin = Instant::now();
    let mut some = vec![0; 64 << 10];
    while slow.read(&mut some).await.is_ok_and(|read| read > 0) {
        assert!(begin.elapsed() < SOON, "still fed");
        // Well within the time for one byte.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(site.sample("tidewatch_http_timeouts_total{phase=\"write\"}") > 0.0);
    unharmed(&site).await;
}

fn tls(folder: &std::path::Path) -> (Certificates, tidewatch::net::serve::Options) {
    let certificates = Certificates::make(folder);
    let options = tidewatch::net::serve::Options {
        cert_file: certificates.certificate.clone(),
        key_file: certificates.key.clone(),
        client_ca_file: None,
        client_auth: tidewatch::net::serve::ClientAuth::default(),
        min_version: tidewatch::net::serve::Oldest::default(),
    };
    (certificates, options)
}

/// The beginning of a handshake, as a client of TLS 1.2 or 1.3 sends it; its record says that more comes.
const HELLO: &[u8] = &[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r15_slowloris_on_handshakes_is_cut_off_and_delays_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let (certificates, options) = tls(folder.path());
    let mut setup = Setup { tls: Some(options), ..Setup::default() };
    setup.limits.patience.handshake = Duration::from_secs(3);
    let site = Site::start(setup).await;
    let begin = Instant::now();
    let mut stopped = Vec::new();
    for n in 0..300 {
        let mut stream = site.connect().await;
        // Silent, in the middle, or dripping.
        if n % 3 > 0 {
            stream.write_all(HELLO).await.unwrap();
        }
        stopped.push(stream);
    }
    let mut client = secure(&site, &certificates).await;
    client.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    assert_eq!(Reply::read(&mut client, false).await.expect("an answer").status, 200);
    for stream in stopped.iter_mut().skip(1).step_by(3) {
        drop(stream.write_all(&[0]).await);
    }
    for stream in &mut stopped {
        assert_eq!(rest(stream).await, "");
    }
    assert!(begin.elapsed() >= Duration::from_secs(3));
    assert!(site.sample("tidewatch_http_timeouts_total{phase=\"handshake\"}") >= 200.0);
    // After the handshake the usual limits hold, and the connection that keeps them goes on.
    client.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    assert_eq!(Reply::read(&mut client, false).await.expect("an answer").status, 200);
}

/// Within TLS a head that drips is as late as without.
#[tokio::test]
async fn r15_slowloris_within_tls_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let (certificates, options) = tls(folder.path());
    let mut setup = Setup { tls: Some(options), ..Setup::default() };
    setup.limits.patience.head = Duration::from_millis(300);
    let site = Site::start(setup).await;
    let mut client = secure(&site, &certificates).await;
    client.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    let begin = Instant::now();
    while client.write_all(b"X: y\r\n").await.is_ok() {
        assert!(begin.elapsed() < SOON, "still open");
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    eventually("it is counted", SOON, async || {
        (site.sample("tidewatch_http_timeouts_total{phase=\"head\"}") > 0.0).then_some(())
    })
    .await;
}

async fn secure(site: &Site, certificates: &Certificates) -> tokio_rustls::client::TlsStream<TcpStream> {
    let options = tidewatch::net::tls::Options {
        ca_file: Some(certificates.authority.clone()),
        ..tidewatch::net::tls::Options::default()
    };
    let config = Arc::new(tidewatch::net::tls::configure(&options).unwrap());
    let shaken = tidewatch::net::handshake::client(config, "localhost", site.connect().await);
    timeout(SOON, shaken).await.expect("in time").expect("a handshake")
}
