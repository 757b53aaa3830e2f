//! Reading the text format, strictly: one fault, and nothing of the text is taken.

use std::collections::HashMap;

use super::desc::is_metric_name;
use super::distribution::Distribution;
use super::labels::{BLANKS, Labels, labels, unescaped};
use super::{Histogram, Kind, Summary};

/// A family that was read.
#[derive(Debug, PartialEq)]
pub struct ParsedFamily {
    /// Its name.
    pub name: String,
    /// What `# HELP` says.
    pub help: Option<String>,
    /// What `# TYPE` says, else unknown.
    pub kind: Kind,
    /// Its samples, in their order.
    pub samples: Vec<ParsedSample>,
}

/// A sample, or all lines of one distribution.
#[derive(Debug, PartialEq)]
pub struct ParsedSample {
    /// Labels in the order of their names, without `le` and `quantile` of distributions.
    pub labels: Vec<(String, String)>,
    /// What it says.
    pub value: ParsedValue,
}

/// What a sample says.
#[derive(Debug, PartialEq)]
pub enum ParsedValue {
    /// A counter's, a gauge's, or one of no known type.
    Number(f64),
    /// A histogram.
    Histogram(Histogram),
    /// A summary.
    Summary(Summary),
}

/// What a text holds.
#[derive(Debug, Default, PartialEq)]
pub struct Exposition {
    /// Its families, in the order in which they were first named.
    pub families: Vec<ParsedFamily>,
    /// The first line that has a timestamp.
    pub timestamp: Option<usize>,
}

/// Why a text is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct ParseError {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong there.
    pub why: &'static str,
}

/// Reads a text of the format 0.0.4.
pub fn parse(text: &str) -> Result<Exposition, ParseError> {
    let mut reading = Reading::default();
    let mut lines = text.split('\n').zip(1..).peekable();
    while let Some((line, number)) = lines.next() {
        let at = |why| ParseError { line: number, why };
        if lines.peek().is_none() {
            if !line.is_empty() {
                return Err(at("the last line has no end"));
            }
            break;
        }
        reading.line = number;
        let line = line.trim_start_matches(BLANKS);
        if let Some(comment) = line.strip_prefix('#') {
            reading.comment(comment).map_err(at)?;
        } else if !line.is_empty() && reading.sample(line).map_err(at)? {
            reading.timestamp.get_or_insert(number);
        }
    }
    let timestamp = reading.timestamp;
    let mut families = Vec::new();
    for family in reading.families {
        let line = family.line;
        families.extend(family.finish().map_err(|why| ParseError { line, why })?);
    }
    Ok(Exposition { families, timestamp })
}

#[derive(Default)]
struct Reading {
    families: Vec<Open>,
    by_name: HashMap<String, usize>,
    timestamp: Option<usize>,
    line: usize,
}

/// A family that is being read.
struct Open {
    name: String,
    /// The line of its first sample.
    line: usize,
    help: Option<String>,
    kind: Option<Kind>,
    samples: Vec<(Labels, Value)>,
    by_labels: HashMap<Labels, usize>,
}

enum Value {
    Number(f64),
    Distribution(Distribution),
}

impl Reading {
    fn comment(&mut self, comment: &str) -> Result<(), &'static str> {
        let comment = comment.trim_start_matches(BLANKS);
        let Some((word, rest)) = comment.split_once(BLANKS) else { return Ok(()) };
        if !matches!(word, "HELP" | "TYPE") {
            return Ok(());
        }
        let rest = rest.trim_start_matches(BLANKS);
        let (name, rest) = rest.split_once(BLANKS).unwrap_or((rest, ""));
        if !is_metric_name(name) {
            return Err("no metric's name after HELP or TYPE");
        }
        let rest = rest.trim_start_matches(BLANKS);
        let index = self.open(name);
        let Some(family) = self.families.get_mut(index) else { return Ok(()) };
        if word == "HELP" {
            if family.help.is_some() {
                return Err("a second HELP of the same family");
            }
            family.help = Some(unescaped(rest, false)?);
        } else {
            if family.kind.is_some() {
                return Err("a TYPE after the family's samples or its first TYPE");
            }
            family.kind = Some(kind(rest).ok_or("no type: counter, gauge, histogram, summary or untyped")?);
        }
        Ok(())
    }

    /// Reads a sample; whether it has a timestamp.
    fn sample(&mut self, line: &str) -> Result<bool, &'static str> {
        let end = line.find(['{', ' ', '\t']).ok_or("no value")?;
        let (name, rest) = line.split_at_checked(end).ok_or("no value")?;
        if !is_metric_name(name) {
            return Err("no metric's name");
        }
        let rest = rest.trim_start_matches(BLANKS);
        let (mut labels, rest) = match rest.strip_prefix('{') {
            Some(rest) => labels(rest)?,
            None => (Labels::new(), rest),
        };
        labels.sort_unstable();
        if labels.windows(2).any(|pair| matches!(pair, [(one, _), (next, _)] if one == next)) {
            return Err("a label that is there twice");
        }
        let mut words = rest.split(BLANKS).filter(|word| !word.is_empty());
        let value = number(words.next().ok_or("no value")?)?;
        let timestamp = words.next().map(|word| word.parse::<i64>().map_err(|_| "a timestamp that is no number"));
        if words.next().is_some() {
            return Err("more than a value and a timestamp");
        }
        let has_timestamp = timestamp.transpose()?.is_some();
        self.put(name, labels, value)?;
        Ok(has_timestamp)
    }

    fn put(&mut self, name: &str, mut labels: Labels, value: f64) -> Result<(), &'static str> {
        let (index, suffix) = self.family_of(name);
        let line = self.line;
        let Some(family) = self.families.get_mut(index) else { return Ok(()) };
        if family.samples.is_empty() {
            family.line = line;
        }
        let kind = *family.kind.get_or_insert(Kind::Unknown);
        if !matches!(kind, Kind::Histogram | Kind::Summary) {
            if family.by_labels.insert(labels.clone(), family.samples.len()).is_some() {
                return Err("a series that is there twice");
            }
            family.samples.push((labels, Value::Number(value)));
            return Ok(());
        }
        let bound = Distribution::bound(kind, suffix, &mut labels)?;
        let index = *family.by_labels.entry(labels.clone()).or_insert_with(|| {
            family.samples.push((labels, Value::Distribution(Distribution::default())));
            family.samples.len() - 1
        });
        match family.samples.get_mut(index) {
            Some((_, Value::Distribution(open))) => open.put(suffix, bound, value),
            _ => Ok(()),
        }
    }

    /// The family of a sample's name, and what the name adds to it: `_sum`, `_count` and `_bucket` belong to a
    /// distribution that is known.
    fn family_of<'a>(&mut self, name: &'a str) -> (usize, &'a str) {
        if !self.by_name.contains_key(name) {
            for suffix in ["_sum", "_count", "_bucket"] {
                let Some(base) = name.strip_suffix(suffix) else { continue };
                let Some(index) = self.by_name.get(base) else { continue };
                let kind = self.families.get(*index).and_then(|family| family.kind);
                if kind == Some(Kind::Histogram) || (kind == Some(Kind::Summary) && suffix != "_bucket") {
                    return (*index, name.get(base.len()..).unwrap_or_default());
                }
            }
        }
        (self.open(name), "")
    }

    fn open(&mut self, name: &str) -> usize {
        if let Some(index) = self.by_name.get(name) {
            return *index;
        }
        let (samples, by_labels) = (Vec::new(), HashMap::new());
        let family = Open { name: name.to_owned(), line: self.line, help: None, kind: None, samples, by_labels };
        self.families.push(family);
        self.by_name.insert(name.to_owned(), self.families.len() - 1);
        self.families.len() - 1
    }
}

impl Open {
    /// The family; nothing where it has no sample.
    fn finish(self) -> Result<Option<ParsedFamily>, &'static str> {
        let kind = self.kind.unwrap_or(Kind::Unknown);
        let mut samples = Vec::with_capacity(self.samples.len());
        for (labels, value) in self.samples {
            let value = match value {
                Value::Number(value) => ParsedValue::Number(value),
                Value::Distribution(open) if kind == Kind::Histogram => ParsedValue::Histogram(open.histogram()?),
                Value::Distribution(open) => ParsedValue::Summary(open.summary()?),
            };
            samples.push(ParsedSample { labels, value });
        }
        let family = ParsedFamily { name: self.name, help: self.help, kind, samples };
        Ok((!family.samples.is_empty()).then_some(family))
    }
}

fn kind(word: &str) -> Option<Kind> {
    Some(match word.to_ascii_lowercase().as_str() {
        "counter" => Kind::Counter,
        "gauge" => Kind::Gauge,
        "histogram" => Kind::Histogram,
        "summary" => Kind::Summary,
        "untyped" => Kind::Unknown,
        _ => return None,
    })
}

/// A number as Go reads it, which takes no more than Rust does.
pub(super) fn number(word: &str) -> Result<f64, &'static str> {
    word.parse().map_err(|_| "a value that is no number")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(lines: &str) -> Vec<ParsedFamily> {
        parse(lines).unwrap().families
    }

    fn fault(lines: &str) -> String {
        parse(lines).unwrap_err().to_string()
    }

    #[test]
    fn samples_keep_labels_values_type_and_help() {
        let families = text(
            "# any comment\n# HELP a_total Some \\\\ help\\nof \"two\" lines.\n# TYPE a_total counter\n\
            a_total { y = \"q\\\"b\\\\n\\n\" , x=\"ä\", } +Inf\n\n\t b 1.5e3\na_total NaN\n",
        );
        let [a, b] = &families[..] else { panic!("{families:?}") };
        assert_eq!(
            (a.name.as_str(), a.kind, a.help.as_deref()),
            ("a_total", Kind::Counter, Some("Some \\ help\nof \"two\" lines."))
        );
        let labels = |pairs: &[(&str, &str)]| -> Labels {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        assert_eq!(a.samples[0].labels, labels(&[("x", "ä"), ("y", "q\"b\\n\n")]));
        assert_eq!(a.samples[0].value, ParsedValue::Number(f64::INFINITY));
        assert!(matches!(a.samples[1].value, ParsedValue::Number(value) if value.is_nan()));
        assert_eq!((b.name.as_str(), b.kind, &b.help), ("b", Kind::Unknown, &None));
        assert_eq!(b.samples[0].value, ParsedValue::Number(1500.0));
    }

    #[test]
    fn lines_of_a_distribution_are_one_sample_a_label_set() {
        let families = text(
            "# TYPE h histogram\nh_bucket{le=\"+Inf\",a=\"1\"} 3\nh_bucket{a=\"1\",le=\"0.5\"} 2\n\
            h_sum{a=\"1\"} 4.5\nh_count{a=\"1\"} 3\nh_count{a=\"2\"} 7\n# TYPE s summary\ns{quantile=\"0.9\"} 2\n\
            s{quantile=\"0.5\"} 1\ns_sum 9\ns_count 5\ns_bucket 1\n",
        );
        let [h, s, plain] = &families[..] else { panic!("{families:?}") };
        let histogram = |bounds: &[f64], cumulative: &[u64], sum| {
            ParsedValue::Histogram(Histogram { bounds: bounds.to_vec(), cumulative: cumulative.to_vec(), sum })
        };
        assert_eq!(h.samples[0].value, histogram(&[0.5], &[2, 3], 4.5));
        assert_eq!(h.samples[1].value, histogram(&[], &[7], 0.0));
        let summary = Summary { quantiles: vec![(0.5, 1.0), (0.9, 2.0)], sum: 9.0, count: 5 };
        assert_eq!(s.samples[0].value, ParsedValue::Summary(summary));
        assert_eq!((plain.name.as_str(), plain.samples.len()), ("s_bucket", 1), "a summary has no buckets");
    }

    #[test]
    fn a_timestamp_is_told() {
        assert_eq!(parse("a 1\nb 2 1395066363000\n").unwrap().timestamp, Some(2));
        assert_eq!(parse("").unwrap(), Exposition::default());
    }

    #[test]
    fn a_fault_is_told_with_its_line() {
        for (lines, told) in [
            ("a 1", "line 1: the last line has no end"),
            ("\n\na\n", "line 3: no value"),
            ("a 1\r\n", "line 1: a value that is no number"),
            ("a 0x10\n", "line 1: a value that is no number"),
            ("a 1 2 3\n", "line 1: more than a value and a timestamp"),
            ("a 1 x\n", "line 1: a timestamp that is no number"),
            ("9a 1\n", "line 1: no metric's name"),
            ("a{9=\"\"} 1\n", "line 1: no label's name"),
            ("a{__name__=\"b\"} 1\n", "line 1: no label's name"),
            ("a{b=\"1\",b=\"2\"} 1\n", "line 1: a label that is there twice"),
            ("a{b=1} 1\n", "line 1: a label's value without quotes"),
            ("a{b=\"1} 1\n", "line 1: a label's value without an end"),
            ("a{b=\"1\"\" } 1\n", "line 1: neither a comma nor an end after a label"),
            ("a{b=\"\\x\"} 1\n", "line 1: a backslash that escapes nothing"),
            ("a{b=\"1\" 1\n", "line 1: neither a comma nor an end after a label"),
            ("{\"a\"} 1\n", "line 1: no metric's name"),
            ("a 1\na 2\n", "line 2: a series that is there twice"),
            ("a 1\n# TYPE a gauge\n", "line 2: a TYPE after the family's samples or its first TYPE"),
            ("# TYPE a gauge\n# TYPE a gauge\n", "line 2: a TYPE after the family's samples or its first TYPE"),
            ("# TYPE a meter\n", "line 1: no type: counter, gauge, histogram, summary or untyped"),
            ("# HELP a b\n# HELP a b\n", "line 2: a second HELP of the same family"),
            ("# TYPE h histogram\nh 1\n", "line 2: a histogram has buckets, a sum and a count only"),
            ("# TYPE h histogram\nh_bucket 1\n", "line 2: a bucket or a quantile without its label"),
            ("# TYPE h histogram\nh_sum 1\n", "line 2: a histogram without a count"),
            ("# TYPE h histogram\nh_bucket{le=\"1\"} 5\nh_count 3\n", "line 2: buckets whose counts fall"),
            ("# TYPE h histogram\nh_count -3\n", "line 2: a count that is none"),
            ("# TYPE s summary\ns{quantile=\"200\"} 5\n", "line 2: a quantile beyond 100"),
        ] {
            assert_eq!(fault(lines), told, "{lines:?}");
        }
    }
}
