//! Samples on their way from a collector to a scraper.

use std::borrow::Cow;
use std::collections::HashMap;

use super::desc::is_label_name;
use super::text::{append_escaped, append_value};
use super::{Desc, Dropped, Histogram, Kind, Reason, Summary};

/// The samples of one collector's run, a family at a time, in the order in which families were first pushed. Lines are
/// written as they are pushed: nothing is kept per sample.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    families: Vec<Family>,
    by_name: HashMap<Cow<'static, str>, usize>,
    last: usize,
    /// A label that every sample carries, as it is written.
    constant: Vec<u8>,
}

/// One family's samples.
#[derive(Clone, Debug)]
pub(super) struct Family {
    pub(super) desc: Desc,
    /// The label that every sample of the batch carries, as it is written; mostly none.
    constant: Vec<u8>,
    /// The lines of plain samples, the same in both formats.
    pub(super) lines: Vec<u8>,
    /// A hash of each line's labels: where two are equal, a series may have been pushed twice.
    pub(super) hashes: Vec<u64>,
    /// Histograms and summaries with their labels as they are written, without braces.
    pub(super) distributions: Vec<(Vec<u8>, Distribution)>,
    /// A value is negative or NaN, which OpenMetrics forbids in a counter.
    pub(super) not_counting: bool,
    /// Samples of another type, or that could not be written.
    pub(super) refused: usize,
}

#[derive(Clone, Debug)]
pub(super) enum Distribution {
    Histogram(Histogram),
    Summary(Summary),
}

/// The label that tells several targets of a kind apart.
const INSTANCE: &str = "instance";

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty batch, each of whose samples will carry `instance` with this value: one of several targets of a kind.
    pub fn of_instance(instance: &str) -> Self {
        let mut constant = Vec::new();
        append_labels(&mut constant, std::iter::once((INSTANCE, instance)));
        Self { constant, ..Self::default() }
    }

    /// Adds one sample. `labels` are the values of `desc.labels`, in their order; an empty value is written as such.
    pub fn push(&mut self, desc: &Desc, labels: &[&str], value: f64) {
        self.family(desc).push(desc.kind, pairs(desc, labels), value);
    }

    /// Adds one sample whose label names the source tells; a name that no scraper reads costs the sample.
    pub fn push_labelled(&mut self, desc: &Desc, labels: &[(&str, &str)], value: f64) {
        let family = self.family(desc);
        if family.takes(labels) {
            family.push(desc.kind, labels.iter().copied(), value);
        } else {
            family.refused += 1;
        }
    }

    /// Adds one histogram; one whose bounds or counts are out of order is refused.
    pub fn push_histogram(&mut self, desc: &Desc, labels: &[&str], value: &Histogram) {
        self.family(desc).push_distribution(pairs(desc, labels), Distribution::Histogram(value.clone()));
    }

    /// Adds one histogram whose label names the source tells.
    pub fn push_histogram_labelled(&mut self, desc: &Desc, labels: &[(&str, &str)], value: Histogram) {
        let family = self.family(desc);
        if family.takes(labels) {
            family.push_distribution(labels.iter().copied(), Distribution::Histogram(value));
        } else {
            family.refused += 1;
        }
    }

    /// Adds one summary; one whose quantiles are out of order is refused.
    pub fn push_summary(&mut self, desc: &Desc, labels: &[&str], value: &Summary) {
        self.family(desc).push_distribution(pairs(desc, labels), Distribution::Summary(value.clone()));
    }

    /// Adds another batch's families to its own; those of the same name and type become one.
    pub fn append(&mut self, other: Self) {
        for family in other.families {
            match self.by_name.get(family.desc.name.as_ref()) {
                Some(&at) if self.families[at].desc.kind == family.desc.kind => self.families[at].join(family),
                Some(&at) => self.families[at].refused += family.series() + family.refused,
                None => {
                    self.by_name.insert(family.desc.name.clone(), self.families.len());
                    self.families.push(family);
                }
            }
        }
    }

    /// How many series it holds.
    pub fn series(&self) -> usize {
        self.families.iter().map(Family::series).sum()
    }

    /// Drops whole families, those that do not fit first, until at most `limit` series are left. Returns what it dropped.
    pub fn truncate_families(&mut self, limit: usize) -> Vec<Dropped> {
        let mut dropped = Vec::new();
        let mut kept = 0;
        self.families.retain(|family| {
            let series = family.series();
            let fits = kept + series <= limit;
            if fits {
                kept += series;
            } else {
                dropped.push(Dropped { family: family.desc.name.to_string(), series, reason: Reason::Limit });
            }
            fits
        });
        self.by_name = self.families.iter().enumerate().map(|(at, family)| (family.desc.name.clone(), at)).collect();
        dropped
    }

    pub(super) fn families(&self) -> &[Family] {
        &self.families
    }

    /// The family of `desc`. Collectors push a family's samples in a row, or the same few families for each row of a
    /// table: the last one and its successor come before the map.
    fn family(&mut self, desc: &Desc) -> &mut Family {
        let named = |at: &usize| self.families.get(*at).is_some_and(|family| family.desc.name == desc.name);
        let near = Some(self.last).filter(named).or(Some(self.last + 1).filter(named));
        let at = near.or_else(|| self.by_name.get(desc.name.as_ref()).copied()).unwrap_or_else(|| {
            self.by_name.insert(desc.name.clone(), self.families.len());
            self.families.push(Family::new(desc.clone(), self.constant.clone()));
            self.families.len() - 1
        });
        self.last = at;
        &mut self.families[at]
    }
}

impl Family {
    fn new(desc: Desc, constant: Vec<u8>) -> Self {
        let (lines, hashes, distributions) = (Vec::new(), Vec::new(), Vec::new());
        Self { desc, constant, lines, hashes, distributions, not_counting: false, refused: 0 }
    }

    fn takes(&self, labels: &[(&str, &str)]) -> bool {
        are_names(labels) && (self.constant.is_empty() || labels.iter().all(|(name, _)| *name != INSTANCE))
    }

    fn join(&mut self, other: Self) {
        self.lines.extend_from_slice(&other.lines);
        self.hashes.extend_from_slice(&other.hashes);
        self.distributions.extend(other.distributions);
        self.not_counting |= other.not_counting;
        self.refused += other.refused;
    }

    pub(super) fn series(&self) -> usize {
        self.hashes.len() + self.distributions.iter().map(|(_, distribution)| distribution.series()).sum::<usize>()
    }

    fn push<'a>(&mut self, kind: Kind, labels: impl Iterator<Item = (&'a str, &'a str)>, value: f64) {
        if kind != self.desc.kind || matches!(kind, Kind::Histogram | Kind::Summary) {
            self.refused += 1;
            return;
        }
        self.lines.extend_from_slice(self.desc.name.as_bytes());
        let open = self.lines.len();
        self.lines.push(b'{');
        self.lines.extend_from_slice(&self.constant);
        append_labels(&mut self.lines, labels);
        if self.lines.len() == open + 1 {
            self.lines.truncate(open);
        } else {
            self.lines.push(b'}');
        }
        self.hashes.push(hash(&self.lines[open..]));
        self.lines.push(b' ');
        append_value(&mut self.lines, value);
        self.lines.push(b'\n');
        self.not_counting |= value.is_nan() || value < 0.0;
    }

    fn push_distribution<'a>(&mut self, labels: impl Iterator<Item = (&'a str, &'a str)>, value: Distribution) {
        let sound = match &value {
            Distribution::Histogram(histogram) => self.desc.kind == Kind::Histogram && histogram.is_sound(),
            Distribution::Summary(summary) => self.desc.kind == Kind::Summary && summary.is_sound(),
        };
        if sound {
            let mut written = self.constant.clone();
            append_labels(&mut written, labels);
            self.distributions.push((written, value));
        } else {
            self.refused += 1;
        }
    }
}

impl Distribution {
    pub(super) fn series(&self) -> usize {
        match self {
            Self::Histogram(histogram) => histogram.cumulative.len() + 2,
            Self::Summary(summary) => summary.quantiles.len() + 2,
        }
    }
}

fn pairs<'a>(desc: &'a Desc, values: &'a [&'a str]) -> impl Iterator<Item = (&'a str, &'a str)> {
    debug_assert_eq!(desc.labels.len(), values.len(), "label values of {}", desc.name);
    desc.labels.iter().copied().zip(values.iter().copied())
}

fn are_names(labels: &[(&str, &str)]) -> bool {
    labels.iter().enumerate().all(|(at, (name, _))| {
        is_label_name(name)
            && !matches!(*name, "le" | "quantile")
            && labels[..at].iter().all(|(earlier, _)| earlier != name)
    })
}

fn append_labels<'a>(out: &mut Vec<u8>, labels: impl Iterator<Item = (&'a str, &'a str)>) {
    for (name, value) in labels {
        if out.last() == Some(&b'"') {
            out.push(b',');
        }
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"=\"");
        append_escaped(out, value);
        out.push(b'"');
    }
}

/// A hash for noticing, not for trusting: equal ones are compared in full, so that a source which forges them gains
/// nothing. A quarter of the time of the standard library's.
fn hash(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    words.iter().chain([&last]).fold(0, |hash: u64, word| {
        (hash.rotate_left(5) ^ u64::from_le_bytes(*word)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    })
}
