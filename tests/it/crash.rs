//! The process dies at a random moment (`kill -9`). What it had answered is there, once, with its message.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use tidewatch::clock::Clock;
use tidewatch::store::{Settlement, Store, Subject};

use crate::support::alerts::{firing, labelled, open, policy, post};
use crate::support::eventually;
use crate::support::process::Running;

const ROUNDS: u64 = 10;
const POSTS: u64 = 200;
const ALERTS: u64 = 50;
const FOLDER: &str = "TIDEWATCH_CRASH_FOLDER";
const ROUND: &str = "TIDEWATCH_CRASH_ROUND";

fn say(line: &str) {
    // In one write each: the end comes without warning.
    std::io::stdout().write_all(format!("{line}\n").as_bytes()).unwrap();
}

fn fingerprint(post: u64, alert: u64) -> u64 {
    (post * ALERTS + alert + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// The process that dies: it takes posts and sends messages, and says both.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the other test starts it as a process of its own"]
async fn the_process_that_dies() {
    let folder = std::env::var_os(FOLDER).unwrap();
    let round: u64 = std::env::var(ROUND).unwrap().parse().unwrap();
    let store = open(Path::new(&folder), &Clock::system()).unwrap();
    let policy = policy(&["slack"]);
    let sender = Arc::clone(&store);
    tokio::spawn(async move { send(&*sender).await });
    let posts = (round * POSTS..(round + 1) * POSTS).map(|number| {
        let (store, policy) = (Arc::clone(&store), Arc::clone(&policy));
        tokio::spawn(async move {
            let cause = format!("cause-{number}");
            let alert = |alert| labelled(firing(fingerprint(number, alert), 0), "cause", &cause);
            store.accept(post((0..ALERTS).map(alert).collect()), policy).await.unwrap();
            say(&format!("accepted {number}"));
        })
    });
    for post in posts.collect::<Vec<_>>() {
        post.await.unwrap();
    }
    std::future::pending::<()>().await;
}

/// Sends what is due, for ever.
async fn send(store: &dyn Store) {
    loop {
        for delivery in store.claim("slack", 4, Duration::from_mins(1)).await.unwrap() {
            let Subject::Incident(id) = delivery.subject else { continue };
            say(&format!("sent {id}"));
            store.settle(&delivery, Settlement::Delivered { anchor: None }).await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// The numbers that follow `word`; a line that was cut off says nothing.
fn said(output: &str, word: &str) -> Vec<u64> {
    let whole = output.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().filter_map(|line| line.strip_prefix(word)?.trim().parse().ok()).collect()
}

#[tokio::test]
async fn what_was_answered_survives_the_death_of_the_process() {
    let (folder, logs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut accepted, mut sent) = (Vec::new(), BTreeSet::new());
    for round in 0..ROUNDS {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["crash::the_process_that_dies", "--exact", "--ignored", "--nocapture"]);
        command.env(FOLDER, folder.path()).env(ROUND, round.to_string());
        let mut process = Running::start(logs.path(), &format!("round-{round}"), &mut command);
        eventually("the first post is accepted", Duration::from_secs(30), async || {
            (!said(&process.output(), "accepted").is_empty()).then_some(())
        })
        .await;
        tokio::time::sleep(Duration::from_millis(fastrand::u64(0..400))).await;
        process.kill();
        let output = process.output();
        assert!(!output.contains("panicked"), "{output}");
        accepted.extend(said(&output, "accepted"));
        sent.extend(said(&output, "sent"));
        check(folder.path(), &accepted, &sent);
    }
    let every_round = (0..ROUNDS).all(|round| accepted.iter().any(|post| post / POSTS == round));
    assert!(every_round, "{accepted:?}");

    // A new process sends the rest: then every incident has been told at least once.
    let store = open(folder.path(), &Clock::system()).unwrap();
    loop {
        let claimed = store.claim("slack", 100, Duration::from_mins(1)).await.unwrap();
        if claimed.is_empty() {
            break;
        }
        for delivery in claimed {
            let Subject::Incident(id) = delivery.subject else { panic!("{delivery:?}") };
            let again = sent.contains(&id.cast_unsigned());
            assert!(delivery.maybe_duplicate || !again, "a second copy says that it may be one: {delivery:?}");
            sent.insert(id.cast_unsigned());
            store.settle(&delivery, Settlement::Delivered { anchor: None }).await.unwrap();
        }
    }
    let ledger = store.ledger().await.unwrap();
    assert_eq!((ledger.pending, ledger.delivered), (0, ledger.due));
    store.close().await;
    let incidents = column(&Connection::open(folder.path().join("tidewatch.db")).unwrap(), "SELECT id FROM incident");
    assert_eq!(incidents.into_iter().map(i64::cast_unsigned).collect::<BTreeSet<_>>(), sent);
}

fn column(db: &Connection, sql: &str) -> Vec<i64> {
    let mut rows = db.prepare(sql).unwrap();
    rows.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

/// Looks at the file that the dead process left.
fn check(folder: &Path, accepted: &[u64], sent: &BTreeSet<u64>) {
    let db = Connection::open(folder.join("tidewatch.db")).unwrap();
    let verdict: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(verdict, "ok");
    let mut episodes = BTreeMap::new();
    for fingerprint in column(&db, "SELECT fingerprint FROM episode") {
        *episodes.entry(fingerprint.cast_unsigned()).or_insert(0) += 1;
    }
    for post in accepted {
        let whole = (0..ALERTS).all(|alert| episodes.contains_key(&fingerprint(*post, alert)));
        assert!(whole, "post {post} was answered, and is not there whole");
    }
    assert!(episodes.values().all(|times| *times == 1), "no episode twice");
    let silent = "SELECT id FROM incident WHERE NOT EXISTS \
                  (SELECT 1 FROM outbox WHERE subject = 'incident:' || incident.id)";
    assert_eq!(column(&db, silent), [0; 0], "incidents without a message");
    let partial = format!("SELECT id FROM incident WHERE total != {ALERTS} OR open_warning != {ALERTS}");
    assert_eq!(column(&db, &partial), [0; 0], "posts that are there in part");
    let delivered = "SELECT CAST(substr(subject, 10) AS INTEGER) FROM outbox WHERE state = 'delivered'";
    let delivered: BTreeSet<u64> = column(&db, delivered).into_iter().map(i64::cast_unsigned).collect();
    assert!(delivered.is_subset(sent), "nothing counts as delivered that was not sent");
    let counted = "SELECT due - (SELECT count(*) FROM outbox) FROM ledger \
                   UNION ALL SELECT pending - (SELECT count(*) FROM outbox WHERE state = 'pending') FROM ledger \
                   UNION ALL SELECT opened - (SELECT count(*) FROM episode) FROM ledger";
    assert_eq!(column(&db, counted), [0, 0, 0], "the ledger is what is in the tables");
}
