//! What is kept of one alert, and of one post: nothing that comes from outside is without a bound.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::{Labels, identity};

/// What is kept of one alert, and of one post.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// More alerts in one post than this are counted as truncated.
    pub alerts: usize,
    /// More bytes of memory than this for the alerts of one post: those beyond are counted as truncated.
    pub memory: usize,
    /// More labels of an alert than this, in the order of their names, are left out.
    pub labels: usize,
    /// A longer label value, in bytes, is cut, and a hash of the whole is added.
    pub label: usize,
    /// A longer annotation, in bytes, is cut.
    pub annotation: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { alerts: 50_000, memory: 128 << 20, labels: 128, label: 4 << 10, annotation: 16 << 10 }
    }
}

/// Names are short by the data model's habit; a longer one is cut.
pub(super) const MOST_NAME: usize = 256;

/// At most `most` labels or annotations; a value longer than `longest` is made fit by `fit`.
pub(super) fn bounded(texts: Labels, most: usize, longest: usize, fit: impl Fn(&str, usize) -> String) -> Labels {
    let fits = |(name, text): (&String, &String)| name.len() <= MOST_NAME && text.len() <= longest;
    if texts.len() <= most && texts.iter().all(fits) {
        return texts;
    }
    // The two that everything hangs on come first, whatever else there is.
    let (first, rest): (BTreeMap<_, _>, BTreeMap<_, _>) =
        texts.into_iter().partition(|(name, _)| name == "alertname" || name == "severity");
    first
        .into_iter()
        .chain(rest)
        .take(most)
        .map(|(name, text)| {
            let text = if text.len() > longest { fit(&text, longest) } else { text };
            (cut(&name, MOST_NAME).into_owned(), text)
        })
        .collect()
}

/// The begin of a value that is longer than `most` bytes; it stays distinguishable by a hash of the whole.
pub(super) fn shorten(value: &str, most: usize) -> String {
    format!("{}…#{:016x}", cut(value, most - 20), identity::hash(value))
}

/// At most `most` bytes of a text, ending between two characters.
pub(super) fn cut(text: &str, most: usize) -> Cow<'_, str> {
    let end = (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    Cow::Borrowed(text.get(..end).unwrap_or_default())
}
