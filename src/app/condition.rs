//! The store's condition, as samples and as the services `store` and `channels`.

use jiff::Timestamp;

use crate::alert::Severity;
use crate::facts::{ServiceState, State};
use crate::metrics::{Batch, Desc};
use crate::store::{Condition, Queue, StoreError};

static PENDING: Desc = Desc::gauge("tidewatch_outbox_pending", "Messages that wait to be delivered.", &["channel"]);
static OLDEST: Desc = Desc::gauge(
    "tidewatch_outbox_oldest_seconds",
    "Age of the oldest message that waits; 0 when none does.",
    &["channel"],
);
static DEAD: Desc =
    Desc::gauge("tidewatch_dlq", "Messages that could not be delivered and wait for a person.", &["channel"]);
static INCIDENTS: Desc = Desc::gauge("tidewatch_incidents", "Incidents that are open.", &["severity"]);
static BYTES: Desc = Desc::gauge("tidewatch_db_bytes", "Size of the database, its log included.", &[]);
static UP: Desc = Desc::gauge("tidewatch_store_up", "Whether the store answers and takes writes.", &[]);

/// Every family that this file writes.
pub(super) const DESCS: [&Desc; 6] = [&PENDING, &OLDEST, &DEAD, &INCIDENTS, &BYTES, &UP];

/// A message that waits longer than this is late for whoever should have it.
const LATE_SECONDS: f64 = 300.0;

/// With a queue for each channel, also for those that never had a message, and a count for each severity that opens
/// incidents: what is empty is 0, not absent.
pub(super) fn complete(mut condition: Condition, channels: &[String]) -> Condition {
    for channel in channels {
        if !condition.queues.iter().any(|queue| queue.channel == *channel) {
            condition.queues.push(Queue { channel: channel.clone(), pending: 0, dead: 0, oldest: None });
        }
    }
    for severity in [Severity::Critical, Severity::Warning, Severity::Info].map(|severity| severity.to_string()) {
        if !condition.incidents.iter().any(|(known, _)| *known == severity) {
            condition.incidents.push((severity, 0));
        }
    }
    condition
}

/// Pushes the condition, and whether the store `writes`; without a condition only that there is none.
pub(super) fn push(condition: Result<&Condition, &StoreError>, writes: bool, now: Timestamp, batch: &mut Batch) {
    batch.push(&UP, &[], f64::from(u8::from(writes && condition.is_ok())));
    let Ok(condition) = condition else { return };
    for queue in &condition.queues {
        batch.push(&PENDING, &[&queue.channel], queue.pending as f64);
        batch.push(&OLDEST, &[&queue.channel], age(queue.oldest, now));
        batch.push(&DEAD, &[&queue.channel], queue.dead as f64);
    }
    for (severity, open) in &condition.incidents {
        batch.push(&INCIDENTS, &[severity], *open as f64);
    }
    batch.push(&BYTES, &[], condition.bytes as f64);
}

/// The services `store` and `channels`. `writes` says whether the store takes them, or why not.
pub(super) fn services(
    condition: Result<&Condition, &StoreError>,
    writes: &Result<(), String>,
    now: Timestamp,
) -> Vec<ServiceState> {
    let service = |service: &str, state, why: String, next: &str| ServiceState {
        service: service.into(),
        state,
        since: now,
        why,
        next: next.into(),
    };
    let next = "look at the disk under the data folder: space, permissions, whether it is mounted read-only";
    let condition = match condition {
        Ok(condition) => condition,
        Err(error) => {
            return vec![
                service("store", State::Critical, error.to_string(), next),
                service("channels", State::Unknown, "the store does not answer".into(), next),
            ];
        }
    };
    let open: u64 = condition.incidents.iter().map(|(_, open)| open).sum();
    let store = match writes {
        Ok(()) => {
            let why = format!("{open} open incidents, {:.1} MiB", condition.bytes as f64 / f64::from(1 << 20));
            service("store", State::Ok, why, "")
        }
        Err(why) => service("store", State::Critical, why.clone(), next),
    };
    vec![store, channels(condition, now, service)]
}

fn channels(
    condition: &Condition,
    now: Timestamp,
    service: impl Fn(&str, State, String, &str) -> ServiceState,
) -> ServiceState {
    let late = condition.queues.iter().filter(|queue| age(queue.oldest, now) > LATE_SECONDS);
    let late: Vec<String> =
        late.map(|queue| format!("{} {:.0} min", queue.channel, age(queue.oldest, now) / 60.0)).collect();
    let dead = condition.queues.iter().filter(|queue| queue.dead > 0);
    let dead: Vec<String> = dead.map(|queue| format!("{} {}", queue.channel, queue.dead)).collect();
    if !late.is_empty() {
        let why = format!("messages wait: {}", late.join(", "));
        return service(
            "channels",
            State::Critical,
            why,
            "tidewatch outbox list --state pending, then test-notify the channel",
        );
    }
    if !dead.is_empty() {
        let why = format!("messages that could not be delivered: {}", dead.join(", "));
        return service("channels", State::Warning, why, "tidewatch outbox list --dead, then replay or discard them");
    }
    let names: Vec<&str> = condition.queues.iter().map(|queue| queue.channel.as_str()).collect();
    service("channels", State::Ok, format!("nothing waits ({})", names.join(", ")), "")
}

fn age(since: Option<Timestamp>, now: Timestamp) -> f64 {
    since.map_or(0.0, |since| now.duration_since(since).as_secs_f64().max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(pending: u64, dead: u64, oldest: Option<i64>) -> Condition {
        let oldest = oldest.map(|second| Timestamp::from_second(second).unwrap());
        let queue = Queue { channel: "ops".into(), pending, dead, oldest };
        Condition { queues: vec![queue], incidents: vec![("critical".into(), 2)], bytes: 1 << 20, watchdogs: vec![] }
    }

    fn states(condition: Result<&Condition, &StoreError>) -> Vec<State> {
        let now = Timestamp::from_second(1_000).unwrap();
        services(condition, &Ok(()), now).iter().map(|service| service.state).collect()
    }

    #[test]
    fn late_messages_are_critical_and_dead_ones_a_warning() {
        assert_eq!(states(Ok(&condition(0, 0, None))), [State::Ok, State::Ok]);
        assert_eq!(states(Ok(&condition(1, 0, Some(900)))), [State::Ok, State::Ok]);
        assert_eq!(states(Ok(&condition(1, 0, Some(600)))), [State::Ok, State::Critical]);
        assert_eq!(states(Ok(&condition(0, 3, None))), [State::Ok, State::Warning]);
        assert_eq!(states(Err(&StoreError::Busy)), [State::Critical, State::Unknown]);
    }

    #[test]
    fn what_is_empty_is_zero_and_not_absent() {
        let condition = complete(condition(1, 0, None), &["ops".into(), "mail".into()]);
        let queues: Vec<_> = condition.queues.iter().map(|queue| (queue.channel.as_str(), queue.pending)).collect();
        assert_eq!(queues, [("ops", 1), ("mail", 0)]);
        let incidents = [("critical", 2), ("warning", 0), ("info", 0)];
        assert_eq!(condition.incidents, incidents.map(|(severity, open)| (severity.to_owned(), open)));
    }

    #[test]
    fn a_store_that_does_not_answer_is_a_sample_too() {
        let mut batch = Batch::new();
        push(Err(&StoreError::Busy), true, Timestamp::UNIX_EPOCH, &mut batch);
        assert_eq!(batch.series(), 1);
    }

    #[test]
    fn a_store_that_only_reads_is_critical_and_its_queues_still_count() {
        let now = Timestamp::from_second(1_000).unwrap();
        let found = services(Ok(&condition(1, 0, Some(600))), &Err("disk full".into()), now);
        assert_eq!((found[0].state, found[0].why.as_str()), (State::Critical, "disk full"));
        assert_eq!(found[1].state, State::Critical, "messages wait");
    }
}
