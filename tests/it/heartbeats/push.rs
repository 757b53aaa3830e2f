//! `POST` of heartbeats.

use std::fmt::Write;

use axum::http::StatusCode;
use serde_json::json;
use tidewatch::agents::Settings;

use super::{Node, accepted, parsed};

async fn node() -> (tempfile::TempDir, Node) {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(folder.path(), Settings { max_agents: 20_000, ..Settings::default() }).await;
    (folder, node)
}

#[tokio::test]
async fn a_heartbeat_is_taken_by_every_path_and_with_every_body() {
    let (_folder, node) = node().await;
    let (status, body) = node.post("/api/v1/agents/steward/heartbeat", "").await;
    assert_eq!((status, parsed(&body)), (StatusCode::ACCEPTED, json!({"agent_id": "steward", "accepted": 1})));
    // The body that Heretek's entrypoint posts.
    let heretek = r#"{"status":"alive","timestamp":"2020-01-01T00:00:00Z","agent":"alpha","role":"triad","model":"m"}"#;
    assert_eq!(node.post("/v1/agents/alpha/heartbeat", heretek).await.0, StatusCode::ACCEPTED);
    assert_eq!(node.post("/api/v1/agents/team%2Fbeta/heartbeat", "{}").await.0, StatusCode::ACCEPTED);
    let views = node.views();
    assert_eq!(views.keys().collect::<Vec<_>>(), ["alpha", "steward", "team/beta"]);
    assert_eq!((views["alpha"].role.as_deref(), views["alpha"].age_seconds), (Some("triad"), Some(0.0)));
}

#[tokio::test]
async fn what_is_wrong_is_said_and_counted() {
    let (_folder, node) = node().await;
    for (path, body, status, needle) in [
        ("/api/v1/agents/a%20b/heartbeat", "", 400, "' '"),
        ("/api/v1/agents/%FF/heartbeat", "", 400, "UTF-8"),
        ("/api/v1/agents/a/heartbeat", "{\"health_score\":80}", 400, "health_score"),
        ("/api/v1/agents/a/heartbeat", "[1]", 400, "JSON object"),
        ("/api/v1/agents/a/heartbeat", "not json", 400, "JSON object"),
        ("/api/v1/heartbeats", "{}", 400, "array of up to 10000"),
        ("/api/v1/heartbeats", "", 400, "array of up to 10000"),
    ] {
        let (found, text) = node.post(path, body).await;
        assert_eq!(found, status, "{path} {body}: {text}");
        assert!(text.contains(needle), "{path} {body}: {text}");
    }
    let long = format!("/api/v1/agents/{}/heartbeat", "x".repeat(129));
    assert_eq!(node.post(&long, "").await.0, StatusCode::BAD_REQUEST);
    let echoed = format!(r#"{{"role":{{"{}":1}}}}"#, "x".repeat(60_000));
    let (status, text) = node.post("/api/v1/agents/a/heartbeat", echoed).await;
    assert!(status == StatusCode::BAD_REQUEST && text.len() < 1_000, "{text}");
    assert_eq!(node.post("/api/v1/agents/a/heartbeat", "x".repeat(65 << 10)).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!((node.refused("bad_id"), node.refused("bad_body"), node.views().len()), (3, 6, 0));
}

#[tokio::test]
async fn a_batch_takes_what_is_right_and_names_what_is_not() {
    let (_folder, node) = node().await;
    let batch = json!([
        {"agent_id": "alpha", "messages_processed": 5},
        {"agent_id": "no good"},
        {"status": "alive"},
        {"agent_id": "beta", "cost_usd": -1},
        7,
        {"agent_id": "x".repeat(100_000)},
        {"agent_id": "caf\u{e9}"},
        {"agent_id": "charlie"},
    ]);
    let (status, text) = node.post("/api/v1/heartbeats", batch.to_string()).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    let answer = parsed(&text);
    assert_eq!(answer["accepted"], 2);
    let refused = answer["refused"].as_array().unwrap();
    let indices: Vec<u64> = refused.iter().map(|refused| refused["index"].as_u64().unwrap()).collect();
    assert_eq!(indices, [1, 2, 3, 4, 5, 6]);
    assert_eq!((&refused[0]["agent_id"], &refused[1]["agent_id"]), (&json!("no good"), &json!(null)));
    assert!(refused[2]["reason"].as_str().unwrap().contains("cost_usd"), "{text}");
    assert_eq!(refused[4]["agent_id"].as_str().unwrap().len(), 128);
    let views = node.views();
    assert_eq!(views.keys().collect::<Vec<_>>(), ["alpha", "charlie"]);
    assert_eq!(views["alpha"].messages, Some(5));

    let (status, text) = node.post("/api/v1/heartbeats", "[{}]").await;
    assert_eq!((status, &parsed(&text)["accepted"]), (StatusCode::BAD_REQUEST, &json!(0)));
    let (status, text) = node.post("/api/v1/heartbeats", "[]").await;
    assert_eq!((status, parsed(&text)), (StatusCode::ACCEPTED, accepted(0)));
}

fn batch_of(count: usize) -> String {
    let mut body = String::from("[");
    for n in 0..count {
        let comma = if n > 0 { "," } else { "" };
        write!(body, r#"{comma}{{"agent_id":"agent-{n}","status":"alive","messages_processed":{n},"tasks":{{"completed":1,"failed":0}}}}"#).unwrap();
    }
    body + "]"
}

#[tokio::test]
async fn a_batch_holds_ten_thousand_and_no_more() {
    let (_folder, node) = node().await;
    let (status, text) = node.post("/api/v1/heartbeats", batch_of(10_000)).await;
    assert_eq!((status, parsed(&text)), (StatusCode::ACCEPTED, accepted(10_000)));
    assert_eq!(node.snapshot().online(), 10_000);
    assert_eq!(node.post("/api/v1/heartbeats", batch_of(10_001)).await.0, StatusCode::BAD_REQUEST);
    // Many empty elements in few bytes are counted before they take memory.
    let zeros = format!("[{}0]", "0,".repeat(4 << 20 >> 1));
    assert_eq!(node.post("/api/v1/heartbeats", zeros).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(node.post("/api/v1/heartbeats", "x".repeat(9 << 20)).await.0, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn one_agent_too_many_is_told_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(folder.path(), Settings { max_agents: 2, ..Settings::default() }).await;
    for agent in ["a", "b"] {
        node.beat(agent, "").await;
    }
    let (status, text) = node.post("/api/v1/agents/c/heartbeat", "").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(text.contains("max_agents") && text.contains("agents forget"), "{text}");
    node.beat("a", "").await;
    assert_eq!(node.refused("full"), 1);
}

#[tokio::test]
async fn after_the_last_write_nothing_is_promised() {
    let (_folder, node) = node().await;
    node.beat("early", "").await;
    assert_eq!(node.site.tasks.drain(std::time::Duration::from_secs(20)).await, 0);
    let (status, text) = node.post("/api/v1/agents/late/heartbeat", "").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(text.contains("stopping"), "{text}");
    assert_eq!((node.refused("journal"), node.views().len()), (1, 2), "it counts all the same");
    assert_eq!(node.post("/api/agents/late/forget", "").await.0, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn the_documented_batch_is_answered_as_documented() {
    let docs = include_str!("../../../docs/agents.md");
    let (_, rest) = docs.split_once("/api/v1/heartbeats -d '").unwrap();
    let (request, rest) = rest.split_once('\'').unwrap();
    let answer = rest.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
    let (_folder, node) = node().await;
    let (status, text) = node.post("/api/v1/heartbeats", request).await;
    assert_eq!((status, parsed(&text)), (StatusCode::ACCEPTED, parsed(answer)));
}
