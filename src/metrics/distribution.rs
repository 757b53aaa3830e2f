//! A histogram or a summary while its lines are read.

use super::parse::number;
use super::{Histogram, Kind, Summary};

/// What was read of it.
#[derive(Default)]
pub(super) struct Distribution {
    /// Bounds with their counts, or quantiles with their values.
    points: Vec<(f64, f64)>,
    sum: Option<f64>,
    count: Option<f64>,
}

impl Distribution {
    /// Takes the label that tells a line's place out of its labels: `le` of a bucket, `quantile` of a summary's own name.
    pub(super) fn bound(
        kind: Kind,
        suffix: &str,
        labels: &mut Vec<(String, String)>,
    ) -> Result<Option<f64>, &'static str> {
        let label = match (kind, suffix) {
            (Kind::Histogram, "_bucket") => "le",
            (Kind::Summary, "") => "quantile",
            (Kind::Histogram, "") => return Err("a histogram has buckets, a sum and a count only"),
            _ => return Ok(None),
        };
        let at = labels.iter().position(|(name, _)| name == label).ok_or("a bucket or a quantile without its label")?;
        let bound = number(&labels.remove(at).1)?;
        if bound.is_nan() { Err("a bound that is no number") } else { Ok(Some(bound)) }
    }

    /// Takes one line.
    pub(super) fn put(&mut self, suffix: &str, bound: Option<f64>, value: f64) -> Result<(), &'static str> {
        let twice = match (bound, suffix) {
            (Some(bound), _) => {
                let known = self.points.iter().any(|(other, _)| other.total_cmp(&bound).is_eq());
                self.points.push((bound, value));
                known
            }
            (None, "_sum") => self.sum.replace(value).is_some(),
            (None, _) => self.count.replace(value).is_some(),
        };
        if twice { Err("a series that is there twice") } else { Ok(()) }
    }

    /// What it is as a histogram.
    pub(super) fn histogram(mut self) -> Result<Histogram, &'static str> {
        self.points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let last = self.points.pop_if(|(bound, _)| *bound == f64::INFINITY).map(|(_, count)| count);
        let total = last.or(self.count).ok_or("a histogram without a count")?;
        if self.count.is_some_and(|count| count.total_cmp(&total).is_ne()) {
            return Err("a count that is not the last bucket's");
        }
        let (bounds, counts): (Vec<f64>, Vec<f64>) = self.points.into_iter().unzip();
        if counts.iter().chain([&total]).any(|count| !(0.0..=u64::MAX as f64).contains(count)) {
            return Err("a count that is none");
        }
        let cumulative = counts.into_iter().chain([total]).map(|count| count as u64).collect();
        let histogram = Histogram { bounds, cumulative, sum: self.sum.unwrap_or_default() };
        if histogram.is_sound() { Ok(histogram) } else { Err("buckets whose counts fall") }
    }

    /// What it is as a summary.
    pub(super) fn summary(mut self) -> Result<Summary, &'static str> {
        self.points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let count = self.count.unwrap_or_default();
        if !(0.0..=u64::MAX as f64).contains(&count) {
            return Err("a count that is none");
        }
        let summary = Summary { quantiles: self.points, sum: self.sum.unwrap_or_default(), count: count as u64 };
        if summary.is_sound() { Ok(summary) } else { Err("a quantile beyond 100") }
    }
}
