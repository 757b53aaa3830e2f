//! Severities as rules write them, and what they mean here.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Labels, Severity};

/// The words of the label `severity` for each meaning: the section `[severities]`. Case does not count.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Words {
    /// Somebody should look at it now.
    pub critical: Vec<String>,
    /// Somebody should look at it today.
    pub warning: Vec<String>,
    /// Worth knowing.
    pub info: Vec<String>,
    /// Not for people.
    pub none: Vec<String>,
}

impl Default for Words {
    fn default() -> Self {
        let words = |list: &[&str]| list.iter().map(ToString::to_string).collect();
        Self {
            critical: words(&["critical", "crit", "page", "error", "emergency", "high", "p1"]),
            warning: words(&["warning", "warn", "medium", "p2"]),
            info: words(&["info", "informational", "notice", "low", "p3", "p4"]),
            none: words(&["none"]),
        }
    }
}

/// What the values of the label `severity` mean.
#[derive(Clone, Debug)]
pub struct Severities(BTreeMap<String, Severity>);

impl Default for Severities {
    fn default() -> Self {
        Self::new(&Words::default())
    }
}

impl Severities {
    /// From the configured words. A word that stands twice has its worst meaning.
    pub fn new(words: &Words) -> Self {
        let rows = [
            (&words.none, Severity::None),
            (&words.info, Severity::Info),
            (&words.warning, Severity::Warning),
            (&words.critical, Severity::Critical),
        ];
        let pairs = rows.into_iter().flat_map(|(list, severity)| list.iter().map(move |word| (word, severity)));
        Self(pairs.map(|(word, severity)| (word.to_lowercase(), severity)).collect())
    }

    /// How bad an alert with these labels is; an unknown or missing severity is critical.
    pub fn of(&self, labels: &Labels) -> Severity {
        let word = labels.get("severity").map(|word| word.trim().to_lowercase());
        word.and_then(|word| self.0.get(&word)).copied().unwrap_or(Severity::Critical)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_and_missing_severities_are_critical() {
        let severities = Severities::default();
        let of = |word: &str| severities.of(&Labels::from([("severity".to_owned(), word.to_owned())]));
        assert_eq!(severities.of(&Labels::new()), Severity::Critical);
        assert_eq!(of("apocalyptic"), Severity::Critical);
        assert_eq!(of("P1"), Severity::Critical);
        assert_eq!(of(" Warning "), Severity::Warning);
        assert_eq!(of("none"), Severity::None);
    }

    #[test]
    fn a_word_with_two_meanings_has_the_worse() {
        let words = Words { info: vec!["page".into()], ..Words::default() };
        let labels = Labels::from([("severity".to_owned(), "page".to_owned())]);
        assert_eq!(Severities::new(&words).of(&labels), Severity::Critical);
    }
}
