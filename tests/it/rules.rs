//! The alert rules: valid, tested, complete, and in accord with their table.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;
use tidewatch::config::Environment;

use crate::support::monitoring::{check, export, get, passes, prometheus};
use crate::support::promql;

const FILES: [&str; 3] = ["agents", "host", "tidewatch"];

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/rules"))
}

fn path(of: impl AsRef<Path>) -> String {
    folder().join(of).to_str().unwrap().to_owned()
}

/// One row of `thresholds.tsv`.
struct Row {
    rule: String,
    wait: String,
    warning: String,
    critical: String,
}

fn rows() -> Vec<Row> {
    let text = std::fs::read_to_string(folder().join("thresholds.tsv")).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("document\trow\trule\tfor\twarning\tcritical"));
    let row = |line: &str| {
        let cells: Vec<&str> = line.split('\t').collect();
        let [document, row, rule, wait, warning, critical] = cells[..] else { panic!("{line}: not six cells") };
        assert!(!document.is_empty() && !row.is_empty(), "{line}: says where it comes from");
        let own = str::to_owned;
        Row { rule: own(rule), wait: own(wait), warning: own(warning), critical: own(critical) }
    };
    lines.map(row).collect()
}

/// The rules as a real Prometheus understands them, by name.
async fn rules() -> &'static BTreeMap<String, Value> {
    static RULES: tokio::sync::OnceCell<BTreeMap<String, Value>> = tokio::sync::OnceCell::const_new();
    RULES.get_or_init(read_rules).await
}

async fn read_rules() -> BTreeMap<String, Value> {
    let dir = tempfile::tempdir().unwrap();
    export(dir.path(), &[], &Environment::default()).unwrap();
    let (_running, port) = prometheus(dir.path()).await;
    let answer: Value = serde_json::from_str(&get(port, "/api/v1/rules").unwrap()).unwrap();
    let mut found = BTreeMap::new();
    for group in answer["data"]["groups"].as_array().unwrap() {
        for rule in group["rules"].as_array().unwrap() {
            let name = rule["name"].as_str().unwrap().to_owned();
            assert!(found.insert(name.clone(), rule.clone()).is_none(), "two rules of the name {name}");
        }
    }
    found
}

#[test]
fn promtool_accepts_the_rules_and_their_tests_pass() {
    for file in FILES {
        passes("promtool", &["check", "rules", &path(format!("{file}.yml"))]);
        passes("promtool", &["test", "rules", &path(format!("tests/{file}.yml"))]);
    }
}

#[tokio::test]
async fn the_table_of_thresholds_and_the_rules_agree() {
    let rules = rules().await;
    let rows = rows();
    let named: BTreeSet<&str> = rows.iter().map(|row| row.rule.as_str()).collect();
    assert_eq!(named, rules.keys().map(String::as_str).collect(), "each rule has its row, each row its rule");
    assert_eq!(named.len(), rows.len(), "one row a rule");
    for row in &rows {
        let rule = &rules[&row.rule];
        let wait: tidewatch::config::Span = row.wait.parse().unwrap();
        assert_eq!(rule["duration"].as_f64(), Some(wait.0.as_secs_f64()), "{}: for", row.rule);
        let (severity, threshold) = match (row.warning.as_str(), row.critical.as_str()) {
            ("", "") => ("none", ""),
            (warning, "") => ("warning", warning),
            ("", critical) => ("critical", critical),
            _ => panic!("{}: a rule has one severity", row.rule),
        };
        assert_eq!(rule["labels"]["severity"], severity, "{}", row.rule);
        if !threshold.is_empty() {
            let compared = comparisons(rule["query"].as_str().unwrap());
            assert_eq!(compared.first().map(|(_, right)| right.as_str()), Some(threshold), "{}", row.rule);
        }
    }
}

/// Each comparison's operator and right side.
fn comparisons(expression: &str) -> Vec<(&str, String)> {
    // What is compared within a matcher is a string.
    let plain: String = expression.split('"').step_by(2).collect();
    let found = ["==", "> ", "< "].iter().flat_map(|sign| plain.match_indices(*sign).map(move |(at, _)| (at, *sign)));
    let mut found: Vec<(usize, &str)> = found.collect();
    found.sort_unstable();
    let right = |at: usize, sign: &str| {
        plain[at + sign.len()..].trim_start().split([' ', '\n', ')']).next().unwrap().to_owned()
    };
    found.into_iter().map(|(at, sign)| (sign.trim(), right(at, sign))).collect()
}

#[tokio::test]
async fn every_rule_says_how_bad_what_whose_and_why() {
    for (name, rule) in rules().await {
        for label in ["severity", "category", "cause", "team"] {
            assert!(rule["labels"][label].as_str().is_some_and(|text| !text.is_empty()), "{name}: label {label}");
        }
        let severity = rule["labels"]["severity"].as_str().unwrap();
        assert!(["none", "warning", "critical"].contains(&severity), "{name}: {severity}");
        let summary = rule["annotations"]["summary"].as_str().unwrap();
        assert!(!summary.contains("$value"), "{name}: a summary that changes with the value");
        let description = rule["annotations"]["description"].as_str().unwrap();
        assert!(description.contains("$value"), "{name}: a description without the value");
    }
}

#[tokio::test]
async fn alerts_about_the_alerting_go_past_it() {
    for (name, rule) in rules().await {
        let past = rule["labels"]["via"] == "fallback";
        let about =
            (name.starts_with("Tidewatch") || name.starts_with("Alertmanager")) && name != "TidewatchCollectorFailed";
        assert_eq!(past, about, "{name}");
    }
}

#[tokio::test]
async fn rules_read_families_that_exist() {
    for (name, rule) in rules().await {
        let unknown = promql::unknown(rule["query"].as_str().unwrap());
        assert!(unknown.is_empty(), "{name}: {unknown:?}");
    }
}

/// Per rule, how many of its unit tests expect it to fire, and how many expect silence.
fn unit_tests() -> BTreeMap<String, (u32, u32)> {
    let mut counts: BTreeMap<String, (u32, u32)> = BTreeMap::new();
    for file in FILES {
        let text = std::fs::read_to_string(folder().join(format!("tests/{file}.yml"))).unwrap();
        for case in text.split("alertname: ").skip(1) {
            let name = case.split([',', '\n']).next().unwrap().to_owned();
            let case = case.split("eval_time").next().unwrap();
            let count = counts.entry(name).or_default();
            if case.contains("exp_labels") { count.0 += 1 } else { count.1 += 1 }
        }
    }
    counts
}

#[tokio::test]
async fn every_rule_is_seen_firing_and_seen_silent() {
    let tested = unit_tests();
    for name in rules().await.keys() {
        let (fires, silent) = tested.get(name).copied().unwrap_or_default();
        assert!(fires > 0, "{name}: no unit test sees it fire");
        assert!(silent > 0 || name == "Watchdog", "{name}: no unit test sees it silent");
    }
}

/// The unit tests of a file that look at one rule: all of them take long.
fn tests_of(file: &str, rule: &str) -> String {
    let text = std::fs::read_to_string(folder().join(format!("tests/{file}.yml"))).unwrap();
    let (head, tests) = text.split_once("  - name: ").unwrap();
    let looks =
        |test: &&str| test.contains(&format!("alertname: {rule}\n")) || test.contains(&format!("alertname: {rule},"));
    tests.split("  - name: ").filter(looks).fold(head.to_owned(), |text, test| text + "  - name: " + test)
}

/// A threshold moved a tenth towards firing must not pass the unit tests: they hold what is just below it.
#[test]
fn the_unit_tests_hold_every_threshold() {
    for file in FILES {
        let rules = std::fs::read_to_string(folder().join(format!("{file}.yml"))).unwrap();
        for row in rows() {
            let Some(start) = rules.find(&format!("- alert: {}\n", row.rule)) else { continue };
            let (before, rest) = rules.split_at(start);
            let (rule, after) = rest.split_at(rest.find("        labels:").unwrap());
            let Some(sign) = [" > ", " < ", " == "].iter().find(|sign| rule.contains(**sign)) else { continue };
            let threshold = format!("{}{}", row.warning, row.critical);
            let moved = match threshold.parse::<f64>() {
                Ok(number) => format!("{}", number * 0.9 - 1.0),
                Err(_) if *sign == " < " => format!("1.1 * {threshold}"),
                Err(_) => format!("0.9 * {threshold}"),
            };
            let changed = rule.replace(&format!("{sign}{threshold}"), &format!("{sign}{moved}"));
            assert_ne!(changed, rule, "{}: `{sign}{threshold}` stands in it", row.rule);
            let dir = tempfile::tempdir().unwrap();
            std::fs::create_dir(dir.path().join("tests")).unwrap();
            std::fs::write(dir.path().join(format!("{file}.yml")), format!("{before}{changed}{after}")).unwrap();
            let tests = dir.path().join(format!("tests/{file}.yml"));
            std::fs::write(&tests, tests_of(file, &row.rule)).unwrap();
            let output = check("promtool", &["test", "rules", tests.to_str().unwrap()]);
            assert!(!output.status.success(), "{}: no unit test misses{sign}{moved}", row.rule);
            let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
            assert!(said.contains(&format!("alertname: {}", row.rule)), "{}: {said}", row.rule);
        }
    }
}
