//! Which families several batches make together, so that the exposition is valid whatever a source told: one type per
//! name, no name that two families own, no series twice.

use std::collections::{HashMap, HashSet};
use std::iter;

use foldhash::fast::RandomState;

use super::batch::{Distribution, Family};
use super::desc::is_metric_name;
use super::{Batch, Desc, Dropped, Kind, Reason};

/// A family over all batches: the first's help and type.
pub(super) struct Merged<'a> {
    pub(super) desc: &'a Desc,
    pub(super) lines: Lines<'a>,
    pub(super) distributions: Vec<&'a (Vec<u8>, Distribution)>,
    /// Its name as a counter of OpenMetrics, without `_total`; `None` if it is none there.
    pub(super) counter: Option<&'a str>,
}

/// The lines of plain samples.
pub(super) enum Lines<'a> {
    /// As they were pushed.
    Pushed(Parts<'a>),
    /// Without those that were there already.
    Unique(Vec<u8>),
}

/// The parts of a family, of which nearly every one has a single part.
pub(super) struct Parts<'a> {
    first: Part<'a>,
    others: Vec<Part<'a>>,
}

/// A family of one batch.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    batch: &'a Batch,
    family: &'a Family,
}

/// The batches' families of one name.
struct Group<'a> {
    /// Those of the first one's type.
    parts: Parts<'a>,
    /// Series of another type, or that were refused when they were pushed.
    of_another_type: usize,
}

/// Merges `batches` and tells what had to be left out.
pub(super) fn merge<'a>(batches: &[&'a Batch]) -> (Vec<Merged<'a>>, Vec<Dropped>) {
    let mut dropped = Vec::new();
    let mut batches = batches.to_vec();
    // The first one decides.
    batches.sort_by_key(|batch| batch.is_foreign());
    let (groups, mut names) = by_name(&batches);
    let mut merged = Vec::with_capacity(groups.len());
    let mut hashes = Vec::new();
    for (at, Group { parts, of_another_type }) in groups.into_iter().enumerate() {
        let desc = parts.desc();
        let mut drop = |series, reason| {
            if series > 0 {
                dropped.push(Dropped { family: desc.name.to_string(), series, reason });
            }
        };
        drop(of_another_type, Reason::Type);
        let series = parts.all().map(|part| part.family.series()).sum();
        if series == 0 {
            continue;
        }
        if !is_metric_name(&desc.name) {
            drop(series, Reason::Name);
        } else if names.take(at, desc) {
            let family = unique(parts, &mut hashes);
            drop(series - family.1, Reason::Duplicate);
            merged.push(family.0);
        } else {
            drop(series, Reason::Clash);
        }
    }
    for family in &mut merged {
        family.counter = family.counter.filter(|base| names.take_counter(base));
    }
    (merged, dropped)
}

/// The batches' families, grouped by name in the order of their first appearance.
fn by_name<'a>(batches: &[&'a Batch]) -> (Vec<Group<'a>>, Names<'a>) {
    let most = batches.iter().map(|batch| batch.families().len()).sum();
    let mut groups: Vec<Group<'a>> = Vec::with_capacity(most);
    let mut places = HashMap::with_capacity_and_hasher(most, RandomState::default());
    for (batch, family) in batches.iter().flat_map(|batch| batch.families().iter().map(move |family| (*batch, family)))
    {
        let place = *places.entry(family.desc.name.as_ref()).or_insert(groups.len());
        let part = Part { batch, family };
        let mut of_another_type = family.refused;
        match groups.get_mut(place) {
            Some(group) => {
                if family.desc.kind == group.parts.desc().kind {
                    group.parts.others.push(part);
                } else {
                    of_another_type += family.series();
                }
                group.of_another_type += of_another_type;
            }
            None => groups.push(Group { parts: Parts { first: part, others: Vec::new() }, of_another_type }),
        }
    }
    let taken = vec![false; groups.len()];
    let created = places.keys().any(|name| name.strip_suffix("_total").unwrap_or(name).ends_with(CREATED));
    (groups, Names { places, taken, created, derived: HashSet::default() })
}

/// How OpenMetrics calls the creation time of a family.
const CREATED: &str = "_created";

/// The names of samples that are taken.
struct Names<'a> {
    /// The families' own names: the place of each.
    places: HashMap<&'a str, usize, RandomState>,
    /// Whether the family at a place is written, and so has its name.
    taken: Vec<bool>,
    /// Whether any of them may be mistaken for a counter's creation time, which no usual name is.
    created: bool,
    /// What histograms, summaries and counters own beside their own names.
    derived: HashSet<String, RandomState>,
}

impl Names<'_> {
    /// Takes the names of the family at a place, if all of them are free.
    fn take(&mut self, at: usize, desc: &Desc) -> bool {
        let derived: Vec<_> = suffixes(desc.kind).iter().map(|suffix| format!("{}{suffix}", desc.name)).collect();
        let free = !self.derived.contains(desc.name.as_ref()) && derived.iter().all(|name| self.is_free(name));
        if free {
            self.taken[at] = true;
            self.derived.extend(derived);
        }
        free
    }

    /// Takes what a counter `a_total` owns in OpenMetrics besides: `a` and `a_created`. The original may have a gauge `a`.
    fn take_counter(&mut self, base: &str) -> bool {
        let created = self.created.then(|| format!("{base}{CREATED}"));
        let free = is_metric_name(base) && self.is_free(base) && created.iter().all(|name| self.is_free(name));
        if let (true, Some(created)) = (free, created) {
            self.derived.extend([base.to_owned(), created]);
        }
        free
    }

    fn is_free(&self, name: &str) -> bool {
        !self.derived.contains(name) && !self.places.get(name).is_some_and(|at| self.taken[*at])
    }
}

/// What a family's samples, and in OpenMetrics its creation times, are called beside its name.
fn suffixes(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Counter | Kind::Gauge | Kind::Unknown => &[],
        Kind::Histogram => &["_bucket", "_sum", "_count", CREATED],
        Kind::Summary => &["_sum", "_count", CREATED],
    }
}

impl<'a> Parts<'a> {
    fn desc(&self) -> &'a Desc {
        &self.first.family.desc
    }

    fn all(&self) -> impl Iterator<Item = Part<'a>> {
        iter::once(self.first).chain(self.others.iter().copied())
    }
}

impl<'a> Part<'a> {
    fn lines(self) -> impl Iterator<Item = &'a [u8]> {
        self.batch.lines(self.family)
    }
}

impl Lines<'_> {
    /// Appends them.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Pushed(parts) => parts.all().flat_map(Part::lines).for_each(|lines| out.extend_from_slice(lines)),
            Self::Unique(lines) => out.extend_from_slice(lines),
        }
    }
}

/// One family of `parts`, without series that were there already, and how many series it has. `hashes` is room to work in.
fn unique<'a>(parts: Parts<'a>, hashes: &mut Vec<u64>) -> (Merged<'a>, usize) {
    let desc = parts.desc();
    let counts = desc.kind == Kind::Counter && !parts.all().any(|part| part.family.not_counting);
    let mut distributions: Vec<_> = parts.all().flat_map(|part| &part.family.distributions).collect();
    if distributions.len() > 1 {
        let mut seen = HashSet::new();
        distributions.retain(|(labels, _)| seen.insert(labels));
    }
    hashes.clear();
    hashes.extend(parts.all().flat_map(|part| part.batch.hashes(part.family)));
    hashes.sort_unstable();
    let mut series = hashes.len();
    let lines = if hashes.is_sorted_by(|a, b| a < b) {
        Lines::Pushed(parts)
    } else {
        let mut seen = HashSet::new();
        let all = parts.all().flat_map(Part::lines).flat_map(|lines| lines.split_inclusive(|byte| *byte == b'\n'));
        let lines: Vec<_> = all.filter(|line| seen.insert(identity(line))).collect();
        series = lines.len();
        Lines::Unique(lines.concat())
    };
    series += distributions.iter().map(|(_, distribution)| distribution.series()).sum::<usize>();
    let counter = desc.name.strip_suffix("_total").filter(|_| counts);
    (Merged { desc, lines, distributions, counter }, series)
}

/// A line without its value, which is the part after the last space.
fn identity(line: &[u8]) -> &[u8] {
    line.iter().rposition(|byte| *byte == b' ').map_or(line, |end| &line[..end])
}
