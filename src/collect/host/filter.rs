//! Which devices, mount points and types are taken: node_exporter's pairs of an include and an exclude pattern.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use regex_lite::Regex;

use crate::config::{Problem, Problems};

/// Names whose verdict is remembered, so that a pattern is tried once a name and not once a scrape.
const REMEMBERED: usize = 4096;

/// A pair of patterns. As in node_exporter, they are not anchored unless they say so, and only one of them is set.
#[derive(Debug, Default)]
pub(super) struct Filter {
    include: Option<Regex>,
    exclude: Option<Regex>,
    verdicts: Mutex<HashMap<String, bool>>,
}

impl Filter {
    /// `default` is the exclude pattern that holds when neither is set. A pattern that is none was refused by
    /// [`Filter::check`]; here it counts as not set.
    pub(super) fn new(include: Option<&str>, exclude: Option<&str>, default: &str) -> Self {
        let exclude = exclude.or(if set(include) { None } else { Some(default) });
        let compile =
            |pattern: Option<&str>| pattern.filter(|text| !text.is_empty()).and_then(|text| Regex::new(text).ok());
        Self { include: compile(include), exclude: compile(exclude), verdicts: Mutex::default() }
    }

    /// What is wrong with one pattern.
    pub(super) fn check_one(key: &str, pattern: Option<&str>, problems: &mut Problems) {
        if let Some(Err(error)) = pattern.map(Regex::new) {
            problems.push(Problem::error(key, format!("no regular expression: {error}")));
        }
    }

    /// What is wrong with a pair of patterns, whose keys end in `_include` and `_exclude`.
    pub(super) fn check(key: &str, include: Option<&str>, exclude: Option<&str>, problems: &mut Problems) {
        for (suffix, pattern) in [("include", include), ("exclude", exclude)] {
            Self::check_one(&format!("{key}_{suffix}"), pattern, problems);
        }
        if set(include) && set(exclude) {
            problems.push(
                Problem::error(format!("{key}_exclude"), format!("`{key}_include` is set as well"))
                    .hint("keep one of the two: they exclude each other, as in node_exporter"),
            );
        }
    }

    /// Whether `name` is taken.
    pub(super) fn takes(&self, name: &str) -> bool {
        if self.include.is_none() && self.exclude.is_none() {
            return true;
        }
        let mut verdicts = self.verdicts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(verdict) = verdicts.get(name) {
            return *verdict;
        }
        let matches = |pattern: &Option<Regex>| pattern.as_ref().map(|pattern| pattern.is_match(name));
        let verdict = matches(&self.include).unwrap_or(true) && !matches(&self.exclude).unwrap_or(false);
        if verdicts.len() >= REMEMBERED {
            verdicts.clear();
        }
        verdicts.insert(name.to_owned(), verdict);
        verdict
    }
}

fn set(pattern: Option<&str>) -> bool {
    pattern.is_some_and(|pattern| !pattern.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_holds_until_one_of_the_pair_is_set() {
        let taken = |filter: Filter| ["sda", "sda1", "loop0"].map(|name| filter.takes(name));
        assert_eq!(taken(Filter::new(None, None, r"^(loop|sda)\d+$")), [true, false, false]);
        assert_eq!(taken(Filter::new(Some("^loop"), None, r"\d")), [false, false, true]);
        assert_eq!(taken(Filter::new(None, Some("a1"), r"\d")), [true, false, true]);
        assert_eq!(taken(Filter::new(None, Some(""), r"\d")), [true, true, true]);
    }

    #[test]
    fn a_bad_pattern_and_a_full_pair_are_named() {
        let mut problems = Problems::default();
        Filter::check("netdev.device", Some("("), None, &mut problems);
        Filter::check("netdev.device", Some("a"), Some("b"), &mut problems);
        let keys: Vec<_> = problems.0.iter().map(|problem| problem.key.as_str()).collect();
        assert_eq!(keys, ["netdev.device_include", "netdev.device_exclude"]);
    }

    #[test]
    fn many_names_do_not_grow_it_without_bound() {
        let filter = Filter::new(None, None, "^a");
        for number in 0..3 * REMEMBERED {
            assert!(filter.takes(&number.to_string()));
        }
        assert!(filter.verdicts.lock().unwrap().len() <= REMEMBERED);
    }
}
