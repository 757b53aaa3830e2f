//! What a person says about agents: the table, expect, forget, rename.

use axum::http::StatusCode;
use serde_json::{Value, json};
use tidewatch::agents::Settings;

use super::{Node, parsed};

async fn agents(node: &Node) -> Vec<Value> {
    let (status, text) = node.call("GET", "/api/agents", "").await;
    assert_eq!(status, StatusCode::OK);
    parsed(&text)["agents"].as_array().unwrap().clone()
}

#[tokio::test]
async fn the_table_shows_every_agent() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(folder.path(), Settings::default()).await;
    node.beat("steward", r#"{"role":"lead","interval_seconds":30}"#).await;
    let rows = agents(&node).await;
    let row = &rows[0];
    assert_eq!((&row["agent_id"], &row["condition"]), (&json!("steward"), &json!("online")));
    assert_eq!(
        (&row["role"], &row["source"], &row["timeout_seconds"]),
        (&json!("lead"), &json!("push"), &json!(120.0))
    );
}

#[tokio::test]
async fn an_agent_is_expected_stopped_renamed_and_forgotten_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(folder.path(), Settings::default()).await;
    let (status, text) = node.post("/api/agents/coder/expect", r#"{"interval":"30m","role":"coder"}"#).await;
    assert_eq!((status, &parsed(&text)["condition"]), (StatusCode::OK, &json!("never_seen")), "{text}");
    let (status, text) = node.post("/api/agents/coder/expect", r#"{"stop_for":"2h"}"#).await;
    let view = parsed(&text);
    assert_eq!(
        (status, &view["condition"], &view["interval_seconds"]),
        (StatusCode::OK, &json!("planned"), &json!(1_800.0))
    );
    node.beat("old%2Fname", r#"{"messages_processed":3}"#).await;
    let (status, text) = node.post("/api/agents/old%2Fname/rename", r#"{"to":"new/name"}"#).await;
    assert_eq!((status, &parsed(&text)["messages"]), (StatusCode::OK, &json!(3)), "{text}");
    node.beat("gone", "").await;
    assert_eq!(node.post("/api/agents/gone/forget", "").await, (StatusCode::OK, r#"{"forgotten":"gone"}"#.into()));
    let before = agents(&node).await;
    node.stop().await;

    let node = Node::start(folder.path(), Settings::default()).await;
    let names: Vec<Value> = agents(&node).await.iter().map(|row| row["agent_id"].clone()).collect();
    assert_eq!(names, ["coder", "new/name"]);
    assert_eq!(agents(&node).await, before);
}

#[tokio::test]
async fn what_makes_no_sense_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(folder.path(), Settings { max_agents: 2, ..Settings::default() }).await;
    node.beat("a", "").await;
    node.beat("b", "").await;
    for (path, body, status) in [
        ("/api/agents/none/forget", "", 404),
        ("/api/agents/none/rename", r#"{"to":"x"}"#, 404),
        ("/api/agents/a/rename", r#"{"to":"b"}"#, 409),
        ("/api/agents/a/rename", "", 400),
        ("/api/agents/a/rename", r#"{"to":"a b"}"#, 400),
        ("/api/agents/c/expect", "", 409),
        ("/api/agents/a/expect", r#"{"interval":"0s"}"#, 400),
        ("/api/agents/a/expect", r#"{"intervall":"30s"}"#, 400),
        ("/api/agents/a/expect", r#"{"role":"a\nb"}"#, 400),
        ("/api/agents/a%20b/expect", "", 400),
    ] {
        let (found, text) = node.post(path, body).await;
        assert_eq!(found, status, "{path} {body}: {text}");
    }
    assert_eq!(node.views().len(), 2);
    assert!(node.views().values().all(|view| !view.expected));
}
