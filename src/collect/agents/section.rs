//! The section `[collectors.agents]`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

use super::families::{OTHERS, PER_AGENT, PER_GROUP};
use crate::agents::{AgentId, Expectation, Group, Settings};
use crate::collect::Schedule;
use crate::config::{Problem, Problems, Span};

/// Which agents are expected, and how many may be known.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "Section")]
pub struct Config {
    section: Section,
    /// When it runs; its limit of series never lies below what the agents need.
    pub schedule: Schedule,
}

/// What stands in the file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Section {
    expected: Vec<Expected>,
    groups: BTreeMap<String, GroupSection>,
    max_agents: usize,
    late_floor: Span,
    timeout_floor: Span,
    schedule: Schedule,
}

impl Default for Section {
    fn default() -> Self {
        let settings = Settings::default();
        Self {
            expected: Vec::new(),
            groups: BTreeMap::new(),
            max_agents: settings.max_agents,
            late_floor: settings.late_floor,
            timeout_floor: settings.timeout_floor,
            schedule: Schedule::default(),
        }
    }
}

impl From<Section> for Config {
    fn from(section: Section) -> Self {
        let mut schedule = section.schedule.clone();
        // Those named here have their places beside the limit, should it be reached without them.
        let named = section.expected.len() + section.groups.values().map(|group| group.members.len()).sum::<usize>();
        let agents = section.max_agents.saturating_add(named).saturating_mul(PER_AGENT);
        let needed = agents.saturating_add(section.groups.len() * PER_GROUP + OTHERS);
        schedule.max_series = schedule.max_series.max(needed);
        Self { section, schedule }
    }
}

impl Default for Config {
    fn default() -> Self {
        Section::default().into()
    }
}

/// An agent by its id alone, or with what is particular about it.
#[derive(Clone, Debug)]
struct Expected {
    id: AgentId,
    expectation: Expectation,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedTable {
    id: AgentId,
    interval: Option<Span>,
    late: Option<Span>,
    timeout: Option<Span>,
    role: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupSection {
    members: Vec<AgentId>,
    required: Option<usize>,
}

impl<'de> Deserialize<'de> for Expected {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Expected;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an agent id in quotes, or a table like { id = \"steward\", interval = \"30s\" }")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Expected, E> {
                let id = text.parse().map_err(E::custom)?;
                Ok(Expected { id, expectation: Expectation::default() })
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Expected, A::Error> {
                let ExpectedTable { id, interval, late, timeout, role } =
                    ExpectedTable::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Expected { id, expectation: Expectation { interval, late, timeout, role, stop_until: None } })
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// A group's name is a label of four series and stands in messages.
const LONGEST_NAME: usize = 64;
/// Beyond this a scrape takes longer than the shortest usual interval.
const MOST_AGENTS: usize = 1_000_000;

impl Config {
    /// As the registry takes it. Members of a group are expected, too: one that was never seen is offline, not unknown.
    pub fn settings(&self) -> Settings {
        let Section { expected, groups, max_agents, late_floor, timeout_floor, .. } = &self.section;
        let mut all: BTreeMap<AgentId, Expectation> = BTreeMap::new();
        for agent in expected {
            all.insert(agent.id.clone(), agent.expectation.clone());
        }
        let mut quorums = BTreeMap::new();
        for (name, group) in groups {
            let members: BTreeSet<AgentId> = group.members.iter().cloned().collect();
            for id in &members {
                all.entry(id.clone()).or_default();
            }
            quorums.insert(name.clone(), Group { required: group.required(), members });
        }
        Settings {
            expected: all,
            groups: quorums,
            max_agents: *max_agents,
            late_floor: *late_floor,
            timeout_floor: *timeout_floor,
        }
    }

    /// What is wrong beyond the syntax.
    pub(super) fn check(&self, problems: &mut Problems) {
        let section = &self.section;
        let mut seen = BTreeSet::new();
        for (index, agent) in section.expected.iter().enumerate() {
            problems.within(&format!("expected.{index}"), |problems| {
                if !seen.insert(&agent.id) {
                    problems.push(Problem::error("", format!("`{}` is expected twice", agent.id)));
                }
                agent.check(problems);
            });
        }
        for (name, group) in &section.groups {
            problems.within(&format!("groups.{name}"), |problems| group.check(name, problems));
        }
        for (key, floor) in [("late_floor", section.late_floor), ("timeout_floor", section.timeout_floor)] {
            if floor.0.is_zero() {
                problems.push(Problem::error(key, "must be longer than nothing"));
            }
        }
        let named = self.settings().expected.len();
        if section.max_agents > MOST_AGENTS {
            problems.push(Problem::error("max_agents", format!("at most {MOST_AGENTS} agents can be shown")));
        } else if named > section.max_agents {
            let message = format!("{named} agents are expected, more than the limit of {}", section.max_agents);
            problems.push(Problem::error("max_agents", message).hint("raise it, with room for agents not named here"));
        }
    }
}

impl Expected {
    fn check(&self, problems: &mut Problems) {
        for (key, message) in self.expectation.faults() {
            problems.push(Problem::error(key, message));
        }
        if let (Some(late), Some(timeout)) = (self.expectation.late, self.expectation.timeout)
            && late >= timeout
        {
            let message = format!("late after {late}, but offline after {timeout} already: it is never late");
            problems.push(Problem::warning("late", message).hint("set it below `timeout`"));
        }
    }
}

impl GroupSection {
    /// Half of the members and one more, where the file does not say.
    fn required(&self) -> usize {
        self.required.unwrap_or(self.members.len() / 2 + 1)
    }

    fn check(&self, name: &str, problems: &mut Problems) {
        if name.is_empty() || name.len() > LONGEST_NAME || name.chars().any(char::is_control) {
            problems.push(Problem::error("", format!("a group's name has 1 to {LONGEST_NAME} bytes, none a control")));
        }
        if self.members.is_empty() {
            problems.push(Problem::error("members", "a group needs members"));
        }
        let distinct: BTreeSet<&AgentId> = self.members.iter().collect();
        if distinct.len() < self.members.len() {
            problems.push(Problem::error("members", "a member is named twice"));
        } else if self.required() == 0 || self.required() > self.members.len().max(1) {
            let message = format!("{} of {} members can never be met or lost", self.required(), self.members.len());
            problems.push(Problem::error("required", message).hint("from 1 to the number of members"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Document;

    fn read(text: &str) -> (Config, Problems) {
        let document = Document::new("t.toml", text);
        let (config, mut problems) = document.parse::<Config>();
        config.check(&mut problems);
        document.locate(&mut problems);
        (config, problems)
    }

    fn id(text: &str) -> AgentId {
        text.parse().unwrap()
    }

    #[test]
    fn agents_are_named_alone_or_with_particulars() {
        let (config, problems) = read(
            "expected = ['steward', { id = 'team/coder', interval = '30m', role = 'coder' }]\n\
             [groups.triad]\nmembers = ['alpha', 'beta', 'charlie']\nrequired = 2\n\
             [groups.pair]\nmembers = ['steward', 'alpha']\n",
        );
        assert_eq!(problems, Problems::default(), "{problems}");
        let settings = config.settings();
        let names: Vec<&str> = settings.expected.keys().map(AgentId::as_str).collect();
        assert_eq!(names, ["alpha", "beta", "charlie", "steward", "team/coder"]);
        assert_eq!(settings.expected[&id("team/coder")].interval, Some(Span::seconds(1_800)));
        assert_eq!((settings.groups["triad"].required, settings.groups["pair"].required), (2, 2));
    }

    #[test]
    fn every_fault_is_named_where_it_stands() {
        let (_, problems) = read(
            "max_agents = 2\n\
             expected = [\n  'steward',\n  { id = 'a b' },\n  { id = 'coder', intervall = '30s' },\n  'steward',\n  \
             { id = 'beta', late = '2m', timeout = '1m' },\n]\n\
             [groups.triad]\nmembers = ['alpha', 'beta']\nrequired = 3\n",
        );
        let found: Vec<(usize, String)> =
            problems.0.iter().map(|problem| (problem.at.as_ref().unwrap().1, problem.message.clone())).collect();
        let has = |line: usize, needle: &str| {
            assert!(
                found.iter().any(|(at, message)| *at == line && message.contains(needle)),
                "{line} {needle}: {problems}"
            );
        };
        has(4, "' '");
        has(5, "intervall");
        has(11, "3 of 2");
        has(1, "more than the limit of 2");
        assert!(problems.0.iter().any(|problem| problem.message.contains("expected twice")), "{problems}");
        assert!(problems.0.iter().any(|problem| problem.message.contains("never late")), "{problems}");
    }

    #[test]
    fn the_limit_of_series_follows_the_number_of_agents() {
        assert_eq!(Config::default().schedule.max_series, 10_000 * PER_AGENT + OTHERS);
        let (config, _) = read("max_agents = 50_000\nschedule = { timeout = '4s' }");
        assert!(config.schedule.max_series >= 50_000 * PER_AGENT);
        assert_eq!(config.schedule.timeout, Span::seconds(4));
        let (config, _) = read("max_agents = 10");
        assert_eq!(config.schedule.max_series, Schedule::default().max_series);
    }
}
