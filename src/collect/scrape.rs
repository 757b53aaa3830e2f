//! The engine: runs collectors for scrapers, each once at a time, each within its deadline.
//!
//! Deadlines nest. A run ends at its collector's `schedule.timeout`; a scraper waits for it as long as its own
//! [`patience`] lasts, which is shorter than what Prometheus waits for the response. So a slow collector costs its own
//! series, and the rest still arrives.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use tokio::time::{Instant, timeout};

use super::slot::Slot;
use super::{Answer, ENDPOINTS, Entry, Last, Output, Question, Refused, Selection};
use crate::clock::Clock;
use crate::metrics::{Batch, Desc};
use crate::task::{Tasks, words};
use crate::telemetry::Telemetry;

pub(super) static SUCCESS: Desc = Desc::gauge(
    "tidewatch_collector_success",
    "Whether the collector's run succeeded, within the scrape's time.",
    &["collector"],
);
pub(super) static DURATION: Desc = Desc::gauge(
    "tidewatch_collector_duration_seconds",
    "How long the collector's run took, or how long the scrape waited in vain.",
    &["collector"],
);

pub(super) static COMPATIBLE: Desc = Desc::gauge(
    "tidewatch_compatible",
    "1: this exporter's names, types and labels are followed, those of this release.",
    &["exporter", "version"],
);

/// The state of a collector that nobody scrapes is at most this old.
pub const IDLE: Duration = Duration::from_secs(30);

/// Prometheus gets the response this long before it gives up, where it waits for more than a second.
const MARGIN: Duration = Duration::from_millis(500);

/// How long a scraper waits: what its `X-Prometheus-Scrape-Timeout-Seconds` leaves after a margin for the response, at
/// most what is configured.
pub fn patience(asked: Option<Duration>, configured: Duration) -> Duration {
    asked.map_or(configured, |asked| asked.saturating_sub(MARGIN).max(asked / 2).min(configured))
}

/// Runs the enabled collectors. Clones share it.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    slots: Vec<Arc<Slot>>,
    everything: Selection,
    clock: Clock,
    tasks: Tasks,
}

/// What one scrape has collected. Cheap: runs are shared with the other scrapers that waited for them.
pub struct Scrape {
    collected: Vec<(Arc<Output>, Arc<BTreeSet<&'static str>>)>,
    report: Batch,
}

impl Scrape {
    /// What to write, in the order of the list: the selected parts, and last how the collectors did.
    pub fn batches(&self) -> Vec<&Batch> {
        let parts = self.collected.iter().flat_map(|(output, wanted)| {
            output.parts().filter(move |(part, _)| wanted.contains(part)).map(|(_, batch)| batch)
        });
        parts.chain([&self.report]).collect()
    }
}

impl Engine {
    /// An engine for these collectors.
    pub fn new(entries: Vec<Entry>, clock: Clock, tasks: Tasks, telemetry: &Telemetry) -> Self {
        let dropped = telemetry.counter(
            "tidewatch_collector_series_dropped_total",
            "Series beyond a collector's limit, dropped by whole families.",
            &["collector"],
        );
        let everything = Selection::all(&entries);
        let slot = |entry: Entry| {
            let dropped = dropped.with_label_values(&[entry.name]);
            Arc::new(Slot::new(entry, clock.clone(), dropped))
        };
        let slots = entries.into_iter().map(slot).collect();
        Self(Arc::new(Inner { slots, everything, clock, tasks }))
    }

    /// All that can be scraped: what [`Selection::bound`] and [`Selection::narrowed`] choose from.
    pub fn everything(&self) -> &Selection {
        &self.0.everything
    }

    /// Collects what is selected, in parallel, and returns when all is there or `patience` is over. A collector that is
    /// running already is waited for, not started again. Dropping the future stops no run.
    pub async fn scrape(&self, selection: &Selection, patience: Duration) -> Scrape {
        let start = Instant::now();
        let selected = self.0.slots.iter().filter_map(|slot| Some((slot, selection.parts(slot.entry.name)?)));
        let runs = selected.map(async |(slot, parts)| {
            let run = timeout(patience, slot.join(&self.0.tasks)).await.ok().flatten();
            (slot.entry.name, slot.entry.follows, parts, run, start.elapsed())
        });
        let mut scrape = Scrape { collected: Vec::new(), report: Batch::new() };
        for (name, follows, parts, run, waited) in join_all(runs).await {
            let duration = run.as_ref().map_or(waited, |run| run.duration);
            let output = run.and_then(|run| run.output.clone());
            scrape.report.push(&SUCCESS, &[name], f64::from(u8::from(output.is_some())));
            scrape.report.push(&DURATION, &[name], duration.as_secs_f64());
            if let Some((exporter, version)) = follows {
                scrape.report.push(&COMPATIBLE, &[exporter, version], 1.0);
            }
            scrape.collected.extend(output.map(|output| (output, Arc::clone(parts))));
        }
        scrape
    }

    /// Asks the first selected collector with the endpoint `path`.
    pub async fn answer(&self, path: &str, selection: &Selection, question: &Question) -> Result<Answer, Refused> {
        let serves = |slot: &&Arc<Slot>| {
            slot.entry.endpoint.is_some_and(|it| it.path == path) && selection.parts(slot.entry.name).is_some()
        };
        let Some(slot) = self.0.slots.iter().find(serves) else { return Err(Refused::unanswered(path, ENDPOINTS)) };
        let entry = &slot.entry;
        let asked = AssertUnwindSafe(timeout(question.limit, entry.collector.answer(question))).catch_unwind().await;
        match asked {
            Ok(Ok(answer)) => answer.map_err(|refused| refused.said_by(entry.name, path, ENDPOINTS)),
            Ok(Err(_)) => Err(Refused::Failed(format!("no answer within {:?}", question.limit))),
            Err(panic) => {
                let what = words(panic.as_ref());
                tracing::error!(collector = entry.name, what, "the endpoint panicked");
                Err(Refused::Failed("this request failed here; the log says why".into()))
            }
        }
    }

    /// The last known state of every collector that has run.
    pub fn last(&self) -> Last {
        Last { collectors: self.0.slots.iter().filter_map(|slot| slot.last()).collect() }
    }

    /// Runs each collector at once, and then whenever it has not run for `idle`, until the program or this engine ends.
    pub fn keep_fresh(&self, idle: Duration) {
        let (engine, clock, tasks) = (Arc::downgrade(&self.0), self.0.clock.clone(), self.0.tasks.clone());
        self.0.tasks.supervise("collect-idle", move || keep_fresh(engine.clone(), clock.clone(), tasks.clone(), idle));
    }
}

/// Holds the engine weakly: after a reload the old one, which nobody scrapes any more, is to rest.
async fn keep_fresh(engine: Weak<Inner>, clock: Clock, tasks: Tasks, idle: Duration) {
    while let Some(inner) = engine.upgrade() {
        let now = clock.now();
        let waits = inner.slots.iter().map(|slot| slot.freshen(&tasks, now, idle));
        let wait = waits.min().unwrap_or(idle);
        drop(inner);
        tokio::select! {
            () = clock.sleep(wait) => {}
            () = tasks.stopping() => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_leaves_time_for_the_response() {
        let configured = Duration::from_secs(9);
        for (asked, millis) in [
            (None, 9_000),
            (Some(10_000), 9_000),
            (Some(5_000), 4_500),
            (Some(1_000), 500),
            (Some(600), 300),
            (Some(3_600_000), 9_000),
        ] {
            let asked = asked.map(Duration::from_millis);
            assert_eq!(patience(asked, configured), Duration::from_millis(millis), "{asked:?}");
        }
    }
}
