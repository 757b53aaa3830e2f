//! Which families several batches make together, so that the exposition is valid whatever a source told: one type per
//! name, no name that two families own, no series twice.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::batch::{Distribution, Family};
use super::desc::is_metric_name;
use super::{Batch, Desc, Dropped, Kind, Reason};

/// A family over all batches: the first's help and type.
pub(super) struct Merged<'a> {
    pub(super) desc: &'a Desc,
    /// The sample lines of each batch.
    pub(super) lines: Vec<Cow<'a, [u8]>>,
    pub(super) distributions: Vec<&'a (Vec<u8>, Distribution)>,
    /// Its name as a counter of OpenMetrics, without `_total`; `None` if it is none there.
    pub(super) counter: Option<&'a str>,
}

/// Merges `batches` and tells what had to be left out.
pub(super) fn merge<'a>(batches: &[&'a Batch]) -> (Vec<Merged<'a>>, Vec<Dropped>) {
    let mut dropped = Vec::new();
    let mut merged = Vec::new();
    let mut owned = HashSet::new();
    for parts in by_name(batches) {
        let desc = &parts[0].desc;
        let mut drop = |series, reason| {
            if series > 0 {
                dropped.push(Dropped { family: desc.name.to_string(), series, reason });
            }
        };
        let (parts, others): (Vec<_>, Vec<_>) = parts.into_iter().partition(|part| part.desc.kind == desc.kind);
        let series = parts.iter().map(|part| part.series()).sum();
        let refused = parts.iter().chain(&others).map(|part| part.refused).sum::<usize>();
        drop(refused + others.iter().map(|part| part.series()).sum::<usize>(), Reason::Type);
        if series == 0 {
            continue;
        }
        let names = suffixes(desc.kind).iter().map(|suffix| name(&desc.name, suffix));
        if !is_metric_name(&desc.name) {
            drop(series, Reason::Name);
        } else if names.clone().any(|name| owned.contains(&name)) {
            drop(series, Reason::Clash);
        } else {
            owned.extend(names);
            let family = unique(desc, &parts);
            drop(series - family.1, Reason::Duplicate);
            merged.push(family.0);
        }
    }
    for family in &mut merged {
        // A counter `a_total` also owns `a` and `a_created` in OpenMetrics, where the original may have a gauge `a`.
        family.counter = family.counter.filter(|base| {
            let names = [Cow::Borrowed(*base), name(base, "_created")];
            let free = is_metric_name(base) && !names.iter().any(|name| owned.contains(name));
            if free {
                owned.extend(names);
            }
            free
        });
    }
    (merged, dropped)
}

/// The batches' families, grouped by name in the order of their first appearance.
fn by_name<'a>(batches: &[&'a Batch]) -> Vec<Vec<&'a Family>> {
    let mut groups: Vec<Vec<&Family>> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for family in batches.iter().flat_map(|batch| batch.families()) {
        let at = *places.entry(&family.desc.name).or_insert(groups.len());
        match groups.get_mut(at) {
            Some(group) => group.push(family),
            None => groups.push(vec![family]),
        }
    }
    groups
}

fn name<'a>(family: &'a str, suffix: &str) -> Cow<'a, str> {
    if suffix.is_empty() { Cow::Borrowed(family) } else { Cow::Owned(format!("{family}{suffix}")) }
}

/// What a family's samples, and in OpenMetrics its creation times, may be called.
fn suffixes(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Counter | Kind::Gauge | Kind::Unknown => &[""],
        Kind::Histogram => &["", "_bucket", "_sum", "_count", "_created"],
        Kind::Summary => &["", "_sum", "_count", "_created"],
    }
}

/// One family of `parts`, without series that were there already, and how many series it has.
fn unique<'a>(desc: &'a Desc, parts: &[&'a Family]) -> (Merged<'a>, usize) {
    let mut hashes: Vec<u64> = parts.iter().flat_map(|part| &part.hashes).copied().collect();
    hashes.sort_unstable();
    let mut series = hashes.len();
    let lines = if hashes.is_sorted_by(|a, b| a < b) {
        parts.iter().map(|part| Cow::Borrowed(part.lines.as_slice())).collect()
    } else {
        let mut seen = HashSet::new();
        let all = parts.iter().flat_map(|part| part.lines.split_inclusive(|byte| *byte == b'\n'));
        let lines: Vec<_> = all.filter(|line| seen.insert(identity(line))).collect();
        series = lines.len();
        vec![Cow::Owned(lines.concat())]
    };
    let mut seen = HashSet::new();
    let mut distributions: Vec<_> = parts.iter().flat_map(|part| &part.distributions).collect();
    distributions.retain(|(labels, _)| seen.insert(labels));
    series += distributions.iter().map(|(_, distribution)| distribution.series()).sum::<usize>();
    let counts = desc.kind == Kind::Counter && !parts.iter().any(|part| part.not_counting);
    let counter = desc.name.strip_suffix("_total").filter(|_| counts);
    (Merged { desc, lines, distributions, counter }, series)
}

/// A line without its value, which is the part after the last space.
fn identity(line: &[u8]) -> &[u8] {
    line.iter().rposition(|byte| *byte == b' ').map_or(line, |end| &line[..end])
}
