//! `tidewatch outbox` and `tidewatch test-notify`, on a channel that refuses and is mended.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use serde_json::Value;

use crate::support::eventually;
use crate::support::http_stub::{HttpStub, Reply};
use crate::support::program::{Done, Program, SOON, alert, post};

async fn server(folder: &std::path::Path, status: &Arc<AtomicU16>) -> (Program, HttpStub) {
    let answer = Arc::clone(status);
    let stub = HttpStub::start(move |_| Reply::status(answer.load(Ordering::Relaxed), "")).await;
    let config = folder.join("tidewatch.toml");
    let text = format!("[notify.webhook.ops]\nurl = '{}'\n[[routes]]\nchannels = ['ops']\n", stub.url("/secret-path"));
    std::fs::write(&config, text).unwrap();
    (Program::start(&folder.join("data"), &["--config", config.to_str().unwrap()]).await, stub)
}

fn good(done: &Done) -> &str {
    assert_eq!((done.code, done.err.as_str()), (Some(0), ""), "{done:?}");
    &done.out
}

/// The numbers of the dead rows.
fn dead(server: &Program) -> Vec<i64> {
    let listed = server.command(&["outbox", "list", "--dead", "--channel", "ops", "--json"]);
    let rows: Value = serde_json::from_str(good(&listed)).unwrap();
    rows.as_array().unwrap().iter().map(|row| row["id"].as_i64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r28_dlq_replay() {
    let folder = tempfile::tempdir().unwrap();
    let status = Arc::new(AtomicU16::new(404));
    let (server, stub) = server(folder.path(), &status).await;
    assert_eq!(good(&server.command(&["outbox", "list"])), "no such messages\n");
    for name in ["First", "Second"] {
        let body = post(&[alert(&[("alertname", name)], "2026-11-21T02:00:00Z", None)]);
        assert_eq!(server.ask("POST", "/webhook/alerts", &body).await.status, 200);
    }
    let rows = eventually("two dead rows", SOON, async || Some(dead(&server)).filter(|rows| rows.len() == 2)).await;
    let (second, first) = (rows[0].to_string(), rows[1].to_string());
    let listed = server.command(&["outbox", "list", "--dead"]);
    let line = good(&listed).lines().find(|line| line.trim_start().starts_with(&format!("{first} "))).unwrap();
    for part in ["dead", "ops", "opened", "404"] {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert!(!listed.out.contains("secret-path"), "{}", listed.out);
    let shown: Value = serde_json::from_str(good(&server.command(&["outbox", "show", &first]))).unwrap();
    assert_eq!((&shown["state"], &shown["channel"]), (&"dead".into(), &"ops".into()));

    status.store(200, Ordering::Relaxed);
    let before = stub.asked().len();
    let replay = ["outbox", "replay", &first, "--note", "mended"];
    assert_eq!(good(&server.command(&replay)), format!("{first}: will be sent again\n"));
    eventually("it is delivered", SOON, async || (dead(&server).len() == 1).then_some(())).await;
    eventually("it arrives", SOON, async || (stub.asked().len() > before).then_some(())).await;
    let again = server.command(&replay);
    assert!(good(&again).starts_with(&format!("{first}: nothing to do: ")), "{}", again.out);

    let discard = ["outbox", "discard", &second];
    assert_eq!(good(&server.command(&discard)), format!("{second}: given up\n"));
    assert!(good(&server.command(&discard)).contains("nothing to do"));
    assert_eq!(dead(&server), Vec::<i64>::new());
    assert_eq!(stub.asked().len(), before + 1, "nothing is sent twice, and nothing that was given up");

    for verb in ["show", "replay", "discard"] {
        let missing = server.command(&["outbox", verb, "4711"]);
        assert_eq!(missing.code, Some(1), "{missing:?}");
        assert!(missing.err.contains("there is no outbox row 4711"), "{}", missing.err);
    }
    let wrong = server.command(&["outbox", "list", "--state", "lost"]);
    assert!(wrong.code == Some(1) && wrong.err.contains("superseded"), "{wrong:?}");
    server.stop().await;
}

/// Several at once: by channel and incident, at most so many, oldest first, and a second time does nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r28_many_dead_letters_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let status = Arc::new(AtomicU16::new(404));
    let (server, stub) = server(folder.path(), &status).await;
    let tell = async |name: &str, ends: Option<&str>| {
        let body = post(&[alert(&[("alertname", name)], "2026-11-21T02:00:00Z", ends)]);
        assert_eq!(server.ask("POST", "/webhook/alerts", &body).await.status, 200);
    };
    for name in ["First", "Second", "Third", "Over"] {
        tell(name, None).await;
    }
    eventually("four dead rows", SOON, async || (dead(&server).len() == 4).then_some(())).await;
    status.store(200, Ordering::Relaxed);
    // Its end arrives, so its beginning is no news any more.
    tell("Over", Some("2026-11-21T02:10:00Z")).await;
    eventually("the end", SOON, async || (stub.asked().len() == 5).then_some(())).await;
    let all = dead(&server).into_iter().rev().map(|id| id.to_string()).collect::<Vec<_>>();
    let [first, second, third, over] = &all[..] else { panic!("{all:?}") };

    let listed = server.command(&["outbox", "list", "--dead", "--incident", "2"]);
    assert_eq!(good(&listed).lines().count(), 2, "a head and one row: {}", listed.out);
    let one = server.command(&["outbox", "replay", "--all", "--channel", "ops", "--limit", "1", "--note", "mended"]);
    assert_eq!(good(&one), format!("{first}: will be sent again\n"));
    let elsewhere = server.command(&["outbox", "replay", "--all", "--channel", "console"]);
    assert_eq!(good(&elsewhere), "nothing to do: there is no such dead message\n");
    let given_up = server.command(&["outbox", "discard", "--all", "--incident", "2"]);
    assert_eq!(good(&given_up), format!("{second}: given up\n"));
    let rest = server.command(&["outbox", "replay", "--all"]);
    let expected = format!("{third}: will be sent again\n{over}: skipped: a newer message about it has arrived\n");
    assert_eq!(good(&rest), expected);
    let again = server.command(&["outbox", "replay", "--all"]);
    assert_eq!(good(&again), "nothing to do: there is no such dead message\n");
    eventually("both arrive", SOON, async || (stub.asked().len() == 7).then_some(())).await;
    let shown: Value = serde_json::from_str(good(&server.command(&["outbox", "show", over]))).unwrap();
    assert_eq!(shown["state"], "superseded");
    assert!(shown["note"].as_str().unwrap().starts_with("skipped: "), "{shown}");

    let ledger = server.command(&["ledger"]);
    for part in ["alerts received", "  discarded", "late: 0 wait for more than 300 s", "it balances\n"] {
        assert!(good(&ledger).contains(part), "{part}: {}", ledger.out);
    }
    let read: Value = serde_json::from_str(good(&server.command(&["ledger", "--json"]))).unwrap();
    assert_eq!((&read["dead"], &read["discarded"], &read["balanced"]), (&0.into(), &1.into(), &true.into()), "{read}");
    assert_eq!(server.sample("tidewatch_ledger_balanced").await, Some(1.0));
    assert_eq!(server.sample("tidewatch_ledger_messages{state=\"discarded\"}").await, Some(1.0));
    let received = server.sample("tidewatch_ledger_alerts_received_total").await;
    assert_eq!(received, read["alerts"]["received"].as_f64());
    for wrong in
        [vec!["outbox", "replay"], vec!["outbox", "replay", "1", "--all"], vec!["outbox", "replay", "--limit", "1"]]
    {
        assert_eq!(server.command(&wrong).code, Some(2), "{wrong:?}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_message_says_what_the_other_side_answered() {
    let folder = tempfile::tempdir().unwrap();
    let status = Arc::new(AtomicU16::new(200));
    let (server, stub) = server(folder.path(), &status).await;
    assert_eq!(good(&server.command(&["test-notify", "ops"])), "ops: delivered\n");
    assert!(String::from_utf8_lossy(&stub.asked()[0].body).to_lowercase().contains("test"), "it is marked");
    status.store(403, Ordering::Relaxed);
    let failed = server.command(&["test-notify", "ops"]);
    assert_eq!((failed.code, failed.out.as_str()), (Some(1), ""));
    assert!(failed.err.contains("ops: ") && failed.err.contains("403"), "{}", failed.err);
    assert!(!failed.err.contains("secret-path"), "{}", failed.err);
    for name in ["nobody", "no body/../x"] {
        let unknown = server.command(&["test-notify", name]);
        assert_eq!(unknown.code, Some(1), "{unknown:?}");
        let expected = format!("there is no channel `{name}`; there are: console, ops");
        assert!(unknown.err.contains(&expected), "{}", unknown.err);
    }
    server.stop().await;
}
