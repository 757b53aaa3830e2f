//! Samples on their way from a collector to a scraper.

use std::borrow::Cow;
use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::desc::is_label_name;
use super::text::{append_escaped, append_value};
use super::{Desc, Dropped, Histogram, Kind, Reason, Summary};

/// The samples of one collector's run, by families in the order in which they were first pushed. Lines are written as
/// they are pushed, all into one buffer.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    families: Vec<Family>,
    /// Where each is, once there are more than a few.
    by_name: HashMap<Cow<'static, str>, usize, RandomState>,
    last: usize,
    lines: Lines,
    foreign: bool,
}

/// Room for the first dozen lines: growing to that byte by byte costs more than the lines do.
const ROOM: usize = 1_024;

/// Among so many families a name is found more quickly by looking at each.
const FEW: usize = 16;

/// How much a batch held: as much as the next one of the same source will.
#[derive(Clone, Copy, Debug, Default)]
pub struct Room {
    families: usize,
    lines: usize,
    bytes: usize,
}

/// The lines of plain samples, the same in both formats, as they were pushed.
#[derive(Clone, Debug, Default)]
struct Lines {
    bytes: Vec<u8>,
    all: Vec<Line>,
    /// Labels that every sample carries, as they are written, and their names; mostly none.
    constant: Vec<u8>,
    taken: Vec<&'static str>,
}

#[derive(Clone, Copy, Debug)]
struct Line {
    start: usize,
    /// The hash of its labels: where two of a family are equal, a series may have been pushed twice.
    hash: u64,
    /// The family's next line, which is a later one; 0 if there is none.
    next: usize,
}

/// One family's samples.
#[derive(Clone, Debug)]
pub(super) struct Family {
    pub(super) desc: Desc,
    /// Plain samples: how many, and the first and the last one's places.
    plain: usize,
    first: usize,
    last: usize,
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

    /// An empty batch that can take as much as an earlier one without growing.
    pub fn with_room(room: Room) -> Self {
        let mut batch = Self::new();
        batch.families.reserve_exact(room.families);
        batch.lines.all.reserve_exact(room.lines);
        // Values grow by a digit now and then.
        batch.lines.bytes.reserve_exact(room.bytes + room.bytes / 16);
        batch
    }

    /// How much it holds.
    pub fn room(&self) -> Room {
        Room { families: self.families.len(), lines: self.lines.all.len(), bytes: self.lines.bytes.len() }
    }

    /// An empty batch, each of whose samples will carry `instance` with this value: one of several targets of a kind.
    pub fn of_instance(instance: &str) -> Self {
        Self::of_labels(&[(INSTANCE, instance)])
    }

    /// An empty batch, each of whose samples will carry these labels.
    pub fn of_labels(labels: &[(&'static str, &str)]) -> Self {
        let mut batch = Self::new();
        batch.lines.taken = labels.iter().map(|(name, _)| *name).collect();
        append_labels(&mut batch.lines.constant, labels.iter().copied());
        batch
    }

    /// The same samples, but of names that another program chose: where one is taken in another batch, that one stands.
    pub fn foreign(self) -> Self {
        Self { foreign: true, ..self }
    }

    pub(super) fn is_foreign(&self) -> bool {
        self.foreign
    }

    /// Adds one sample. `labels` are the values of `desc.labels`, in their order; an empty value is written as such.
    pub fn push(&mut self, desc: &Desc, labels: &[&str], value: f64) {
        let (family, lines) = self.family(desc);
        family.push(lines, desc.kind, pairs(desc, labels), value);
    }

    /// Adds one sample whose label names the source tells; a name that no scraper reads costs the sample.
    pub fn push_labelled(&mut self, desc: &Desc, labels: &[(&str, &str)], value: f64) {
        let (family, lines) = self.family(desc);
        if lines.take(labels) {
            family.push(lines, desc.kind, labels.iter().copied(), value);
        } else {
            family.refused += 1;
        }
    }

    /// Adds one histogram; one whose bounds or counts are out of order is refused.
    pub fn push_histogram(&mut self, desc: &Desc, labels: &[&str], value: &Histogram) {
        let (family, lines) = self.family(desc);
        family.push_distribution(lines, pairs(desc, labels), Distribution::Histogram(value.clone()));
    }

    /// Adds one histogram whose label names the source tells.
    pub fn push_histogram_labelled(&mut self, desc: &Desc, labels: &[(&str, &str)], value: Histogram) {
        let (family, lines) = self.family(desc);
        if lines.take(labels) {
            family.push_distribution(lines, labels.iter().copied(), Distribution::Histogram(value));
        } else {
            family.refused += 1;
        }
    }

    /// Adds one summary; one whose quantiles are out of order is refused.
    pub fn push_summary(&mut self, desc: &Desc, labels: &[&str], value: &Summary) {
        let (family, lines) = self.family(desc);
        family.push_distribution(lines, pairs(desc, labels), Distribution::Summary(value.clone()));
    }

    /// Adds another batch's families to its own; those of the same name and type become one.
    pub fn append(&mut self, other: Self) {
        for mut added in other.families {
            let (family, lines) = self.family(&added.desc);
            family.refused += added.refused;
            if family.desc.kind != added.desc.kind {
                family.refused += added.series();
                continue;
            }
            for at in other.lines.of(&added) {
                let start = lines.bytes.len();
                lines.bytes.extend_from_slice(other.lines.bytes(at, at));
                family.link(lines, start, other.lines.all[at].hash);
            }
            family.distributions.append(&mut added.distributions);
            family.not_counting |= added.not_counting;
        }
    }

    /// Adds one summary whose label names the source tells.
    pub fn push_summary_labelled(&mut self, desc: &Desc, labels: &[(&str, &str)], value: Summary) {
        let (family, lines) = self.family(desc);
        if lines.take(labels) {
            family.push_distribution(lines, labels.iter().copied(), Distribution::Summary(value));
        } else {
            family.refused += 1;
        }
    }

    /// How many series it holds.
    pub fn series(&self) -> usize {
        self.families.iter().map(Family::series).sum()
    }

    /// Drops whole families, those that do not fit first, until at most `limit` series are left. Returns what it dropped.
    pub fn truncate_families(&mut self, limit: usize) -> Vec<Dropped> {
        let mut dropped = Vec::new();
        if self.series() <= limit {
            return dropped;
        }
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
        self.by_name.clear();
        self.index();
        dropped
    }

    /// Notes where the last family is, or all, if they became too many to look at each.
    fn index(&mut self) {
        if self.families.len() > FEW {
            let first = self.by_name.len();
            let unknown = self.families.iter().enumerate().skip(first);
            self.by_name.extend(unknown.map(|(at, family)| (family.desc.name.clone(), at)));
        }
    }

    pub(super) fn families(&self) -> &[Family] {
        &self.families
    }

    /// The hashes of a family's lines.
    pub(super) fn hashes(&self, family: &Family) -> impl Iterator<Item = u64> {
        self.lines.of(family).map(|at| self.lines.all[at].hash)
    }

    /// The lines of a family; those that were pushed in a row as one.
    pub(super) fn lines(&self, family: &Family) -> impl Iterator<Item = &[u8]> {
        let mut places = self.lines.of(family).peekable();
        std::iter::from_fn(move || {
            let first = places.next()?;
            let mut last = first;
            while let Some(next) = places.next_if(|next| *next == last + 1) {
                last = next;
            }
            Some(self.lines.bytes(first, last))
        })
    }

    /// The family of `desc`. Collectors push a family's samples in a row, or the same few families for each row of a
    /// table: the last one and its successor come before the map.
    fn family(&mut self, desc: &Desc) -> (&mut Family, &mut Lines) {
        let named = |at: &usize| self.families.get(*at).is_some_and(|family| family.desc.name == desc.name);
        let near = Some(self.last).filter(named).or(Some(self.last + 1).filter(named));
        let known = near.or_else(|| match self.families.len() {
            0..=FEW => self.families.iter().position(|family| family.desc.name == desc.name),
            _ => self.by_name.get(desc.name.as_ref()).copied(),
        });
        let at = known.unwrap_or_else(|| {
            if self.families.is_empty() {
                self.lines.bytes.reserve(ROOM);
            }
            self.families.push(Family::new(desc.clone()));
            self.index();
            self.families.len() - 1
        });
        self.last = at;
        (&mut self.families[at], &mut self.lines)
    }
}

impl Lines {
    /// Whether these are labels that every scraper reads, and none of them is there already.
    fn take(&self, labels: &[(&str, &str)]) -> bool {
        are_names(labels) && labels.iter().all(|(name, _)| !self.taken.contains(name))
    }

    /// The places of a family's lines.
    fn of(&self, family: &Family) -> impl Iterator<Item = usize> {
        let first = (family.plain > 0).then_some(family.first);
        std::iter::successors(first, |at| Some(self.all[*at].next).filter(|next| *next > 0))
    }

    /// From one line to another, which is the same or a later one.
    fn bytes(&self, first: usize, last: usize) -> &[u8] {
        let end = self.all.get(last + 1).map_or(self.bytes.len(), |next| next.start);
        &self.bytes[self.all[first].start..end]
    }
}

impl Family {
    fn new(desc: Desc) -> Self {
        Self { desc, plain: 0, first: 0, last: 0, distributions: Vec::new(), not_counting: false, refused: 0 }
    }

    pub(super) fn series(&self) -> usize {
        self.plain + self.distributions.iter().map(|(_, distribution)| distribution.series()).sum::<usize>()
    }

    fn push<'a>(
        &mut self,
        lines: &mut Lines,
        kind: Kind,
        labels: impl Iterator<Item = (&'a str, &'a str)>,
        value: f64,
    ) {
        if kind != self.desc.kind || matches!(kind, Kind::Histogram | Kind::Summary) {
            self.refused += 1;
            return;
        }
        let (start, bytes) = (lines.bytes.len(), &mut lines.bytes);
        bytes.extend_from_slice(self.desc.name.as_bytes());
        let open = bytes.len();
        bytes.push(b'{');
        bytes.extend_from_slice(&lines.constant);
        append_labels(bytes, labels);
        if bytes.len() == open + 1 {
            bytes.truncate(open);
        } else {
            bytes.push(b'}');
        }
        let hash = hash(&bytes[open..]);
        bytes.push(b' ');
        append_value(bytes, value);
        bytes.push(b'\n');
        self.link(lines, start, hash);
        self.not_counting |= value.is_nan() || value < 0.0;
    }

    /// Takes the line that was written last.
    fn link(&mut self, lines: &mut Lines, start: usize, hash: u64) {
        let place = lines.all.len();
        lines.all.push(Line { start, hash, next: 0 });
        if self.plain == 0 {
            self.first = place;
        } else {
            lines.all[self.last].next = place;
        }
        self.last = place;
        self.plain += 1;
    }

    fn push_distribution<'a>(
        &mut self,
        lines: &Lines,
        labels: impl Iterator<Item = (&'a str, &'a str)>,
        value: Distribution,
    ) {
        let sound = match &value {
            Distribution::Histogram(histogram) => self.desc.kind == Kind::Histogram && histogram.is_sound(),
            Distribution::Summary(summary) => self.desc.kind == Kind::Summary && summary.is_sound(),
        };
        if sound {
            let mut written = lines.constant.clone();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_appended_joins_the_families_that_are_there() {
        static A: Desc = Desc::gauge("a", "A.", &["x"]);
        static B: Desc = Desc::counter("b", "B.", &[]);
        static OTHER_A: Desc = Desc::counter("a", "A.", &["x"]);
        let (mut one, mut two, mut odd) = (Batch::new(), Batch::of_instance("two"), Batch::new());
        one.push(&A, &["1"], 1.0);
        two.push(&B, &[], 2.0);
        two.push(&A, &["1"], 3.0);
        two.push(&A, &["2"], 4.0);
        odd.push(&OTHER_A, &["3"], 5.0);
        one.append(two);
        one.append(odd);
        let lines = |family: &Family| one.lines(family).map(String::from_utf8_lossy).collect::<String>();
        let written: Vec<_> = one.families().iter().map(lines).collect();
        let a = "a{x=\"1\"} 1\na{instance=\"two\",x=\"1\"} 3\na{instance=\"two\",x=\"2\"} 4\n";
        assert_eq!(written, [a, "b{instance=\"two\"} 2\n"]);
        assert_eq!((one.series(), one.families()[0].refused), (4, 1));
    }
}
