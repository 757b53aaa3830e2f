//! Folders by patterns, as a shell finds them: `/srv/*/metrics`.

use std::path::{Component, Path, PathBuf};

use regex_lite::Regex;

use super::sysfs::names;

/// More folders than this are not looked into.
const MOST: usize = 1024;

/// The folders that a pattern names, in their order; the pattern itself where it names none, so that reading it tells
/// what is wrong.
pub(super) fn folders(pattern: &str) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for component in Path::new(pattern).components() {
        let name = component.as_os_str().to_string_lossy();
        let Some(matcher) = matcher(component, &name) else {
            for path in &mut found {
                path.push(component);
            }
            continue;
        };
        let below = |folder: PathBuf| {
            let inside = if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder.clone() };
            let names = names(&inside).unwrap_or_default();
            names.into_iter().filter(|name| matcher.is_match(name)).map(|name| folder.join(name)).collect::<Vec<_>>()
        };
        found = found.into_iter().flat_map(below).take(MOST).collect();
    }
    found.retain(|path| path.exists());
    if found.is_empty() { vec![PathBuf::from(pattern)] } else { found }
}

/// What a component with `*`, `?` or `[a-z]` matches; nothing for one that is plain.
fn matcher(component: Component<'_>, name: &str) -> Option<Regex> {
    if !matches!(component, Component::Normal(_)) || !name.contains(['*', '?', '[']) {
        return None;
    }
    let mut pattern = String::from("^");
    for letter in name.chars() {
        match letter {
            '*' => pattern.push_str(".*"),
            '?' => pattern.push('.'),
            '[' | ']' | '-' | '^' => pattern.push(letter),
            letter => pattern.push_str(&regex_lite::escape(letter.encode_utf8(&mut [0; 4]))),
        }
    }
    Regex::new(&(pattern + "$")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_names_the_folders_that_are_there() {
        let root = tempfile::tempdir().unwrap();
        for folder in ["a1/prom", "a2/prom", "b1/prom", "a3"] {
            std::fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        let found = |pattern: &str| {
            let all = folders(root.path().join(pattern).to_str().unwrap());
            all.iter().map(|path| path.strip_prefix(root.path()).unwrap().display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(found("a*/prom"), ["a1/prom", "a2/prom"]);
        assert_eq!(found("[ab]1/pr?m"), ["a1/prom", "b1/prom"]);
        assert_eq!(found("a3"), ["a3"]);
        assert_eq!(found("none*/prom"), ["none*/prom"]);
    }
}
