//! What is counted of deliveries.

use std::time::Duration;

use jiff::Timestamp;
use prometheus::{HistogramVec, IntCounterVec, IntGaugeVec};

use crate::store::Settlement;
use crate::telemetry::Telemetry;

/// The families of all channels. Clones share them.
#[derive(Clone)]
pub struct Meters {
    /// `tidewatch_notify_attempts_total{channel,result}`.
    pub attempts: IntCounterVec,
    /// `tidewatch_notify_dwell_seconds{channel}`.
    pub dwell: HistogramVec,
    /// `tidewatch_channel_circuit_open{channel}`.
    pub circuit: IntGaugeVec,
    /// `tidewatch_notify_late_total{channel}`.
    pub late: IntCounterVec,
    /// `tidewatch_notify_handed_over_total{channel}`.
    pub handed_over: IntCounterVec,
}

/// From a second to a day: what is above a minute is worth a question.
const BUCKETS: [f64; 10] = [0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0, 86_400.0];
/// The values of the label `result`.
const RESULTS: [&str; 4] = ["delivered", "retry", "ambiguous", "dead"];

impl Meters {
    /// Registers the families: once in a process.
    pub fn new(telemetry: &Telemetry) -> Self {
        Self {
            attempts: telemetry.counter(
                "tidewatch_notify_attempts_total",
                "Attempts to send a message, by how they ended.",
                &["channel", "result"],
            ),
            dwell: telemetry.histogram(
                "tidewatch_notify_dwell_seconds",
                "Time from when a message fell due until it was delivered.",
                &["channel"],
                &BUCKETS,
            ),
            circuit: telemetry.gauge(
                "tidewatch_channel_circuit_open",
                "Whether a channel rests after failures in a row.",
                &["channel"],
            ),
            late: telemetry.counter(
                "tidewatch_notify_late_total",
                "Messages that were delivered later than `delivery.late` after they fell due.",
                &["channel"],
            ),
            handed_over: telemetry.counter(
                "tidewatch_notify_handed_over_total",
                "Messages that another channel was given because this one does not deliver.",
                &["channel"],
            ),
        }
    }

    /// A channel begins: its counters are there from 0, so that a first failure is an increase.
    pub(super) fn begin(&self, channel: &str) {
        for result in RESULTS {
            self.attempts.with_label_values(&[channel, result]).inc_by(0);
        }
        self.dwell.with_label_values(&[channel]);
        self.late.with_label_values(&[channel]).inc_by(0);
        self.handed_over.with_label_values(&[channel]).inc_by(0);
    }

    pub(super) fn attempt(&self, channel: &str, how: &Settlement) {
        let result = match how {
            Settlement::Delivered { .. } => RESULTS[0],
            Settlement::Retry { ambiguous: false, .. } => RESULTS[1],
            Settlement::Retry { ambiguous: true, .. } => RESULTS[2],
            Settlement::Dead { .. } => RESULTS[3],
        };
        self.attempts.with_label_values(&[channel, result]).inc();
    }

    pub(super) fn dwelt(&self, channel: &str, since: Timestamp, now: Timestamp, late: Duration) {
        let dwelt = now.duration_since(since).as_secs_f64().max(0.0);
        self.dwell.with_label_values(&[channel]).observe(dwelt);
        if dwelt > late.as_secs_f64() {
            self.late.with_label_values(&[channel]).inc();
        }
    }

    pub(super) fn handed(&self, channel: &str, messages: u64) {
        self.handed_over.with_label_values(&[channel]).inc_by(messages);
    }

    pub(super) fn rests(&self, channel: &str, open: bool) {
        self.circuit.with_label_values(&[channel]).set(i64::from(open));
    }
}
