//! Distributions at one moment. They are pushed whole, because the two formats write `le` and `quantile` differently.

/// Counts per bucket, with their sum.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    /// Upper bounds, ascending, without `+Inf`.
    pub bounds: Vec<f64>,
    /// Cumulative counts, one more than `bounds`: the last is `+Inf`'s, and so the count of all.
    pub cumulative: Vec<u64>,
    /// The sum of all observed values.
    pub sum: f64,
}

/// Quantiles as another program computed them, with the sum and the count.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// Pairs of a quantile (0 to 1, or to 100 where the program counts percentiles; ascending) and its value.
    pub quantiles: Vec<(f64, f64)>,
    /// The sum of all observed values.
    pub sum: f64,
    /// How many values were observed.
    pub count: u64,
}

impl Histogram {
    /// Whether it is one: bounds finite and ascending, counts that never fall.
    pub(super) fn is_sound(&self) -> bool {
        self.cumulative.len() == self.bounds.len() + 1
            && self.bounds.iter().all(|bound| bound.is_finite())
            && self.bounds.is_sorted_by(|a, b| a < b)
            && self.cumulative.is_sorted()
    }
}

impl Summary {
    /// Whether it is one: quantiles from 0 to 1 or to 100, ascending. Names bind: Redis' are `50`, `99`, `99.9`, and
    /// Prometheus takes them.
    pub(super) fn is_sound(&self) -> bool {
        self.quantiles.iter().all(|(quantile, _)| (0.0..=100.0).contains(quantile))
            && self.quantiles.is_sorted_by(|a, b| a.0 < b.0)
    }
}
