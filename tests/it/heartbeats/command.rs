//! `tidewatch agents`, through the control socket of a server.

use std::path::Path;
use std::process::Command;

use tidewatch::agents::Settings;

use super::{Node, parsed};

/// Runs `tidewatch agents …` on a data folder: its exit code, what it prints, and what it says is wrong.
fn run(folder: &Path, words: &str) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidewatch"));
    let output = command.arg("agents").args(words.split(' ')).arg("--data-dir").arg(folder).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_works_through_the_control_socket() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(folder.path(), Settings::default()).await;
    node.site.control(folder.path()).await;
    let good = |words: &str| {
        let (code, said, wrong) = run(folder.path(), words);
        assert_eq!((code, wrong.as_str()), (Some(0), ""), "{words}");
        said
    };
    assert!(good("list").contains("No agent is known yet"));
    node.beat("heretek%2Fsteward", r#"{"role":"governance","messages_processed":4}"#).await;
    let said = good("expect coder --interval 30m --role coding");
    assert_eq!(said, "coder is expected: late after 45 min, offline after 90 min\n");
    let said = good("expect coder --stop-for 2h");
    assert_eq!(said, "coder is expected: a planned stop until 2026-11-21T04:49:00Z\n");
    assert_eq!(good("rename heretek/steward steward"), "heretek/steward is steward now\n");
    let table = "\
AGENT    STATE    AGE    TIMEOUT  SOURCE  ROLE
coder    planned  never  -        -       coding
steward  online   0 s    120 s    push    governance

1 of 2 online
";
    assert_eq!(good("list"), table);
    assert_eq!(parsed(&good("list --json"))["agents"][1]["messages"], 4);
    assert!(good("forget coder").starts_with("coder is forgotten"));
    assert_eq!(node.views().len(), 1);

    let (code, _, wrong) = run(folder.path(), "forget coder");
    assert!(code == Some(1) && wrong.contains("no agent `coder` is known"), "{code:?} {wrong}");
    let (code, _, wrong) = run(folder.path(), "forget a*b");
    assert!(code == Some(2) && wrong.contains("character '*'"), "{code:?} {wrong}");
    node.stop().await;
    let (code, _, wrong) = run(folder.path(), "list");
    assert!(code == Some(4) && wrong.contains("tidewatch serve"), "{code:?} {wrong}");
}
