//! `blackbox.yml` files of other people, and what the command line says of them.

use std::path::{Path, PathBuf};

use crate::support::probing::Prober;
use crate::support::program::{run, tidewatch};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/blackbox").join(name)
}

#[test]
fn files_as_they_stand_are_read_and_whole() {
    for (name, modules) in [("usual.yml", 10), ("options.yml", 10)] {
        let file = fixture(name);
        let done = run(tidewatch(&["check-config", "--blackbox"]).arg(&file));
        assert_eq!(done.code, Some(0), "{}", done.err);
        assert_eq!(done.out, format!("{}: {modules} modules, everything is done\n", file.display()));
        let section = format!("[probes]\nallow = ['h']\nmodules_file = '{}'\n", file.display());
        assert_eq!(Prober::problems(&section).to_string(), "");
    }
}

#[test]
fn what_is_not_done_is_named_with_its_line() {
    let file = fixture("gaps.yml");
    let done = run(tidewatch(&["check-config", "--blackbox"]).arg(&file));
    assert_eq!(done.code, Some(0), "{}", done.err);
    for (line, key) in [
        (6, "http.oauth2"),
        (13, "http.fail_if_body_json_not_matches_cel"),
        (17, "http.compression"),
        (24, "tcp.tls_config.ca"),
        (31, "tcp.tls_config.min_version"),
        (35, "http.proxy_from_environment"),
        (37, "prober"),
    ] {
        let wanted = format!("gaps.yml:{line}:");
        let found = done.out.lines().find(|told| told.contains(&wanted));
        assert!(found.is_some_and(|told| told.contains(&format!("`{key}`"))), "{wanted} {key}:\n{}", done.out);
    }
    assert!(done.out.ends_with("7 modules, 7 not done\n"), "{}", done.out);
    assert!(!done.out.contains("canary"), "{}", done.out);
}

#[test]
fn a_file_that_is_none_is_an_error_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("blackbox.yml");
    std::fs::write(&file, "modules:\n  a:\n    prober: http\n    http:\n      methodd: GET\n").unwrap();
    let done = run(tidewatch(&["check-config", "--blackbox"]).arg(&file));
    assert_eq!(done.code, Some(3), "{}", done.out);
    assert!(done.err.contains("blackbox.yml:5:7"), "{}", done.err);
}
