//! What may succeed later is answered 503, never 4xx: Alertmanager repeats it then.

use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::{counts, receiver, sent};
use crate::support::eventually;
use crate::support::program::{Program, SOON, alert, ask, post};
use crate::support::site::Reply;

const REFUSED: &str = "tidewatch_ingest_requests_total{code=\"503\",source=\"default\"}";

fn one(name: &str) -> String {
    post(&[alert(&[("alertname", name)], "2026-11-21T02:00:00Z", None)])
}

/// A post whose body is announced with `length` bytes, of which `part` comes.
async fn begun(program: &Program, length: usize, part: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", program.port)).await.unwrap();
    let head = format!("POST /webhook/alerts HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    // It may be refused before all of it is taken.
    drop(stream.write_all(part).await);
    stream
}

#[tokio::test]
async fn r8_a_locked_store_answers_503_in_time_and_keeps_what_comes_again() {
    let (program, folder) = receiver("").await;
    let file = folder.path().join("data/tidewatch.db");
    let lock = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap();
    lock.busy_timeout(SOON).unwrap();
    lock.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let posts: Vec<_> = (0..20)
        .map(|number| {
            let port = program.port;
            tokio::spawn(async move {
                // A body that cannot be read is to be kept too, before it is refused.
                let body = if number == 0 { "{}".to_owned() } else { one(&format!("Waits{number}")) };
                tokio::time::sleep(Duration::from_millis(150 * number)).await;
                let began = Instant::now();
                (ask(port, "POST", "/webhook/alerts", &body).await.unwrap().status, began.elapsed())
            })
        })
        .collect();
    for (number, post) in posts.into_iter().enumerate() {
        let (status, took) = post.await.unwrap();
        assert_eq!(status, 503, "post {number}");
        assert!(took < Duration::from_secs(5), "post {number} took {took:?}");
    }
    let watchdog = program.ask("POST", "/webhook/watchdog", &one("Watchdog")).await;
    assert_eq!(watchdog.status, 503);
    lock.execute_batch("ROLLBACK").unwrap();
    let body = one("Waits1");
    eventually("the store writes again", SOON, async || (sent(&program, &body).await.status == 200).then_some(()))
        .await;
    assert_eq!(counts(&program, &body).await["repeated"], 1);
}

#[tokio::test]
async fn a_body_that_breaks_off_or_stops_is_answered_503() {
    let (program, _folder) = receiver("").await;
    // Nothing more comes, though the connection stands.
    let mut stopped = begun(&program, 1_000, b"{\"alerts\":[").await;
    let reply = tokio::time::timeout(SOON, Reply::read(&mut stopped, false)).await.unwrap().expect("an answer");
    assert_eq!(reply.status, 503, "{}", reply.text());
    assert_eq!(program.sample(REFUSED).await, Some(1.0));
    // The sender is gone: nobody hears the answer, the counter has it.
    drop(begun(&program, 1_000, b"{\"alerts\":[").await);
    eventually("the broken post is counted", SOON, async || (program.sample(REFUSED).await == Some(2.0)).then_some(()))
        .await;
    assert_eq!(program.json("/api/ledger").await["alerts"]["received"], 0);
    assert_eq!(counts(&program, &one("After")).await["opened"], 1);
}

#[tokio::test]
async fn a_body_that_is_too_long_is_kept_as_far_as_it_may_be() {
    let (program, _folder) = receiver("").await;
    // Of a storm its beginning is worth more than nothing; a 413 would lose all of it.
    let mut body = one("Storm").split_once("}]").unwrap().0.to_owned() + "},";
    body.push_str(&" ".repeat(70 << 20));
    body.push_str(r#"{"status":"firing","labels":{"alertname":"Beyond"}}]}"#);
    let counts = counts(&program, &body).await;
    assert_eq!(counts, serde_json::json!({ "received": 2, "opened": 1, "truncated": 1 }));
    let causes = program.json("/api/incidents").await;
    assert_eq!((causes.as_array().unwrap().len(), &causes[0]["cause"]), (1, &"Storm".into()));
}
