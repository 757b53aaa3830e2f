//! Severities as rules write them, and what they mean here.

use std::collections::BTreeMap;

use super::{Labels, Severity};

/// What the values of the label `severity` mean.
#[derive(Clone, Debug)]
pub struct Severities(BTreeMap<String, Severity>);

impl Default for Severities {
    fn default() -> Self {
        let names = [
            ("critical", Severity::Critical),
            ("warning", Severity::Warning),
            ("info", Severity::Info),
            ("none", Severity::None),
        ];
        Self(names.into_iter().map(|(name, severity)| (name.to_owned(), severity)).collect())
    }
}

impl Severities {
    /// How bad an alert with these labels is; an unknown or missing severity is critical.
    pub fn of(&self, labels: &Labels) -> Severity {
        labels.get("severity").and_then(|name| self.0.get(&name.to_lowercase())).copied().unwrap_or(Severity::Critical)
    }
}
