//! Tokens for one thing each, on the real program.

use std::process::Command;

use serde_json::Value;

use crate::support::eventually;
use crate::support::monitoring::ask;
use crate::support::program::{Program, SOON, run, tidewatch};

/// The token that a command printed.
fn create(program: &Program, words: &[&str]) -> String {
    let done = program.command(&[&["token", "create"], words].concat());
    assert_eq!(done.code, Some(0), "{done:?}");
    done.out.trim().to_owned()
}

fn status(program: &Program, method: &str, path: &str, token: &str, body: &str) -> u16 {
    ask(program.port, method, path, Some(token), body).unwrap().0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_token_opens_what_it_was_given_out_for() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start(&folder.path().join("data"), &[]).await;
    assert_eq!(program.ask("GET", "/api/incidents", "").await.status, 200, "open before the first token");
    let tokens: Vec<(&str, String)> = ["alerts", "heartbeat", "read", "write", "metrics"]
        .into_iter()
        .map(|scope| (scope, create(&program, &[scope, "--scope", scope])))
        .collect();
    eventually("the tokens count", SOON, async || {
        (program.ask("GET", "/api/incidents", "").await.status == 401).then_some(())
    })
    .await;
    let doors = [
        ("alerts", "POST", "/webhook/alerts", r#"{"alerts": []}"#),
        ("heartbeat", "POST", "/api/v1/agents/steward/heartbeat", ""),
        ("read", "GET", "/api/incidents", ""),
        ("write", "POST", "/-/reload", ""),
    ];
    for (scope, token) in &tokens {
        for (needed, method, path, body) in doors {
            let found = status(&program, method, path, token, body);
            let allowed = (200..300).contains(&found);
            assert_eq!(allowed, *scope == needed, "{scope} at {method} {path}: {found}");
            assert!(allowed || found == 403, "{scope} at {method} {path}: {found}");
        }
        assert_eq!(status(&program, "POST", "/api/backup", token, r#"{"file": "/x"}"#), 403);
        assert_eq!(status(&program, "GET", "/metrics", token, ""), 200, "open as before");
    }
    // What was taken back is wrong within a second, and who has another goes on.
    let done = program.command(&["token", "revoke", "read"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let read = &tokens[2].1;
    eventually("the token is refused", SOON, async || {
        (status(&program, "GET", "/api/incidents", read, "") == 401).then_some(())
    })
    .await;
    assert_eq!(status(&program, "POST", "/-/reload", &tokens[3].1, ""), 200);
    let log = program.running.output();
    assert!(tokens.iter().all(|(_, token)| !log.contains(token.as_str())), "a token is in the log");
    program.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_of_one_agent_speaks_for_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let made =
        run(tidewatch(&["token", "create", "steward", "--scope", "heartbeat", "--agent", "steward", "--data-dir"])
            .arg(&data));
    assert_eq!(made.code, Some(0), "{made:?}");
    let token = made.out.trim();
    let program = Program::start(&data, &[]).await;
    assert_eq!(status(&program, "POST", "/api/v1/agents/steward/heartbeat", token, ""), 202);
    assert_eq!(status(&program, "POST", "/api/v1/agents/alpha/heartbeat", token, ""), 403);
    let batch = r#"[{"agent_id": "steward"}, {"agent_id": "alpha"}]"#;
    let (code, answer) = ask(program.port, "POST", "/api/v1/heartbeats", Some(token), batch).unwrap();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((code, &answer["accepted"], &answer["refused"][0]["agent_id"]), (202, &1.into(), &"alpha".into()));
    assert!(program.sample("openclaw_agent_status{agent_id=\"alpha\"}").await.is_none());
    program.stop().await;
}

#[test]
fn the_command_says_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let token = |words: &[&str]| {
        let mut command: Command = tidewatch(&["token"]);
        run(command.args(words).arg("--data-dir").arg(folder.path()))
    };
    assert!(token(&["list"]).out.contains("there are no tokens"));
    assert_eq!(token(&["create", "a", "--scope", "read"]).code, Some(0));
    for (words, code, what) in [
        (&["create", "a", "--scope", "read"][..], 1, "already"),
        (&["create", "b/c", "--scope", "read"], 1, "no name"),
        (&["create", "b", "--scope", "all"], 2, "possible values: metrics, alerts, heartbeat, read, write"),
        (&["create", "b"], 2, "--scope"),
        (&["create", "b", "--scope", "read", "--agent", "x"], 2, "heartbeat"),
        (&["revoke", "b"], 1, "no token `b`"),
    ] {
        let done = token(words);
        assert!(done.code == Some(code) && done.err.contains(what), "{words:?}: {done:?}");
    }
    let listed = token(&["list"]).out;
    assert!(listed.starts_with("a ") && listed.contains("read"), "{listed}");
    let rows: Value = serde_json::from_str(&token(&["list", "--json"]).out).unwrap();
    assert_eq!(rows[0]["name"], "a");
    assert!(rows[0].get("hash").is_none());
}
