//! How the agents are, in one line: what `health agents` says.

use jiff::Timestamp;

use super::Snapshot;
use crate::agents::{Condition, Quorum, View, in_words};
use crate::facts::{ServiceState, State};

/// More than this are counted, not named.
const NAMED: usize = 5;

/// The worst of all agents and groups, who it is, and what to do. `since` is `now`.
pub(super) fn of(snapshot: &Snapshot, now: Timestamp) -> ServiceState {
    let with = |condition: Condition| snapshot.agents.iter().filter(move |view| view.condition == condition);
    let mut offline: Vec<&View> = with(Condition::Offline).chain(with(Condition::NeverSeen)).collect();
    offline.sort_by(|left, right| age(left).total_cmp(&age(right)));
    let late: Vec<&View> = with(Condition::Late).collect();
    let lost: Vec<&Quorum> = snapshot.quorums.iter().filter(|quorum| !quorum.met).collect();

    let mut parts: Vec<String> = listed(&lost, |quorum| {
        format!(
            "quorum of {} lost: {} of {} online, {} required",
            quorum.group, quorum.online, quorum.members, quorum.required
        )
    });
    parts.extend(listed(&offline, |view| absence(view)));
    parts.extend(listed(&late, |view| {
        format!("{} late: {} (late after {})", view.agent_id, in_words(age(view)), in_words(view.late_seconds))
    }));
    let (state, why) = if !lost.is_empty() || !offline.is_empty() {
        (State::Critical, parts.join("; "))
    } else if !late.is_empty() {
        (State::Warning, parts.join("; "))
    } else {
        (State::Ok, calm(snapshot))
    };
    let next = match offline.first().or(late.first()) {
        Some(view) if view.condition == Condition::NeverSeen => format!(
            "start {0} and let it post to /api/v1/agents/{0}/heartbeat, or take it out: tidewatch agents forget {0}",
            view.agent_id
        ),
        Some(view) => format!(
            "look at {0} and restart it; a planned stop: tidewatch agents expect {0} --stop-for 1h; gone for good: \
             tidewatch agents forget {0}",
            view.agent_id
        ),
        None if !lost.is_empty() => "see who is missing: tidewatch agents list".into(),
        None if snapshot.agents.is_empty() => {
            "let an agent report: curl -X POST http://127.0.0.1:9480/api/v1/agents/NAME/heartbeat".into()
        }
        None => String::new(),
    };
    ServiceState { service: "agents".into(), state, since: now, why, next }
}

fn calm(snapshot: &Snapshot) -> String {
    if snapshot.agents.is_empty() {
        return "no agent is known: none has reported, and none is expected".into();
    }
    let planned = snapshot.agents.iter().filter(|view| view.condition == Condition::Planned).count();
    let stops = if planned > 0 { format!(", {planned} in a planned stop") } else { String::new() };
    format!("{} of {} agents online{stops}", snapshot.online(), snapshot.agents.len())
}

fn absence(view: &View) -> String {
    match view.age_seconds {
        None => format!("{} never seen", view.agent_id),
        Some(age) if age <= view.timeout_seconds => {
            format!("{} offline: it said so {} ago", view.agent_id, in_words(age))
        }
        Some(age) => {
            format!("{} offline {} (timeout {})", view.agent_id, in_words(age), in_words(view.timeout_seconds))
        }
    }
}

fn listed<T>(all: &[T], line: impl Fn(&T) -> String) -> Vec<String> {
    let mut lines: Vec<String> = all.iter().take(NAMED).map(line).collect();
    if all.len() > NAMED {
        lines.push(format!("and {} more", all.len() - NAMED));
    }
    lines
}

fn age(view: &View) -> f64 {
    view.age_seconds.unwrap_or(f64::INFINITY)
}
