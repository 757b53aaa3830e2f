//! The house's dependency rule, held over the source itself.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The layers from the top to the bottom; a module may use what stands in a later row, never its own row's others.
const LAYERS: &[&[&str]] = &[
    &["main"],
    &["cli"],
    &["app"],
    &["http", "collect", "notify", "reconcile"],
    &["store", "net"],
    &["task"],
    &["telemetry"],
    &["alert", "agents"],
    &["metrics", "facts", "config", "clock"],
];

/// Crates that one module alone may name.
const OWNERS: &[(&str, &str)] = &[
    ("rusqlite", "store"),
    ("axum", "http"),
    ("lettre", "notify/email.rs"),
    ("tokio_rustls", "net"),
    ("bollard", "collect/containers"),
    ("tokio_postgres", "collect/postgres"),
    ("::redis", "collect/redis"),
];

/// Modules that know neither tokio nor files nor sockets.
const PURE: &[&str] = &["metrics", "alert", "agents", "facts"];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// Each source file as its path below `src`, with its code: comments and unit tests taken out.
fn code() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = BTreeMap::new();
    for path in sources(&root) {
        let text = std::fs::read_to_string(&path).unwrap();
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let code: Vec<&str> = text.lines().map(|line| line.split("//").next().unwrap()).collect();
        files.insert(path.strip_prefix(&root).unwrap().to_string_lossy().into_owned(), code.join("\n"));
    }
    files
}

fn module(file: &str) -> &str {
    file.split('/').next().unwrap().trim_end_matches(".rs")
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|row| row.contains(&module))
}

/// The names that follow `prefix::` in the code, also within braces: `use crate::{a::B, c}`.
fn names_after(code: &str, prefix: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (at, _) in code.match_indices(prefix) {
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let rest = &code[at + prefix.len()..];
        if let Some(list) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut word = String::new();
            for c in list.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => {
                        names.insert(std::mem::take(&mut word));
                    }
                    _ if depth == 0 => word.push(c),
                    _ => {}
                }
            }
            names.insert(word);
        } else {
            names.insert(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
        }
    }
    let first = |name: &String| name.trim().split("::").next().unwrap().trim().to_owned();
    names.iter().map(first).filter(|name| !name.is_empty()).collect()
}

/// Every edge that the table forbids, as `file -> module`.
fn forbidden(files: &BTreeMap<String, String>) -> Vec<String> {
    let mut edges = Vec::new();
    for (file, code) in files {
        let from = module(file);
        let mut used = names_after(code, "crate::");
        if from == "main" {
            used.extend(names_after(code, "tidewatch::"));
        }
        let here = layer(from);
        for to in used.iter().filter(|to| from != "lib" && to.as_str() != from) {
            match (here, layer(to)) {
                (Some(here), Some(there)) if there > here => {}
                (_, Some(_)) => edges.push(format!("{file} -> {to}")),
                (_, None) => {}
            }
        }
        if from != "lib" && here.is_none() {
            edges.push(format!("{file} is in no layer"));
        }
        for (name, owner) in OWNERS.iter().filter(|(_, owner)| !file.starts_with(owner)) {
            if code.contains(&format!("{name}::")) {
                edges.push(format!("{file} -> {name} (only {owner} may)"));
            }
        }
        if PURE.contains(&from) {
            for name in ["tokio::", "std::fs", "std::net", "std::thread", "std::io::stdin", "hyper::"] {
                if code.contains(name) {
                    edges.push(format!("{file} -> {name} (the module is pure)"));
                }
            }
        }
    }
    edges
}

#[test]
fn dependencies_point_one_way() {
    assert_eq!(forbidden(&code()), Vec::<String>::new(), "edges that docs/ARCHITECTURE.md forbids");
}

#[test]
fn a_new_edge_is_found_and_named() {
    let mut files = BTreeMap::new();
    files.insert("collect/foo.rs".to_owned(), "use crate::{notify::Notifier, clock::Clock};".to_owned());
    files.insert("metrics/bar.rs".to_owned(), "use tokio::time;\nuse crate::config;".to_owned());
    files.insert("http/pages.rs".to_owned(), "fn f() { rusqlite::Connection::open(); crate::store::x(); }".to_owned());
    let found = forbidden(&files);
    assert_eq!(
        found,
        [
            "collect/foo.rs -> notify",
            "http/pages.rs -> rusqlite (only store may)",
            "metrics/bar.rs -> config",
            "metrics/bar.rs -> tokio:: (the module is pure)"
        ]
    );
}
