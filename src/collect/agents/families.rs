//! The families of agents.

use super::{Batch, Desc, Snapshot, View};
use crate::agents::Source;

static STATUS: Desc =
    Desc::gauge("openclaw_agent_status", "1 if the agent is online, 0 if it is offline.", &["agent_id"]);
static AGE: Desc = Desc::gauge(
    "openclaw_agent_heartbeat_age_seconds",
    "Seconds since the agent's last heartbeat; +Inf if it is expected and was never seen.",
    &["agent_id"],
);
static TIMEOUT: Desc = Desc::gauge(
    "openclaw_agent_heartbeat_timeout_seconds",
    "After this age the agent is offline; a planned stop moves it.",
    &["agent_id"],
);
static LATE: Desc = Desc::gauge(
    "openclaw_agent_heartbeat_late_seconds",
    "After this age the agent is late; a planned stop moves it.",
    &["agent_id"],
);
static INTERVAL: Desc = Desc::gauge(
    "openclaw_agent_heartbeat_interval_seconds",
    "How often the agent reports: configured, reported or learnt.",
    &["agent_id"],
);
static SCORE: Desc = Desc::gauge(
    "openclaw_agent_health_score",
    "Health from 0 to 1: reported by the agent, else derived; 0 while it is offline.",
    &["agent_id"],
);
static MESSAGES: Desc = Desc::counter(
    "openclaw_agent_messages_processed_total",
    "Messages that the agent processed; goes on over its restarts.",
    &["agent_id"],
);
static DELIBERATIONS: Desc = Desc::counter(
    "openclaw_agent_deliberations_total",
    "Deliberations of the agent; goes on over its restarts.",
    &["agent_id"],
);
static TASKS: Desc = Desc::counter(
    "openclaw_agent_tasks_total",
    "Tasks that the agent finished, by outcome; goes on over its restarts.",
    &["agent_id", "outcome"],
);
static ACTIVE: Desc = Desc::gauge(
    "openclaw_agent_active_tasks",
    "Tasks that the agent works on; absent while it is offline.",
    &["agent_id"],
);
static TOKENS: Desc = Desc::counter(
    "openclaw_agent_tokens_total",
    "Tokens that the agent used, by direction; goes on over its restarts.",
    &["agent_id", "token_type"],
);
static COST: Desc = Desc::counter(
    "openclaw_agent_cost_usd_total",
    "US dollars that the agent spent; goes on over its restarts.",
    &["agent_id"],
);
static INFO: Desc = Desc::gauge(
    "openclaw_agent_info",
    "1; what the agent said about itself, and the source that told of it last.",
    &["agent_id", "role", "model", "source"],
);
static EXPECTED: Desc =
    Desc::gauge("openclaw_agents_expected", "Agents that the configuration or `agents expect` names.", &[]);
static ONLINE: Desc = Desc::gauge("openclaw_agents_online", "Agents that are online.", &[]);
static SILENT: Desc = Desc::gauge(
    "openclaw_agents_silent",
    "Expected agents that are never or no longer heard, without a planned stop.",
    &[],
);
static MEMBERS: Desc = Desc::gauge("openclaw_quorum_members", "Agents in the group.", &["group"]);
static QUORUM_ONLINE: Desc = Desc::gauge("openclaw_quorum_online", "Agents of the group that are online.", &["group"]);
static REQUIRED: Desc = Desc::gauge("openclaw_quorum_required", "Agents of the group that must be online.", &["group"]);
static MET: Desc = Desc::gauge("openclaw_quorum_met", "1 if enough agents of the group are online.", &["group"]);
static ACCEPTED: Desc =
    Desc::counter("tidewatch_heartbeats_total", "Heartbeats that were taken, by source.", &["source"]);
static REFUSED: Desc = Desc::counter(
    "tidewatch_heartbeats_refused_total",
    "Heartbeats that were refused: full (as many agents as may be known), bad_id, bad_body, or journal (it counted, but \
     could not be kept).",
    &["reason"],
);

/// Every family of this collector.
pub(super) static ALL: [&Desc; 22] = [
    &STATUS,
    &AGE,
    &TIMEOUT,
    &LATE,
    &INTERVAL,
    &SCORE,
    &MESSAGES,
    &DELIBERATIONS,
    &TASKS,
    &ACTIVE,
    &TOKENS,
    &COST,
    &INFO,
    &EXPECTED,
    &ONLINE,
    &SILENT,
    &MEMBERS,
    &QUORUM_ONLINE,
    &REQUIRED,
    &MET,
    &ACCEPTED,
    &REFUSED,
];

/// One agent has at most so many series: thirteen families, two of them with two series.
pub(super) const PER_AGENT: usize = 15;
/// One group has so many.
pub(super) const PER_GROUP: usize = 4;
/// Those without an agent or a group, at most.
pub(super) const OTHERS: usize = 100;

/// Writes everything at one moment. A number that an agent never reported is absent, not 0: nobody knows it.
pub(super) fn write(snapshot: &Snapshot, batch: &mut Batch) {
    let agents = &snapshot.agents;
    gauges(agents, batch);
    counters(agents, batch);
    for view in agents {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let source = view.source.map_or("", Source::name);
        batch.push(&INFO, &[view.agent_id.as_str(), &text(&view.role), &text(&view.model), source], 1.0);
    }
    batch.push(&EXPECTED, &[], snapshot.expected() as f64);
    batch.push(&ONLINE, &[], snapshot.online() as f64);
    batch.push(&SILENT, &[], snapshot.silent() as f64);
    for quorum in &snapshot.quorums {
        let group = [quorum.group.as_str()];
        batch.push(&MEMBERS, &group, quorum.members as f64);
        batch.push(&QUORUM_ONLINE, &group, quorum.online as f64);
        batch.push(&REQUIRED, &group, quorum.required as f64);
        batch.push(&MET, &group, f64::from(quorum.met));
    }
    for (source, count) in snapshot.tally.accepted() {
        batch.push(&ACCEPTED, &[source.name()], count as f64);
    }
    for (reason, count) in snapshot.tally.refused() {
        batch.push(&REFUSED, &[reason.name()], count as f64);
    }
}

/// What a gauge shows of an agent, and what a counter does.
type Number = fn(&View) -> Option<f64>;
type Count = fn(&View) -> Option<u64>;

fn gauges(agents: &[View], batch: &mut Batch) {
    let families: [(&Desc, Number); 7] = [
        (&STATUS, |view| Some(f64::from(view.online))),
        (&AGE, |view| Some(view.age_seconds.unwrap_or(f64::INFINITY))),
        (&TIMEOUT, |view| Some(view.timeout_seconds)),
        (&LATE, |view| Some(view.late_seconds)),
        (&INTERVAL, |view| view.interval_seconds),
        (&SCORE, |view| Some(view.health_score)),
        (&ACTIVE, |view| view.active_tasks.map(|count| count as f64)),
    ];
    for (desc, value) in families {
        for view in agents {
            if let Some(value) = value(view) {
                batch.push(desc, &[view.agent_id.as_str()], value);
            }
        }
    }
}

fn counters(agents: &[View], batch: &mut Batch) {
    let families: [(&Desc, &[&str], Count); 6] = [
        (&MESSAGES, &[], |view| view.messages),
        (&DELIBERATIONS, &[], |view| view.deliberations),
        (&TASKS, &["completed"], |view| view.tasks_completed),
        (&TASKS, &["failed"], |view| view.tasks_failed),
        (&TOKENS, &["input"], |view| view.tokens_input),
        (&TOKENS, &["output"], |view| view.tokens_output),
    ];
    for (desc, label, count) in families {
        for view in agents {
            let Some(count) = count(view) else { continue };
            let id = view.agent_id.as_str();
            match label {
                [label] => batch.push(desc, &[id, label], count as f64),
                _ => batch.push(desc, &[id], count as f64),
            }
        }
    }
    for view in agents {
        if let Some(cost) = view.cost_usd {
            batch.push(&COST, &[view.agent_id.as_str()], cost);
        }
    }
}
