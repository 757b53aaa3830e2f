//! What may be built in: `deny.toml`'s bans, licences and sources, held over `cargo metadata`, so that they hold where
//! cargo-deny is not installed. Where it is, it is run too.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn cargo(arguments: &[&str]) -> String {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let output = Command::new(cargo).args(arguments).current_dir(ROOT).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn metadata() -> Value {
    serde_json::from_str(&cargo(&["metadata", "--format-version", "1", "--locked"])).unwrap()
}

fn policy() -> toml::Table {
    std::fs::read_to_string(format!("{ROOT}/deny.toml")).unwrap().parse().unwrap()
}

/// The packages that are really built: `resolve` of the metadata also names optional ones that no feature asks for.
fn built(metadata: &Value) -> Vec<&Value> {
    let tree = cargo(&["tree", "--locked", "--edges", "all", "--prefix", "none", "--format", "{p}"]);
    let used: BTreeSet<(&str, &str)> = tree.lines().filter_map(|line| line.split_once(" v")).collect();
    let used: BTreeSet<_> = used.into_iter().map(|(name, rest)| (name, rest.split(' ').next().unwrap())).collect();
    let packages = metadata["packages"].as_array().unwrap();
    let is_used =
        |package: &&Value| used.contains(&(package["name"].as_str().unwrap(), package["version"].as_str().unwrap()));
    packages.iter().filter(is_used).collect()
}

fn names<'a>(table: &'a toml::Table, section: &str, list: &str) -> Vec<&'a str> {
    let items = table[section][list].as_array().unwrap();
    items.iter().map(|item| item.as_str().unwrap_or_else(|| item["crate"].as_str().unwrap())).collect()
}

type Words<'a> = std::iter::Peekable<std::slice::Iter<'a, &'a str>>;

/// Whether a licence expression can be met with the allowed ones. `/` is the old way to write OR.
fn allowed(expression: &str, licences: &[&str]) -> bool {
    let expression = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = expression.split_whitespace().collect();
    either(&mut words.iter().peekable(), licences)
}

fn either(words: &mut Words<'_>, licences: &[&str]) -> bool {
    let mut met = both(words, licences);
    while words.next_if(|word| **word == "OR").is_some() {
        met |= both(words, licences);
    }
    met
}

fn both(words: &mut Words<'_>, licences: &[&str]) -> bool {
    let mut met = one(words, licences);
    while words.next_if(|word| **word == "AND").is_some() {
        met &= one(words, licences);
    }
    met
}

fn one(words: &mut Words<'_>, licences: &[&str]) -> bool {
    if words.next_if(|word| **word == "(").is_some() {
        let met = either(words, licences);
        words.next();
        return met;
    }
    let met = words.next().is_some_and(|word| licences.contains(word));
    // An exception gives more rights, but it would have to be allowed by name.
    let excepted = words.next_if(|word| **word == "WITH").and_then(|_| words.next()).is_some();
    met && !excepted
}

#[test]
fn bans_licences_and_sources_of_deny_toml_hold() {
    let (metadata, policy) = (metadata(), policy());
    let banned = names(&policy, "bans", "deny");
    let licences = names(&policy, "licenses", "allow");
    let mut faults = BTreeMap::new();
    let packages = built(&metadata);
    assert!(packages.len() > 100, "only {} packages were looked at", packages.len());
    for package in packages {
        let name = package["name"].as_str().unwrap();
        if banned.contains(&name) {
            faults.insert(name, "is banned".to_owned());
        }
        let licence = package["license"].as_str().unwrap_or("none");
        if !allowed(licence, &licences) {
            faults.insert(name, format!("has the licence {licence}"));
        }
        let source = package["source"].as_str();
        if source.is_some_and(|source| !source.starts_with("registry+") || !source.contains("crates.io-index")) {
            faults.insert(name, format!("comes from {source:?}"));
        }
    }
    assert_eq!(faults, BTreeMap::new());
}

#[test]
fn licence_expressions_are_read_as_they_are_meant() {
    for (expression, met) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("GPL-3.0 OR MIT", true),
        ("MIT/Apache-2.0", true),
        ("MIT AND GPL-3.0", false),
        ("GPL-2.0 OR (MIT AND ISC)", true),
        ("(GPL-2.0 OR MIT) AND GPL-3.0", false),
        ("Apache-2.0 WITH LLVM-exception OR MIT", true),
        ("none", false),
    ] {
        assert_eq!(allowed(expression, &["MIT", "Apache-2.0", "ISC"]), met, "{expression}");
    }
}

#[test]
fn cargo_deny_agrees_where_it_is_installed() {
    let installed =
        Command::new("cargo").args(["deny", "--version"]).output().is_ok_and(|output| output.status.success());
    if installed {
        let output =
            Command::new("cargo").args(["deny", "check", "bans", "licenses", "sources"]).current_dir(ROOT).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
