//! `kill -9` of the real program at random moments, with alerts coming in and messages going out.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use rusqlite::{Connection, OpenFlags};

use crate::support::eventually;
use crate::support::program::{Program, SOON, alert, ask, post};

/// Posts at the same time, and alerts in each.
const POSTS: usize = 200;
const ALERTS: i64 = 50;

/// A post's incident, whole: so many episodes, of so many alerts.
const WHOLE: (i64, i64) = (ALERTS, ALERTS);

/// One post is one incident: its alerts share their cause.
fn cause(round: usize, number: impl Display) -> String {
    format!("round-{round}-post-{number}")
}

fn body(round: usize, number: usize) -> String {
    let cause = cause(round, number);
    let alerts: Vec<_> = (0..ALERTS)
        .map(|n| {
            let labels = [("alertname", "Lost"), ("cause", &cause), ("agent_id", &format!("agent-{n}"))];
            alert(&labels, "2026-11-21T02:00:00Z", None)
        })
        .collect();
    post(&alerts)
}

/// How many episodes, and of how many alerts, each cause has; `like` chooses among the causes.
fn kept(data: &Path, like: &str) -> BTreeMap<String, (i64, i64)> {
    let db = Connection::open_with_flags(data.join("tidewatch.db"), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    db.busy_timeout(SOON).unwrap();
    let sql = "SELECT cause, count(*), count(DISTINCT fingerprint) FROM episode JOIN incident
               ON incident.id = episode.incident WHERE cause LIKE ?1 GROUP BY cause";
    let mut statement = db.prepare(sql).unwrap();
    let rows = statement.query_map([like], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?)))).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

/// The ids of all messages that a channel was due, whatever became of them.
fn due(data: &Path) -> BTreeSet<String> {
    let db = Connection::open_with_flags(data.join("tidewatch.db"), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let sql = "SELECT replace(subject, 'incident:', '') || '.' || sequence FROM outbox
               WHERE channel = 'lines' AND state = 'delivered'";
    let mut statement = db.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

/// Posts of one round that were answered 200 before the program was killed.
async fn answered_before_the_kill(program: &mut Program, round: usize) -> Vec<usize> {
    let answers = Arc::new(AtomicUsize::new(0));
    let posts: Vec<_> = (0..POSTS)
        .map(|number| {
            let (port, answers) = (program.port, Arc::clone(&answers));
            tokio::spawn(async move {
                let reply = ask(port, "POST", "/webhook/alerts", &body(round, number)).await;
                answers.fetch_add(1, Ordering::Relaxed);
                reply.is_some_and(|reply| reply.status == 200)
            })
        })
        .collect();
    let some = fastrand::usize(0..POSTS);
    eventually("some answers", SOON, async || (answers.load(Ordering::Relaxed) >= some).then_some(())).await;
    tokio::time::sleep(Duration::from_micros(fastrand::u64(0..20_000))).await;
    program.running.kill();
    let mut answered = Vec::new();
    for (number, post) in posts.into_iter().enumerate() {
        if post.await.unwrap() {
            answered.push(number);
        }
    }
    answered
}

/// Posts until it is taken: what is refused because others are at work comes again.
async fn repeated(port: u16, round: usize, number: usize) {
    let body = body(round, number);
    let taken = async || ask(port, "POST", "/webhook/alerts", &body).await.filter(|reply| reply.status == 200);
    eventually("the post is taken", SOON, taken).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_200_is_there_and_told_and_nothing_twice() {
    let rounds: usize = std::env::var("TIDEWATCH_ROUNDS").map_or(10, |rounds| rounds.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let (data, lines) = (folder.path().join("data"), folder.path().join("lines"));
    let config = folder.path().join("tidewatch.toml");
    let text = format!("[log]\nlevel = 'warn'\n[notify.file.lines]\npath = '{}'\nmax_size = '1GiB'", lines.display());
    std::fs::write(&config, text).unwrap();
    let words = ["--config", config.to_str().unwrap()];
    let mut program = Program::start(&data, &words).await;
    let mut early = 0;
    for round in 0..rounds {
        let answered = answered_before_the_kill(&mut program, round).await;
        early += answered.len();
        program = Program::start(&data, &words).await;

        let found = kept(&data, &cause(round, "%"));
        for number in &answered {
            assert_eq!(found.get(&cause(round, *number)), Some(&WHOLE), "round {round}, post {number}");
        }
        // What was not answered is there whole, or not at all; Alertmanager posts it again.
        let mut again = Vec::new();
        for number in 0..POSTS {
            let there = found.get(&cause(round, number));
            assert!(there.is_none_or(|there| *there == WHOLE), "round {round}, post {number}: {there:?}");
            if !answered.contains(&number) {
                again.push(repeated(program.port, round, number));
            }
        }
        join_all(again).await;
    }
    assert!(early > 0, "no round had an answer before its kill");

    let found = kept(&data, "%");
    assert_eq!(found.len(), rounds * POSTS);
    let twice: Vec<_> = found.iter().filter(|(_, there)| **there != WHOLE).collect();
    assert!(twice.is_empty(), "{twice:?}");

    let pending = "tidewatch_outbox_pending{channel=\"lines\"}";
    let limit = SOON * u32::try_from(rounds).unwrap();
    eventually("no message waits", limit, async || (program.sample(pending).await? < 0.5).then_some(())).await;
    program.stop().await;
    let mut told = BTreeSet::new();
    for line in std::fs::read_to_string(&lines).unwrap().lines() {
        // A line that was cut off by a kill was not told, and is told again on a line of its own.
        let Ok(message) = serde_json::from_str::<serde_json::Value>(line) else { continue };
        let id = message["id"].as_str().unwrap().to_owned();
        assert!(
            told.insert(id.clone()) || message["maybe_duplicate"] == true,
            "{id} is told twice and does not say so"
        );
    }
    let due = due(&data);
    assert_eq!(due.len(), rounds * POSTS, "one message an incident");
    assert_eq!(due.difference(&told).collect::<Vec<_>>(), Vec::<&String>::new(), "due and not told");
}
