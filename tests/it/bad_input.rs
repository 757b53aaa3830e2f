//! What is wrong around the program: each is one clear message and a fitting exit code, and nothing is lost.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use rusqlite::Connection;

use crate::support::eventually;
use crate::support::process::program;
use crate::support::program::{Done, Program, SOON, alert, post, run, tidewatch};
use crate::support::small_disk::SmallDisk;

/// A start that must fail, with one message.
fn refused(command: &mut Command) -> String {
    let Done { code, out, err } = run(command);
    assert_eq!((code, out.as_str()), (Some(1), ""), "{err}");
    let errors: Vec<&str> = err.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "{err}");
    errors[0].to_owned()
}

fn serve(data: &Path) -> Command {
    let mut command = tidewatch(&["serve", "--listen", "127.0.0.1:0", "--data-dir"]);
    command.arg(data);
    command
}

fn one(name: &str) -> String {
    post(&[alert(&[("alertname", name)], "2026-11-21T02:00:00Z", None)])
}

#[test]
fn a_busy_port() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut command = tidewatch(&["serve", "--listen", &address, "--data-dir"]);
    let error = refused(command.arg(folder.path().join("data")));
    assert!(error.contains(&format!("cannot listen on {address}")) && error.contains("in use"), "{error}");
    assert!(error.contains("--listen"), "what to do: {error}");
}

#[tokio::test]
async fn a_data_folder_in_which_another_works() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let first = Program::start(&data, &[]).await;
    let error = refused(&mut serve(&data));
    assert!(error.contains("another tidewatch works in this folder"), "{error}");
    assert!(error.contains(data.to_str().unwrap()), "{error}");
    assert_eq!(first.ask("POST", "/webhook/alerts", &one("Still")).await.status, 200, "the first is not disturbed");
    first.stop().await;
}

#[test]
fn a_data_folder_that_is_none_or_cannot_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "precious").unwrap();
    let error = refused(&mut serve(&file));
    assert!(error.contains(file.to_str().unwrap()), "{error}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");

    // As somebody who may not write there: root may write everywhere.
    let bare = folder.path().join("bare");
    std::fs::create_dir(&bare).unwrap();
    for (path, mode) in [(folder.path(), 0o755), (&bare, 0o555)] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let mut command = if rustix::process::geteuid().is_root() {
        // The build's folder may be closed to others; a copy is not.
        let copy = folder.path().join("tidewatch");
        std::fs::copy(env!("CARGO_BIN_EXE_tidewatch"), &copy).unwrap();
        let mut command = Command::new(program("setpriv"));
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(copy);
        command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(&bare).env_clear();
        command
    } else {
        serve(&bare)
    };
    let error = refused(&mut command);
    assert!(error.contains(bare.to_str().unwrap()) && error.contains("Permission denied"), "{error}");
}

#[tokio::test]
async fn a_database_of_a_newer_version() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    Program::start(&data, &[]).await.stop().await;
    let file = data.join("tidewatch.db");
    let db = Connection::open(&file).unwrap();
    db.execute_batch("PRAGMA journal_mode = DELETE; PRAGMA user_version = 4711").unwrap();
    drop(db);
    let before = std::fs::read(&file).unwrap();
    let error = refused(&mut serve(&data));
    assert!(error.contains("4711") && error.contains("newer version"), "{error}");
    assert!(error.contains(file.to_str().unwrap()), "{error}");
    assert_eq!(std::fs::read(&file).unwrap(), before, "not a byte was changed");
}

#[tokio::test]
async fn a_file_that_is_no_database() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tidewatch.db");
    std::fs::write(&file, "these are my notes, not a database").unwrap();
    let error = refused(&mut serve(folder.path()));
    assert!(error.contains("is not a database of tidewatch"), "{error}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "these are my notes, not a database");
}

#[tokio::test]
async fn r7_a_full_disk_without_the_guard() {
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk");
    let Some(_disk) = SmallDisk::mount(&disk, "4m") else { return };
    // Without the guard, which would refuse before the disk does.
    let config = folder.path().join("tidewatch.toml");
    std::fs::write(&config, "[storage]\nmin_free = '0'\n").unwrap();
    let words = ["--config", config.to_str().unwrap()];
    let server = Program::start(&disk.join("data"), &words).await;
    assert_eq!(server.ask("POST", "/webhook/alerts", &one("Before")).await.status, 200);

    let filler = disk.join("filler");
    let mut rest = std::fs::File::create(&filler).unwrap();
    std::io::copy(&mut std::io::repeat(0), &mut rest).unwrap_err();
    // What is in the files already may take a few more; then it is full.
    let mut taken = vec!["Before".to_owned()];
    let refusal = eventually("a post is refused", SOON, async || {
        let name = format!("Full{}", taken.len());
        let reply = server.ask("POST", "/webhook/alerts", &one(&name)).await;
        match reply.status {
            200 => taken.push(name),
            503 => return Some(reply.text().to_owned()),
            other => panic!("{other}: {}", reply.text()),
        }
        None
    })
    .await;
    assert!(refusal.contains("full"), "{refusal}");
    assert_eq!(server.ask("GET", "/-/healthy", "").await.status, 200, "it lives on");

    // Nothing that was answered 200 is lost, not by a restart either; and what was refused is taken when there is room.
    std::fs::remove_file(&filler).unwrap();
    drop(rest);
    let again = one(&format!("Full{}", taken.len()));
    eventually("it is taken", SOON, async || {
        (server.ask("POST", "/webhook/alerts", &again).await.status == 200).then_some(())
    })
    .await;
    taken.push(format!("Full{}", taken.len()));
    server.stop().await;
    let server = Program::start(&disk.join("data"), &words).await;
    let incidents = server.json("/api/incidents?limit=1000").await;
    let mut kept: Vec<&str> = incidents.as_array().unwrap().iter().map(|it| it["cause"].as_str().unwrap()).collect();
    kept.reverse();
    assert_eq!(kept, taken);
    server.stop().await;
}
