//! The names of families in PromQL, as far as rules and dashboards use the language.

use std::collections::BTreeSet;

/// Words of the language that stand where a family could.
const WORDS: &[&str] = &["and", "or", "unless", "bool", "offset", "inf", "nan"];

/// Families of other programs that rules and dashboards read; LiteLLM's are named by the dashboards of the requirements.
const OTHERS: &[&str] = &[
    "ALERTS",
    "alertmanager_notifications_failed_total",
    "litellm_request_duration_seconds_bucket",
    "litellm_requests_total",
    "litellm_responses_total",
    "litellm_tokens_total",
    "up",
];

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

/// What an expression reads that no source of these writes: tidewatch by `docs/metrics.md`, Prometheus and Alertmanager.
pub(crate) fn unknown(expression: &str) -> Vec<String> {
    let documented = include_str!("../../docs/metrics.md").lines().filter_map(|line| {
        let (name, rest) = line.strip_prefix("| `")?.split_once("` | ")?;
        Some((name, rest.split(' ').next()?))
    });
    let documented: Vec<(&str, &str)> = documented.collect();
    let known = |name: &str| {
        OTHERS.contains(&name)
            || documented.iter().any(|(pattern, kind)| {
                let name = match *kind {
                    "histogram" => ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)),
                    _ => Some(name),
                };
                name.is_some_and(|name| match pattern.split_once('*') {
                    Some((start, end)) => name.starts_with(start) && name.ends_with(end),
                    None => name == *pattern,
                })
            })
    };
    families(expression).into_iter().filter(|name| !known(name)).collect()
}

#[test]
fn the_families_of_an_expression_are_found() {
    let expression = r#"100 * (1 - avg without (cpu, mode) (rate(a_total{b="c]}\"d", e!~"f"}[5m]))) > 1e3
        or last_over_time(g:h[1h]) and on (i, j) up == 0 offset 5m"#;
    let expected: Vec<String> = ["a_total", "g:h", "up"].map(str::to_owned).into();
    assert_eq!(families(expression).into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn what_nobody_writes_is_unknown() {
    let expression =
        "node_load1 + rate(tidewatch_commit_seconds_bucket[5m]) + up + node_memory_MemFree_bytes + node_lod1";
    assert_eq!(unknown(expression), ["node_lod1"]);
}
