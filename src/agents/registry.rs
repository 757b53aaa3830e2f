//! All agents.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::agent::Agent;
use super::{AgentId, Expectation, Heartbeat, Quorum, Settings, Snapshot, Tally, View};

/// Who tells of agents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The agent itself, or whoever posts for it.
    Push,
    /// The OpenClaw gateway.
    Gateway,
    /// The registry in Redis.
    Redis,
    /// A query to PostgreSQL.
    Postgres,
    /// A health URL.
    Http,
    /// A file's modification time.
    File,
}

impl Source {
    /// All of them, in their order.
    pub const ALL: [Self; 6] = [Self::Push, Self::Gateway, Self::Redis, Self::Postgres, Self::Http, Self::File];

    /// Its name, as the label `source` has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::Gateway => "gateway",
            Self::Redis => "redis",
            Self::Postgres => "postgres",
            Self::Http => "http",
            Self::File => "file",
        }
    }
}

/// Why a heartbeat was refused, as the label `reason` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// As many agents are known as may be.
    Full,
    /// The id is none.
    Id,
    /// The body is none.
    Body,
    /// The journal cannot be written: the heartbeat counts, but its sender was told to repeat it.
    Journal,
}

impl Refusal {
    /// All of them, in their order.
    pub const ALL: [Self; 4] = [Self::Full, Self::Id, Self::Body, Self::Journal];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Id => "bad_id",
            Self::Body => "bad_body",
            Self::Journal => "journal",
        }
    }
}

/// A heartbeat of one more agent than may be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{max} agents are known, which is the limit: take some out with `tidewatch agents forget`, or raise \
     `max_agents` in [collectors.agents]"
)]
pub struct Refused {
    /// The limit.
    pub max: usize,
}

/// Why a person's word about an agent has no effect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Change {
    /// There is no such agent.
    #[error("no agent `{0}` is known")]
    Unknown(AgentId),
    /// The new name is another agent's.
    #[error("`{0}` is an agent that was heard: forget it first, or leave both")]
    Taken(AgentId),
    /// The old name stands in the configuration.
    #[error("`{0}` stands in the configuration: rename it there first")]
    Configured(AgentId),
    /// See [`Refused`].
    #[error(transparent)]
    Full(#[from] Refused),
}

/// One agent as the journal keeps it; without one, it was forgotten.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Its id.
    pub id: AgentId,
    /// What is known of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<Agent>,
}

/// What is known of all agents. Bounded: by [`Settings::max_agents`], beside what the configuration names itself.
#[derive(Debug, Default)]
pub struct Registry {
    settings: Settings,
    agents: BTreeMap<AgentId, Agent>,
    /// Configured agents that a person took out until they report again.
    forgotten: BTreeSet<AgentId>,
    /// What the journal has not yet.
    changed: BTreeSet<AgentId>,
    tally: Tally,
}

impl Registry {
    /// An empty one.
    pub fn new(settings: Settings) -> Self {
        let mut registry = Self::default();
        registry.configure(settings);
        registry
    }

    /// Takes new settings; what was heard stays.
    pub fn configure(&mut self, settings: Settings) {
        self.forgotten.retain(|id| settings.expected.contains_key(id));
        for id in settings.expected.keys().filter(|id| !self.forgotten.contains(*id)) {
            self.agents.entry(id.clone()).or_default();
        }
        let empty = Agent::default();
        self.agents.retain(|id, agent| *agent != empty || settings.expected.contains_key(id));
        self.settings = settings;
    }

    /// Takes a heartbeat that was received at `now`.
    ///
    /// # Errors
    /// The agent is new, and as many are known as may be.
    pub fn beat(&mut self, source: Source, id: &AgentId, heartbeat: Heartbeat, now: Timestamp) -> Result<(), Refused> {
        if let Some(agent) = self.agents.get_mut(id) {
            agent.beat(source, heartbeat, now);
        } else {
            self.room_for(id).inspect_err(|_| count(&mut self.tally.refused, Refusal::Full as usize, 1))?;
            self.agents.entry(id.clone()).or_default().beat(source, heartbeat, now);
        }
        count(&mut self.tally.accepted, source as usize, 1);
        self.touch(id);
        Ok(())
    }

    /// Counts heartbeats that did not get as far as [`Registry::beat`], or were not kept after it.
    pub fn refuse(&mut self, reason: Refusal, heartbeats: usize) {
        count(&mut self.tally.refused, reason as usize, heartbeats);
    }

    /// Expects an agent, and takes what is said about it; what is not said stays as it was.
    ///
    /// # Errors
    /// The agent is new, and as many are known as may be.
    pub fn expect(&mut self, id: &AgentId, expectation: &Expectation) -> Result<(), Refused> {
        if !self.agents.contains_key(id) {
            self.room_for(id)?;
        }
        let agent = self.agents.entry(id.clone()).or_default();
        agent.expectation = Some(expectation.or(agent.expectation.as_ref().unwrap_or(&Expectation::default())));
        self.touch(id);
        Ok(())
    }

    /// Takes an agent out until it reports again.
    ///
    /// # Errors
    /// It is not known.
    pub fn forget(&mut self, id: &AgentId) -> Result<(), Change> {
        self.agents.remove(id).ok_or_else(|| Change::Unknown(id.clone()))?;
        if self.settings.expected.contains_key(id) {
            self.forgotten.insert(id.clone());
        }
        self.changed.insert(id.clone());
        Ok(())
    }

    /// Gives an agent another id, with all that is known of it.
    ///
    /// # Errors
    /// The old id is unknown or stands in the configuration; the new one was heard itself.
    pub fn rename(&mut self, from: &AgentId, to: &AgentId) -> Result<(), Change> {
        if self.settings.expected.contains_key(from) {
            return Err(Change::Configured(from.clone()));
        }
        if self.agents.get(to).is_some_and(|agent| !agent.heard.is_empty()) {
            return Err(Change::Taken(to.clone()));
        }
        let mut agent = self.agents.remove(from).ok_or_else(|| Change::Unknown(from.clone()))?;
        // What was said about the new name stays true.
        let said = self.agents.remove(to).and_then(|known| known.expectation);
        agent.expectation = said.or(agent.expectation);
        self.agents.insert(to.clone(), agent);
        self.changed.insert(from.clone());
        self.touch(to);
        Ok(())
    }

    /// One agent as it is now.
    pub fn view(&self, id: &AgentId, now: Timestamp) -> Option<View> {
        self.agents.get(id).map(|agent| View::of(id, agent, &self.settings, now))
    }

    /// Everything as it is now.
    pub fn snapshot(&mut self, now: Timestamp) -> Snapshot {
        let mut agents = Vec::with_capacity(self.agents.len());
        for (id, agent) in &mut self.agents {
            agent.settle(now);
            agents.push(View::of(id, agent, &self.settings, now));
        }
        let quorums = self.settings.groups.iter().map(|(name, group)| Quorum::of(name, group, &agents)).collect();
        Snapshot { agents, quorums, tally: self.tally.clone() }
    }

    /// What changed since the last call, as the journal keeps it.
    pub fn take_changes(&mut self) -> Vec<Row> {
        let changed = std::mem::take(&mut self.changed);
        changed.into_iter().map(|id| self.row(id)).collect()
    }

    /// What the journal could not write after all.
    pub fn give_back(&mut self, rows: &[Row]) {
        self.changed.extend(rows.iter().map(|row| row.id.clone()));
    }

    /// Everything that the journal keeps.
    pub fn rows(&self) -> Vec<Row> {
        let empty = Agent::default();
        let known = self.agents.iter().filter(|(_, agent)| **agent != empty).map(|(id, _)| id);
        let out = self.forgotten.iter().filter(|id| self.settings.expected.contains_key(*id));
        known.chain(out).map(|id| self.row(id.clone())).collect()
    }

    /// Takes a row that the journal kept; a later one of the same agent takes its place.
    pub fn restore(&mut self, row: Row) {
        if let Some(mut agent) = row.agent {
            let mut seen = BTreeSet::new();
            agent.heard.retain(|heard| seen.insert(heard.source));
            self.forgotten.remove(&row.id);
            self.agents.insert(row.id, agent);
        } else {
            self.agents.remove(&row.id);
            self.forgotten.insert(row.id);
        }
    }

    fn row(&self, id: AgentId) -> Row {
        let agent = self.agents.get(&id).cloned();
        Row { id, agent }
    }

    /// Agents of the configuration have their places whatever else reports.
    fn room_for(&self, id: &AgentId) -> Result<(), Refused> {
        let max = self.settings.max_agents;
        let room = self.settings.expected.contains_key(id) || self.agents.len() < max;
        if room { Ok(()) } else { Err(Refused { max }) }
    }

    fn touch(&mut self, id: &AgentId) {
        self.forgotten.remove(id);
        if !self.changed.contains(id) {
            self.changed.insert(id.clone());
        }
    }
}

fn count(counts: &mut [u64], index: usize, by: usize) {
    if let Some(count) = counts.get_mut(index) {
        *count += by as u64;
    }
}
