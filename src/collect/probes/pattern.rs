//! Regular expressions as configurations write them.

use std::fmt;

use regex_lite::{Captures, Regex};
use serde::de::{Deserialize, Deserializer};

/// An expression. The originals' syntax (RE2) but for classes of Unicode (`\pL`), which probes hardly need. One that is
/// none is a gap of its module, not an error of the file: `fault` tells it, and no probe of the module gets to use it.
#[derive(Clone)]
pub(super) struct Pattern {
    text: String,
    compiled: Result<Regex, String>,
}

impl Pattern {
    /// What is wrong with it.
    pub(super) fn fault(&self) -> Option<String> {
        self.compiled
            .as_ref()
            .err()
            .map(|error| format!("`{}` is no expression that is known here: {error}", self.text))
    }

    pub(super) fn is_match(&self, text: &str) -> bool {
        self.compiled.as_ref().is_ok_and(|regex| regex.is_match(text))
    }

    pub(super) fn captures<'t>(&self, text: &'t str) -> Option<Captures<'t>> {
        self.compiled.as_ref().ok()?.captures(text)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "/{}/", self.text)
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let compiled = Regex::new(&text).map_err(|error| error.to_string());
        Ok(Self { text, compiled })
    }
}
