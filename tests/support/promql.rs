//! The names of families in PromQL, as far as rules and dashboards use the language.

use std::collections::BTreeSet;

/// Words of the language that stand where a family could.
const WORDS: &[&str] = &["and", "or", "unless", "bool", "offset", "inf", "nan"];

/// The families that `expression` reads.
pub(crate) fn families(expression: &str) -> BTreeSet<String> {
    let text = without_brackets(expression);
    let mut found = BTreeSet::new();
    let mut rest = text.as_str();
    while let Some(start) = rest.find(|c: char| c.is_ascii_alphabetic() || c == '_' || c == ':') {
        let word_end = rest[start..]
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'))
            .map_or(rest.len(), |end| start + end);
        let word = &rest[start..word_end];
        let number = rest[..start].ends_with(|c: char| c.is_ascii_digit());
        let after = rest[word_end..].trim_start();
        let lower = word.to_ascii_lowercase();
        if matches!(lower.as_str(), "by" | "without" | "on" | "ignoring") && after.starts_with('(') {
            rest = &after[after.find(')').unwrap()..];
            continue;
        }
        let aggregates = after.starts_with("by ") || after.starts_with("without ");
        if !number && !aggregates && !after.starts_with('(') && !WORDS.contains(&lower.as_str()) {
            found.insert(word.to_owned());
        }
        rest = &rest[word_end..];
    }
    found
}

/// The text without strings, label matchers and ranges.
fn without_brackets(text: &str) -> String {
    let mut kept = String::new();
    let mut depth = 0_usize;
    let mut quote = None;
    let mut escaped = false;
    for c in text.chars() {
        match (quote, c) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, '{' | '[') => depth += 1,
            (None, '}' | ']') => depth -= 1,
            (None, c) if depth == 0 => kept.push(c),
            _ => {}
        }
    }
    kept
}

/// The families that exist, as `tests/fixtures/families.txt` lists them.
pub(crate) fn known() -> BTreeSet<String> {
    let text = include_str!("../fixtures/families.txt");
    text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

#[test]
fn the_families_of_an_expression_are_found() {
    let expression = r#"100 * (1 - avg without (cpu, mode) (rate(a_total{b="c]}\"d", e!~"f"}[5m]))) > 1e3
        or last_over_time(g:h[1h]) and on (i, j) up == 0 offset 5m"#;
    let expected: Vec<String> = ["a_total", "g:h", "up"].map(str::to_owned).into();
    assert_eq!(families(expression).into_iter().collect::<Vec<_>>(), expected);
}
