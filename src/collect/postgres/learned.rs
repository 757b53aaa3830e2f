//! What is learned about a connection while it stands, so that the server does not do the same work in every run.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::metrics::Batch;

/// PostgreSQL's codes for a prepared statement that is not there, and for one whose columns are no longer the same.
const GONE: [&str; 2] = ["26000", "0A000"];

/// Settings are read anew after this, whatever the server says of its configuration: a library that a query of the
/// operator's loads brings settings of its own.
const SETTINGS_AGE: Duration = Duration::from_mins(1);

/// What is known of one connection.
#[derive(Debug, Default)]
pub(super) struct Learned {
    /// Whether the session is ours alone, and so may keep statements: behind a pool others would find them there.
    pub(super) own: bool,
    /// Of the question that has several versions, how many were refused.
    pub(super) older: usize,
    forms: HashMap<&'static str, Form>,
    settings: Option<(Stamp, Instant, Arc<Batch>)>,
}

/// As what, and of which state of the server's configuration, settings were read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Stamp {
    /// When the server last read its configuration, and whether it was a replica.
    pub(super) state: Option<String>,
    /// The name that the series carry.
    pub(super) instance: Option<String>,
}

/// In which words a question is asked. The server spends more on understanding and planning most of ours than on
/// answering, so one that has worked is prepared. That is done by `PREPARE` and `EXECUTE`, because their answers are text
/// as those of the question itself are.
#[derive(Debug)]
enum Form {
    /// It has worked as it stands: next time it is prepared.
    Works,
    /// It is prepared; this message asks it.
    Prepared(String),
    /// It cannot be prepared here.
    Plain,
}

impl Learned {
    /// The message that asks the questions of a part.
    pub(super) fn words<'a>(&'a self, part: &str, questions: &'a [Cow<'static, str>]) -> Cow<'a, str> {
        match (self.forms.get(part), questions) {
            (Some(Form::Prepared(message)), _) => Cow::Borrowed(message),
            (Some(Form::Works), _) if self.own => {
                let prepare = |sql: &Cow<str>| {
                    let name = name(part, sql);
                    format!("PREPARE {name} AS {sql};\nEXECUTE {name}")
                };
                Cow::Owned(questions.iter().map(prepare).collect::<Vec<_>>().join(";\n"))
            }
            (_, [only]) => Cow::Borrowed(only),
            _ => Cow::Owned(questions.join(";\n")),
        }
    }

    /// The questions of a part were answered.
    pub(super) fn worked(&mut self, part: &'static str, questions: &[Cow<'static, str>]) {
        if questions.is_empty() {
            return;
        }
        let form = match self.forms.get(part) {
            None => Form::Works,
            Some(Form::Works) if self.own => {
                let execute = |sql: &Cow<str>| format!("EXECUTE {}", name(part, sql));
                Form::Prepared(questions.iter().map(execute).collect::<Vec<_>>().join(";\n"))
            }
            Some(_) => return,
        };
        self.forms.insert(part, form);
    }

    /// The questions of a part were refused. Whether they should be asked anew, in other words.
    pub(super) fn refused(&mut self, part: &'static str, code: &str) -> bool {
        let again = match self.forms.get(part) {
            Some(Form::Works) => self.own,
            Some(Form::Prepared(_)) => GONE.contains(&code),
            Some(Form::Plain) | None => false,
        };
        if again {
            self.forms.insert(part, Form::Plain);
        }
        again
    }

    /// A version of a part's question was refused, of so many. Whether there is an older one; the next run begins anew.
    pub(super) fn older(&mut self, part: &'static str, versions: usize) -> bool {
        self.forms.remove(part);
        self.older = (self.older + 1) % versions.max(1);
        self.older > 0
    }

    /// Whether the settings that were read are those of the server's configuration still.
    pub(super) fn knows_settings(&self, stamp: &Stamp) -> bool {
        let fresh = |(of, at, _): &(Stamp, Instant, _)| of == stamp && at.elapsed() < SETTINGS_AGE;
        stamp.state.is_some() && self.settings.as_ref().is_some_and(fresh)
    }

    /// The settings that were read last.
    pub(super) fn settings(&self) -> Arc<Batch> {
        self.settings.as_ref().map(|(_, _, batch)| Arc::clone(batch)).unwrap_or_default()
    }

    /// Keeps what was read.
    pub(super) fn keep_settings(&mut self, stamp: Stamp, batch: &Arc<Batch>) {
        self.settings = Some((stamp, Instant::now(), Arc::clone(batch)));
    }
}

/// A statement's name says what it asks, so that another of the same name is never taken for it.
fn name(part: &str, sql: &str) -> String {
    let mut hash = DefaultHasher::new();
    sql.hash(&mut hash);
    format!("tidewatch_{part}_{:016x}", hash.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUESTIONS: [Cow<'static, str>; 2] = [Cow::Borrowed("SELECT 1"), Cow::Borrowed("SELECT 2")];

    #[test]
    fn what_worked_is_prepared_and_then_only_named() {
        let mut learned = Learned { own: true, ..Learned::default() };
        assert_eq!(learned.words("a", &QUESTIONS), "SELECT 1;\nSELECT 2");
        learned.worked("a", &QUESTIONS);
        let (one, two) = (name("a", "SELECT 1"), name("a", "SELECT 2"));
        assert!(one != two && one.len() < 64, "{one} {two}");
        let first = format!("PREPARE {one} AS SELECT 1;\nEXECUTE {one};\nPREPARE {two} AS SELECT 2;\nEXECUTE {two}");
        assert_eq!(learned.words("a", &QUESTIONS), first);
        learned.worked("a", &QUESTIONS);
        assert_eq!(learned.words("a", &QUESTIONS), format!("EXECUTE {one};\nEXECUTE {two}"));
        assert!(!learned.refused("a", "55P03"), "a lock is no reason to ask in other words");
        assert!(learned.refused("a", "26000"));
        for _ in 0..2 {
            assert_eq!(learned.words("a", &QUESTIONS), "SELECT 1;\nSELECT 2");
            learned.worked("a", &QUESTIONS);
            assert!(!learned.refused("a", "26000"));
        }
    }

    #[test]
    fn a_session_that_others_share_keeps_nothing() {
        let mut learned = Learned::default();
        for _ in 0..3 {
            learned.worked("a", &QUESTIONS);
            assert_eq!(learned.words("a", &QUESTIONS), "SELECT 1;\nSELECT 2");
        }
        assert!(!learned.refused("a", "42601"));
    }

    #[tokio::test(start_paused = true)]
    async fn settings_are_those_of_one_configuration_and_not_old() {
        let stamp = |state: &str| Stamp { state: Some(state.into()), instance: None };
        let mut learned = Learned::default();
        learned.keep_settings(stamp("1"), &Arc::default());
        assert!(learned.knows_settings(&stamp("1")) && !learned.knows_settings(&stamp("2")));
        assert!(!learned.knows_settings(&Stamp { instance: Some("other".into()), ..stamp("1") }));
        tokio::time::advance(SETTINGS_AGE).await;
        assert!(!learned.knows_settings(&stamp("1")));
        learned.keep_settings(Stamp::default(), &Arc::default());
        assert!(!learned.knows_settings(&Stamp::default()), "nothing is known of the configuration");
    }
}
