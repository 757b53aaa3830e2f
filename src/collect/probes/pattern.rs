//! Regular expressions as configurations write them.

use std::fmt;

use regex_lite::{Captures, Regex};
use serde::de::{Deserialize, Deserializer, Error};

/// A compiled expression. The originals' syntax (RE2) but for classes of Unicode (`\pL`), which probes hardly need.
#[derive(Clone)]
pub(super) struct Pattern(Regex);

impl Pattern {
    pub(super) fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text)
    }

    pub(super) fn captures<'t>(&self, text: &'t str) -> Option<Captures<'t>> {
        self.0.captures(text)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "/{}/", self.0.as_str())
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Regex::new(&text).map(Self).map_err(|error| D::Error::custom(format!("`{text}` is no expression: {error}")))
    }
}
