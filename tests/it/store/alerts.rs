//! What becomes of alerts and incidents.

use std::sync::Arc;
use std::time::Duration;

use tidewatch::alert::policy::Policy;
use tidewatch::alert::route::{self, Routes};
use tidewatch::alert::{Counts, Kind, MOST_MEMBERS, Post, Quarantined, Severity};
use tidewatch::config::Problems;
use tidewatch::store::Subject;

use super::{Bench, MINUTE};
use crate::support::alerts::{at, firing, labelled, labels, policy, post, resolved};

#[tokio::test]
async fn a_first_alert_opens_an_incident_that_every_channel_is_told_of() {
    let bench = Bench::new(&["slack", "mail"]);
    let counts = bench.accept(vec![firing(1, 90)]).await;
    assert_eq!(counts, Counts { received: 1, opened: 1, ..Counts::default() });
    for channel in ["slack", "mail"] {
        let delivery = bench.claim_one(channel).await;
        assert_eq!((delivery.kind, delivery.sequence, delivery.attempt), (Kind::Opened, 1, 1));
        assert!(!delivery.maybe_duplicate);
        let incident = delivery.incident.unwrap();
        assert_eq!(delivery.subject, Subject::Incident(incident.id));
        assert_eq!((incident.source.as_str(), incident.cause.as_str()), ("default", "agent"));
        assert_eq!((incident.severity, incident.open, incident.total), (Severity::Warning, 1, 1));
        assert_eq!((incident.opened_at, incident.resolved_at), (at(90), None));
        let (sent, kept) = (firing(1, 90), &incident.members[0]);
        assert_eq!(kept.fingerprint, sent.fingerprint);
        assert_eq!((&kept.labels, &kept.annotations), (&sent.labels, &sent.annotations));
        assert_eq!((kept.starts_at, kept.ends_at), (sent.starts_at, None));
        assert_eq!(kept.generator_url, sent.generator_url);
    }
    bench.ledger().await;
}

#[tokio::test]
async fn a_repeat_tells_nobody() {
    let bench = Bench::new(&["slack"]);
    bench.accept(vec![firing(1, 90)]).await;
    assert_eq!(bench.told("slack").await, Some(Kind::Opened));
    bench.clock.advance(MINUTE * 300);
    assert_eq!(bench.accept(vec![firing(1, 90)]).await, Counts { received: 1, repeated: 1, ..Counts::default() });
    assert_eq!(bench.told("slack").await, None);
    assert_eq!(bench.store.incidents(false, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn r9_e20_two_replicas_are_one_episode_with_the_earlier_beginning() {
    let bench = Bench::new(&["slack"]);
    bench.accept(vec![firing(1, 90)]).await;
    bench.accept(vec![firing(1, 80)]).await;
    bench.accept(vec![firing(1, 95)]).await;
    let incident = bench.store.incidents(true, 10).await.unwrap().remove(0);
    assert_eq!((incident.opened_at, incident.total, incident.members.len()), (at(80), 1, 1));
    assert_eq!(incident.members[0].starts_at, at(80));
}

#[tokio::test]
async fn the_resolve_ends_the_episode_and_the_incident() {
    let bench = Bench::new(&["slack"]);
    bench.accept(vec![firing(1, 90)]).await;
    bench.deliver("slack").await;
    let mut end = resolved(1, 90, 99);
    end.annotations = labels(&[("summary", "was late for 9 s")]);
    assert_eq!(bench.accept(vec![end.clone()]).await, Counts { received: 1, closed: 1, ..Counts::default() });
    let delivery = bench.deliver("slack").await;
    assert_eq!((delivery.kind, delivery.sequence), (Kind::Resolved, 2));
    let incident = delivery.incident.unwrap();
    assert_eq!((incident.resolved_at, incident.open, incident.total), (Some(at(99)), 0, 1));
    assert_eq!((incident.severity, incident.members[0].ends_at), (Severity::Warning, Some(at(99))));
    assert_eq!(incident.members[0].annotations, end.annotations, "the last evaluated text");
    assert_eq!(bench.accept(vec![end]).await.stale, 1, "once more");
    assert!(bench.store.incidents(true, 10).await.unwrap().is_empty());
    bench.ledger().await;
}

#[tokio::test]
async fn an_end_before_the_beginning_ends_nothing() {
    let bench = Bench::new(&["slack"]);
    bench.accept(vec![firing(1, 90)]).await;
    assert_eq!(bench.accept(vec![resolved(1, 70, 80)]).await.stale, 1);
    assert_eq!(bench.store.incidents(true, 10).await.unwrap()[0].open, 1);
}

#[tokio::test]
async fn a_resolve_of_what_never_fired_here_tells_nobody() {
    let bench = Bench::new(&["slack"]);
    assert_eq!(bench.accept(vec![resolved(1, 80, 90)]).await.stale, 1);
    assert_eq!(bench.ledger().await.due, 0);
    assert_eq!(bench.accept(vec![firing(1, 80)]).await.held, 1, "but a stale firing is known by it");
}

#[tokio::test]
async fn r9_a_stale_firing_after_the_end_is_held_and_dropped_by_its_resolve() {
    let bench = Bench::new(&["slack"]);
    bench.accept(vec![firing(1, 90)]).await;
    bench.accept(vec![resolved(1, 90, 95)]).await;
    assert_eq!(bench.accept(vec![firing(1, 90)]).await.held, 1);
    assert_eq!(bench.accept(vec![firing(1, 90)]).await.held, 1, "still");
    assert_eq!(bench.tick().await, Some(130));
    assert_eq!(bench.accept(vec![resolved(1, 90, 95)]).await.stale, 1);
    assert_eq!(bench.tick().await, None);
    bench.clock.advance(MINUTE);
    bench.tick().await;
    let incidents = bench.store.incidents(false, 10).await.unwrap();
    assert_eq!((incidents.len(), incidents[0].open, incidents[0].members.len()), (1, 0, 1));
    bench.ledger().await;
}

#[tokio::test]
async fn a_held_firing_that_nothing_contradicts_is_told_also_after_a_restart() {
    let mut bench = Bench::new(&["slack"]);
    bench.accept(vec![firing(1, 90)]).await;
    bench.deliver("slack").await;
    bench.accept(vec![resolved(1, 90, 95)]).await;
    bench.deliver("slack").await;
    bench.accept(vec![firing(1, 92)]).await;
    bench.restart().await;
    assert_eq!(bench.tick().await, Some(130));
    bench.clock.advance(MINUTE / 2);
    assert_eq!(bench.tick().await, None);
    let delivery = bench.deliver("slack").await;
    assert_eq!(delivery.kind, Kind::Reopened);
    let incident = delivery.incident.unwrap();
    assert_eq!((incident.open, incident.total, incident.resolved_at), (1, 1, None));
    assert_eq!(bench.accept(vec![firing(1, 92)]).await.repeated, 1);
}

#[tokio::test]
async fn a_held_firing_with_a_later_beginning_opens_at_once() {
    let bench = Bench::new(&["slack"]);
    bench.accept(vec![firing(1, 90)]).await;
    bench.accept(vec![resolved(1, 90, 95)]).await;
    bench.accept(vec![firing(1, 92)]).await;
    assert_eq!(bench.accept(vec![firing(1, 97)]).await.opened, 1);
    assert_eq!(bench.tick().await, None, "nothing is held any more");
    assert_eq!(bench.store.incidents(true, 10).await.unwrap()[0].members[0].starts_at, at(97));
}

#[tokio::test]
async fn what_fires_again_within_ten_minutes_reopens_its_incident() {
    let bench = Bench::new(&["slack"]);
    bench.accept(vec![firing(1, 0)]).await;
    bench.deliver("slack").await;
    bench.accept(vec![resolved(1, 0, 100)]).await;
    bench.deliver("slack").await;
    bench.accept(vec![firing(1, 700)]).await;
    let again = bench.deliver("slack").await;
    assert_eq!((again.kind, again.sequence), (Kind::Reopened, 3));
    bench.accept(vec![resolved(1, 700, 800)]).await;
    bench.deliver("slack").await;
    bench.accept(vec![firing(1, 1_401)]).await;
    let later = bench.deliver("slack").await;
    assert_eq!((later.kind, later.sequence), (Kind::Opened, 1));
    assert_ne!(later.subject, again.subject);
    assert_eq!(bench.store.incidents(false, 10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn alerts_of_one_cause_share_an_incident() {
    let bench = Bench::new(&["slack"]);
    bench.accept(vec![firing(1, 90)]).await;
    assert_eq!(bench.told("slack").await, Some(Kind::Opened));
    bench.accept(vec![firing(2, 95), labelled(firing(3, 96), "cause", "disk")]).await;
    let mut told: Vec<_> = bench.claim("slack").await.into_iter().map(|it| (it.kind, it.incident.unwrap())).collect();
    told.sort_by_key(|(_, incident)| incident.id);
    let summary: Vec<_> = told.iter().map(|(kind, it)| (*kind, it.cause.as_str(), it.open)).collect();
    assert_eq!(summary, [(Kind::Changed, "agent", 2), (Kind::Opened, "disk", 1)]);
    bench.accept(vec![resolved(1, 90, 99)]).await;
    assert_eq!(bench.store.incident(told[0].1.id).await.unwrap().unwrap().open, 1, "until all have ended");
}

#[tokio::test]
async fn a_source_is_half_of_the_identity() {
    let bench = Bench::new(&["slack"]);
    bench.accept(vec![firing(1, 90)]).await;
    let other = Post { source: "paris".to_owned(), ..post(vec![resolved(1, 90, 95)]) };
    bench.store.accept(other, Arc::clone(&bench.policy)).await.unwrap();
    let other = Post { source: "paris".to_owned(), ..post(vec![firing(1, 96)]) };
    bench.store.accept(other, Arc::clone(&bench.policy)).await.unwrap();
    let open = bench.store.incidents(true, 10).await.unwrap();
    let sources: Vec<&str> = open.iter().map(|incident| incident.source.as_str()).collect();
    assert_eq!(sources, ["paris", "default"]);
}

#[tokio::test]
async fn a_rise_in_severity_is_told_at_once_and_on_its_own() {
    let bench = Bench::new(&["slack"]);
    bench.accept(vec![firing(1, 90)]).await;
    bench.deliver("slack").await;
    let critical = labelled(firing(2, 95), "severity", "critical");
    let critical = labelled(critical, "agent_id", "agent-1");
    bench.accept(vec![critical]).await;
    let risen = bench.deliver("slack").await;
    assert_eq!((risen.kind, risen.sequence), (Kind::Risen, 2));
    let incident = risen.incident.unwrap();
    assert_eq!((incident.severity, incident.members[0].severity), (Severity::Critical, Severity::Critical));
    let counts = bench.store.condition().await.unwrap().incidents;
    assert_eq!(counts, [("critical".to_owned(), 1)]);
}

#[tokio::test]
async fn a_channel_that_comes_later_hears_a_beginning_and_every_one_hears_the_end() {
    let bench = Bench::new(&["slack"]);
    bench.accept(vec![firing(1, 90)]).await;
    bench.deliver("slack").await;
    let wider = policy(&["slack", "mail"]);
    bench.store.accept(post(vec![firing(2, 90)]), Arc::clone(&wider)).await.unwrap();
    assert_eq!(bench.told("slack").await, Some(Kind::Changed));
    assert_eq!(bench.told("mail").await, Some(Kind::Opened));
    let route = route::Config { channels: vec!["slack".to_owned()], ..route::Config::default() };
    let routes = Routes::new(&[route], wider.routes.all().to_vec(), Vec::new(), &mut Problems::default());
    let narrower = Arc::new(Policy { routes, ..Policy::default() });
    bench.store.accept(post(vec![resolved(1, 90, 99), resolved(2, 90, 99)]), narrower).await.unwrap();
    assert_eq!(bench.told("slack").await, Some(Kind::Resolved));
    assert_eq!(bench.told("mail").await, Some(Kind::Resolved), "also where the routes no longer lead");
}

#[tokio::test]
async fn a_channel_that_is_gone_is_told_nothing_more() {
    let bench = Bench::new(&["slack", "mail"]);
    bench.accept(vec![firing(1, 90)]).await;
    bench.deliver("slack").await;
    bench.deliver("mail").await;
    bench.store.accept(post(vec![resolved(1, 90, 99)]), policy(&["slack"])).await.unwrap();
    assert_eq!(bench.told("slack").await, Some(Kind::Resolved));
    assert_eq!(bench.ledger().await.pending, 0, "nobody would ever send it");
}

#[tokio::test]
async fn what_no_route_takes_is_kept_and_told_to_nobody() {
    let bench = Bench::new(&[]);
    bench.accept(vec![firing(1, 90)]).await;
    bench.accept(vec![resolved(1, 90, 99)]).await;
    assert_eq!(bench.store.incidents(false, 10).await.unwrap()[0].resolved_at, Some(at(99)));
    assert_eq!(bench.ledger().await.due, 0);
}

#[tokio::test]
async fn the_cooldown_holds_back_only_what_can_wait() {
    let bench = Bench::new(&["slack"]);
    bench.accept(vec![firing(1, 90), firing(2, 90)]).await;
    assert_eq!(bench.told("slack").await, Some(Kind::Opened));
    bench.accept(vec![firing(3, 95)]).await;
    assert_eq!(bench.told("slack").await, Some(Kind::Changed), "a new member of another host");
    let twin = labelled(labelled(firing(4, 95), "agent_id", "agent-3"), "alertname", "Twin");
    bench.accept(vec![twin]).await;
    assert_eq!(bench.told("slack").await, None, "a new member of the same host");
    bench.accept(vec![resolved(2, 90, 99)]).await;
    bench.clock.advance(Duration::from_secs(15 * 60 - 1));
    assert_eq!(bench.told("slack").await, None, "fewer members");
    bench.clock.advance(MINUTE / 60);
    assert_eq!(bench.told("slack").await, Some(Kind::Changed), "both at its end");
    bench.accept(vec![resolved(1, 90, 99), resolved(3, 95, 99), resolved(4, 95, 99)]).await;
    assert_eq!(bench.told("slack").await, Some(Kind::Resolved), "a resolve never waits");
    bench.ledger().await;
}

#[tokio::test]
async fn the_cooldown_counts_from_when_a_message_really_fell_due() {
    let bench = Bench::new(&["slack"]);
    bench.accept(vec![firing(1, 90), firing(2, 90), firing(3, 90)]).await;
    bench.deliver("slack").await;
    bench.accept(vec![resolved(2, 90, 99)]).await;
    assert_eq!(bench.told("slack").await, None);
    bench.accept(vec![firing(4, 99)]).await;
    assert_eq!(bench.told("slack").await, Some(Kind::Changed), "another host hastens the one that waits");
    bench.accept(vec![resolved(3, 90, 99)]).await;
    bench.clock.advance(MINUTE * 15);
    assert_eq!(bench.told("slack").await, Some(Kind::Changed));
}

#[tokio::test]
async fn what_is_not_for_people_opens_no_incident() {
    let bench = Bench::new(&["slack"]);
    let watchdog = labelled(firing(1, 90), "severity", "none");
    assert_eq!(bench.accept(vec![watchdog.clone()]).await.opened, 1);
    assert_eq!(bench.accept(vec![watchdog]).await.repeated, 1);
    assert!(bench.store.incidents(false, 10).await.unwrap().is_empty());
    assert_eq!(bench.ledger().await.due, 0);
}

#[tokio::test]
async fn a_fingerprint_that_is_posted_twice_counts_by_its_last_place() {
    let bench = Bench::new(&["slack"]);
    let counts = bench.accept(vec![resolved(1, 80, 90), firing(2, 90), firing(1, 95)]).await;
    assert_eq!(counts, Counts { received: 3, opened: 2, repeated: 1, ..Counts::default() });
}

#[tokio::test]
async fn all_parts_of_a_post_are_counted() {
    let bench = Bench::new(&["slack"]);
    let quarantined = vec![Quarantined { raw: b"{".to_vec(), why: "cut off".to_owned() }];
    let post = Post { truncated: 7, quarantined, ..post(vec![firing(1, 90)]) };
    let counts = bench.store.accept(post, Arc::clone(&bench.policy)).await.unwrap().counts;
    assert_eq!(counts, Counts { received: 9, opened: 1, quarantined: 1, truncated: 7, ..Counts::default() });
    bench.store.quarantine("default", Quarantined { raw: vec![b'x'; 100_000], why: "no JSON".into() }).await.unwrap();
    assert_eq!(bench.ledger().await.alerts.quarantined, 2);
    assert_eq!(bench.accept(Vec::new()).await, Counts::default(), "an empty post is fine");
}

#[tokio::test]
async fn a_post_that_claims_to_lack_any_number_does_no_harm() {
    let bench = Bench::new(&["slack"]);
    for truncated in [u64::MAX, u64::MAX / 2] {
        let post = Post { truncated, ..post(vec![firing(1, 90)]) };
        bench.store.accept(post, Arc::clone(&bench.policy)).await.unwrap();
    }
    let alerts = bench.ledger().await.alerts;
    assert_eq!((alerts.opened, alerts.repeated, alerts.truncated), (1, 1, 2_000_000));
}

#[tokio::test]
async fn a_big_post_is_one_incident_and_others_get_their_turn() {
    let bench = Bench::new(&["slack"]);
    let most: Vec<_> = (1..=7_000).map(|number| firing(number, 90)).collect();
    let done = std::sync::Mutex::new(Vec::new());
    let big = async {
        let counts = bench.accept(most.clone()).await;
        done.lock().unwrap().push("big");
        counts
    };
    let small = async {
        bench.accept(vec![labelled(firing(9_001, 90), "cause", "disk")]).await;
        done.lock().unwrap().push("small");
    };
    let (counts, ()) = tokio::join!(big, small);
    assert_eq!(counts, Counts { received: 7_000, opened: 7_000, ..Counts::default() });
    assert_eq!(*done.lock().unwrap(), ["small", "big"]);
    let told = bench.claim("slack").await;
    assert_eq!(told.len(), 2, "one message an incident");
    let incident = told.into_iter().filter_map(|it| it.incident).find(|it| it.cause == "agent").unwrap();
    assert_eq!((incident.open, incident.total, incident.members.len()), (7_000, 7_000, MOST_MEMBERS));
    for (limit, members) in [(100, MOST_MEMBERS), (1_000, 10)] {
        let listed = bench.store.incidents(true, limit).await.unwrap();
        let listed = listed.iter().find(|it| it.cause == "agent").unwrap();
        assert_eq!((listed.open, listed.members.len()), (7_000, members), "a long list shows fewer of each");
    }
    assert_eq!(bench.accept(most).await.repeated, 7_000, "a retry changes nothing");
}

#[tokio::test]
async fn members_stand_open_ones_first_and_each_alert_once() {
    let bench = Bench::new(&["slack"]);
    let critical = labelled(firing(3, 95), "severity", "critical");
    bench.accept(vec![firing(1, 90), firing(2, 90), critical]).await;
    bench.accept(vec![resolved(1, 90, 99), resolved(2, 90, 99)]).await;
    bench.accept(vec![firing(2, 100)]).await;
    let incident = bench.store.incidents(true, 10).await.unwrap().remove(0);
    let members: Vec<_> = incident.members.iter().map(|it| (it.fingerprint.0, it.ends_at.is_none())).collect();
    assert_eq!(members, [(3, true), (2, true), (1, false)]);
    assert_eq!((incident.open, incident.total), (2, 3));
}

#[tokio::test]
async fn posts_at_the_same_time_lose_nothing() {
    let bench = Bench::new(&["slack", "mail"]);
    let posts = (0..64).map(|post| {
        let alerts = (0..20).map(|number| firing(post * 15 + number, 90)).collect();
        bench.accept(alerts)
    });
    let mut sum = Counts::default();
    futures_util::future::join_all(posts).await.into_iter().for_each(|counts| sum += counts);
    assert_eq!((sum.received, sum.opened), (64 * 20, 63 * 15 + 20), "neighbours share five alerts");
    assert_eq!(bench.ledger().await.alerts, sum);
    assert_eq!(bench.store.incidents(true, 10).await.unwrap()[0].open, 63 * 15 + 20);
}

#[tokio::test]
async fn a_watchdog_is_remembered_by_its_source() {
    let mut bench = Bench::new(&[]);
    bench.store.watchdog("default").await.unwrap();
    bench.clock.advance(MINUTE);
    bench.store.watchdog("paris").await.unwrap();
    bench.restart().await;
    let heard = bench.store.condition().await.unwrap().watchdogs;
    assert_eq!(heard, [("default".to_owned(), at(100)), ("paris".to_owned(), at(160))]);
}
