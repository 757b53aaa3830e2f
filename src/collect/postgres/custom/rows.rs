//! The rows of a query of one's own as samples.

use super::super::part::Constant;
use super::super::rows::{Row, Rows, number};
use super::{Column, Query, Usage, labels};
use crate::metrics::{Batch, Desc, Histogram, Kind};

/// Writes an answer. A column that the file does not name is a family without type, as in the original.
pub(super) fn write(query: &Query, version: u32, rows: &Rows, constant: &Constant, batch: &mut Batch) {
    let columns = query.columns.iter().filter(|(_, column)| column.pg_version.contains(version));
    let known: Vec<(&str, &Column, usize)> =
        columns.filter_map(|(name, column)| Some((name.as_str(), column, rows.index(name)?))).collect();
    let names: Vec<&str> = rows.names().collect();
    let unknown: Vec<(usize, &str)> =
        names.iter().copied().enumerate().filter(|(_, name)| !query.mentions(name)).collect();
    for row in rows.iter() {
        let own: Vec<(&str, &str)> = known
            .iter()
            .filter(|(_, column, _)| column.usage == Usage::Label)
            .map(|(name, _, index)| (*name, row.text(*index).unwrap_or_default()))
            .collect();
        let labels = labels(&own, constant);
        for (name, column, index) in &known {
            let family = |kind, suffix: &str| {
                Desc::named(kind, format!("{}_{name}{suffix}", query.name), column.description.clone(), &[])
            };
            let text = row.text(*index);
            match column.usage {
                Usage::Label | Usage::Discard => {}
                Usage::Counter | Usage::Gauge => {
                    let kind = if column.usage == Usage::Counter { Kind::Counter } else { Kind::Gauge };
                    // NULL is not a number; a text that is none either is no sample.
                    if let Some(value) = text.map_or(Some(f64::NAN), number) {
                        batch.push_labelled(&family(kind, ""), &labels, value);
                    }
                }
                Usage::MappedMetric => {
                    let mapped = text.and_then(|text| column.metric_mapping.get(text)).copied();
                    batch.push_labelled(&family(Kind::Gauge, ""), &labels, mapped.unwrap_or(f64::NAN));
                }
                Usage::Duration => {
                    if let Some(value) = text.and_then(milliseconds) {
                        batch.push_labelled(&family(Kind::Gauge, "_milliseconds"), &labels, value);
                    }
                }
                Usage::Histogram => {
                    if let Some(histogram) = histogram(&row, *index, name, rows) {
                        batch.push_histogram_labelled(&family(Kind::Histogram, ""), &labels, histogram);
                    }
                }
            }
        }
        for (index, name) in &unknown {
            if let Some(value) = row.text(*index).map_or(Some(f64::NAN), number) {
                let help = format!("Unknown metric from {}", query.name);
                let desc = Desc::named(Kind::Unknown, format!("{}_{name}", query.name), help, &[]);
                batch.push_labelled(&desc, &labels, value);
            }
        }
    }
}

impl Query {
    /// Whether the file says something about a column, be it as a part of a histogram.
    fn mentions(&self, column: &str) -> bool {
        self.columns.iter().any(|(name, known)| {
            let part = || ["_bucket", "_sum", "_count"].iter().any(|end| column.strip_suffix(end) == Some(name));
            name == column || (known.usage == Usage::Histogram && part())
        })
    }
}

/// The histogram of the columns NAME (its bounds), `NAME_bucket` (arrays both), `NAME_sum` and `NAME_count`.
fn histogram(row: &Row<'_>, bounds: usize, name: &str, rows: &Rows) -> Option<Histogram> {
    let part = |end: &str| rows.index(&format!("{name}{end}"));
    let mut bounds = array(row.text(bounds)?)?;
    let counts = array(row.text(part("_bucket")?)?)?;
    let count = row.number(part("_count")?)?;
    bounds.retain(|bound| bound.is_finite());
    let mut cumulative: Vec<u64> = counts.iter().map(|count| *count as u64).take(bounds.len()).collect();
    cumulative.push(count as u64);
    Some(Histogram { bounds, cumulative, sum: row.number(part("_sum")?)? })
}

/// An array as the server writes it: `{1,2.5,Infinity}`.
fn array(text: &str) -> Option<Vec<f64>> {
    let inner = text.strip_prefix('{')?.strip_suffix('}')?;
    inner.split(',').filter(|_| !inner.is_empty()).map(|item| item.trim_matches('"').parse().ok()).collect()
}

/// A duration as Go writes it, `1h2m3.5s`, in milliseconds.
fn milliseconds(text: &str) -> Option<f64> {
    let mut rest = text.trim();
    let mut total = 0.0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
        let (count, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let size = match unit {
            "ns" => 1e-6,
            "us" | "µs" => 1e-3,
            "ms" => 1.0,
            "s" => 1_000.0,
            "m" => 60_000.0,
            "h" => 3_600_000.0,
            _ => return None,
        };
        total += count.parse::<f64>().ok()? * size;
        rest = tail;
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_and_durations_are_read() {
        assert_eq!(array("{1,2.5,\"3\"}"), Some(vec![1.0, 2.5, 3.0]));
        assert_eq!(array("{}"), Some(Vec::new()));
        assert_eq!((array("1,2"), array("{a}")), (None, None));
        assert_eq!(milliseconds("1h2m3.5s"), Some(3_723_500.0));
        assert_eq!(milliseconds("250ms"), Some(250.0));
        assert_eq!((milliseconds(""), milliseconds("5"), milliseconds("2 days")), (None, None, None));
    }
}
