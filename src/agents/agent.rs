//! What is known of one agent.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::counter::{Count, Totals, report};
use super::pulse::Pulse;
use super::score::{Trouble, is_failure};
use super::text::Text;
use super::{Expectation, Heartbeat, Source};

/// An agent's timestamp older than this is a clock that was never set, not an old heartbeat.
const OLDEST_SECONDS: i64 = 86_400;

/// What is known of one agent: what each source told, and what `agents expect` said. Its size is bounded: the sources are
/// few, texts and lists within have limits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Agent {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) heard: Vec<Heard>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) expectation: Option<Expectation>,
}

/// What one source told of an agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Heard {
    pub(super) source: Source,
    pub(super) at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<Text>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) health_score: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) interval_seconds: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) role: Option<Text>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) model: Option<Text>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) active_tasks: Option<u64>,
    #[serde(default)]
    pub(super) pulse: Pulse,
    #[serde(default)]
    pub(super) totals: Totals,
    #[serde(default)]
    pub(super) trouble: Trouble,
}

impl Heard {
    fn first(source: Source, at: Timestamp) -> Self {
        Self {
            source,
            at,
            status: None,
            health_score: None,
            interval_seconds: None,
            role: None,
            model: None,
            active_tasks: None,
            pulse: Pulse::default(),
            totals: Totals::default(),
            trouble: Trouble::default(),
        }
    }

    /// Status and score are of the last heartbeat; the rest stays until it is told anew.
    fn take(&mut self, at: Timestamp, beat: Heartbeat) {
        self.at = at;
        self.pulse.beat(at);
        self.status = beat.status;
        self.health_score = beat.health_score;
        self.interval_seconds = beat.interval_seconds.or(self.interval_seconds);
        self.role = beat.role.or(self.role.take());
        self.model = beat.model.or(self.model.take());
        self.active_tasks = beat.active_tasks.or(self.active_tasks);
        let tasks = beat.tasks.unwrap_or_default();
        let tokens = beat.tokens.unwrap_or_default();
        let totals = &mut self.totals;
        report(&mut totals.messages, beat.messages_processed);
        report(&mut totals.deliberations, beat.deliberations);
        report(&mut totals.input, tokens.input);
        report(&mut totals.output, tokens.output);
        if let Some(cost) = beat.cost_usd {
            totals.cost.get_or_insert_default().report(cost);
        }
        let completed = report(&mut totals.completed, tasks.completed);
        let failed = report(&mut totals.failed, tasks.failed);
        let failing = self.status.as_ref().is_some_and(|status| is_failure(status.as_str()));
        self.trouble.report(completed, failed, failing);
    }

    pub(super) fn interval(&self) -> Option<f64> {
        self.interval_seconds.or_else(|| self.pulse.interval())
    }
}

impl Agent {
    /// Takes a heartbeat of a source. One that is older than the source's last tells nothing new.
    pub(super) fn beat(&mut self, source: Source, beat: Heartbeat, now: Timestamp) {
        let sent = beat.timestamp.filter(|at| *at < now && now.as_second() - at.as_second() <= OLDEST_SECONDS);
        let at = sent.unwrap_or(now);
        let known = self.heard.iter().position(|heard| heard.source == source);
        let index = known.unwrap_or_else(|| {
            self.heard.push(Heard::first(source, at));
            self.heard.len() - 1
        });
        if let Some(heard) = self.heard.get_mut(index) {
            // A clock of ours that was set back would otherwise silence the agent until it has caught up.
            heard.at = heard.at.min(now);
            if at >= heard.at {
                heard.take(at, beat);
            }
        }
    }

    /// What was heard after `now` was heard now: our clock was set back.
    pub(super) fn settle(&mut self, now: Timestamp) {
        for heard in &mut self.heard {
            heard.at = heard.at.min(now);
        }
    }

    /// The newest of what `pick` finds in what the sources told.
    pub(super) fn newest<'a, T>(&'a self, pick: impl Fn(&'a Heard) -> Option<T>) -> Option<T> {
        let told = self.heard.iter().filter_map(|heard| pick(heard).map(|value| (heard.at, value)));
        told.max_by_key(|(at, _)| *at).map(|(_, value)| value)
    }

    /// The highest total that a source has: each never goes down, so neither does this.
    pub(super) fn count(&self, pick: impl Fn(&Totals) -> Option<Count>) -> Option<u64> {
        self.heard.iter().filter_map(|heard| pick(&heard.totals)).map(|count| count.total()).max()
    }

    /// The highest cost that a source has.
    pub(super) fn cost(&self) -> Option<f64> {
        self.heard.iter().filter_map(|heard| heard.totals.cost).map(|cost| cost.total()).max_by(f64::total_cmp)
    }
}
