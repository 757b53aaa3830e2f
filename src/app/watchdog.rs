//! The Watchdog that stops arriving: then no alert arrives either, and tidewatch tells every channel by itself. It does
//! so by an alert of its own, whose incident lasts over restarts and ends when the Watchdog is back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::shared::Shared;
use crate::alert::policy::Policy;
use crate::alert::route::Routes;
use crate::alert::{Alert, Fingerprint, Labels, OWN_SOURCE, Post, identity, text};
use crate::clock::later;
use crate::facts::{ServiceState, State};
use crate::metrics::{Batch, Desc};
use crate::store::{Store, StoreError};

static AGE: Desc = Desc::gauge(
    "tidewatch_watchdog_age_seconds",
    "Time since the Watchdog was heard from a source; since the start where it is expected and was never heard.",
    &["source"],
);
static SILENT: Desc = Desc::gauge(
    "tidewatch_watchdog_silent",
    "Whether the Watchdog of a source has not arrived for `watchdog.late`; absent while none is armed.",
    &["source"],
);

/// Every family that this file writes.
pub(super) const DESCS: [&Desc; 2] = [&AGE, &SILENT];

/// Between two looks, at least and at most.
const OFTEN: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

/// A source whose Watchdog is armed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Watched {
    source: String,
    /// When it last arrived; `None` when it is expected and never did.
    heard: Option<Timestamp>,
    /// From when its silence counts: not before this process could hear it.
    since: Timestamp,
    silent: bool,
}

/// Who is watched, and how that is. Pure. Without `sources` all that were ever heard are armed.
pub(super) fn judge(
    heard: &BTreeMap<String, Timestamp>,
    sources: &[String],
    late: Duration,
    started: Timestamp,
    now: Timestamp,
) -> Vec<Watched> {
    let armed: BTreeSet<&String> = if sources.is_empty() { heard.keys().collect() } else { sources.iter().collect() };
    let watched = |source: &String| {
        let heard = heard.get(source).copied();
        let since = heard.unwrap_or(started);
        Watched { source: source.clone(), heard, since, silent: now > later(since.max(started), late) }
    };
    armed.into_iter().map(watched).collect()
}

/// Looks now and then; what was seen stands in health and in the metrics.
pub(super) fn watch(shared: &Arc<Shared>) {
    let Some(store) = shared.parts.store.clone() else { return };
    let shared = Arc::clone(shared);
    let tasks = shared.parts.tasks.clone();
    tasks.supervise("watchdog", move || {
        let (shared, store) = (Arc::clone(&shared), Arc::clone(&store));
        async move {
            let mut stopping = std::pin::pin!(shared.parts.tasks.stopping());
            loop {
                if let Err(error) = look(&shared, store.as_ref()).await {
                    tracing::warn!(%error, "the Watchdog could not be looked after");
                }
                let late = shared.generation().validated.settings.watchdog.late.0;
                tokio::select! {
                    () = &mut stopping => return,
                    () = shared.parts.clock.sleep((late / 5).clamp(OFTEN.0, OFTEN.1)) => {}
                }
            }
        }
    });
}

async fn look(shared: &Shared, store: &dyn Store) -> Result<(), StoreError> {
    let (generation, now) = (shared.generation(), shared.parts.clock.now());
    let (settings, policy) = (&generation.validated.settings.watchdog, &generation.policy);
    let condition = store.condition().await?;
    let watched = shared.watched(&condition);
    let heard: BTreeMap<String, Timestamp> = condition.watchdogs.into_iter().collect();
    shared.set_watchdogs(watched.clone());
    // One that is watched no more may have been silent.
    let known: BTreeSet<&String> = heard.keys().chain(&settings.sources).chain(&policy.sources).collect();
    for source in known {
        let found = watched.iter().find(|watched| watched.source == *source);
        let silent = found.filter(|watched| watched.silent);
        let firing = store.firing_since(OWN_SOURCE, Fingerprint::of(&labels(source))).await?;
        let (since, ended) = match (silent, firing) {
            // A moment after it was last heard, which is when the silence before this one may have ended.
            (Some(silent), None) => (later(silent.since, Duration::from_nanos(1)), None),
            (None, Some(since)) => (since, Some(heard.get(source).copied().unwrap_or(now).max(since))),
            _ => continue,
        };
        let time = text::time(since, now, &generation.validated.zone);
        let post = post(source, since, ended, &time);
        store.accept(post, Arc::new(to_everybody(policy))).await?;
        if ended.is_some() {
            tracing::info!(source, "the Watchdog arrives again");
        } else {
            tracing::error!(source, %since, "the Watchdog does not arrive: every channel is told");
        }
    }
    Ok(())
}

/// No route holds it back: it concerns whoever relies on any alert.
fn to_everybody(policy: &Policy) -> Policy {
    Policy { routes: Routes::everything(policy.routes.all().to_vec()), ..policy.clone() }
}

fn labels(source: &str) -> Labels {
    let pairs = [("alertname", "WatchdogSilent"), ("severity", "critical"), ("cause", "watchdog"), ("name", source)];
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

fn post(source: &str, since: Timestamp, ended: Option<Timestamp>, time: &str) -> Post {
    let annotations = [
        ("summary", format!("No Watchdog arrives from source {source}")),
        (
            "description",
            format!(
                "No Watchdog has come from source {source} since {time}; one is due every minute. Prometheus or \
                 Alertmanager is down, or does not reach tidewatch: other alerts do not arrive either."
            ),
        ),
        ("next", "See whether Prometheus and Alertmanager run, and what their logs say".to_owned()),
    ];
    let labels = labels(source);
    let alert = Alert {
        fingerprint: Fingerprint::of(&labels),
        firing: ended.is_none(),
        labels,
        annotations: annotations.map(|(name, value)| (name.to_owned(), value)).into(),
        starts_at: since,
        ends_at: ended,
        generator_url: String::new(),
    };
    Post {
        source: OWN_SOURCE.to_owned(),
        receiver: OWN_SOURCE.to_owned(),
        group: identity::hash(&format!("watchdog:{source}")),
        external_url: None,
        truncated: 0,
        reason: None,
        alerts: vec![alert],
        quarantined: Vec::new(),
        unkept: 0,
    }
}

/// The samples.
pub(super) fn push(watched: &[Watched], now: Timestamp, batch: &mut Batch) {
    for Watched { source, since, silent, .. } in watched {
        batch.push(&AGE, &[source], now.duration_since(*since).as_secs_f64().max(0.0));
        batch.push(&SILENT, &[source], f64::from(u8::from(*silent)));
    }
}

/// The sources whose Watchdog is silent.
pub(super) fn silent(watched: &[Watched]) -> Vec<&str> {
    watched.iter().filter(|watched| watched.silent).map(|watched| watched.source.as_str()).collect()
}

/// The service `watchdog`.
pub(super) fn service(watched: &[Watched], now: Timestamp) -> ServiceState {
    let (state, why, next) = match (silent(watched).as_slice(), watched) {
        ([], []) => (
            State::Ok,
            "unarmed: none has arrived yet, and none is expected".to_owned(),
            "let Alertmanager send its Watchdog: `tidewatch assets export` writes the route",
        ),
        ([], watched) => {
            let age = |one: &Watched| text::length(now.duration_since(one.since).as_secs());
            let heard = |one: &Watched| match one.heard {
                Some(_) => format!("{} {} ago", one.source, age(one)),
                None => format!("{} not yet", one.source),
            };
            (State::Ok, format!("heard from {}", watched.iter().map(heard).collect::<Vec<_>>().join(", ")), "")
        }
        (silent, _) => (
            State::Critical,
            format!("silent: {}", silent.join(", ")),
            "see whether Prometheus and Alertmanager run, and what their logs say",
        ),
    };
    ServiceState { service: "watchdog".into(), state, since: now, why, next: next.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn silent_at(heard: &[(&str, i64)], sources: &[&str], started: i64, now: i64) -> Vec<(String, bool)> {
        let heard = heard.iter().map(|(source, second)| ((*source).to_owned(), at(*second))).collect();
        let sources: Vec<String> = sources.iter().map(ToString::to_string).collect();
        let watched = judge(&heard, &sources, Duration::from_mins(5), at(started), at(now));
        watched.into_iter().map(|watched| (watched.source, watched.silent)).collect()
    }

    #[test]
    fn the_first_that_arrives_arms_it() {
        assert_eq!(silent_at(&[], &[], 0, 9_000), []);
        assert_eq!(silent_at(&[("default", 100)], &[], 0, 400), [("default".to_owned(), false)]);
        assert_eq!(silent_at(&[("default", 100)], &[], 0, 401), [("default".to_owned(), true)]);
    }

    #[test]
    fn the_configuration_arms_it_and_names_who_is_watched() {
        assert_eq!(silent_at(&[], &["default"], 100, 400), [("default".to_owned(), false)]);
        assert_eq!(silent_at(&[], &["default"], 100, 401), [("default".to_owned(), true)]);
        let left = [("old", 0), ("berlin", 8_900)];
        assert_eq!(silent_at(&left, &["berlin"], 0, 9_000), [("berlin".to_owned(), false)], "`old` is no more");
    }

    #[test]
    fn silence_while_nobody_listened_does_not_count() {
        assert_eq!(silent_at(&[("default", 100)], &[], 9_000, 9_300), [("default".to_owned(), false)]);
        assert_eq!(silent_at(&[("default", 100)], &[], 9_000, 9_301), [("default".to_owned(), true)]);
    }

    #[test]
    fn an_unarmed_one_says_so() {
        assert!(service(&[], at(0)).why.starts_with("unarmed"));
        let watched =
            judge(&BTreeMap::from([("default".to_owned(), at(0))]), &[], Duration::from_secs(1), at(0), at(9));
        let service = service(&watched, at(9));
        assert_eq!((service.state, service.why.as_str()), (State::Critical, "silent: default"));
    }
}
