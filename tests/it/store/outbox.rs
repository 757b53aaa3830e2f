//! What becomes of due messages.

use futures_util::poll;
use tidewatch::alert::Kind;
use tidewatch::store::{Change, OutboxFilter, RowState, Settlement, Subject};

use super::{Bench, LEASE, MINUTE};
use crate::support::alerts::{at, firing, labelled, policy, resolved};

fn retry(second: i64, ambiguous: bool) -> Settlement {
    Settlement::Retry { at: at(second), error: "refused".to_owned(), ambiguous }
}

fn dead() -> Settlement {
    Settlement::Dead { error: "no such channel".to_owned() }
}

fn delivered() -> Settlement {
    Settlement::Delivered { anchor: None }
}

#[tokio::test]
async fn one_message_of_a_subject_is_under_way_at_a_time() {
    let bench = Bench::new(&["slack", "mail"]);
    bench.accept(vec![firing(1, 90)]).await;
    let first = bench.claim_one("slack").await;
    bench.accept(vec![resolved(1, 90, 99)]).await;
    assert!(bench.claim("slack").await.is_empty());
    assert_eq!(bench.claim("mail").await.len(), 1, "another channel does not wait");
    assert_eq!(bench.settle(&first, delivered()).await, Change::Done);
    let second = bench.deliver("slack").await;
    assert_eq!((second.kind, second.sequence), (Kind::Resolved, 2));
    bench.ledger().await;
}

#[tokio::test]
async fn only_the_newest_unsent_state_is_sent_and_says_since_when_it_waits() {
    let bench = Bench::new(&["slack"]);
    bench.accept(vec![firing(1, 90)]).await;
    bench.clock.advance(MINUTE * 58);
    bench.accept(vec![resolved(1, 90, 99)]).await;
    let delivery = bench.deliver("slack").await;
    assert_eq!((delivery.kind, delivery.sequence, delivery.waiting_since), (Kind::Resolved, 2, at(100)));
    assert!(bench.claim("slack").await.is_empty());
    let rows = bench.store.outbox(OutboxFilter::default()).await.unwrap();
    assert_eq!((rows[0].state, rows[1].state), (RowState::Delivered, RowState::Superseded));
    assert_eq!(rows[1].note, Some(format!("superseded by {}", rows[0].id)));
    bench.ledger().await;
}

#[tokio::test]
async fn a_failed_message_is_superseded_by_the_newer_one_that_came_meanwhile() {
    let bench = Bench::new(&["slack"]);
    bench.accept(vec![firing(1, 90)]).await;
    let first = bench.claim_one("slack").await;
    bench.accept(vec![firing(2, 90)]).await;
    bench.settle(&first, retry(110, true)).await;
    let second = bench.claim_one("slack").await;
    assert_eq!(second.kind, Kind::Opened, "the channel has not heard of its beginning for certain");
    assert!(second.maybe_duplicate);
    assert_eq!((second.sequence, second.waiting_since), (2, at(100)));
    assert_eq!(second.incident.unwrap().open, 2);
    assert_eq!(bench.ledger().await.superseded, 1);
}

#[tokio::test]
async fn an_unsent_message_stands_for_what_follows() {
    let bench = Bench::new(&["slack"]);
    for number in 1..=50 {
        bench.accept(vec![firing(number, 90)]).await;
    }
    bench.accept(vec![labelled(firing(99, 90), "severity", "critical")]).await;
    assert_eq!(bench.ledger().await.due, 1, "a storm makes no row an alert");
    let delivery = bench.deliver("slack").await;
    assert_eq!((delivery.kind, delivery.incident.unwrap().open), (Kind::Opened, 51));
}

#[tokio::test]
async fn a_change_does_not_shorten_a_back_off() {
    let bench = Bench::new(&["slack"]);
    bench.accept(vec![firing(1, 90)]).await;
    let first = bench.claim_one("slack").await;
    bench.settle(&first, retry(400, false)).await;
    bench.accept(vec![firing(2, 90)]).await;
    assert!(bench.claim("slack").await.is_empty());
    assert_eq!(bench.store.next_due("slack").await.unwrap(), Some(at(400)));
}

#[tokio::test]
async fn a_lease_that_runs_out_is_tried_again_as_a_possible_duplicate() {
    let bench = Bench::new(&["slack"]);
    bench.accept(vec![firing(1, 90)]).await;
    let first = bench.claim_one("slack").await;
    assert_eq!(bench.store.next_due("slack").await.unwrap(), Some(at(160)));
    bench.clock.advance(LEASE);
    let second = bench.claim_one("slack").await;
    assert_eq!((second.id, second.attempt, second.maybe_duplicate), (first.id, 2, true));
    assert_eq!(bench.settle(&first, delivered()).await, Change::Nothing, "it was lost to the second");
    assert_eq!(bench.settle(&second, delivered()).await, Change::Done);
    assert_eq!(bench.settle(&second, delivered()).await, Change::Nothing);
    bench.ledger().await;
}

#[tokio::test]
async fn a_late_settlement_counts_while_nobody_else_has_tried() {
    let bench = Bench::new(&["slack"]);
    bench.accept(vec![firing(1, 90)]).await;
    let first = bench.claim_one("slack").await;
    bench.clock.advance(LEASE * 2);
    assert_eq!(bench.settle(&first, delivered()).await, Change::Done);
    assert!(bench.claim("slack").await.is_empty());
}

#[tokio::test]
async fn leases_of_a_process_that_is_gone_end_at_once() {
    let mut bench = Bench::new(&["slack"]);
    bench.accept(vec![firing(1, 90)]).await;
    let first = bench.claim_one("slack").await;
    bench.restart().await;
    let second = bench.claim_one("slack").await;
    assert_eq!((second.id, second.attempt, second.maybe_duplicate), (first.id, 2, true));
    assert_eq!(bench.settle(&first, delivered()).await, Change::Nothing);
}

#[tokio::test]
async fn a_retry_is_not_claimed_before_its_time() {
    let bench = Bench::new(&["slack"]);
    bench.accept(vec![firing(1, 90)]).await;
    let first = bench.claim_one("slack").await;
    assert_eq!(bench.settle(&first, retry(130, false)).await, Change::Done);
    assert!(bench.claim("slack").await.is_empty());
    assert_eq!(bench.store.next_due("slack").await.unwrap(), Some(at(130)));
    let row = bench.store.outbox_row(first.id).await.unwrap().unwrap();
    assert_eq!((row.state, row.attempts, row.error.as_deref()), (RowState::Pending, 1, Some("refused")));
    bench.clock.advance(MINUTE / 2);
    let second = bench.claim_one("slack").await;
    assert!(!second.maybe_duplicate, "it is known that it did not arrive");
    bench.settle(&second, retry(131, true)).await;
    bench.clock.advance(MINUTE);
    let third = bench.claim_one("slack").await;
    assert!(third.maybe_duplicate);
    assert_eq!(third.waiting_since, at(100));
}

#[tokio::test]
async fn dead_messages_stay_and_are_replayed_once() {
    let bench = Bench::new(&["slack"]);
    bench.accept(vec![firing(1, 90)]).await;
    let first = bench.claim_one("slack").await;
    assert_eq!(bench.settle(&first, dead()).await, Change::Done);
    assert!(bench.claim("slack").await.is_empty());
    let queues = bench.store.condition().await.unwrap().queues;
    assert_eq!((queues[0].pending, queues[0].dead, queues[0].oldest), (0, 1, None));
    let filter = OutboxFilter { state: Some(RowState::Dead), channel: Some("slack".into()), ..OutboxFilter::default() };
    let rows = bench.store.outbox(filter).await.unwrap();
    assert_eq!((rows.len(), rows[0].error.as_deref()), (1, Some("no such channel")));

    bench.clock.advance(MINUTE * 60 * 25);
    assert_eq!(bench.store.replay(first.id, "ana", "channel made").await.unwrap(), Change::Done);
    assert_eq!(bench.store.replay(first.id, "ana", "channel made").await.unwrap(), Change::Nothing);
    assert_eq!(bench.store.replay(4_711, "ana", "").await.unwrap(), Change::Missing);
    let second = bench.deliver("slack").await;
    assert_eq!((second.id, second.attempt), (first.id, 2));
    assert_eq!(second.waiting_since, bench.clock.now(), "it does not die of its age at once");
    bench.ledger().await;
}

#[tokio::test]
async fn a_discarded_message_is_never_sent() {
    let bench = Bench::new(&["slack", "mail"]);
    bench.accept(vec![firing(1, 90)]).await;
    let under_way = bench.claim_one("slack").await;
    let other = bench.claim_one("mail").await;
    bench.settle(&other, dead()).await;
    for id in [under_way.id, other.id] {
        assert_eq!(bench.store.discard(id, "ana", "noise").await.unwrap(), Change::Done);
        assert_eq!(bench.store.discard(id, "ana", "noise").await.unwrap(), Change::Nothing);
        assert_eq!(bench.store.replay(id, "ana", "after all").await.unwrap(), Change::Nothing);
    }
    assert_eq!(bench.store.discard(4_711, "ana", "").await.unwrap(), Change::Missing);
    assert_eq!(bench.settle(&under_way, delivered()).await, Change::Nothing);
    assert_eq!(bench.ledger().await.discarded, 2);
    bench.accept(vec![resolved(1, 90, 99)]).await;
    assert_eq!(bench.told("slack").await, Some(Kind::Resolved), "the story goes on");
}

#[tokio::test]
async fn unsent_messages_of_a_channel_that_is_gone_are_dead_and_come_back_with_it() {
    let mut bench = Bench::new(&["slack", "mail"]);
    bench.accept(vec![firing(1, 90), labelled(firing(2, 90), "cause", "other")]).await;
    let held = bench.store.claim("mail", 1, LEASE).await.unwrap().remove(0);
    let both = std::mem::replace(&mut bench.policy, policy(&["slack"]));

    bench.tick().await;
    let ledger = bench.ledger().await;
    assert_eq!((ledger.dead, ledger.pending), (1, 3), "what the old worker holds is still its own");
    assert_eq!(bench.settle(&held, retry(101, false)).await, Change::Done);
    bench.tick().await;
    assert_eq!(bench.ledger().await.dead, 2, "and is given up after it");
    assert_eq!(bench.claim("slack").await.len(), 2, "a channel that is there loses nothing");

    let filter = OutboxFilter { channel: Some("mail".to_owned()), ..OutboxFilter::default() };
    let rows = bench.store.outbox(filter).await.unwrap();
    assert!(rows.iter().all(|row| row.error.as_deref() == Some("the channel is no longer configured")), "{rows:?}");
    bench.policy = both;
    assert_eq!(bench.store.replay(held.id, "local", "it is back").await.unwrap(), Change::Done);
    bench.tick().await;
    assert_eq!(bench.claim_one("mail").await.id, held.id);
}

#[tokio::test]
async fn the_anchor_is_kept_for_each_channel() {
    let mut bench = Bench::new(&["slack", "mail"]);
    bench.accept(vec![firing(1, 90)]).await;
    for channel in ["slack", "mail"] {
        let delivery = bench.claim_one(channel).await;
        assert_eq!(delivery.anchor, None);
        bench.settle(&delivery, Settlement::Delivered { anchor: Some(format!("{channel}:1")) }).await;
    }
    bench.restart().await;
    bench.accept(vec![firing(2, 90)]).await;
    let delivery = bench.deliver("slack").await;
    assert_eq!(delivery.anchor.as_deref(), Some("slack:1"), "which `None` keeps");
    bench.accept(vec![resolved(1, 90, 99), resolved(2, 90, 99)]).await;
    assert_eq!(bench.claim_one("slack").await.anchor.as_deref(), Some("slack:1"));
    assert_eq!(bench.claim_one("mail").await.anchor.as_deref(), Some("mail:1"));
}

#[tokio::test]
async fn the_oldest_come_first_and_no_more_than_asked_for() {
    let bench = Bench::new(&["slack"]);
    for number in 1..=3 {
        bench.accept(vec![labelled(firing(number, 90), "cause", &format!("cause-{number}"))]).await;
        bench.clock.advance(MINUTE);
    }
    let causes = async || {
        let claimed = bench.store.claim("slack", 2, LEASE).await.unwrap();
        claimed.into_iter().map(|it| it.incident.unwrap().cause).collect::<Vec<_>>()
    };
    assert_eq!(causes().await, ["cause-1", "cause-2"]);
    assert_eq!(causes().await, ["cause-3"]);
}

#[tokio::test]
async fn the_next_message_falls_due_after_the_cooldown() {
    let bench = Bench::new(&["slack"]);
    assert_eq!(bench.store.next_due("slack").await.unwrap(), None);
    bench.accept(vec![firing(1, 90), firing(2, 90)]).await;
    assert_eq!(bench.store.next_due("slack").await.unwrap(), Some(at(100)));
    bench.deliver("slack").await;
    bench.accept(vec![resolved(2, 90, 99)]).await;
    assert_eq!(bench.store.next_due("slack").await.unwrap(), Some(at(1_000)));
    let queue = bench.store.condition().await.unwrap().queues.remove(0);
    assert_eq!((queue.pending, queue.oldest), (1, None), "what cools down is not late");
    bench.clock.advance(MINUTE * 16);
    let queue = bench.store.condition().await.unwrap().queues.remove(0);
    assert_eq!(queue.oldest, Some(at(1_000)));
    assert_eq!(bench.deliver("slack").await.waiting_since, at(1_000));
}

#[tokio::test]
async fn the_bell_rings_for_what_is_due_and_not_for_a_repeat() {
    let bench = Bench::new(&["slack"]);
    let bell = bench.store.bell();
    let mut armed = Box::pin(bell.notified());
    armed.as_mut().enable();
    bench.accept(vec![firing(1, 90)]).await;
    armed.await;
    let mut armed = Box::pin(bell.notified());
    armed.as_mut().enable();
    bench.accept(vec![firing(1, 90)]).await;
    bench.store.probe().await.unwrap();
    assert!(poll!(&mut armed).is_pending());
    bench.deliver("slack").await;
    armed.await;
}

#[tokio::test]
async fn a_notice_goes_to_the_channels_that_it_names() {
    let bench = Bench::new(&["slack"]);
    let channels = ["slack".to_owned(), "mail".to_owned()];
    bench.store.notice("intake_refused", "intake was refused since 02:11", &channels).await.unwrap();
    bench.store.notice("intake_refused", "intake was refused since 02:12", &channels).await.unwrap();
    for channel in ["slack", "mail"] {
        let delivery = bench.deliver(channel).await;
        assert_eq!(delivery.subject, Subject::Notice("intake_refused".to_owned()));
        assert_eq!((delivery.kind, delivery.notice.as_deref()), (Kind::Notice, Some("intake was refused since 02:12")));
        assert!(delivery.incident.is_none());
    }
    bench.ledger().await;
}
