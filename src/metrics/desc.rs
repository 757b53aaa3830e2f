//! The description of a metric family.

use std::borrow::Cow;

/// The type of a family, as `# TYPE` tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Only goes up, and starts again at 0.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Buckets, a sum and a count.
    Histogram,
    /// Quantiles, a sum and a count, as another program computed them.
    Summary,
    /// Nobody told: `untyped` in the text format, `unknown` in OpenMetrics.
    Unknown,
}

/// A family's name, help, type and label names; a `static` at the place that pushes its samples, so that searching for
/// the name finds the place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Desc {
    /// The full name, with `_total` where the known name has it.
    pub name: Cow<'static, str>,
    /// One sentence.
    pub help: Cow<'static, str>,
    /// Its type.
    pub kind: Kind,
    /// The label names, in the order in which values are pushed.
    pub labels: Cow<'static, [&'static str]>,
}

impl Desc {
    /// A family whose name is known when the program is written.
    pub const fn new(kind: Kind, name: &'static str, help: &'static str, labels: &'static [&'static str]) -> Self {
        Self { name: Cow::Borrowed(name), help: Cow::Borrowed(help), kind, labels: Cow::Borrowed(labels) }
    }

    /// A counter.
    pub const fn counter(name: &'static str, help: &'static str, labels: &'static [&'static str]) -> Self {
        Self::new(Kind::Counter, name, help, labels)
    }

    /// A gauge.
    pub const fn gauge(name: &'static str, help: &'static str, labels: &'static [&'static str]) -> Self {
        Self::new(Kind::Gauge, name, help, labels)
    }

    /// A histogram.
    pub const fn histogram(name: &'static str, help: &'static str, labels: &'static [&'static str]) -> Self {
        Self::new(Kind::Histogram, name, help, labels)
    }

    /// A family of no known type.
    pub const fn unknown(name: &'static str, help: &'static str, labels: &'static [&'static str]) -> Self {
        Self::new(Kind::Unknown, name, help, labels)
    }

    /// A family whose name the source tells: a line of `/proc/meminfo`, another program's metric.
    pub fn named(kind: Kind, name: String, help: String, labels: &'static [&'static str]) -> Self {
        Self { name: Cow::Owned(name), help: Cow::Owned(help), kind, labels: Cow::Borrowed(labels) }
    }
}

/// Whether every scraper reads `name` as a metric's name: `[a-zA-Z_:][a-zA-Z0-9_:]*`.
pub(super) fn is_metric_name(name: &str) -> bool {
    is_name(name, |byte| byte == b'_' || byte == b':')
}

/// Whether every scraper reads `name` as a label's name: `[a-zA-Z_][a-zA-Z0-9_]*`, and not reserved by `__`.
pub(super) fn is_label_name(name: &str) -> bool {
    is_name(name, |byte| byte == b'_') && !name.starts_with("__")
}

fn is_name(name: &str, sign: impl Fn(u8) -> bool) -> bool {
    name.bytes().next().is_some_and(|first| first.is_ascii_alphabetic() || sign(first))
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || sign(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_classic_data_model() {
        for name in ["a", "_", "a:b", "node_cpu_seconds_total", ":x9"] {
            assert!(is_metric_name(name), "{name}");
        }
        for name in ["", "9a", "a-b", "a b", "a\n", "é", "a{"] {
            assert!(!is_metric_name(name), "{name}");
            assert!(!is_label_name(name), "{name}");
        }
        assert!(is_label_name("_a9") && !is_label_name("a:b") && !is_label_name("__name__"));
    }
}
