//! `assets export`: everything written, with one's own addresses, again and again.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tidewatch::config::Environment;

use crate::support::monitoring::{export, passes};

/// Every file below a folder with its text.
fn files(dir: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.clone(), fs::read_to_string(&path).unwrap());
        }
    }
    found
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn none() -> Environment {
    Environment::default()
}

#[test]
fn everything_is_written_and_listed() {
    let dir = tempfile::tempdir().unwrap();
    let said = export(dir.path(), &[], &none()).unwrap();
    let found = files(dir.path());
    let names: Vec<String> =
        found.keys().map(|path| path.strip_prefix(dir.path()).unwrap().to_str().unwrap().to_owned()).collect();
    assert_eq!(
        names,
        [
            "alertmanager.yml",
            "dashboards/agent-collective-dashboard.json",
            "grafana/provisioning/dashboards/tidewatch.yml",
            "grafana/provisioning/datasources/tidewatch.yml",
            "prometheus.yml",
            "rules/agents.yml",
            "rules/host.yml",
            "rules/tidewatch.yml",
            "tidewatch.token",
        ]
    );
    for name in names {
        assert!(said.contains(&name), "{name} is not listed:\n{said}");
    }
    let next = format!("prometheus --config.file={}/prometheus.yml", dir.path().display());
    assert!(said.contains(&next), "{said}");
    passes("promtool", &["check", "config", dir.path().join("prometheus.yml").to_str().unwrap()]);
}

#[test]
fn a_second_export_changes_nothing_and_keeps_the_token() {
    let dir = tempfile::tempdir().unwrap();
    export(dir.path(), &[], &none()).unwrap();
    let first = files(dir.path());
    let said = export(dir.path(), &[], &none()).unwrap();
    assert_eq!(files(dir.path()), first);
    assert!(!said.contains("written") && !said.contains("replaced") && said.contains("kept"), "{said}");
    fs::write(dir.path().join("rules/host.yml"), "groups: []").unwrap();
    let said = export(dir.path(), &[], &none()).unwrap();
    assert_eq!(files(dir.path()), first);
    assert!(said.contains("replaced"), "{said}");
}

#[test]
fn tokens_are_random_and_read_by_their_owner_only_unless_asked_for() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let token = |dir: &Path| dir.join("tidewatch.token");
    let said = export(one.path(), &[], &none()).unwrap();
    assert_eq!(mode(&token(one.path())), 0o600);
    assert!(said.contains("--readable"), "{said}");
    export(two.path(), &["--readable"], &none()).unwrap();
    assert_eq!(mode(&token(two.path())), 0o644);
    let text = fs::read_to_string(token(one.path())).unwrap();
    assert!(text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()), "{text}");
    assert_ne!(text, fs::read_to_string(token(two.path())).unwrap());
    assert!(!said.contains(&text), "the token is printed");
    export(one.path(), &["--readable"], &none()).unwrap();
    assert_eq!(mode(&token(one.path())), 0o644, "the right is given to a kept token too");
    assert_eq!(fs::read_to_string(token(one.path())).unwrap(), text);
}

#[test]
fn ones_own_addresses_take_the_place_of_all_defaults() {
    let dir = tempfile::tempdir().unwrap();
    let arguments = [
        "--tidewatch",
        "10.0.0.1:1",
        "--prometheus",
        "10.0.0.2:2",
        "--alertmanager",
        "10.0.0.3:3,10.0.0.4:4",
        "--smtp",
        "10.0.0.5:5",
        "--mail-to",
        "me@here",
        "--mail-from",
        "it@here",
        "--scrape-interval",
        "1s",
        "--group-wait",
        "2s",
        "--group-interval",
        "3s",
    ];
    export(dir.path(), &arguments, &none()).unwrap();
    let found = files(dir.path());
    for (path, text) in &found {
        for default in
            ["tidewatch:9480", "prometheus:9090", "alertmanager:9093", "mail:587", "example.com", "/etc/tidewatch"]
        {
            assert!(!text.contains(default), "{}: {default}", path.display());
        }
    }
    let text = |name: &str| found[&dir.path().join(name)].as_str();
    assert!(text("prometheus.yml").contains("targets: ['10.0.0.3:3', '10.0.0.4:4']"));
    assert!(text("prometheus.yml").contains("scrape_interval: 1s"));
    assert!(text("prometheus.yml").contains("evaluation_interval: 1s"));
    let alertmanager = text("alertmanager.yml");
    assert!(alertmanager.contains("\n  group_wait: 2s\n  #") && alertmanager.contains("\n  group_interval: 3s\n"));
    assert!(alertmanager.contains("\n      group_interval: 1m\n      repeat_interval: 50s"), "the Watchdog's own stay");
    assert!(alertmanager.contains("url: 'http://10.0.0.1:1/webhook/alerts'"));
    assert!(alertmanager.contains("smtp_from: 'it@here'") && alertmanager.contains("to: 'me@here'"));
    let folder = format!("path: '{}/dashboards'", dir.path().display());
    assert!(text("grafana/provisioning/dashboards/tidewatch.yml").contains(&folder));
    passes("promtool", &["check", "config", dir.path().join("prometheus.yml").to_str().unwrap()]);
}

#[test]
fn the_environment_fills_in_what_the_command_line_leaves_out() {
    let dir = tempfile::tempdir().unwrap();
    let environment = Environment::from([
        ("SMTP_URL", "smtp://ops:s3cret@relay.here"),
        ("ALERT_EMAIL", "me@here"),
        ("TIDEWATCH_EXTERNAL_URL", "https://watch.here/"),
    ]);
    let said = export(dir.path(), &[], &environment).unwrap();
    let file = dir.path().join("alertmanager.yml");
    let text = fs::read_to_string(&file).unwrap();
    assert!(
        text.contains("smtp_smarthost: 'relay.here:587'") && text.contains("smtp_auth_password: 's3cret'"),
        "{text}"
    );
    assert!(text.contains("smtp_from: 'me@here'"), "the sender is the one who gets it: {text}");
    assert_eq!(mode(&file), 0o600, "it holds a password");
    assert!(!said.contains("s3cret"));
    let dashboard = fs::read_to_string(dir.path().join("dashboards/agent-collective-dashboard.json")).unwrap();
    assert!(dashboard.contains("https://watch.here/"));

    let empty = Environment::from([("SMTP_URL", ""), ("ALERT_EMAIL", " "), ("TIDEWATCH_EXTERNAL_URL", "")]);
    let said = export(dir.path(), &[], &empty).unwrap();
    assert!(said.contains("nobody is told when it is down"), "{said}");
    assert!(!fs::read_to_string(&file).unwrap().contains("smtp_auth_password"));
    // A mail server that is meant for tidewatch only.
    export(dir.path(), &[], &Environment::from([("SMTP_URL", "smtp://relay.here")])).unwrap();
}

#[test]
fn a_token_that_is_there_is_named_not_copied() {
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("run/secret");
    let arguments = ["--token-file", token.to_str().unwrap()];
    let out = dir.path().join("out");
    export(&out, &arguments, &none()).unwrap();
    let made = fs::read_to_string(&token).unwrap();
    assert!(!out.join("tidewatch.token").exists());
    let expected = format!("credentials_file: '{}'", token.display());
    assert!(fs::read_to_string(out.join("alertmanager.yml")).unwrap().contains(&expected));
    export(&out, &arguments, &none()).unwrap();
    assert_eq!(fs::read_to_string(&token).unwrap(), made);
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let wrong = |arguments: &[&str], environment: &Environment| export(dir.path(), arguments, environment).unwrap_err();
    assert!(wrong(&["--alertmanager", "am"], &none()).contains("`am` is not HOST:PORT"));
    assert!(wrong(&["--scrape-interval", "0"], &none()).contains("longer than 0"));
    assert!(wrong(&["--smtp", "mail:587"], &none()).contains("--mail-to"));
    assert!(wrong(&["--mail-to", "me@here"], &none()).contains("--smtp"));
    let said = wrong(&[], &Environment::from([("SMTP_URL", "smtps://u:hunter2@mail:25")]));
    assert!(said.starts_with("SMTP_URL: ") && !said.contains("hunter2"), "{said}");

    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let said = export(&file.join("below"), &[], &none()).unwrap_err();
    assert!(said.contains(file.to_str().unwrap()), "{said}");
    let said = wrong(&["--token-file", file.to_str().unwrap()], &none());
    assert!(said.contains("is empty") && said.contains(file.to_str().unwrap()), "{said}");
    fs::create_dir_all(dir.path().join("taken/prometheus.yml")).unwrap();
    let said = export(&dir.path().join("taken"), &[], &none()).unwrap_err();
    assert!(said.contains("taken/prometheus.yml"), "{said}");
    let hidden = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with('.');
    let left: Vec<PathBuf> = files(dir.path()).into_keys().filter(hidden).collect();
    assert!(left.is_empty(), "half-written files stay behind: {left:?}");
}
