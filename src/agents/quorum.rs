//! Groups of agents of which some must be online.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{AgentId, View};

/// A group, and how many of its members must be online.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its members.
    pub members: BTreeSet<AgentId>,
    /// How many must be online.
    pub required: usize,
}

/// How a group is at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Quorum {
    /// The group's name.
    pub group: String,
    /// How many members it has.
    pub members: usize,
    /// How many of them are online.
    pub online: usize,
    /// How many must be.
    pub required: usize,
    /// Whether they are.
    pub met: bool,
    /// Who is not online.
    pub missing: Vec<AgentId>,
}

impl Quorum {
    /// Counts a group's members among `agents`, which are sorted by id. One that is not among them is not online.
    pub(super) fn of(name: &str, group: &Group, agents: &[View]) -> Self {
        let online = |id: &AgentId| {
            let found = agents.binary_search_by(|view| view.agent_id.cmp(id)).ok();
            found.and_then(|index| agents.get(index)).is_some_and(|view| view.online)
        };
        let missing: Vec<AgentId> = group.members.iter().filter(|id| !online(id)).cloned().collect();
        let online = group.members.len() - missing.len();
        Self {
            group: name.to_owned(),
            members: group.members.len(),
            online,
            required: group.required,
            met: online >= group.required,
            missing,
        }
    }
}
