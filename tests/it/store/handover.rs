//! Incidents that wait on one channel and are told on another, verdicts about many dead rows, and the ledger beside the
//! rows.

use std::time::Duration;

use tidewatch::alert::{Fingerprint, Kind};
use tidewatch::store::{
    Balance, Change, Delivery, Handover, OutboxFilter, Revised, RowState, Settlement, Subject, Verdict,
};

use super::{Bench, MINUTE};
use crate::support::alerts::{at, firing, labelled, policy, resolved};

/// Two incidents that only `ops` is told of; `oncall` and `duty` are there.
async fn bench() -> Bench {
    let mut bench = Bench::new(&["ops"]);
    bench.accept(vec![firing(1, 90), labelled(firing(2, 90), "cause", "other")]).await;
    bench.policy = policy(&["ops", "oncall", "duty"]);
    bench
}

fn all(to: &[&str]) -> Handover {
    let to = to.iter().map(ToString::to_string).collect();
    Handover { from: "ops".into(), row: None, to, words: "ops has not delivered it".into() }
}

fn subjects(deliveries: &[Delivery]) -> Vec<Subject> {
    deliveries.iter().map(|delivery| delivery.subject.clone()).collect()
}

#[tokio::test]
async fn what_waits_is_told_once_on_the_first_channel_that_can() {
    let bench = bench().await;
    bench.clock.advance(MINUTE * 6);
    assert_eq!(bench.store.hand_over(all(&["oncall", "duty"])).await.unwrap(), 2);
    assert_eq!(bench.store.hand_over(all(&["oncall", "duty"])).await.unwrap(), 0, "once");
    assert_eq!(bench.store.hand_over(all(&["duty", "oncall"])).await.unwrap(), 0, "the other has them");
    let told = bench.claim("oncall").await;
    assert_eq!(subjects(&told), [Subject::Incident(1), Subject::Incident(2)]);
    let first = &told[0];
    assert_eq!((first.kind, first.sequence, first.waiting_since), (Kind::Opened, 1, at(100)), "it is late there too");
    assert_eq!(first.notice.as_deref(), Some("ops has not delivered it"));
    assert!(first.incident.is_some() && bench.claim("duty").await.is_empty());
    assert_eq!(bench.claim("ops").await.len(), 2, "and stays due where it should have gone");
    for delivery in &told {
        bench.settle(delivery, Settlement::Delivered { anchor: None }).await;
    }
    bench.accept(vec![resolved(1, 90, 99)]).await;
    let rest = bench.claim_one("oncall").await;
    assert_eq!((rest.kind, rest.notice), (Kind::Resolved, None), "whoever was told hears the rest");
    bench.ledger().await;
}

#[tokio::test]
async fn what_is_not_due_and_what_is_no_incident_is_not_handed_over() {
    let bench = Bench::new(&["ops", "oncall"]);
    bench.store.notice("disk", "full", &["ops".to_owned()]).await.unwrap();
    assert_eq!(bench.store.hand_over(all(&["oncall"])).await.unwrap(), 0);
    assert_eq!(bench.store.hand_over(all(&[])).await.unwrap(), 0, "nobody is there");
    bench.ledger().await;
}

#[tokio::test]
async fn an_end_that_nobody_heard_of_is_told_as_an_end() {
    let bench = bench().await;
    bench.accept(vec![resolved(1, 90, 99)]).await;
    bench.store.hand_over(all(&["oncall"])).await.unwrap();
    let told = bench.claim("oncall").await;
    let kinds: Vec<Kind> = told.iter().map(|delivery| delivery.kind).collect();
    assert_eq!(kinds, [Kind::Resolved, Kind::Opened]);
}

#[tokio::test]
async fn one_dead_row_takes_its_own_incident_along() {
    let bench = bench().await;
    let dead = bench.claim("ops").await.remove(1);
    bench.settle(&dead, Settlement::Dead { error: "revoked".into() }).await;
    let handover = Handover { row: Some(dead.id), ..all(&["oncall"]) };
    assert_eq!(bench.store.hand_over(handover).await.unwrap(), 1);
    assert_eq!(subjects(&bench.claim("oncall").await), [Subject::Incident(2)]);
    bench.ledger().await;
}

#[tokio::test]
async fn many_dead_rows_are_sent_again_or_given_up_by_a_filter() {
    let bench = Bench::new(&["ops", "oncall"]);
    let causes = (1..=4).map(|number| labelled(firing(number, 90), "cause", &format!("cause-{number}")));
    bench.accept(causes.collect()).await;
    for channel in ["ops", "oncall"] {
        for delivery in bench.claim(channel).await {
            bench.settle(&delivery, Settlement::Dead { error: "revoked".into() }).await;
        }
    }
    // The first story has gone on.
    bench.accept(vec![labelled(resolved(1, 90, 99), "cause", "cause-1")]).await;
    bench.deliver("ops").await;
    let ops = OutboxFilter { channel: Some("ops".into()), ..OutboxFilter::default() };
    let two = OutboxFilter { limit: Some(2), ..ops.clone() };
    let replay =
        async |filter: OutboxFilter| bench.store.revise(filter, Verdict::Replay, "ana", "token renewed").await.unwrap();
    let Revised { done, skipped } = replay(two).await;
    assert_eq!((done.len(), skipped.len()), (1, 1));
    let row = bench.store.outbox_row(skipped[0]).await.unwrap().unwrap();
    assert_eq!((row.subject, row.state), (Subject::Incident(1), RowState::Superseded));
    assert_eq!(replay(ops.clone()).await.done.len(), 2);
    assert_eq!(replay(ops).await, Revised::default(), "a second time there is nothing to do");
    assert_eq!(bench.claim("ops").await.len(), 3);

    let third = OutboxFilter { incident: Some(3), ..OutboxFilter::default() };
    let given_up = bench.store.revise(third, Verdict::Discard, "ana", "noise").await.unwrap();
    let row = bench.store.outbox_row(given_up.done[0]).await.unwrap().unwrap();
    assert_eq!((row.channel.as_str(), row.state, row.note.as_deref()), ("oncall", RowState::Discarded, Some("noise")));
    assert_eq!(bench.store.replay(given_up.done[0], "ana", "").await.unwrap(), Change::Nothing);
    bench.ledger().await;
}

#[tokio::test]
async fn the_ledger_is_held_against_the_rows_and_late_is_what_waits_too_long() {
    let bench = bench().await;
    let dead = bench.claim("ops").await.remove(0);
    bench.settle(&dead, Settlement::Dead { error: "revoked".into() }).await;
    let late = async |seconds| bench.store.balance(Duration::from_secs(seconds)).await.unwrap();
    bench.clock.advance(MINUTE);
    let balance = late(60).await;
    assert_eq!((balance.pending, balance.dead, balance.late), (1, 1, 0));
    assert_eq!(balance.faults(), Vec::<String>::new());
    assert_eq!(late(59).await.late, 1);

    let mut wrong = Balance { pending: 2, ..balance };
    wrong.ledger.alerts.opened += 1;
    wrong.ledger.delivered += 1;
    let faults = wrong.faults();
    assert_eq!(faults.len(), 3, "{faults:?}");
    assert!(faults[0].starts_with("received = opened + ") && faults[0].ends_with(": 2 is not 3"), "{faults:?}");
    assert_eq!(faults[2], "pending = rows that wait: 1 is not 2");
}

#[tokio::test]
async fn since_when_an_alert_fires_is_known_by_its_source() {
    let bench = bench().await;
    let since = async |source| bench.store.firing_since(source, Fingerprint(1)).await.unwrap();
    assert_eq!((since("default").await, since("berlin").await), (Some(at(90)), None));
    bench.accept(vec![resolved(1, 90, 99)]).await;
    assert_eq!(since("default").await, None);
}
