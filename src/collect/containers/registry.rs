//! The containers that the daemon has, kept current by its events. Pure: told what happened, it says what to ask.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use bollard::models::{ContainerInspectResponse, ContainerSummary, EventMessage};
use jiff::Timestamp;

use super::container::{Container, Health, Phase, bounded, values};

/// How long the kills of a container that is gone are still told: some scrapes of every usual interval.
const REMEMBERED: Duration = Duration::from_mins(15);

/// More than this many are not remembered.
const MOST_GONE: usize = 1000;

/// More containers than this are not watched.
const MOST: usize = 20_000;

/// A container that is gone, and had kills.
#[derive(Clone, Debug)]
pub(super) struct Gone {
    pub(super) container: Container,
    until: Timestamp,
}

/// All containers.
#[derive(Debug, Default)]
pub(super) struct Registry {
    /// The names of the labels that are shown.
    shown: Vec<String>,
    containers: BTreeMap<String, Container>,
    gone: VecDeque<Gone>,
}

impl Registry {
    pub(super) fn new(shown: Vec<String>) -> Self {
        Self { shown, ..Self::default() }
    }

    /// Takes over the daemon's list. Returns the ids of which the details are to be asked: all, where nobody `listened`
    /// until now, for they may have been started anew; else those of which the list tells something new.
    pub(super) fn sync(&mut self, list: &[ContainerSummary], listened: bool, now: Timestamp) -> Vec<String> {
        let listed: HashMap<&str, &ContainerSummary> =
            list.iter().filter_map(|summary| Some((summary.id.as_deref()?, summary))).take(MOST).collect();
        let lost: Vec<String> =
            self.containers.keys().filter(|id| !listed.contains_key(id.as_str())).cloned().collect();
        for id in lost {
            self.remove(&id, now);
        }
        let mut ask = Vec::new();
        for (id, summary) in &listed {
            let container = self.containers.entry((*id).to_owned()).or_insert_with(|| Container::new(id));
            let before = container.phase;
            container.take_summary(summary, &self.shown);
            if !listened || container.details.is_none() || container.phase != before {
                ask.push((*id).to_owned());
            }
        }
        ask
    }

    /// Takes over what happened. Returns the id of which the details are to be asked now.
    pub(super) fn apply(&mut self, event: &EventMessage, now: Timestamp) -> Option<String> {
        let action = event.action.as_deref()?;
        let (action, detail) = action.split_once(": ").unwrap_or((action, ""));
        let actor = event.actor.as_ref()?;
        let id = actor.id.as_deref()?;
        if action == "destroy" {
            self.remove(id, now);
            return None;
        }
        if !self.containers.contains_key(id) && self.containers.len() >= MOST {
            return None;
        }
        let attributes = actor.attributes.as_ref();
        let attribute = |name: &str| attributes.and_then(|attributes| attributes.get(name));
        let container = self.containers.entry(id.to_owned()).or_insert_with(|| {
            let mut container = Container::new(id);
            // It may have left before all of its events were told.
            if let Some(at) = self.gone.iter().position(|gone| gone.container.id == id) {
                container.kills = self.gone.remove(at).map(|gone| gone.container.kills).unwrap_or_default();
            }
            container.name = bounded(attribute("name").map(String::as_str).unwrap_or_default());
            container.image = bounded(attribute("image").map(String::as_str).unwrap_or_default());
            container.labels = values(attributes, &self.shown);
            container.created = event.time.unwrap_or_default();
            container
        });
        // Details say nothing of kills.
        container.told += u64::from(action != "oom");
        let ask = match action {
            "start" | "restart" => {
                container.begun = true;
                container.phase = Phase::Running;
                container.exit_code = None;
                container.generation += 1;
                true
            }
            "die" => {
                container.phase = Phase::Still;
                container.exit_code = attribute("exitCode").and_then(|code| code.parse().ok());
                container.generation += 1;
                container.kills.end();
                if let Some(details) = &mut container.details {
                    details.pid = 0;
                }
                false
            }
            "pause" => {
                container.phase = Phase::Paused;
                false
            }
            "unpause" => {
                container.phase = Phase::Running;
                container.details.is_none()
            }
            "oom" => {
                container.kills.tell();
                false
            }
            "health_status" => {
                container.health = if detail == "healthy" { Health::Healthy } else { Health::Not };
                false
            }
            "create" | "rename" | "update" => true,
            _ => false,
        };
        ask.then(|| id.to_owned())
    }

    /// Takes over the details of a container.
    pub(super) fn detail(&mut self, id: &str, told: &ContainerInspectResponse) {
        if let Some(container) = self.containers.get_mut(id) {
            container.take_details(told, &self.shown);
            container.generation += 1;
        }
    }

    /// How many events changed a container until now.
    pub(super) fn told(&self, id: &str) -> u64 {
        self.containers.get(id).map_or(0, |container| container.told)
    }

    /// Remembers that the details of a container could not be had.
    pub(super) fn doubt(&mut self, id: &str) {
        if let Some(container) = self.containers.get_mut(id) {
            container.unsure = true;
        }
    }

    /// The ids of those of which the details could not be had.
    pub(super) fn doubtful(&self) -> Vec<String> {
        let unsure = self.containers.values().filter(|container| container.unsure);
        unsure.map(|container| container.id.clone()).collect()
    }

    /// Takes over how many kills the kernel counts in a container's present life.
    pub(super) fn count_kills(&mut self, id: &str, generation: u64, counter: u64) -> u64 {
        let Some(container) = self.containers.get_mut(id) else { return counter };
        if container.generation == generation {
            container.kills.count(counter);
        }
        container.kills.total()
    }

    /// Forgets a container; its kills are remembered for a while.
    pub(super) fn remove(&mut self, id: &str, now: Timestamp) {
        let Some(mut container) = self.containers.remove(id) else { return };
        container.kills.end();
        if container.kills.total() > 0 {
            if self.gone.len() >= MOST_GONE {
                self.gone.pop_front();
            }
            self.gone.push_back(Gone { container, until: crate::clock::later(now, REMEMBERED) });
        }
    }

    /// All that are there.
    pub(super) fn containers(&self) -> impl Iterator<Item = &Container> {
        self.containers.values()
    }

    /// Those that are gone and had kills.
    pub(super) fn gone(&mut self, now: Timestamp) -> Vec<Container> {
        self.gone.retain(|gone| gone.until > now);
        self.gone.iter().map(|gone| gone.container.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: &str, action: &str, attributes: &[(&str, &str)]) -> EventMessage {
        let attributes: HashMap<&str, &str> = attributes.iter().copied().collect();
        let event = serde_json::json!({
            "Type": "container", "Action": action, "time": 1_795_240_926,
            "Actor": {"ID": id, "Attributes": attributes}
        });
        serde_json::from_value(event).unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_container_that_came_and_went_leaves_its_kills_for_a_while() {
        let mut registry = Registry::new(vec!["team".into()]);
        let about = [("name", "worker"), ("image", "busybox"), ("team", "a")];
        assert_eq!(registry.apply(&event("c1", "create", &about), at(0)), Some("c1".into()));
        assert_eq!(registry.apply(&event("c1", "start", &about), at(0)), Some("c1".into()));
        for action in ["oom", "oom"] {
            assert_eq!(registry.apply(&event("c1", action, &about), at(1)), None);
        }
        registry.apply(&event("c1", "die", &[("exitCode", "137")]), at(1));
        assert_eq!(registry.containers().next().unwrap().exit_code, Some(137));
        registry.apply(&event("c1", "destroy", &about), at(1));
        assert_eq!(registry.containers().count(), 0);
        let [gone] = &registry.gone(at(2))[..] else { panic!() };
        assert_eq!(
            (gone.name.as_str(), gone.labels.as_slice(), gone.kills.total()),
            ("worker", &["a".to_owned()][..], 2)
        );
        assert!(registry.gone(at(2000)).is_empty());
    }

    #[test]
    fn health_pause_and_end_need_no_call() {
        let mut registry = Registry::new(Vec::new());
        registry.apply(&event("c1", "start", &[]), at(0));
        let told = serde_json::json!({"State": {"Running": true, "Pid": 7}});
        registry.detail("c1", &serde_json::from_value(told).unwrap());
        for (action, phase, health) in [
            ("health_status: healthy", Phase::Running, Health::Healthy),
            ("health_status: unhealthy", Phase::Running, Health::Not),
            ("pause", Phase::Paused, Health::Not),
            ("unpause", Phase::Running, Health::Not),
            ("die", Phase::Still, Health::Not),
            ("exec_create: sh", Phase::Still, Health::Not),
        ] {
            assert_eq!(registry.apply(&event("c1", action, &[]), at(0)), None, "{action}");
            let container = registry.containers().next().unwrap();
            assert_eq!((container.phase, container.health), (phase, health), "{action}");
        }
    }

    #[test]
    fn a_counter_of_an_earlier_life_is_not_taken() {
        let mut registry = Registry::new(Vec::new());
        registry.apply(&event("c1", "start", &[]), at(0));
        let earlier = registry.containers().next().unwrap().generation;
        assert_eq!(registry.count_kills("c1", earlier, 3), 3);
        registry.apply(&event("c1", "die", &[]), at(0));
        registry.apply(&event("c1", "start", &[]), at(0));
        assert_eq!(registry.count_kills("c1", earlier, 3), 3);
        let now = registry.containers().next().unwrap().generation;
        assert_eq!(registry.count_kills("c1", now, 1), 4);
    }

    #[test]
    fn a_life_that_nobody_heard_begin_adds_its_kills() {
        let mut registry = Registry::new(Vec::new());
        let details = |second: u32| {
            let state = serde_json::json!({"Running": true, "StartedAt": format!("2026-11-21T06:00:{second:02}Z")});
            serde_json::from_value(serde_json::json!({"State": state})).unwrap()
        };
        let count = |registry: &mut Registry, counter| {
            let generation = registry.containers().next().unwrap().generation;
            registry.count_kills("c1", generation, counter)
        };
        registry.apply(&event("c1", "start", &[]), at(0));
        registry.detail("c1", &details(1));
        assert_eq!(count(&mut registry, 2), 2);
        registry.detail("c1", &details(2));
        assert_eq!(count(&mut registry, 1), 3, "it was started anew");
        // Of a start that was heard, an event may come before the details.
        for action in ["die", "start", "oom"] {
            registry.apply(&event("c1", action, &[]), at(3));
        }
        registry.detail("c1", &details(3));
        assert_eq!(count(&mut registry, 1), 4);
    }

    #[test]
    fn a_container_that_is_told_of_after_it_left_keeps_one_count() {
        let mut registry = Registry::new(Vec::new());
        registry.apply(&event("c1", "oom", &[]), at(0));
        registry.remove("c1", at(0));
        for action in ["oom", "die", "destroy"] {
            registry.apply(&event("c1", action, &[]), at(1));
        }
        let totals: Vec<u64> = registry.gone(at(2)).iter().map(|container| container.kills.total()).collect();
        assert_eq!(totals, [2]);
    }

    #[test]
    fn details_that_could_not_be_had_are_remembered_until_they_are() {
        let mut registry = Registry::new(Vec::new());
        registry.apply(&event("c1", "start", &[]), at(0));
        registry.detail("c1", &ContainerInspectResponse::default());
        assert_eq!(registry.doubtful(), Vec::<String>::new());
        registry.apply(&event("c1", "update", &[]), at(0));
        registry.doubt("c1");
        assert_eq!(registry.doubtful(), ["c1"]);
        registry.detail("c1", &ContainerInspectResponse::default());
        assert_eq!(registry.doubtful(), Vec::<String>::new());
    }

    #[test]
    fn what_is_not_listed_any_more_is_gone() {
        let mut registry = Registry::new(Vec::new());
        let list = |ids: &[&str]| -> Vec<ContainerSummary> {
            ids.iter()
                .map(|id| serde_json::from_value(serde_json::json!({"Id": id, "State": "running"})).unwrap())
                .collect()
        };
        let mut asked = registry.sync(&list(&["a", "b"]), false, at(0));
        asked.sort();
        assert_eq!(asked, ["a", "b"]);
        registry.detail("b", &ContainerInspectResponse::default());
        registry.apply(&event("b", "unpause", &[]), at(0));
        assert_eq!(registry.sync(&list(&["b"]), true, at(0)), Vec::<String>::new());
        assert_eq!(registry.sync(&list(&["b"]), false, at(0)), ["b"]);
        assert_eq!(registry.containers().count(), 1);
    }
}
