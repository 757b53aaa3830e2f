//! What a reload keeps: messages at work, pauses and breakers.

use std::time::Duration;

use tidewatch::alert::Kind;
use tidewatch::notify::{Limits, Retry};
use tidewatch::store::Delivery;

use super::{Act, House, SOON, eventually, message};

#[tokio::test]
async fn workers_are_replaced_without_a_second_copy() {
    let mut house = House::new(Limits::default(), true);
    house.outbox.add(message(1, 1), true);
    house.until_got(1).await;
    // A reload: the old workers end when their sends have, the new ones begin at once.
    house.start(Limits::default());
    house.outbox.add(Delivery { kind: Kind::Changed, ..message(2, 2) }, true);
    house.channel.permits.add_permits(10);
    eventually("both", SOON, async || (house.outbox.done() == 2).then_some(())).await;
    assert_eq!(house.got(), 2);
}

#[tokio::test]
async fn a_reload_shortens_no_pause_that_was_asked_for() {
    let mut house = House::new(Limits::default(), false);
    house.act(Act::Fail(Retry::After(Duration::from_secs(30))));
    house.outbox.add(message(1, 1), true);
    house.until_settled(1, 1).await;
    house.start(Limits::default());
    house.outbox.add(message(2, 2), true);
    house.until_looked().await;
    assert_eq!(house.got(), 1);
    house.clock.advance(Duration::from_secs(30));
    house.until_got(3).await;
}

#[tokio::test]
async fn a_reload_closes_no_breaker() {
    let mut house = House::new(Limits::default(), false);
    for id in 1..=5 {
        house.act(Act::Fail(Retry::Later));
        house.outbox.add(message(id, id), true);
        house.until_settled(id, 1).await;
    }
    house.start(Limits::default());
    assert!((House::metric(&house.meters.circuit, &["ops"]) - 1.0).abs() < 0.1);
    house.outbox.add(message(6, 6), true);
    house.until_looked().await;
    assert_eq!(house.got(), 5, "it rests");
}
