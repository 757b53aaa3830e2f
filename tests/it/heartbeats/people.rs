//! What a person says about agents: the table, expect, forget, rename.

use axum::http::StatusCode;
use clap::Parser;
use serde_json::{Value, json};
use tidewatch::agents::Settings;
use tidewatch::cli;
use tidewatch::cli::client::Client;

use super::{Node, parsed};

async fn agents(node: &Node) -> Vec<Value> {
    let (status, text) = node.call("GET", "/api/agents", "").await;
    assert_eq!(status, StatusCode::OK);
    parsed(&text)["agents"].as_array().unwrap().clone()
}

#[tokio::test]
async fn the_table_shows_every_agent() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(folder.path(), Settings::default());
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
    let node = Node::start(folder.path(), Settings::default());
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

    let node = Node::start(folder.path(), Settings::default());
    let names: Vec<Value> = agents(&node).await.iter().map(|row| row["agent_id"].clone()).collect();
    assert_eq!(names, ["coder", "new/name"]);
    assert_eq!(agents(&node).await, before);
}

#[tokio::test]
async fn what_makes_no_sense_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(folder.path(), Settings { max_agents: 2, ..Settings::default() });
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

#[derive(clap::Parser)]
struct Agents {
    #[command(flatten)]
    args: cli::agents::Args,
}

/// Runs `tidewatch agents …` and gives what it prints.
async fn run(server: &Client, words: &str) -> anyhow::Result<String> {
    let args = Agents::try_parse_from(format!("agents {words}").split(' '))?.args;
    let mut out = Vec::new();
    cli::agents::run(args, server, &mut out).await?;
    Ok(String::from_utf8(out).unwrap())
}

#[tokio::test]
async fn the_command_works_through_the_control_socket() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(folder.path(), Settings::default());
    let server = node.control(folder.path()).await;
    assert!(run(&server, "list").await.unwrap().contains("No agent is known yet"));
    node.beat("heretek%2Fsteward", r#"{"role":"governance","messages_processed":4}"#).await;
    let said = run(&server, "expect coder --interval 30m --role coding").await.unwrap();
    assert_eq!(said, "coder is expected: late after 45 min, offline after 90 min\n");
    let said = run(&server, "expect coder --stop-for 2h").await.unwrap();
    assert_eq!(said, "coder is expected: a planned stop until 2027-01-15T10:00:00Z\n");
    assert_eq!(run(&server, "rename heretek/steward steward").await.unwrap(), "heretek/steward is steward now\n");
    let table = "\
AGENT    STATE    AGE    TIMEOUT  SOURCE  ROLE
coder    planned  never  -        -       coding
steward  online   0 s    120 s    push    governance

1 of 2 online
";
    assert_eq!(run(&server, "list").await.unwrap(), table);
    assert_eq!(parsed(&run(&server, "list --json").await.unwrap())["agents"][1]["messages"], 4);
    assert!(run(&server, "forget coder").await.unwrap().starts_with("coder is forgotten"));
    let refused = run(&server, "forget coder").await.unwrap_err();
    assert!(refused.to_string().contains("no agent `coder` is known"), "{refused}");
    assert!(run(&server, "forget a*b").await.unwrap_err().to_string().contains("character '*'"));
    assert_eq!(node.views().len(), 1);
    node.stop().await;
    let nobody = run(&server, "list").await.unwrap_err();
    assert!(nobody.to_string().contains("tidewatch serve"), "{nobody}");
}
