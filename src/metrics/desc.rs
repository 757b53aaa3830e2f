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
}
