//! `blackbox.yml`: read as it stands, and what of it is not done here, each with its line.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use super::gaps;
use super::module::Module;
use crate::config::{Problem, yaml};

/// The file's shape.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    pub(super) modules: BTreeMap<String, Module>,
}

/// The modules of a file, and what of them is not done.
///
/// # Errors
/// The file cannot be read, or does not have the expected shape.
pub(super) fn read(file: &Path) -> Result<(BTreeMap<String, Module>, Vec<Problem>), Problem> {
    let modules = yaml::read::<File>(file)?.modules;
    let mut problems = Vec::new();
    // Only a file with gaps is read a second time.
    let mut places: Option<Node> = None;
    for (name, module) in &modules {
        for gap in gaps::of(module) {
            let root = places.get_or_insert_with(|| yaml::read(file).unwrap_or_default());
            let path = ["modules", name].into_iter().chain(gap.key.split('.'));
            let at = root.place(path).map(|(line, column)| (file.to_owned(), line, column));
            let problem =
                Problem { at, ..Problem::warning("", format!("module `{name}`, `{}`: {}", gap.key, gap.what)) };
            let consequence = "probes by this module fail and say so; the other modules are not affected";
            problems.push(if gap.fails { problem.hint(consequence) } else { problem });
        }
    }
    Ok((modules, problems))
}

/// Where keys stand.
#[derive(Debug, Default)]
struct Node(BTreeMap<String, (usize, usize, Self)>);

impl Node {
    /// The place of the longest part of the path that exists.
    fn place<'p>(&self, mut path: impl Iterator<Item = &'p str>) -> Option<(usize, usize)> {
        let (line, column, below) = self.0.get(path.next()?)?;
        below.place(path).or(Some((*line, *column)))
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Node;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("anything")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
                let mut keys = BTreeMap::new();
                while let Some(key) = map.next_key::<Spanned<String>>()? {
                    let at = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
                    let (line, column) = (at(key.referenced.line()), at(key.referenced.column()));
                    keys.insert(key.value, (line, column, map.next_value::<Node>()?));
                }
                Ok(Node(keys))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Node::default())
            }
            fn visit_str<E>(self, _: &str) -> Result<Node, E> {
                Ok(Node::default())
            }
            fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
                Ok(Node::default())
            }
            fn visit_i64<E>(self, _: i64) -> Result<Node, E> {
                Ok(Node::default())
            }
            fn visit_u64<E>(self, _: u64) -> Result<Node, E> {
                Ok(Node::default())
            }
            fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
                Ok(Node::default())
            }
            fn visit_unit<E>(self) -> Result<Node, E> {
                Ok(Node::default())
            }
        }
        deserializer.deserialize_any(Keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_done_is_named_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("blackbox.yml");
        let text = "modules:\n  plain:\n    prober: tcp\n  sso:\n    prober: http\n    http:\n      valid_status_codes: [200]\n      oauth2:\n        client_id: x\n";
        std::fs::write(&file, text).unwrap();
        let (modules, problems) = read(&file).unwrap();
        assert_eq!(modules.len(), 2);
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].at.as_ref().map(|(_, line, column)| (*line, *column)), Some((8, 7)), "{}", problems[0]);
        assert!(problems[0].message.contains("`http.oauth2`"));
    }

    #[test]
    fn an_expression_or_a_proxy_that_is_none_costs_its_module_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("blackbox.yml");
        let text = "modules:\n  plain:\n    prober: tcp\n  odd:\n    prober: http\n    http:\n      proxy_url: socks5://u:canary@h:1080\n      fail_if_body_matches_regexp: ['\\p{Greek}']\n";
        std::fs::write(&file, text).unwrap();
        let (modules, problems) = read(&file).unwrap();
        assert_eq!((modules.len(), gaps::refusal(&modules["plain"])), (2, None));
        let lines: Vec<_> = problems.iter().filter_map(|it| it.at.as_ref().map(|(_, line, _)| *line)).collect();
        assert_eq!(lines, [7, 8], "{problems:?}");
        assert!(!format!("{problems:?}").contains("canary"), "{problems:?}");
    }

    #[test]
    fn a_file_of_another_shape_is_an_error_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("blackbox.yml");
        std::fs::write(&file, "modules:\n  a:\n    prober: http\n    http:\n      no_such_key: 1\n").unwrap();
        let problem = read(&file).unwrap_err();
        assert_eq!(problem.at.map(|(_, line, _)| line), Some(5));
    }
}
