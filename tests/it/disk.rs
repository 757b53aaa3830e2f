//! A disk that fills up: what was taken in is finished, people are told, nothing more is taken, and it recovers by itself.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use crate::support::eventually;
use crate::support::http_stub::{HttpStub, Reply};
use crate::support::program::{Program, SOON, alert, post};
use crate::support::small_disk::SmallDisk;

fn one(name: &str) -> String {
    post(&[alert(&[("alertname", name)], "2026-11-21T02:00:00Z", None)])
}

async fn status(server: &Program, name: &str) -> u16 {
    server.ask("POST", "/webhook/alerts", &one(name)).await.status
}

/// How often a channel was told something with these words.
fn told(stub: &HttpStub, words: &str) -> usize {
    stub.asked().iter().filter(|asked| String::from_utf8_lossy(&asked.body).contains(words)).count()
}

fn lines(file: &Path, words: &str) -> usize {
    std::fs::read_to_string(file).unwrap_or_default().lines().filter(|line| line.contains(words)).count()
}

#[tokio::test]
async fn r7_disk_full_is_told_from_the_reserve_and_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let mount = folder.path().join("disk");
    let Some(disk) = SmallDisk::mount(&mount, "128m") else { return };
    let (stub, file) = (HttpStub::start(|_| Reply::status(200, "")).await, folder.path().join("messages"));
    let config = folder.path().join("tidewatch.toml");
    let channels =
        format!("[notify.webhook.bot]\nurl = '{}'\n[notify.file.log]\npath = '{}'\n", stub.url("/"), file.display());
    std::fs::write(&config, channels).unwrap();
    let server = Program::start(&mount.join("data"), &["--config", config.to_str().unwrap()]).await;
    let reserve = mount.join("data/reserve");
    let bytes = || std::fs::metadata(&reserve).map_or(0, |file| file.len());
    assert_eq!(bytes(), (128 << 20) / 40, "a fortieth of a small volume");
    assert_eq!(status(&server, "Before").await, 200);

    let filler = disk.fill();
    eventually("posts are refused", SOON, async || (status(&server, "Full").await == 503).then_some(())).await;
    for (channel, count) in [
        ("bot", &(|| told(&stub, "intake refused since")) as &dyn Fn() -> usize),
        ("log", &|| lines(&file, "intake refused since")),
    ] {
        eventually(&format!("{channel} is told"), SOON, async || (count() > 0).then_some(())).await;
    }
    assert_eq!(bytes(), 0, "it was given up");
    let ready = server.ask("GET", "/-/ready", "").await;
    assert_eq!(ready.status, 503);
    assert!(ready.text().contains("room on the disk"), "{}", ready.text());
    assert_eq!(server.ask("GET", "/-/healthy", "").await.status, 200);
    let health = server.json("/api/health").await;
    assert!(health.to_string().contains("free under"), "{health}");
    let refused = server.ask("POST", "/webhook/alerts", &one("Full")).await;
    assert!(refused.status == 503 && refused.text().contains("intake is refused"), "{}", refused.text());

    std::fs::remove_file(filler).unwrap();
    eventually("the reserve is taken again", SOON, async || (bytes() > 0).then_some(())).await;
    eventually("posts are taken", SOON, async || (status(&server, "Full").await == 200).then_some(())).await;
    eventually("it is ready", SOON, async || (server.ask("GET", "/-/ready", "").await.status == 200).then_some(()))
        .await;
    eventually("the end is told", SOON, async || (told(&stub, "intake goes on") > 0).then_some(())).await;
    assert_eq!((told(&stub, "intake refused since"), lines(&file, "intake refused since")), (1, 1), "once");
    server.stop().await;
    let db = Connection::open_with_flags(mount.join("data/tidewatch.db"), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let verdict: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    let causes: String = db
        .query_row("SELECT group_concat(cause) FROM (SELECT cause FROM incident ORDER BY id)", [], |row| row.get(0))
        .unwrap();
    assert_eq!((verdict.as_str(), causes.as_str()), ("ok", "Before,Full"));
}

/// The first look is done before the first post can come.
#[tokio::test]
async fn r7_a_start_on_a_full_disk_takes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mount = folder.path().join("disk");
    let Some(disk) = SmallDisk::mount(&mount, "128m") else { return };
    let data = mount.join("data");
    Program::start(&data, &[]).await.stop().await;
    std::fs::remove_file(data.join("reserve")).unwrap();
    let filler = disk.fill();
    // Below the guard of 12.8 MiB, and enough for the log to begin.
    std::fs::File::options().write(true).open(&filler).unwrap().set_len(118 << 20).unwrap();
    let server = Program::start(&data, &[]).await;
    assert_eq!(status(&server, "Early").await, 503);
    assert_eq!(server.json("/api/ledger").await["alerts"]["received"], 0);
    server.stop().await;
}
