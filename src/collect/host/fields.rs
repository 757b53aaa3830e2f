//! Fields whose names the kernel tells and whose families follow from them, chosen by a pattern as in node_exporter.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use regex_lite::Regex;
use serde::Deserialize;

use super::filter::Filter;
use crate::config::Problems;
use crate::metrics::{Batch, Desc};

/// So many names are remembered; a kernel has some hundreds.
const REMEMBERED: usize = 4096;

/// Which fields are taken.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FieldsConfig {
    /// Those whose name matches; the default is node_exporter's.
    pub fields: Option<String>,
}

impl FieldsConfig {
    pub(super) fn check(&self, part: &str, problems: &mut Problems) {
        Filter::check_one(&format!("{part}.fields"), self.fields.as_deref(), problems);
    }
}

/// The families of fields, made when a field is first seen.
pub(super) struct Fields {
    pattern: Option<Regex>,
    make: fn(&str) -> (String, Desc),
    known: Mutex<HashMap<String, Option<Desc>>>,
}

impl Fields {
    /// `make` yields the name that the pattern is tried on, and the family.
    pub(super) fn new(config: &FieldsConfig, default: &str, make: fn(&str) -> (String, Desc)) -> Self {
        let pattern = Regex::new(config.fields.as_deref().unwrap_or(default)).ok();
        Self { pattern, make, known: Mutex::default() }
    }

    /// Writes the field where it is taken.
    pub(super) fn push(&self, batch: &mut Batch, field: &str, value: f64) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.contains_key(field) {
            if known.len() >= REMEMBERED {
                known.clear();
            }
            let (name, desc) = (self.make)(field);
            let taken = self.pattern.as_ref().is_some_and(|pattern| pattern.is_match(&name));
            known.insert(field.to_owned(), taken.then_some(desc));
        }
        if let Some(Some(desc)) = known.get(field) {
            batch.push(desc, &[], value);
        }
    }
}

/// A name as a part of a family's name.
pub(super) fn word(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}
