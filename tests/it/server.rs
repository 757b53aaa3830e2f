//! The listener: who keeps it waiting is closed, and delays nobody else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tidewatch::http::server::{Limits, Listen, Peer, Server, raise_open_files};
use tidewatch::task::Tasks;
use tidewatch::telemetry::Telemetry;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::support::eventually;
use crate::support::site::{Reply, Setup, Site};

/// Long enough for a machine that has much else to do.
const SOON: Duration = Duration::from_secs(20);

/// A limit that a test wants to meet.
const SHORT: Duration = Duration::from_millis(150);

fn limits(change: impl FnOnce(&mut Limits)) -> Setup {
    let mut setup = Setup::default();
    change(&mut setup.limits);
    setup
}

/// Reads until the other side closes; what came until then.
async fn closed(stream: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    // A connection may end by a reset, which is an end too.
    drop(timeout(SOON, stream.read_to_end(&mut rest)).await.expect("the connection stays open"));
    rest
}

#[tokio::test]
async fn a_silent_client_is_closed() {
    let site = Site::start(limits(|limits| limits.patience.first_byte = SHORT)).await;
    let mut silent = site.connect().await;
    assert_eq!(closed(&mut silent).await, b"");
    assert!((site.sample("tidewatch_http_timeouts_total{phase=\"first_byte\"}") - 1.0).abs() < f64::EPSILON);
}

#[tokio::test]
async fn an_idle_scraper_is_kept() {
    let site = Site::start(limits(|limits| (limits.patience.first_byte, limits.patience.head) = (SHORT, SHORT))).await;
    let mut scraper = site.connect().await;
    for _ in 0..3 {
        scraper.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        assert_eq!(Reply::read(&mut scraper, false).await.expect("an answer").status, 200);
        // Longer than every other limit: only the one for idle connections may count here.
        tokio::time::sleep(SHORT * 3).await;
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_in_the_end() {
    let site = Site::start(limits(|limits| limits.patience.idle = SHORT)).await;
    let mut client = site.connect().await;
    client.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    assert_eq!(Reply::read(&mut client, false).await.expect("an answer").status, 200);
    assert_eq!(closed(&mut client).await, b"");
}

#[tokio::test]
async fn a_head_that_drips_is_cut_off() {
    let site = Site::start(limits(|limits| limits.patience.head = SHORT)).await;
    let mut slow = site.connect().await;
    let begin = Instant::now();
    slow.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    // Each line comes well within the limit; the head as a whole does not.
    while slow.write_all(b"X: y\r\n").await.is_ok() {
        assert!(begin.elapsed() < SOON, "still open");
        tokio::time::sleep(SHORT / 10).await;
    }
    assert!(site.sample("tidewatch_http_timeouts_total{phase=\"head\"}") > 0.0);
}

#[tokio::test]
async fn the_limit_for_heads_holds_for_later_requests_too() {
    let site = Site::start(limits(|limits| limits.patience.head = SHORT)).await;
    let mut client = site.connect().await;
    client.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    assert_eq!(Reply::read(&mut client, false).await.expect("an answer").status, 200);
    client.write_all(b"GET /").await.unwrap();
    assert_eq!(closed(&mut client).await, b"");
}

#[tokio::test]
async fn a_body_that_drips_is_answered_408() {
    let mut setup = Setup::default();
    setup.work.grace = SHORT;
    let site = Site::start(setup).await;
    let mut slow = site.connect().await;
    slow.write_all(b"POST /api/outbox/1/replay HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000\r\n\r\n{")
        .await
        .unwrap();
    let reply = timeout(SOON, Reply::read(&mut slow, false)).await.expect("in time").expect("an answer");
    assert_eq!((reply.status, reply.header("connection")), (408, Some("close")));
    assert!(closed(&mut slow).await.is_empty());
}

#[tokio::test]
async fn a_body_that_comes_fast_enough_may_take_its_time_but_not_for_ever() {
    let mut setup = Setup::default();
    (setup.work.grace, setup.work.rate, setup.work.body) = (SHORT, 1, SHORT * 4);
    let site = Site::start(setup).await;
    let mut slow = site.connect().await;
    slow.write_all(b"POST /api/outbox/1/replay HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000\r\n\r\n")
        .await
        .unwrap();
    let begin = Instant::now();
    while begin.elapsed() < SHORT * 3 {
        slow.write_all(b"          ").await.unwrap();
        tokio::time::sleep(SHORT / 5).await;
    }
    let reply = timeout(SOON, Reply::read(&mut slow, false)).await.expect("in time").expect("an answer");
    assert_eq!(reply.status, 408);
    assert!(begin.elapsed() >= SHORT * 4, "cut off while it was fast enough");
}

#[tokio::test]
async fn a_body_beyond_its_bound_is_answered_413() {
    let site = Site::start(Setup::default()).await;
    let reply = site.ask("POST", "/api/outbox/1/replay", &[], &"x".repeat(20_000)).await;
    assert_eq!(reply.status, 413);
    let mut chunked = site.connect().await;
    let head = "POST /api/outbox/1/replay HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    let body = format!("4e20\r\n{}\r\n", "x".repeat(20_000));
    chunked.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    assert_eq!(Reply::read(&mut chunked, false).await.expect("an answer").status, 413);
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_off() {
    let site = Site::start(limits(|limits| limits.patience.write = SHORT)).await;
    *site.scraper.text.lock().unwrap() = "x".repeat(64 << 20);
    let mut deaf = site.connect().await;
    deaf.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    eventually("the connection is given up", SOON, async || {
        (site.sample("tidewatch_http_connections") == 0.0
            && site.sample("tidewatch_http_timeouts_total{phase=\"write\"}") > 0.0)
            .then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_slow_clients_delay_nobody() {
    raise_open_files();
    let site = Site::start(Setup::default()).await;
    let heads = "POST /api/outbox/1/replay HTTP/1.1\r\nHost: localhost\r\n";
    let mut slow = Vec::new();
    for n in 0..1_000 {
        let mut stream = site.connect().await;
        // One half is stuck in the head, the other in the body.
        let begin = if n % 2 == 0 { heads.to_owned() } else { format!("{heads}Content-Length: 9000\r\n\r\n{{") };
        stream.write_all(begin.as_bytes()).await.unwrap();
        slow.push(stream);
    }
    eventually("all are connected", SOON, async || {
        (site.sample("tidewatch_http_connections") >= 1_000.0).then_some(())
    })
    .await;
    let mut times = Vec::new();
    for _ in 0..100 {
        for stream in &mut slow {
            // A drip, so that the server has to wake for each of them.
            stream.write_all(b"a").await.unwrap();
        }
        let begin = Instant::now();
        assert_eq!(site.ask("POST", "/api/outbox/1/replay", &[], "{}").await.status, 404);
        assert_eq!(site.get("/metrics").await.status, 200);
        times.push(begin.elapsed());
    }
    times.sort();
    // On a quiet machine it is milliseconds; the slow ones would hold everybody up for a minute.
    assert!(times[98] < Duration::from_secs(5), "two requests took {:?}", times[98]);
    assert!(site.sample("tidewatch_http_connections") >= 1_000.0, "the slow ones were there all the time");
}

#[tokio::test]
async fn too_many_at_work_are_answered_503_and_health_still_answers() {
    let mut setup = Setup::default();
    (setup.work.at_work, setup.work.turn) = (1, SHORT);
    let site = Site::start(setup).await;
    site.scraper.gate.forget_permits(1_000);
    let mut first = site.connect().await;
    first.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    eventually("the first is at work", SOON, async || site.scraper.asked.lock().unwrap().first().map(|_| ())).await;
    let second = site.get("/metrics").await;
    assert_eq!((second.status, second.header("retry-after")), (503, Some("1")));
    assert_eq!(site.get("/health").await.status, 200);
    // Who reads never keeps out who posts.
    assert_eq!(site.ask("POST", "/api/outbox/1/replay", &[], "").await.status, 404);
    // Nor does who waits for somebody else's server wait for who reads.
    assert_ne!(site.get("/probe?target=db").await.status, 503);
    assert_ne!(site.get("/scrape?target=db").await.status, 503);
    site.scraper.gate.add_permits(1_000);
    assert_eq!(Reply::read(&mut first, false).await.expect("an answer").status, 200);
    assert_eq!(site.get("/metrics").await.status, 200);
}

#[tokio::test]
async fn beyond_the_cap_a_connection_waits_for_a_free_place() {
    let site = Site::start(limits(|limits| limits.connections = 2)).await;
    let (first, second) = (site.connect().await, site.connect().await);
    eventually("both are in", SOON, async || (site.sample("tidewatch_http_connections") >= 2.0).then_some(())).await;
    let mut third = site.connect().await;
    third.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    assert!(timeout(SHORT, Reply::read(&mut third, false)).await.is_err(), "there is no place yet");
    drop(first);
    assert_eq!(timeout(SOON, Reply::read(&mut third, false)).await.unwrap().expect("an answer").status, 200);
    drop(second);
}

#[tokio::test]
async fn a_panic_is_answered_and_costs_nobody_else() {
    let site = Site::start(Setup::default()).await;
    site.scraper.panics.store(true, Ordering::Relaxed);
    let mut client = site.connect().await;
    for (target, status) in [("/metrics", 500), ("/-/healthy", 200)] {
        client.write_all(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).await.unwrap();
        assert_eq!(Reply::read(&mut client, false).await.expect("an answer").status, status, "{target}");
    }
    assert!(site.sample("tidewatch_http_panics_total{path=\"metrics\"}") > 0.0);
    assert!(site.sample("tidewatch_http_requests_total{code=\"500\",path=\"metrics\"}") > 0.0);
}

#[tokio::test]
async fn the_end_waits_for_requests_at_work_and_closes_the_rest() {
    let site = Site::start(Setup::default()).await;
    let (mut fresh, mut idle, mut busy) = (site.connect().await, site.connect().await, site.connect().await);
    idle.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    assert_eq!(Reply::read(&mut idle, false).await.expect("an answer").status, 200);
    site.scraper.gate.forget_permits(1_000);
    busy.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    eventually("it is at work", SOON, async || site.scraper.asked.lock().unwrap().first().map(|_| ())).await;

    let drain = tokio::spawn({
        let tasks = site.tasks.clone();
        async move { tasks.drain(SOON).await }
    });
    assert_eq!(closed(&mut fresh).await, b"");
    assert_eq!(closed(&mut idle).await, b"");
    eventually("nobody listens", SOON, async || TcpStream::connect(site.address).await.err()).await;
    assert!(!drain.is_finished(), "one is still at work");
    site.scraper.gate.add_permits(1_000);
    let reply = Reply::read(&mut busy, false).await.expect("an answer");
    assert_eq!((reply.status, reply.header("connection")), (200, Some("close")));
    assert_eq!(drain.await.unwrap(), 0, "all tasks have ended");
}

#[tokio::test]
async fn the_end_does_not_wait_for_ever() {
    let site = Site::start(limits(|limits| limits.drain = SHORT)).await;
    site.scraper.gate.forget_permits(1_000);
    let mut busy = site.connect().await;
    busy.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    eventually("it is at work", SOON, async || site.scraper.asked.lock().unwrap().first().map(|_| ())).await;
    assert_eq!(site.tasks.drain(SOON).await, 0);
    assert_eq!(closed(&mut busy).await, b"");
}

#[tokio::test]
async fn a_head_without_end_is_refused() {
    let site = Site::start(Setup::default()).await;
    let mut client = site.connect().await;
    let head = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n", "y".repeat(64 << 10));
    // The server may close before all of it is written.
    drop(client.write_all(head.as_bytes()).await);
    assert!(closed(&mut client).await.starts_with(b"HTTP/1.1 431 "));
}

/// A listener that has run out of file descriptors.
struct Exhausted(Arc<AtomicUsize>);

impl Listen for Exhausted {
    type Stream = tokio::io::DuplexStream;

    async fn accept(&self) -> std::io::Result<(Self::Stream, Peer)> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Err(std::io::Error::other("too many open files"))
    }
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_fails_is_tried_again_without_spinning() {
    let telemetry = Telemetry::new();
    let tasks = Tasks::new(&telemetry);
    let tried = Arc::new(AtomicUsize::new(0));
    let (server, listener) = (Server::new(Limits::default(), tasks.clone(), &telemetry), Exhausted(Arc::clone(&tried)));
    drop(tasks.spawn("listener", async move { server.run(listener, None, axum::Router::new()).await }));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let tried = tried.load(Ordering::Relaxed);
    assert!((15..30).contains(&tried), "{tried} tries in a second");
    assert_eq!(tasks.drain(SOON).await, 0);
}

#[tokio::test]
async fn a_client_that_leaves_stops_no_reload() {
    let site = Site::start(Setup::default()).await;
    site.control.gate.forget_permits(1_000);
    let mut client = site.connect().await;
    client.write_all(b"POST /-/reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    eventually("it has begun", SOON, async || (site.control.begun.load(Ordering::Relaxed) > 0).then_some(())).await;
    drop(client);
    eventually("it is gone", SOON, async || (site.sample("tidewatch_http_connections") == 0.0).then_some(())).await;
    site.control.gate.add_permits(1_000);
    eventually("it is done", SOON, async || (site.control.reloads.load(Ordering::Relaxed) > 0).then_some(())).await;
}
