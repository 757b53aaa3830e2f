//! Multi-target endpoints: one request collects from one target that the request names, as the originals' `/probe` and
//! `/scrape` do it.

use std::time::Duration;

use crate::metrics::Batch;

/// Where a collector answers for a target that the request names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `/probe` or `/scrape`.
    pub path: &'static str,
    /// The keys of the configuration that say who may be asked about.
    pub keys: &'static str,
}

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
    /// No collector that is served here answers at this path (404).
    #[error("{0}")]
    Unanswered(String),
    /// It failed here, whatever the target (500).
    #[error("{0}")]
    Failed(String),
}

impl Refused {
    /// Nobody answers at `path`; of all collectors, those could.
    pub(super) fn unanswered(path: &str, all: &[(&str, Option<Endpoint>)]) -> Self {
        let could = at(path, all, |_| true).unwrap_or_else(|| "none".into());
        Self::Unanswered(format!("nothing that is configured and served here answers {path}; what can: {could}"))
    }

    /// The same, with who said so, where another of all collectors may have been meant.
    pub(super) fn said_by(self, name: &str, path: &str, all: &[(&str, Option<Endpoint>)]) -> Self {
        let Some(others) = at(path, all, |other| other != name) else { return self };
        let told = |what: String| {
            format!(
                "{what}\n`{name}` says so. {path} is answered by the first that is configured, unless the listener is bound \
                 to one; what else can: {others}"
            )
        };
        match self {
            Self::Senseless(what) => Self::Senseless(told(what)),
            Self::Forbidden(what) => Self::Forbidden(told(what)),
            other => other,
        }
    }
}

/// The collectors that answer at `path`, each with the keys that let it.
fn at(path: &str, all: &[(&str, Option<Endpoint>)], meant: impl Fn(&str) -> bool) -> Option<String> {
    let at = all.iter().filter_map(|(name, endpoint)| Some((name, endpoint.filter(|it| it.path == path)?)));
    let told: Vec<_> =
        at.filter(|(name, _)| meant(name)).map(|(name, endpoint)| format!("`{name}` ({})", endpoint.keys)).collect();
    (!told.is_empty()).then(|| told.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_who_else_might_have_been_meant() {
        let probe = |keys| Some(Endpoint { path: "/probe", keys });
        let all = [("one", probe("a.b")), ("none", None), ("two", probe("c.d"))];
        let told = Refused::unanswered("/probe", &all).to_string();
        assert!(told.ends_with("answers /probe; what can: `one` (a.b), `two` (c.d)"), "{told}");
        assert!(Refused::unanswered("/scrape", &all).to_string().ends_with("what can: none"));
        let refused = Refused::Forbidden("no".into()).said_by("two", "/probe", &all);
        assert!(matches!(&refused, Refused::Forbidden(what) if what.starts_with("no\n`two` says so")), "{refused}");
        assert!(refused.to_string().ends_with("what else can: `one` (a.b)"), "{refused}");
        let alone = Refused::Senseless("no".into()).said_by("one", "/probe", &all[..2]);
        assert_eq!(alone, Refused::Senseless("no".into()));
    }
}
