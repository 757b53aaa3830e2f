//! What could not be written, and why: for the log and for a counter.

use std::fmt;

/// Series of one family that are not in the exposition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// The family's name as it was pushed; it may be no valid name.
    pub family: String,
    /// How many series.
    pub series: usize,
    /// Why.
    pub reason: Reason,
}

/// Why series were dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The collector gave more series than its limit.
    Limit,
    /// The family's name is none.
    Name,
    /// A family of this name was already there with another type, or a sample could not be written as its type.
    Type,
    /// A histogram or summary already owns the name, or this one would own the name of a family that is there.
    Clash,
    /// The same series was there already.
    Duplicate,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Limit => "over the collector's limit of series",
            Self::Name => "not a valid metric name",
            Self::Type => "not of the family's type",
            Self::Clash => "the name belongs to another family",
            Self::Duplicate => "the series is there already",
        })
    }
}
