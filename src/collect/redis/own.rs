//! How the asking itself went: the families that redis_exporter writes about its scrapes.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::metrics::{Batch, Desc, Kind, Summary};

pub(super) static UP: Desc =
    Desc::gauge("redis_up", "redis_exporter: whether the server answered, with the credentials, in time.", &[]);
static ERROR: Desc =
    Desc::gauge("redis_exporter_last_scrape_error", "redis_exporter: 1 where the server is not up, and why.", &["err"]);
static LAST: Desc =
    Desc::gauge("redis_exporter_last_scrape_duration_seconds", "redis_exporter: how long the asking took.", &[]);
static CONNECT: Desc = Desc::gauge(
    "redis_exporter_last_scrape_connect_time_seconds",
    "redis_exporter: how long the connecting took; the connection is kept.",
    &[],
);
static SCRAPES: Desc =
    Desc::counter("redis_exporter_scrapes_total", "redis_exporter: how often the server was asked.", &[]);
static DURATIONS: Desc = Desc::new(
    Kind::Summary,
    "redis_exporter_scrape_duration_seconds",
    "redis_exporter: how long the askings took.",
    &[],
);
pub(super) static REQUEST_ERRORS: Desc = Desc::counter(
    "redis_target_scrape_request_errors_total",
    "redis_exporter: requests to /scrape that were refused.",
    &[],
);
static GROUPS: Desc = Desc::gauge(
    "redis_last_key_groups_scrape_duration_milliseconds",
    "redis_exporter: how long the grouping of keys took.",
    &[],
);

pub(super) static DESCS: [&Desc; 8] = [&UP, &ERROR, &LAST, &CONNECT, &SCRAPES, &DURATIONS, &REQUEST_ERRORS, &GROUPS];

/// The askings of one server so far.
#[derive(Debug, Default)]
pub(super) struct History(Mutex<(u64, f64)>);

impl History {
    /// Adds one, and writes all.
    pub(super) fn add(&self, took: Duration, batch: &mut Batch) {
        let mut history = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        history.0 += 1;
        history.1 += took.as_secs_f64();
        batch.push(&SCRAPES, &[], history.0 as f64);
        let summary = Summary { quantiles: Vec::new(), sum: history.1, count: history.0 };
        batch.push_summary(&DURATIONS, &[], &summary);
    }
}

/// Writes how long the connecting took.
pub(super) fn write_connect(took: Duration, batch: &mut Batch) {
    batch.push(&CONNECT, &[], took.as_secs_f64());
}

/// Writes whether the server is up, and why not.
pub(super) fn write_up(down: Option<&str>, took: Duration, batch: &mut Batch) {
    batch.push(&UP, &[], f64::from(u8::from(down.is_none())));
    batch.push(&ERROR, &[down.unwrap_or_default()], f64::from(u8::from(down.is_some())));
    batch.push(&LAST, &[], took.as_secs_f64());
}

/// Writes how long the grouping of keys took: nothing, where none is wanted.
pub(super) fn write_groups(took: Duration, batch: &mut Batch) {
    batch.push(&GROUPS, &[], took.as_millis() as f64);
}
