//! What an Alertmanager's list leads to, kept by the same rules as a post.

use std::sync::Arc;

use tidewatch::alert::reconcile::{Differences, Gone};
use tidewatch::alert::{Counts, Fingerprint, Kind};

use super::Bench;
use crate::support::alerts::{at, firing, post, resolved};

impl Bench {
    async fn reconcile(&self, differences: Differences) -> Counts {
        self.store.reconcile("default", differences, Arc::clone(&self.policy)).await.unwrap().counts
    }
}

fn gone(number: u64, ends: i64) -> Differences {
    Differences { gone: vec![Gone { fingerprint: Fingerprint(number), ends_at: at(ends) }], ..Differences::default() }
}

#[tokio::test]
async fn what_is_found_opens_like_a_post_and_a_post_of_it_is_a_repeat() {
    let bench = Bench::new(&["ops"]);
    let found = Differences { found: vec![firing(1, 50), firing(2, 60)], ..Differences::default() };
    let counts = bench.reconcile(found.clone()).await;
    assert_eq!((counts.received, counts.opened), (2, 2));
    assert_eq!(bench.told("ops").await, Some(Kind::Opened));
    assert_eq!(bench.reconcile(found).await.repeated, 2, "once more is no second episode");
    assert_eq!(bench.accept(vec![firing(1, 50), firing(2, 60)]).await.repeated, 2);
    let incident = bench.store.incident(1).await.unwrap().unwrap();
    assert!(incident.open == 2 && incident.members.iter().all(|member| member.found && !member.reconciled));
    assert_eq!(bench.ledger().await.alerts.received, 6);
}

#[tokio::test]
async fn what_is_gone_ends_once_and_not_before_it_began() {
    let bench = Bench::new(&["ops"]);
    bench.accept(vec![firing(1, 50), firing(2, 60)]).await;
    bench.deliver("ops").await;
    assert_eq!(bench.reconcile(gone(1, 90)).await, Counts::default(), "no post, so no count");
    assert_eq!(bench.reconcile(gone(1, 95)).await, Counts::default(), "a second time is nothing");
    assert_eq!(bench.reconcile(gone(2, 10)).await, Counts::default());
    let incident = bench.store.incident(1).await.unwrap().unwrap();
    let ends: Vec<_> = incident.members.iter().map(|member| (member.fingerprint.0, member.ends_at)).collect();
    assert_eq!(ends, [(1, Some(at(90))), (2, Some(at(60)))]);
    assert!(incident.members.iter().all(|member| member.reconciled) && incident.resolved_at.is_some());
    assert_eq!(bench.told("ops").await, Some(Kind::Resolved));
    // The post that comes after all is an old one; a genuine new firing is none.
    assert_eq!(bench.accept(vec![resolved(1, 50, 90)]).await.stale, 1);
    assert_eq!(bench.accept(vec![firing(1, 96)]).await.opened, 1);
    let incident = bench.store.incident(1).await.unwrap().unwrap();
    assert!(incident.resolved_at.is_none(), "it is the same incident so soon after");
    bench.ledger().await;
}

#[tokio::test]
async fn what_is_held_is_decided_before_its_time() {
    let bench = Bench::new(&["ops"]);
    for number in [1, 2] {
        bench.accept(vec![firing(number, 50)]).await;
        bench.accept(vec![resolved(number, 50, 80)]).await;
        assert_eq!(bench.accept(vec![firing(number, 50)]).await.held, 1);
    }
    let heard = bench.store.heard("default").await.unwrap();
    assert_eq!(heard.open.iter().filter(|open| open.held).count(), 2);
    assert!(heard.receivers.contains("tidewatch"));
    let differences = Differences { fires: vec![firing(1, 50)], stale: vec![Fingerprint(2)], ..Differences::default() };
    bench.reconcile(differences.clone()).await;
    let heard = bench.store.heard("default").await.unwrap().open;
    assert_eq!(heard.iter().map(|open| (open.fingerprint.0, open.held)).collect::<Vec<_>>(), [(1, false)]);
    assert_eq!(bench.tick().await, None, "no timer is left");
    bench.reconcile(differences).await;
    assert_eq!(bench.store.heard("default").await.unwrap().open, heard, "a second time is nothing");
    bench.ledger().await;
}

#[tokio::test]
async fn doubts_ring_for_what_is_held_and_for_what_is_left_out() {
    let bench = Bench::new(&[]);
    let doubts = bench.store.doubts();
    let mut post = post(vec![firing(1, 50)]);
    post.truncated = 3;
    let rung = doubts.bell().notified();
    bench.store.accept(post, Arc::clone(&bench.policy)).await.unwrap();
    rung.await;
    assert!(doubts.take_truncated("default"));
    assert!(!doubts.take_truncated("default"), "it was taken");
    bench.accept(vec![resolved(1, 50, 80)]).await;
    let rung = doubts.bell().notified();
    bench.accept(vec![firing(1, 50)]).await;
    rung.await;
    assert!(!doubts.take_truncated("default"));
}

#[tokio::test]
async fn the_last_sign_of_life_survives_the_process() {
    let mut bench = Bench::new(&[]);
    assert_eq!(bench.store.alive_before(), None);
    bench.store.probe().await.unwrap();
    bench.restart().await;
    assert_eq!(bench.store.alive_before(), Some(at(100)));
}
