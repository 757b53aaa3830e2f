//! A histogram's state at one moment.

/// Counts per bucket, with their sum: pushed whole, because the two formats write `le` differently.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    /// Upper bounds, ascending, without `+Inf`.
    pub bounds: Vec<f64>,
    /// Cumulative counts, one more than `bounds`: the last is `+Inf`'s, and so the count of all.
    pub cumulative: Vec<u64>,
    /// The sum of all observed values.
    pub sum: f64,
}
