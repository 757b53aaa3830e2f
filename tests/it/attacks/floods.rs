//! Much at once: requests on one connection, connections of one address.

use tidewatch::config::Secret;
use tidewatch::http::access::Access;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout};

use super::{SOON, rest, unharmed};
use crate::support::eventually;
use crate::support::site::{Reply, Setup, Site};

/// One after the other, each is answered, and the connection takes no more memory for it.
#[tokio::test]
async fn ten_thousand_requests_in_one_breath_are_answered_in_their_order() {
    let site = Site::start(Setup::default()).await;
    let (mut reading, mut writing) = site.connect().await.into_split();
    let one = "GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\nPOST /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let sending = tokio::spawn(async move {
        for _ in 0..100 {
            writing.write_all(one.repeat(50).as_bytes()).await.unwrap();
        }
        writing
    });
    for n in 0..5_000 {
        for status in [200, 404] {
            let reply = timeout(SOON, Reply::read(&mut reading, false)).await.expect("in time").expect("an answer");
            assert_eq!(reply.status, status, "the {n}th");
        }
    }
    drop(sending.await.unwrap());
    unharmed(&site).await;
}

/// Who never reads an answer while asking on is asked no more of: what waits for it has a bound.
#[tokio::test]
async fn who_asks_on_without_reading_is_cut_off() {
    let mut setup = Setup::default();
    setup.limits.patience.write = std::time::Duration::from_millis(200);
    let site = Site::start(setup).await;
    *site.scraper.text.lock().unwrap() = "x".repeat(64 << 10);
    let (_reading, mut writing) = site.connect().await.into_split();
    let begin = Instant::now();
    while writing.write_all("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(100).as_bytes()).await.is_ok() {
        assert!(begin.elapsed() < SOON, "still taken");
    }
    assert!(site.sample("tidewatch_http_timeouts_total{phase=\"write\"}") > 0.0);
    unharmed(&site).await;
}

#[tokio::test]
async fn one_address_has_not_every_place() {
    let mut setup = Setup::default();
    setup.limits.per_address = 3;
    let site = Site::start(setup).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(site.connect().await);
    }
    eventually("they are in", SOON, async || (site.sample("tidewatch_http_connections") >= 3.0).then_some(())).await;
    let mut fourth = site.connect().await;
    assert_eq!(rest(&mut fourth).await, "", "closed at once");
    assert!((site.sample("tidewatch_http_connections_refused_total") - 1.0).abs() < f64::EPSILON);
    // Another address is heard all the same, and the first again once it has let go.
    let other = tokio::net::TcpSocket::new_v4().unwrap();
    other.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut other = other.connect(site.address).await.unwrap();
    other.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    assert_eq!(Reply::read(&mut other, false).await.expect("an answer").status, 200);
    held.pop();
    eventually("one has gone", SOON, async || (site.sample("tidewatch_http_connections") <= 3.0).then_some(())).await;
    unharmed(&site).await;
}

/// Many who are refused cost little: who is let in waits for none of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_refused_requests_keeps_nobody_waiting() {
    let token = Some(Secret::new("correct horse"));
    let site = Site::start(Setup { access: Access { token, ..Access::default() }, ..Setup::default() }).await;
    let flood: Vec<_> = (0..200)
        .map(|n| {
            let address = site.address;
            tokio::spawn(async move {
                let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
                let credential = if n % 2 == 0 { "" } else { "Authorization: Bearer wrong\r\n" };
                let one = format!("GET /api/incidents HTTP/1.1\r\nHost: localhost\r\n{credential}\r\n");
                stream.write_all(one.repeat(50).as_bytes()).await.unwrap();
                let mut some = [0; 4_096];
                while stream.read(&mut some).await.is_ok_and(|read| read > 0) {}
            })
        })
        .collect();
    let missing = "tidewatch_auth_failures_total{reason=\"missing\"}";
    eventually("it has begun", SOON, async || (site.sample(missing) > 100.0).then_some(())).await;
    let begin = Instant::now();
    for _ in 0..20 {
        let reply = site.ask("GET", "/api/incidents", &["Authorization: Bearer correct horse"], "").await;
        assert_eq!(reply.status, 200);
    }
    // Some milliseconds on a quiet machine; a queue behind the refusals would be minutes.
    assert!(begin.elapsed() < SOON, "{:?}", begin.elapsed());
    for each in flood {
        each.abort();
    }
    unharmed(&site).await;
}
