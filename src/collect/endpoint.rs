//! Multi-target endpoints: one request collects from one target that the request names, as the originals' `/probe` and
//! `/scrape` do it.

use std::time::Duration;

use crate::metrics::Batch;

/// What a request to a multi-target endpoint says: `/probe?target=…&module=…`.
#[derive(Clone, Debug)]
pub struct Question {
    /// The query's pairs, decoded, in their order.
    pub query: Vec<(String, String)>,
    /// How long the answer may take.
    pub limit: Duration,
}

impl Question {
    /// The first value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.query.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }
}

/// What a multi-target endpoint answers. That a target is down is an answer: its `up` is 0.
#[derive(Debug)]
pub enum Answer {
    /// Samples, in the format that the scraper asked for.
    Samples(Batch),
    /// Text for a person, as `?debug=true` asks for it.
    Text(String),
}

/// Why a question has no answer. The words go to whoever asked: they name no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It makes no sense: a parameter is missing, a module is unknown (400).
    #[error("{0}")]
    Senseless(String),
    /// The configuration does not let anybody reach this target from here (403).
    #[error("{0}")]
    Forbidden(String),
    /// It failed here, whatever the target (500).
    #[error("{0}")]
    Failed(String),
}
