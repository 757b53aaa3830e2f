//! The rows of an answer, as text, which every server sends to a simple query.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::DateTime;
use tokio_postgres::{SimpleColumn, SimpleQueryRow};

/// A longer value of a label is cut: the names of things in a server have at most 63 bytes.
const LONGEST: usize = 1_024;

/// The rows of one answer.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) columns: Option<Arc<[SimpleColumn]>>,
    pub(super) kept: Vec<SimpleQueryRow>,
    /// There were more rows than are read.
    pub(super) cut: bool,
}

/// One of them.
pub(super) struct Row<'a>(&'a SimpleQueryRow);

impl Rows {
    /// An answer of which no row has come yet.
    pub(super) fn of(columns: Arc<[SimpleColumn]>) -> Self {
        Self { columns: Some(columns), ..Self::default() }
    }

    /// Where the column of this name stands.
    pub(super) fn index(&self, name: &str) -> Option<usize> {
        self.columns.as_deref()?.iter().position(|column| column.name() == name)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Row<'_>> {
        self.kept.iter().map(Row)
    }

    /// The text of the first row's column of this name.
    pub(super) fn first(&self, name: &str) -> Option<&str> {
        let index = self.index(name)?;
        self.kept.first().and_then(|row| Row(row).text(index))
    }
}

impl<'a> Row<'a> {
    /// A value as text, cut where it is too long for a label.
    pub(super) fn text(&self, index: usize) -> Option<&'a str> {
        self.0.try_get(index).ok().flatten().map(cut)
    }

    /// A value as a number.
    pub(super) fn number(&self, index: usize) -> Option<f64> {
        number(self.0.try_get(index).ok().flatten()?)
    }
}

fn cut(text: &str) -> &str {
    if text.len() <= LONGEST {
        return text;
    }
    let end = (0..=LONGEST).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

/// A number as the server writes it: also a truth value, and a time as seconds since 1970.
pub(super) fn number(text: &str) -> Option<f64> {
    match text {
        "t" | "true" | "on" => Some(1.0),
        "f" | "false" | "off" => Some(0.0),
        _ => text.parse().ok().or_else(|| seconds(text)),
    }
}

/// A time in the server's ISO style, `2026-11-21 13:50:00.25+00`; one without a zone counts as UTC.
fn seconds(text: &str) -> Option<f64> {
    let zoned = || text.parse::<Timestamp>().ok();
    let local = || text.parse::<DateTime>().ok()?.in_tz("UTC").ok().map(|time| time.timestamp());
    let time = zoned().or_else(local)?;
    Some(time.as_microsecond() as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_writes_as_a_number_is_read_as_one() {
        for (text, value) in [
            ("t", 1.0),
            ("f", 0.0),
            ("-12.5", -12.5),
            ("1e3", 1_000.0),
            ("Infinity", f64::INFINITY),
            ("1970-01-01 00:01:00+00", 60.0),
            ("1970-01-01 00:01:00.25+00", 60.25),
            ("1970-01-01 01:00:00+01", 0.0),
            ("1970-01-02 00:00:00", 86_400.0),
        ] {
            assert_eq!(number(text), Some(value), "{text}");
        }
        assert!(number("NaN").is_some_and(f64::is_nan));
        for text in ["", "streaming", "1.2.3", "1970-01-01x"] {
            assert_eq!(number(text), None, "{text}");
        }
    }

    #[test]
    fn a_long_text_is_cut_between_two_characters() {
        let text = "é".repeat(LONGEST);
        assert_eq!(cut(&text).len(), LONGEST);
        let text = format!("x{}", "é".repeat(LONGEST));
        assert_eq!(cut(&text).len(), LONGEST - 1);
        assert_eq!(cut("short"), "short");
    }
}
