//! `tidewatch agents`, through the control socket of a server.

use std::time::Duration;

use clap::Parser;
use tidewatch::agents::Settings;
use tidewatch::cli;
use tidewatch::cli::client::Client;

use super::{Node, parsed};

const LIMIT: Duration = Duration::from_secs(20);

#[derive(clap::Parser)]
struct Agents {
    #[command(flatten)]
    args: cli::agents::Args,
}

/// Runs `tidewatch agents …` and gives what it prints.
async fn run(server: &Client, words: &str) -> anyhow::Result<String> {
    let args = Agents::try_parse_from(format!("agents {words}").split(' '))?.args;
    let mut out = Vec::new();
    cli::agents::run::<anyhow::Error>(args, server, &mut out).await?;
    Ok(String::from_utf8(out).unwrap())
}

#[tokio::test]
async fn the_command_works_through_the_control_socket() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(folder.path(), Settings::default()).await;
    node.site.control(folder.path()).await;
    let server = Client::of_folder(folder.path(), LIMIT);
    assert!(run(&server, "list").await.unwrap().contains("No agent is known yet"));
    node.beat("heretek%2Fsteward", r#"{"role":"governance","messages_processed":4}"#).await;
    let said = run(&server, "expect coder --interval 30m --role coding").await.unwrap();
    assert_eq!(said, "coder is expected: late after 45 min, offline after 90 min\n");
    let said = run(&server, "expect coder --stop-for 2h").await.unwrap();
    assert_eq!(said, "coder is expected: a planned stop until 2026-11-21T04:49:00Z\n");
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
