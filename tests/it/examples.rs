//! Every command that a document shows is typed as it stands, in a shell, beside a running program.

use std::path::Path;
use std::process::Command;

use crate::support::program::{Program, run};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Lines that a test cannot type, each with its reason.
const NOT_TYPED: &[(&str, &str)] = &[
    ("cargo run --release     #", "the program is built, and runs"),
    ("tests/run", "this is it"),
    ("docker build", "no base image can be pulled; tests/it/compose.rs builds the last stage"),
    ("docker compose", "tests/it/compose.rs starts the stack"),
    ("tidewatch --config tidewatch.toml", "it serves until it is stopped: it is what runs here"),
];

/// The shell's blocks of a document.
fn blocks(text: &str) -> Vec<&str> {
    text.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap()).collect()
}

/// Types a block; whatever a document speaks of is there: a configuration with a channel `ops`, and some agents.
async fn typed(block: &str) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("tidewatch.toml");
    let messages = folder.path().join("messages");
    std::fs::write(&config, format!("[notify.file.ops]\npath = '{}'\n", messages.display())).unwrap();
    std::fs::write(folder.path().join("blackbox.yml"), "modules:\n  http_2xx:\n    prober: http\n").unwrap();
    std::fs::write(folder.path().join(".curlrc"), "fail\nsilent\nshow-error\n").unwrap();
    let program = Program::start(&folder.path().join("tidewatch-data"), &["--config", config.to_str().unwrap()]).await;
    for agent in ["heretek-steward", "old-tester"] {
        let reply = program.ask("POST", &format!("/api/v1/agents/{agent}/heartbeat"), "").await;
        assert_eq!(reply.status, 202, "{}", reply.text());
    }
    let lines = block.lines().filter(|line| !NOT_TYPED.iter().any(|(start, _)| line.starts_with(start)));
    let script = lines.collect::<Vec<_>>().join("\n").replace(":9480", &format!(":{}", program.port));
    let script = script.replace("cargo run --release --", "tidewatch");
    // Its code tells how this machine is, 0 to 2.
    let script = script.replace("tidewatch health", "{ tidewatch health || test $? -le 2; }");
    // A variable of the shell alone, not of the commands' environment.
    let script = format!("TIDEWATCH_TOKEN=unused\n{script}");
    let binaries = Path::new(env!("CARGO_BIN_EXE_tidewatch")).parent().unwrap();
    let path = format!("{}:{}", binaries.display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("bash");
    shell.args(["-euo", "pipefail", "-c", &script]).current_dir(folder.path());
    shell.env_clear().env("PATH", path).env("CURL_HOME", folder.path());
    let done = tokio::task::block_in_place(|| run(&mut shell));
    program.stop().await;
    if done.code == Some(0) { Ok(()) } else { Err(format!("{script}\n{}{}", done.out, done.err)) }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_documents_works_as_it_stands() {
    let mut documents = vec![Path::new(ROOT).join("README.md")];
    documents.extend(std::fs::read_dir(Path::new(ROOT).join("docs")).unwrap().map(|entry| entry.unwrap().path()));
    documents.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    let (mut count, mut failed) = (0, Vec::new());
    for path in documents {
        let text = std::fs::read_to_string(&path).unwrap();
        for block in blocks(&text) {
            count += 1;
            if let Err(why) = typed(block).await {
                failed.push(format!("{}:\n{why}", path.display()));
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
    assert!(count >= 8, "only {count} blocks were found");
}
