//! Discord: one message an incident, edited in place.

use std::sync::Mutex;
use std::time::Duration;

use http::Method;
use serde_json::Value;
use tidewatch::alert::{Kind, Severity};
use tidewatch::notify::Retry;

use super::{channel, next};
use crate::support::deliveries::{deps, opened};
use crate::support::http_stub::{HttpStub, Reply};

fn section(url: &str) -> String {
    format!("[discord.ops]\nwebhook_url = '{url}/api/webhooks/1/canary-token?x=1'\n")
}

/// Gives each message an id, and has lost one of them.
async fn discord(lost: &'static str) -> HttpStub {
    let posted = Mutex::new(1_000);
    HttpStub::start(move |asked| match asked.method {
        Method::PATCH if asked.path.ends_with(lost) => Reply::status(404, r#"{"message": "Unknown Message"}"#),
        Method::PATCH => Reply::status(200, "{}"),
        _ => {
            *posted.lock().unwrap() += 1;
            Reply::status(200, format!(r#"{{"id": "{}"}}"#, posted.lock().unwrap()))
        }
    })
    .await
}

#[tokio::test]
async fn an_incident_is_one_message_until_people_must_be_told_again() {
    let stub = discord("none").await;
    let channel = channel(&section(&stub.url("")), &deps("02:49"));
    let mut first = opened();
    first.incident.as_mut().unwrap().severity = Severity::Warning;
    let mut anchor = channel.notifier.send(&first).await.unwrap();
    for (sequence, kind) in [(2, Kind::Changed), (3, Kind::Risen), (4, Kind::Resolved)] {
        anchor = channel.notifier.send(&next(kind, sequence, anchor)).await.unwrap();
    }
    let asked: Vec<String> = stub.asked().iter().map(|asked| format!("{} {}", asked.method, asked.path)).collect();
    let post = "POST /api/webhooks/1/canary-token?wait=true";
    let edit = |id: u32| format!("PATCH /api/webhooks/1/canary-token/messages/{id}");
    // The first change tells of a rise already: it is critical by then. After that, the new message is the one.
    assert_eq!(asked, [post, &edit(1001), post, &edit(1002), post, &edit(1003)]);
    let last: Value = serde_json::from_slice(&stub.asked()[5].body).unwrap();
    assert!(last["content"].as_str().unwrap().starts_with("RESOLVED AgentOffline steward"), "{last}");
}

#[tokio::test]
async fn a_message_that_somebody_deleted_is_posted_anew() {
    let stub = discord("1001").await;
    let channel = channel(&section(&stub.url("")), &deps("02:49"));
    let anchor = channel.notifier.send(&opened()).await.unwrap();
    let anchor = channel.notifier.send(&next(Kind::Changed, 2, anchor)).await.unwrap();
    assert!(anchor.unwrap().contains("1002"));
}

#[tokio::test]
async fn the_pause_that_the_body_asks_for_counts() {
    let body = r#"{"message": "You are being rate limited.", "retry_after": 2.5, "global": false}"#;
    let stub = HttpStub::start(move |_| Reply::status(429, body)).await;
    let error = channel(&section(&stub.url("")), &deps("02:49")).notifier.send(&opened()).await.unwrap_err();
    assert_eq!(error.retry, Retry::After(Duration::from_millis(2_500)));
}
