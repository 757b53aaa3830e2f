//! The file on the disk: what SQLite's store promises beyond its interface.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tidewatch::alert::{Post, Quarantined};
use tidewatch::clock::Clock;
use tidewatch::store::{Settlement, StoreError, lock, restore};

use super::{Bench, LEASE, MINUTE, OPEN};
use crate::support::alerts::{at, firing, labelled, policy, post, resolved};
use crate::support::eventually;

pub(super) fn file(folder: &Path) -> PathBuf {
    folder.join("tidewatch.db")
}

/// One number that only the file knows.
fn number(folder: &Path, sql: &str) -> i64 {
    Connection::open(file(folder)).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
}

fn refused(folder: &Path) -> StoreError {
    OPEN(folder, &Clock::manual(at(100))).err().unwrap()
}

#[tokio::test]
async fn only_its_owner_may_read_it() {
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path().join("new/data");
    let store = OPEN(&folder, &Clock::manual(at(100))).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&folder), mode(&file(&folder))), (0o700, 0o600));
    store.backup(&folder.join("copy.db")).await.unwrap();
    assert_eq!(mode(&folder.join("copy.db")), 0o600);
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_not_touched() {
    let mut bench = Bench::new(&["slack"]);
    bench.accept(vec![firing(1, 90)]).await;
    bench.restart().await;
    bench.store.close().await;
    Connection::open(file(bench.path())).unwrap().pragma_update(None, "user_version", 4).unwrap();
    let before = std::fs::read(file(bench.path())).unwrap();
    let error = refused(bench.path());
    assert!(matches!(error, StoreError::Newer { found: 4, known: 3, .. }), "{error}");
    assert!(error.to_string().contains("written by a newer version"), "{error}");
    assert!(before == std::fs::read(file(bench.path())).unwrap());
}

#[tokio::test]
async fn a_file_of_another_program_is_refused_and_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let other = Connection::open(file(folder.path())).unwrap();
    other.execute_batch("PRAGMA application_id = 7; CREATE TABLE theirs (id)").unwrap();
    let before = std::fs::read(file(folder.path())).unwrap();
    assert!(matches!(refused(folder.path()), StoreError::Damaged(_)));
    assert!(before == std::fs::read(file(folder.path())).unwrap());

    std::fs::write(file(folder.path()), vec![b'x'; 5_000]).unwrap();
    assert!(matches!(refused(folder.path()), StoreError::Damaged(_)));
}

#[tokio::test]
async fn a_damaged_file_is_refused() {
    let bench = Bench::new(&["slack"]);
    bench.accept((1..500).map(|number| firing(number, 90)).collect()).await;
    bench.store.close().await;
    let mut bytes = std::fs::read(file(bench.path())).unwrap();
    for byte in bytes.iter_mut().skip(4_096 * 3).take(4_096 * 20) {
        *byte = 0xa5;
    }
    std::fs::write(file(bench.path()), bytes).unwrap();
    assert!(matches!(refused(bench.path()), StoreError::Damaged(_)));
}

#[tokio::test]
async fn r8_a_lock_held_by_another_program_is_refused_in_time_and_passes() {
    let bench = Bench::new(&["slack"]);
    let other = Connection::open(file(bench.path())).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let begun = Instant::now();
    let posts = (1..=20).map(|number| bench.store.accept(post(vec![firing(number, 90)]), Arc::clone(&bench.policy)));
    for refused in futures_util::future::join_all(posts).await {
        assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert!(bench.store.probe().await.is_err());
    other.execute_batch("ROLLBACK").unwrap();
    bench.store.probe().await.unwrap();
    assert_eq!(bench.accept(vec![firing(1, 90)]).await.opened, 1);
}

/// A file system of its own, so that it can be full or read-only.
struct Disk(tempfile::TempDir);

impl Disk {
    /// Only root may mount; tests/run is root in CI.
    fn new() -> Option<Self> {
        let disk = Self(tempfile::tempdir().unwrap());
        disk.mount(&["-t", "tmpfs", "-o", "size=4m", "tmpfs"]).then_some(disk)
    }

    fn mount(&self, arguments: &[&str]) -> bool {
        Command::new("mount").args(arguments).arg(self.0.path()).output().is_ok_and(|mount| mount.status.success())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("--lazy").arg(self.0.path()).output());
    }
}

#[tokio::test]
async fn r7_a_full_disk_refuses_and_recovers_by_itself() {
    let Some(disk) = Disk::new() else {
        assert!(!rustix::process::geteuid().is_root(), "root can mount");
        return;
    };
    let folder = disk.0.path();
    let clock = Clock::manual(at(100));
    let (store, policy) = (OPEN(folder, &clock).unwrap(), policy(&["slack"]));
    let mut kept = 0;
    let error = loop {
        let alerts = (kept..kept + 100).map(|number| firing(number, 90)).collect();
        match store.accept(post(alerts), Arc::clone(&policy)).await {
            Ok(_) if kept < 100_000 => kept += 100,
            outcome => break outcome.unwrap_err(),
        }
        if kept == 200 {
            std::fs::write(folder.join("ballast"), vec![0; 2 << 20]).unwrap();
        }
    };
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    std::fs::remove_file(folder.join("ballast")).unwrap();
    eventually("the store recovers", Duration::from_secs(5), async || store.probe().await.ok()).await;
    store.accept(post(vec![firing(kept + 1_000, 90)]), Arc::clone(&policy)).await.unwrap();
    store.close().await;
    drop(store);
    let store = OPEN(folder, &clock).unwrap();
    assert_eq!(store.incidents(true, 1).await.unwrap()[0].open, kept + 1, "all that was answered, and no more");
}

#[tokio::test]
async fn r8_a_read_only_disk_is_refused_at_the_start() {
    let Some(disk) = Disk::new() else {
        assert!(!rustix::process::geteuid().is_root(), "root can mount");
        return;
    };
    let folder = disk.0.path();
    let store = OPEN(folder, &Clock::manual(at(100))).unwrap();
    store.accept(post(vec![firing(1, 90)]), policy(&["slack"])).await.unwrap();
    store.close().await;
    drop(store);
    // The file system is busy until the store's threads have closed the file.
    let read_only = async || disk.mount(&["-o", "remount,ro"]).then_some(());
    eventually("the disk turns read-only", Duration::from_secs(5), read_only).await;
    assert!(matches!(refused(folder), StoreError::Unavailable(_)));
    assert!(disk.mount(&["-o", "remount,rw"]));
    let store = OPEN(folder, &Clock::manual(at(100))).unwrap();
    assert_eq!(store.incidents(true, 1).await.unwrap()[0].open, 1);
}

#[tokio::test]
async fn after_its_end_it_takes_nothing_and_the_file_is_whole() {
    let bench = Bench::new(&["slack"]);
    bench.accept(vec![firing(1, 90)]).await;
    bench.store.close().await;
    bench.store.close().await;
    let late = bench.store.accept(post(vec![firing(2, 90)]), Arc::clone(&bench.policy)).await;
    assert!(matches!(late, Err(StoreError::Busy)));
    assert_eq!(bench.store.incidents(true, 10).await.unwrap()[0].open, 1, "it still answers");
    let copy = tempfile::tempdir().unwrap();
    std::fs::copy(file(bench.path()), file(copy.path())).unwrap();
    assert_eq!(number(copy.path(), "SELECT count(*) FROM episode"), 1, "without its log");
}

#[tokio::test]
async fn a_repeat_writes_no_page_an_alert() {
    let mut bench = Bench::new(&["slack"]);
    let alerts: Vec<_> = (1..=1_000).map(|number| firing(number, 90)).collect();
    bench.accept(alerts.clone()).await;
    bench.restart().await;
    // The log is long from the start, and written over.
    let log = || std::fs::read(bench.path().join("tidewatch.db-wal")).unwrap();
    let written = |before: Vec<u8>| {
        let after = log();
        assert_eq!(after.len(), before.len());
        after.chunks(2_048).zip(before.chunks(2_048)).filter(|(after, before)| after != before).count()
    };
    let before = log();
    bench.accept(alerts).await;
    assert!(written(before) < 10, "a count in the ledger");
    let before = log();
    bench.accept(vec![firing(1_001, 90)]).await;
    assert!(written(before) > 3, "that is how a change shows");
}

#[tokio::test]
async fn repeats_are_counted_within_a_second_and_at_the_end() {
    const REPEATED: &str = "SELECT repeated FROM ledger";
    let bench = Bench::new(&["slack"]);
    bench.accept(vec![firing(1, 90)]).await;
    bench.accept(vec![firing(1, 90)]).await;
    let counted = async || (number(bench.path(), REPEATED) == 1).then_some(());
    eventually("the repeat is counted", Duration::from_secs(10), counted).await;
    bench.accept(vec![firing(1, 90)]).await;
    bench.store.close().await;
    assert_eq!(number(bench.path(), REPEATED), 2);
}

#[tokio::test]
async fn what_a_whole_post_of_its_group_lacks_is_marked() {
    const ABSENT: &str = "SELECT count(*) FROM episode WHERE absent_since IS NOT NULL";
    let bench = Bench::new(&["slack"]);
    bench.accept(vec![firing(1, 90), firing(2, 90)]).await;
    let other = Post { group: 2, ..post(vec![firing(3, 90)]) };
    bench.store.accept(other, Arc::clone(&bench.policy)).await.unwrap();
    assert_eq!(number(bench.path(), ABSENT), 0, "another group says nothing about this one");
    let cut = Post { truncated: 1, ..post(vec![firing(1, 90)]) };
    bench.store.accept(cut, Arc::clone(&bench.policy)).await.unwrap();
    assert_eq!(number(bench.path(), ABSENT), 0, "nor does a part");
    bench.accept(vec![firing(1, 90)]).await;
    assert_eq!(number(bench.path(), ABSENT), 1);
    bench.accept(vec![firing(1, 90), firing(2, 90)]).await;
    assert_eq!(number(bench.path(), ABSENT), 0, "it is back");
}

#[tokio::test]
async fn the_quarantine_is_bounded() {
    let bench = Bench::new(&[]);
    let pieces = |pieces, bytes| {
        let piece = Quarantined { raw: vec![b'x'; bytes], why: "no JSON".to_owned() };
        Post { quarantined: vec![piece; pieces], ..post(Vec::new()) }
    };
    bench.store.accept(pieces(3_000, 10), Arc::clone(&bench.policy)).await.unwrap();
    assert_eq!(number(bench.path(), "SELECT count(*) FROM quarantine"), 1_000);
    bench.store.accept(pieces(400, 70_000), Arc::clone(&bench.policy)).await.unwrap();
    assert_eq!(number(bench.path(), "SELECT max(length(raw)) FROM quarantine"), 64 << 10);
    assert_eq!(number(bench.path(), "SELECT sum(length(raw)) FROM quarantine"), 16 << 20);
    assert_eq!(bench.ledger().await.alerts.quarantined, 3_400);
}

#[tokio::test]
async fn history_is_let_go_after_400_days_and_dead_letters_are_not() {
    let bench = Bench::new(&["slack"]);
    let tables = ["incident", "episode", "outbox", "thread", "alert_group"];
    let rows = || tables.map(|table| number(bench.path(), &format!("SELECT count(*) FROM {table}")));
    let cause = |alert, cause| labelled(alert, "cause", cause);
    bench.accept(vec![cause(firing(1, 90), "over"), cause(firing(2, 90), "dead"), cause(firing(3, 90), "open")]).await;
    for delivery in bench.claim("slack").await {
        let dead = delivery.incident.as_ref().is_some_and(|incident| incident.cause == "dead");
        let how = if dead { Settlement::Dead { error: "gone".into() } } else { Settlement::Delivered { anchor: None } };
        bench.settle(&delivery, how).await;
    }
    let ends = vec![cause(resolved(1, 90, 99), "over"), cause(resolved(2, 90, 99), "dead"), resolved(4, 90, 99)];
    bench.accept(ends).await;
    for delivery in bench.claim("slack").await {
        bench.settle(&delivery, Settlement::Delivered { anchor: None }).await;
    }
    bench.tick().await;
    assert_eq!(rows(), [3, 4, 5, 3, 1]);
    bench.clock.advance(MINUTE * 60 * 24 * 400 + MINUTE);
    bench.tick().await;
    assert_eq!(rows(), [2, 2, 3, 2, 1], "the open one and the one with a dead letter stay, and so does their group");
    assert_eq!(bench.store.ledger().await.unwrap().due, 5, "the ledger counts what was");
}

#[tokio::test]
async fn an_alert_that_was_held_does_not_wait_for_what_cannot_be_let_go() {
    let bench = Bench::new(&["slack"]);
    bench.accept(vec![firing(1, 90)]).await;
    bench.accept(vec![resolved(1, 90, 95)]).await;
    bench.deliver("slack").await;
    bench.clock.advance(MINUTE * 60 * 24 * 401);
    let stuck = "CREATE TRIGGER stuck BEFORE DELETE ON incident BEGIN SELECT raise(ABORT, 'stuck'); END";
    Connection::open(file(bench.path())).unwrap().execute_batch(stuck).unwrap();
    assert_eq!(bench.accept(vec![firing(1, 90)]).await.held, 1);
    bench.clock.advance(MINUTE);
    bench.tick().await;
    assert_eq!(number(bench.path(), "SELECT count(*) FROM episode"), 2, "nothing was let go");
    assert_eq!(bench.store.incidents(true, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn messages_that_cannot_be_read_are_given_back_at_once() {
    let bench = Bench::new(&["slack"]);
    bench.accept(vec![firing(1, 90)]).await;
    let labels = |to| {
        let change = format!("UPDATE episode SET labels = {to}");
        Connection::open(file(bench.path())).unwrap().execute_batch(&change).unwrap();
    };
    labels("'{' || labels");
    bench.store.claim("slack", 10, LEASE).await.unwrap_err();
    labels("substr(labels, 2)");
    let delivery = bench.claim_one("slack").await;
    assert!(!delivery.maybe_duplicate, "nobody has sent it");
}

#[tokio::test]
async fn a_backup_is_restored_and_never_under_a_server() {
    let bench = Bench::new(&["slack"]);
    let copy = bench.path().join("copy.db");
    bench.accept(vec![firing(1, 90)]).await;
    bench.store.backup(&copy).await.unwrap();
    assert!(bench.store.backup(&copy).await.is_err(), "it overwrites nothing");
    bench.accept(vec![firing(2, 90)]).await;

    let server = lock(bench.path()).unwrap();
    assert!(matches!(lock(bench.path()), Err(StoreError::Held(_))));
    assert!(matches!(restore(&copy, bench.path()), Err(StoreError::Held(_))));
    bench.store.close().await;
    drop(server);

    restore(&copy, bench.path()).unwrap();
    let store = OPEN(bench.path(), &bench.clock).unwrap();
    assert_eq!(store.incidents(true, 10).await.unwrap()[0].open, 1);
    store.accept(post(vec![firing(3, 90)]), policy(&["slack"])).await.unwrap();
}

#[tokio::test]
async fn a_restore_replaces_a_damaged_file_and_what_its_log_holds() {
    let bench = Bench::new(&["slack"]);
    let copy = bench.path().join("copy.db");
    bench.accept(vec![firing(1, 90)]).await;
    bench.store.backup(&copy).await.unwrap();
    bench.store.close().await;
    let elsewhere = tempfile::tempdir().unwrap();
    std::fs::write(file(elsewhere.path()), "rubbish").unwrap();
    std::fs::write(elsewhere.path().join("tidewatch.db-wal"), "rubbish").unwrap();
    restore(&copy, elsewhere.path()).unwrap();
    let store = OPEN(elsewhere.path(), &bench.clock).unwrap();
    assert_eq!(store.incidents(true, 10).await.unwrap()[0].open, 1);
}

#[tokio::test]
async fn a_restore_refuses_what_is_not_whole_and_changes_nothing() {
    let bench = Bench::new(&["slack"]);
    bench.accept((1..500).map(|number| firing(number, 90)).collect()).await;
    let (copy, bad) = (bench.path().join("copy.db"), bench.path().join("bad.db"));
    bench.store.backup(&copy).await.unwrap();
    bench.store.close().await;
    let before = std::fs::read(file(bench.path())).unwrap();

    let mut bytes = std::fs::read(&copy).unwrap();
    let half = bytes.len() / 2;
    bytes[half..half + 40_000].fill(0xa5);
    std::fs::write(&bad, bytes).unwrap();
    assert!(restore(&bad, bench.path()).is_err(), "damaged");
    std::fs::write(&bad, "rubbish").unwrap();
    assert!(matches!(restore(&bad, bench.path()), Err(StoreError::Damaged(_))), "no database");
    std::fs::write(&bad, "").unwrap();
    assert!(restore(&bad, bench.path()).is_err(), "empty");
    assert!(restore(&bench.path().join("missing.db"), bench.path()).is_err(), "not there");
    Connection::open(&copy).unwrap().pragma_update(None, "user_version", 9).unwrap();
    assert!(matches!(restore(&copy, bench.path()), Err(StoreError::Newer { .. })), "newer");
    assert!(before == std::fs::read(file(bench.path())).unwrap());
}
