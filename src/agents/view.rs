//! What the registry shows: every agent at one moment.

use jiff::Timestamp;
use serde::Serialize;

use super::agent::Agent;
use super::score::is_goodbye;
use super::{AgentId, Expectation, Limits, Quorum, Refusal, Settings, Source};

/// How an agent is. Ordered: the worst is the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// Heard within its late limit.
    Online,
    /// Not heard, and a planned stop says so.
    Planned,
    /// Heard within its timeout, but not within its late limit.
    Late,
    /// Not heard within its timeout, or it said goodbye.
    Offline,
    /// Expected, and never heard.
    NeverSeen,
}

/// One agent at one moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct View {
    /// Its id.
    pub agent_id: AgentId,
    /// How it is.
    pub condition: Condition,
    /// Whether it was heard within its own timeout and said no goodbye; a planned stop does not make it online.
    pub online: bool,
    /// Whether the configuration or `agents expect` names it.
    pub expected: bool,
    /// Its last heartbeat.
    pub last_heartbeat: Option<Timestamp>,
    /// Seconds since then.
    pub age_seconds: Option<f64>,
    /// Seconds after which it is late and offline; a planned stop moves both to its end.
    pub late_seconds: f64,
    /// See `late_seconds`; infinite for an agent that was never seen while its planned stop lasts.
    pub timeout_seconds: f64,
    /// Configured, reported or learnt.
    pub interval_seconds: Option<f64>,
    /// 0 to 1; 0 while it is offline.
    pub health_score: f64,
    /// The end of its planned stop.
    pub stop_until: Option<Timestamp>,
    /// Who told of it last.
    pub source: Option<Source>,
    /// What it said it is, or is expected to be.
    pub role: Option<String>,
    /// The model it said it uses.
    pub model: Option<String>,
    /// The word it sent last.
    pub status: Option<String>,
    /// Messages processed.
    pub messages: Option<u64>,
    /// Deliberations.
    pub deliberations: Option<u64>,
    /// Tasks completed.
    pub tasks_completed: Option<u64>,
    /// Tasks failed.
    pub tasks_failed: Option<u64>,
    /// Tasks at this moment; unknown while it is offline.
    pub active_tasks: Option<u64>,
    /// Tokens read.
    pub tokens_input: Option<u64>,
    /// Tokens written.
    pub tokens_output: Option<u64>,
    /// US dollars.
    pub cost_usd: Option<f64>,
}

impl View {
    pub(super) fn of(id: &AgentId, agent: &Agent, settings: &Settings, now: Timestamp) -> Self {
        let none = Expectation::default();
        let configured = settings.expected.get(id);
        let told = agent.expectation.as_ref().unwrap_or(&none);
        let expectation = configured.unwrap_or(&none).or(told);
        let last = agent.newest(Some);
        let interval = expectation
            .interval
            .map(|span| span.0.as_secs_f64())
            .or_else(|| last.and_then(super::agent::Heard::interval));
        let limits = Limits::of(&expectation, interval, settings);
        let last_heartbeat = last.map(|heard| heard.at);
        let age = last_heartbeat.map(|at| seconds(at, now).max(0.0));
        let status = last.and_then(|heard| heard.status.as_ref()).map(super::text::Text::as_str);
        let goodbye = status.is_some_and(is_goodbye);
        let online = age.is_some_and(|age| age <= limits.timeout) && !goodbye;
        let shown = limits.plus(planned(&expectation, last_heartbeat, limits, now));
        let condition = match age {
            None if shown.timeout.is_infinite() => Condition::Planned,
            None => Condition::NeverSeen,
            Some(age) if online && age > shown.late => Condition::Late,
            Some(_) if online => Condition::Online,
            Some(age) if age <= shown.timeout && shown.timeout > limits.timeout => Condition::Planned,
            Some(_) => Condition::Offline,
        };
        let score = |age: f64| {
            let heard = last.map(|heard| (heard.health_score, heard.trouble));
            heard.map_or(0.0, |(reported, trouble)| reported.unwrap_or_else(|| trouble.score(age, limits)))
        };
        let owned = |text: &super::text::Text| text.as_str().to_owned();
        Self {
            agent_id: id.clone(),
            condition,
            online,
            expected: configured.is_some() || agent.expectation.is_some(),
            last_heartbeat,
            age_seconds: age,
            late_seconds: shown.late,
            timeout_seconds: shown.timeout,
            interval_seconds: interval,
            health_score: age.filter(|_| online).map_or(0.0, score),
            stop_until: expectation.stop_until.filter(|until| *until > now),
            source: last.map(|heard| heard.source),
            role: agent.newest(|heard| heard.role.as_ref()).map(owned).or(expectation.role),
            model: agent.newest(|heard| heard.model.as_ref()).map(owned),
            status: status.map(str::to_owned),
            messages: agent.count(|totals| totals.messages),
            deliberations: agent.count(|totals| totals.deliberations),
            tasks_completed: agent.count(|totals| totals.completed),
            tasks_failed: agent.count(|totals| totals.failed),
            active_tasks: agent.newest(|heard| heard.active_tasks).filter(|_| online),
            tokens_input: agent.count(|totals| totals.input),
            tokens_output: agent.count(|totals| totals.output),
            cost_usd: agent.cost(),
        }
    }
}

/// By how many seconds a planned stop moves the limits: the next heartbeat is due when it ends. The rules, which compare
/// the age with the limits, so need to know nothing of planned stops.
fn planned(expectation: &Expectation, last: Option<Timestamp>, limits: Limits, now: Timestamp) -> f64 {
    match (expectation.stop_until, last) {
        (Some(until), Some(last)) => seconds(last, until).max(0.0),
        (Some(until), None) if seconds(until, now) <= limits.timeout => f64::INFINITY,
        (None, _) | (Some(_), None) => 0.0,
    }
}

fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64()
}

/// How often what happened to heartbeats, since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Taken, by [`Source`]'s order.
    pub(super) accepted: [u64; Source::ALL.len()],
    /// Refused, by [`Refusal`]'s order.
    pub(super) refused: [u64; Refusal::ALL.len()],
}

impl Tally {
    /// How many heartbeats each source told of, from 0.
    pub fn accepted(&self) -> impl Iterator<Item = (Source, u64)> {
        Source::ALL.into_iter().zip(self.accepted)
    }

    /// How many were refused for each reason, from 0.
    pub fn refused(&self) -> impl Iterator<Item = (Refusal, u64)> {
        Refusal::ALL.into_iter().zip(self.refused)
    }
}

/// Everything at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// The agents, sorted by id.
    pub agents: Vec<View>,
    /// The groups, sorted by name.
    pub quorums: Vec<Quorum>,
    /// What happened to heartbeats.
    pub tally: Tally,
}

impl Snapshot {
    /// How many agents are expected.
    pub fn expected(&self) -> usize {
        self.agents.iter().filter(|view| view.expected).count()
    }

    /// How many agents are online.
    pub fn online(&self) -> usize {
        self.agents.iter().filter(|view| view.online).count()
    }

    /// How many are expected, and never or no longer heard, without a plan.
    pub fn silent(&self) -> usize {
        let silent = |view: &View| matches!(view.condition, Condition::Offline | Condition::NeverSeen);
        self.agents.iter().filter(|view| view.expected && silent(view)).count()
    }
}

/// A length of time for a person: seconds up to two minutes, then minutes, hours, days.
pub fn in_words(seconds: f64) -> String {
    for (unit, length) in [("d", 86_400.0), ("h", 3_600.0), ("min", 60.0)] {
        if seconds > 2.0 * length {
            return format!("{:.0} {unit}", (seconds / length).floor());
        }
    }
    format!("{seconds:.0} s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        for (seconds, text) in [(0.4, "0 s"), (120.0, "120 s"), (240.0, "4 min"), (7_201.0, "2 h"), (2e6, "23 d")] {
            assert_eq!(in_words(seconds), text);
        }
    }
}
