//! Whether an exposition offers what a reference has: the families of another exporter, saved from a real one.
//!
//! A family agrees when ours has it with the same type and at least the same label names. More of ours is no fault.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// One family of an exposition.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Family {
    /// What `# TYPE` says, else `untyped`.
    pub(crate) kind: String,
    /// The names of labels seen on any of its samples.
    pub(crate) names: BTreeSet<String>,
    /// The label sets of its samples, each with the name of its sample.
    pub(crate) series: BTreeSet<(String, BTreeMap<String, String>)>,
}

/// The families of a text in the format 0.0.4, by name. A line that is no sample is an error.
pub(crate) fn parse(text: &str) -> BTreeMap<String, Family> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    for (number, line) in text.lines().enumerate() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap_or_else(|| panic!("line {}: {line}", number + 1));
            kind.trim().clone_into(&mut families.entry(name.to_owned()).or_default().kind);
        } else if !line.trim().is_empty() && !line.starts_with('#') {
            let (sample, labels) = sample(line).unwrap_or_else(|| panic!("line {}: no sample: {line}", number + 1));
            let name = family_of(sample, &families);
            let family = families.entry(name).or_insert_with(|| Family { kind: "untyped".into(), ..Family::default() });
            family.names.extend(labels.keys().cloned());
            family.series.insert((sample.to_owned(), labels));
        }
    }
    families
}

/// `foo_bucket` belongs to the histogram `foo`.
fn family_of(sample: &str, families: &BTreeMap<String, Family>) -> String {
    let parts =
        [("_bucket", &["histogram"][..]), ("_sum", &["histogram", "summary"]), ("_count", &["histogram", "summary"])];
    let base = parts.iter().find_map(|(suffix, kinds)| {
        let base = sample.strip_suffix(suffix)?;
        kinds.contains(&families.get(base)?.kind.as_str()).then_some(base)
    });
    base.unwrap_or(sample).to_owned()
}

/// The name and the labels of a line.
fn sample(line: &str) -> Option<(&str, BTreeMap<String, String>)> {
    let end = line.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':')).filter(|end| *end > 0)?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = BTreeMap::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            rest = rest.trim_start_matches([',', ' ']);
            if let Some(after) = rest.strip_prefix('}') {
                rest = after;
                break;
            }
            let (label, value) = rest.split_once("=\"")?;
            let (value, after) = quoted(value)?;
            labels.insert(label.trim().to_owned(), value);
            rest = after;
        }
    }
    rest.split_whitespace().next()?.parse::<f64>().ok()?;
    Some((name, labels))
}

/// A label's value up to its closing quote, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match chars.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
    None
}

/// What of a reference need not be offered, each with its reason.
#[derive(Debug, Default)]
pub(crate) struct Exceptions(Vec<Exception>);

#[derive(Debug)]
struct Exception {
    family: String,
    label: Option<String>,
    reason: String,
}

impl Exceptions {
    /// Those of the shared file that concern a reference: lines of reference, family or family{label}, reason, parted by
    /// tabs. Reference and family may end in `*`.
    pub(crate) fn of(reference: &str) -> Self {
        let path = fixture("exceptions.tsv");
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self::parse(&text, reference)
    }

    /// The same of a text.
    pub(crate) fn parse(text: &str, reference: &str) -> Self {
        let rows = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(|line| {
            let columns: Vec<&str> = line.split('\t').collect();
            let &[of, what, reason] = columns.as_slice() else { panic!("not three columns: {line}") };
            assert!(!reason.trim().is_empty(), "an exception without a reason: {line}");
            (of, what, reason)
        });
        let rows = rows.filter(|(of, ..)| matches(of, reference)).map(|(_, what, reason)| {
            let (family, label) = match what.split_once('{') {
                Some((family, label)) => (family, Some(label.trim_end_matches('}').to_owned())),
                None => (what, None),
            };
            Exception { family: family.to_owned(), label, reason: reason.to_owned() }
        });
        Self(rows.collect())
    }

    /// Why a family, or one label of it, need not be there.
    pub(crate) fn reason(&self, family: &str, label: Option<&str>) -> Option<&str> {
        let of = |exception: &&Exception| matches(&exception.family, family) && exception.label.as_deref() == label;
        self.0.iter().find(of).map(|exception| exception.reason.as_str())
    }
}

/// Whether a name is meant by a pattern, which may end in `*`.
fn matches(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |start| name.starts_with(start))
}

/// Where the references and the exceptions lie.
pub(crate) fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/reference").join(name)
}

/// The text of a reference, by its name without `.prom`.
pub(crate) fn reference(name: &str) -> String {
    let path = fixture(&format!("{name}.prom"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What the reference has and ours lacks, one line each: families, types, names of labels.
pub(crate) fn compare(reference: &str, ours: &str, exceptions: &Exceptions) -> Vec<String> {
    let (reference, ours) = (parse(reference), parse(ours));
    let excused = |name: &str| exceptions.reason(name, None).is_some();
    let wanted = reference.iter().filter(|(name, _)| !excused(name));
    wanted.flat_map(|(name, family)| faults(name, family, ours.get(name), exceptions)).collect()
}

fn faults(name: &str, family: &Family, ours: Option<&Family>, exceptions: &Exceptions) -> Vec<String> {
    let Some(ours) = ours else { return vec![format!("{name} ({}): missing", family.kind)] };
    let mut found = Vec::new();
    if ours.kind != family.kind {
        found.push(format!("{name}: is {}, not {}", ours.kind, family.kind));
    }
    let lost = family.names.difference(&ours.names).filter(|label| exceptions.reason(name, Some(label)).is_none());
    found.extend(lost.map(|label| format!("{name}: lacks the label {label}")));
    found
}

/// The label sets that the reference has and ours lacks, in the families that `wanted` takes; labels in `skipped` are
/// left out on both sides: those that name a device, a mount, an address.
pub(crate) fn compare_series(
    reference: &str,
    ours: &str,
    exceptions: &Exceptions,
    skipped: &[&str],
    wanted: impl Fn(&str) -> bool,
) -> Vec<String> {
    let (reference, ours) = (parse(reference), parse(ours));
    let mut found = Vec::new();
    for (name, family) in reference.iter().filter(|(name, _)| wanted(name)) {
        if exceptions.reason(name, None).is_some() {
            continue;
        }
        let without = |labels: &BTreeMap<String, String>| -> BTreeMap<String, String> {
            let kept =
                |label: &String| !skipped.contains(&label.as_str()) && exceptions.reason(name, Some(label)).is_none();
            labels
                .iter()
                .filter(|(label, _)| kept(label))
                .map(|(label, value)| (label.clone(), value.clone()))
                .collect()
        };
        let sets = |family: &Family| -> BTreeSet<(String, BTreeMap<String, String>)> {
            family.series.iter().map(|(sample, labels)| (sample.clone(), without(labels))).collect()
        };
        let have = ours.get(name).map(sets).unwrap_or_default();
        found.extend(sets(family).difference(&have).map(|(sample, labels)| format!("{sample}{labels:?}: missing")));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFERENCE: &str = "# HELP a A.\n# TYPE a gauge\na{x=\"1\",y=\"q\\\"}\\n,z=\"} 1 1700000000\na 2\n\
        # TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\nplain{v=\"\"} NaN\n";

    #[test]
    fn an_exposition_is_parsed_into_families() {
        let families = parse(REFERENCE);
        assert_eq!(families.keys().collect::<Vec<_>>(), ["a", "h", "plain"]);
        assert_eq!(families["a"].names, BTreeSet::from(["x".into(), "y".into()]));
        let labels = BTreeMap::from([("x".into(), "1".into()), ("y".into(), "q\"}\n,z=".into())]);
        assert!(families["a"].series.contains(&("a".into(), labels)));
        assert_eq!((families["h"].kind.as_str(), families["h"].series.len()), ("histogram", 3));
        assert_eq!(families["plain"].kind, "untyped");
    }

    #[test]
    fn what_is_missing_or_different_is_told() {
        let none = Exceptions::default();
        assert_eq!(compare(REFERENCE, REFERENCE, &none), Vec::<String>::new());
        let ours = "# TYPE a counter\na{x=\"1\"} 1\n# TYPE h histogram\nh_bucket{le=\"1\"} 1\nextra 1\n";
        let found = compare(REFERENCE, ours, &none);
        assert_eq!(found, ["a: is counter, not gauge", "a: lacks the label y", "plain (untyped): missing"]);
    }

    #[test]
    fn an_exception_excuses_what_it_names_and_no_more() {
        let table =
            "# reference\twhat\treason\nr-*\ta{y}\tnobody wants it\nr-1\tpl*\tours has another name\nq\th\tno\n";
        let ours = "# TYPE a gauge\na 1\n";
        let found = compare(REFERENCE, ours, &Exceptions::parse(table, "r-1"));
        assert_eq!(found, ["a: lacks the label x", "h (histogram): missing"]);
        assert_eq!(Exceptions::parse(table, "r-1").reason("plain", None), Some("ours has another name"));
        assert_eq!(compare(REFERENCE, ours, &Exceptions::parse(table, "r-2")).len(), 3);
    }

    #[test]
    fn label_sets_are_compared_where_asked() {
        let none = Exceptions::default();
        let ours = "# TYPE a gauge\na{x=\"2\",y=\"q\\\"}\\n,z=\"} 1\na 3\n";
        let only_a = |name: &str| name == "a";
        assert_eq!(compare_series(REFERENCE, ours, &none, &[], only_a).len(), 1);
        assert_eq!(compare_series(REFERENCE, ours, &none, &["x"], only_a), Vec::<String>::new());
    }

    #[test]
    #[should_panic(expected = "without a reason")]
    fn an_exception_needs_a_reason() {
        Exceptions::parse("r\ta\t ", "r");
    }
}
