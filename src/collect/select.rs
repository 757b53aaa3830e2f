//! What of all collectors a scrape is about: `collect[]`, `exclude[]`, and the listener that it came by.

use std::collections::{BTreeMap, BTreeSet, btree_map};
use std::sync::Arc;

use super::Entry;

/// The collectors of a scrape, each with the parts that are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection(BTreeMap<&'static str, Arc<BTreeSet<&'static str>>>);

/// A query that selects nothing that exists: the scraper's fault (400).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// A name that is no collector and no part, is not enabled, or is not served by this listener.
    #[error("`{name}` is not served here: collect[] takes {}", valid.join(", "))]
    Unknown {
        /// What the query said, cut to a length fit for a log.
        name: String,
        /// What it could have said.
        valid: Vec<&'static str>,
    },
    /// As node_exporter has it.
    #[error("collect[] and exclude[] cannot be combined: use one of them")]
    Combined,
}

/// A name in an error is cut here: it is a stranger's text.
const LONGEST_NAME: usize = 64;

impl Selection {
    /// Everything.
    pub fn all<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Self {
        Self(entries.into_iter().map(|entry| (entry.name, Arc::new(parts_of(entry)))).collect())
    }

    /// What a listener serves that is bound to some collectors or parts. A name that is not enabled adds nothing; that
    /// a name exists at all is a matter of the configuration's check.
    #[must_use]
    pub fn bound(&self, names: &[String]) -> Self {
        let mut bound = Self::default();
        for name in names {
            bound.add(&self.named(name));
        }
        bound
    }

    /// What a query asks for out of this selection. Both lists empty is all of it. As node_exporter has it, to exclude
    /// what is not there changes nothing: job files that were written for it go on working.
    ///
    /// # Errors
    /// A name in `collect` that this selection does not have, or both lists at once.
    pub fn narrowed(&self, collect: &[String], exclude: &[String]) -> Result<Self, SelectError> {
        match (collect, exclude) {
            ([], exclude) => Ok(self.without(&self.bound(exclude))),
            (collect, []) => self.chosen(collect),
            _ => Err(SelectError::Combined),
        }
    }

    /// The parts of a collector that are written; `None` if it does not run.
    pub fn parts(&self, collector: &str) -> Option<&Arc<BTreeSet<&'static str>>> {
        self.0.get(collector)
    }

    fn chosen(&self, names: &[String]) -> Result<Self, SelectError> {
        let mut chosen = Self::default();
        for name in names {
            let found = self.named(name);
            if found.0.is_empty() {
                let name = name.chars().take(LONGEST_NAME).flat_map(char::escape_debug).collect();
                return Err(SelectError::Unknown { name, valid: self.names() });
            }
            chosen.add(&found);
        }
        Ok(chosen)
    }

    /// A collector with what of it is selected, or a part with its collector.
    fn named(&self, name: &str) -> Self {
        if let Some((collector, parts)) = self.0.get_key_value(name) {
            return Self(BTreeMap::from([(*collector, Arc::clone(parts))]));
        }
        let one = |(collector, parts): (&&'static str, &Arc<BTreeSet<&'static str>>)| {
            parts.get(name).map(|part| (*collector, Arc::new(BTreeSet::from([*part]))))
        };
        Self(self.0.iter().filter_map(one).collect())
    }

    fn add(&mut self, other: &Self) {
        for (collector, parts) in &other.0 {
            match self.0.entry(collector) {
                btree_map::Entry::Vacant(place) => drop(place.insert(Arc::clone(parts))),
                btree_map::Entry::Occupied(mut known) => Arc::make_mut(known.get_mut()).extend(parts.iter()),
            }
        }
    }

    fn without(&self, other: &Self) -> Self {
        let left = self.0.iter().filter_map(|(collector, parts)| {
            let Some(excluded) = other.0.get(collector) else { return Some((*collector, Arc::clone(parts))) };
            let left: BTreeSet<_> = parts.difference(excluded).copied().collect();
            // What a collector writes under its own name is about its parts: alone it is not worth a run.
            left.iter().any(|part| part != collector).then(|| (*collector, Arc::new(left)))
        });
        Self(left.collect())
    }

    fn names(&self) -> Vec<&'static str> {
        let mut names: Vec<_> = self.0.keys().copied().collect();
        names.extend(self.0.iter().flat_map(|(collector, parts)| parts.iter().filter(move |part| *part != collector)));
        names
    }
}

/// A collector's own name is the part that is written without being declared.
fn parts_of(entry: &Entry) -> BTreeSet<&'static str> {
    entry.parts.iter().copied().chain([entry.name]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(text: &'static str) -> Selection {
        let collectors = text.split_whitespace().map(|collector| {
            let (name, parts) = collector.split_once(':').unwrap();
            (name, Arc::new(parts.split(',').collect()))
        });
        Selection(collectors.collect())
    }

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn all() -> Selection {
        selection("agents:agents host:host,cpu,netdev redis:redis")
    }

    #[test]
    fn a_query_takes_collectors_and_parts() {
        for (collect, exclude, expected) in [
            ("", "", "agents:agents host:host,cpu,netdev redis:redis"),
            ("host", "", "host:host,cpu,netdev"),
            ("cpu", "", "host:cpu"),
            ("cpu netdev redis", "", "host:cpu,netdev redis:redis"),
            ("cpu host", "", "host:host,cpu,netdev"),
            ("", "host", "agents:agents redis:redis"),
            ("", "cpu", "agents:agents host:host,netdev redis:redis"),
            ("", "cpu netdev agents", "redis:redis"),
            ("", "cpu netdev wifi", "agents:agents redis:redis"),
        ] {
            let narrowed = all().narrowed(&words(collect), &words(exclude));
            assert_eq!(narrowed, Ok(selection(expected)), "collect {collect}, exclude {exclude}");
        }
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_names_that_are_valid() {
        let error = all().narrowed(&words("cpu gpu"), &[]).unwrap_err();
        assert_eq!(error.to_string(), "`gpu` is not served here: collect[] takes agents, host, redis, cpu, netdev");
        let error = all().narrowed(&["\n<b>".repeat(1000)], &[]).unwrap_err().to_string();
        assert!(error.starts_with("`\\n<b>") && !error.contains('\n') && error.len() < 200, "{error}");
        assert_eq!(all().narrowed(&words("cpu"), &words("host")), Err(SelectError::Combined));
    }

    #[test]
    fn a_listener_serves_only_what_it_is_bound_to() {
        let bound = all().bound(&words("cpu redis postgres"));
        assert_eq!(bound, selection("host:cpu redis:redis"));
        assert_eq!(bound.narrowed(&words("host"), &[]), Ok(selection("host:cpu")));
        assert!(bound.narrowed(&words("netdev"), &[]).is_err());
        assert!(bound.narrowed(&words("agents"), &[]).is_err());
    }
}
