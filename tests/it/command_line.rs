//! The commands, as they are typed: what they print, and their exit codes.

mod health;
mod kept;
mod outbox;

use std::path::Path;

use crate::support::program::{run, tidewatch};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

#[test]
fn five_faults_are_five_problems_in_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tidewatch.toml");
    let text = "listne = '127.0.0.1:9480'\n\n[log]\nlevel = 'loud=quiet'\n\n[scrape]\n  timeout = '9 parsecs'\n\n\
                [notify.webhook.ops]\nurl = 7\n\n[[routes]]\nchannels = ['nobody']\n";
    std::fs::write(&file, text).unwrap();
    for words in [["check-config", "--config"], ["serve", "--config"]] {
        let done = run(tidewatch(&words).arg(&file));
        assert_eq!((done.code, done.out.as_str()), (Some(3), ""), "{}", done.err);
        let name = file.to_str().unwrap();
        let (problems, rest) = done.err.rsplit_once("\n\n").unwrap();
        assert_eq!(rest, "5 errors in the configuration\n");
        let problems: Vec<&str> = problems.split(&format!("{name}:")).skip(1).collect();
        let expected = [
            ("1:1: error: unknown field `listne`", "did you mean `listen`?"),
            ("4:1: error: `log.level`: ", "write for example info"),
            ("7:13: error: ", "write it like 30s"),
            ("10:7: error: invalid type: integer `7`", "write a string"),
            ("13:1: error: `routes.0.channels`: there is no channel `nobody`", "there are: console, ops"),
        ];
        assert_eq!(problems.len(), expected.len(), "{}", done.err);
        for (problem, (begins, hint)) in problems.iter().zip(expected) {
            assert!(problem.starts_with(begins) && problem.contains(hint), "{problem}");
        }
    }
}

#[test]
fn a_sound_configuration_is_said_to_be_so_with_what_should_be_known() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tidewatch.toml");
    std::fs::write(&file, "[notify.console.here]\n[notify.file.log]\npath = '/tmp/x'\n").unwrap();
    // The common options stand before the command, or after it.
    for words in
        [["check-config", "--config", file.to_str().unwrap()], ["--config", file.to_str().unwrap(), "check-config"]]
    {
        let done = run(&mut tidewatch(&words));
        assert_eq!((done.code, done.err.as_str()), (Some(0), ""), "{done:?}");
        assert!(
            done.out.contains("warning: `external_url`: not set, so messages carry no links\n  hint: "),
            "{}",
            done.out
        );
        assert!(done.out.ends_with(&format!("{}: ok; channels: here, log\n", file.display())), "{}", done.out);
    }
    std::fs::write(&file, "listen = '0.0.0.0:9480'\n[access]\nopen_without_token = true\n").unwrap();
    let open = run(tidewatch(&["check-config", "--config"]).arg(&file));
    assert_eq!(open.code, Some(0), "{open:?}");
    assert!(open.out.contains(":3:1: warning: `access.open_without_token`: posts to another name"), "{}", open.out);
    let done = run(tidewatch(&["check-config", "--config"]).arg(folder.path().join("none.toml")));
    assert_eq!(done.code, Some(3));
    assert!(done.err.contains("none.toml: No such file"), "{}", done.err);
    std::fs::write(&file, "listen = \n").unwrap();
    let done = run(tidewatch(&["check-config", "--config"]).arg(&file));
    assert_eq!(done.code, Some(3));
    assert!(
        done.err.contains("tidewatch.toml:1:10: error: ") && done.err.contains("hint: the file is TOML"),
        "{}",
        done.err
    );
}

#[test]
fn exit_codes_are_as_documented() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    for (words, code) in [
        (&["--version"][..], 0),
        (&["frobnicate"], 2),
        (&["serve", "--role", "everything"], 2),
        (&["outbox"], 2),
        (&["test-notify"], 2),
        // What belongs to serving is refused elsewhere, not silently ignored.
        (&["--listen", "127.0.0.1:0", "check-config"], 2),
        (&["check-config", "--data-dir", data], 0),
        (&["outbox", "list", "--data-dir", data], 4),
        (&["test-notify", "ops", "--data-dir", data], 4),
        (&["agents", "list", "--data-dir", data], 4),
        (&["health", "--data-dir", data], 2),
        (&["backup", "/nowhere/at-all.db", "--data-dir", data], 1),
        (&["restore", "/nowhere/at-all.db", "--data-dir", data], 1),
    ] {
        let done = run(&mut tidewatch(words));
        assert_eq!(done.code, Some(code), "{words:?}: {done:?}");
        assert!(code == 0 || !(done.err.is_empty() && done.out.is_empty()), "{words:?} says nothing");
        if code == 4 {
            assert!(done.err.contains("no server answers at") && done.err.contains("tidewatch serve"), "{}", done.err);
        }
    }
}

/// The commands below one, by its help.
fn commands(help: &str) -> Vec<&str> {
    let Some((_, rest)) = help.split_once("\nCommands:\n") else { return Vec::new() };
    let lines = rest.lines().take_while(|line| !line.is_empty());
    let names = lines.filter_map(|line| line.strip_prefix("  ")?.split(' ').next().filter(|name| !name.is_empty()));
    names.filter(|name| *name != "help").collect()
}

#[test]
fn the_help_of_every_command_has_an_example() {
    let mut waiting = vec![Vec::new()];
    let mut seen = 0;
    while let Some(words) = waiting.pop() {
        let done = run(tidewatch(&words).arg("--help"));
        assert_eq!(done.code, Some(0), "{words:?}");
        let examples = done.out.split_once("Example").unwrap_or_else(|| panic!("{words:?}: {}", done.out)).1;
        let example = format!("  tidewatch{}", words.iter().map(|word| [" ", word].concat()).collect::<String>());
        assert!(examples.contains(&example), "{words:?}: {}", done.out);
        for name in commands(&done.out) {
            // Tests of other helps borrow nothing: the words live as long as the program.
            let name: &'static str = Box::leak(name.to_owned().into_boxed_str());
            waiting.push([&words[..], &[name]].concat());
        }
        seen += 1;
    }
    assert!(seen >= 20, "only {seen} commands were found");
}

#[test]
fn metrics_are_collected_once_and_printed_without_a_server() {
    let whole = run(&mut tidewatch(&["metrics"]));
    assert_eq!((whole.code, whole.err.as_str()), (Some(0), ""));
    for family in ["node_cpu_seconds_total", "node_load1", "tidewatch_build_info", "tidewatch_collector_success"] {
        assert!(whole.out.contains(&format!("# TYPE {family} ")), "{family}");
    }
    let part = run(&mut tidewatch(&["metrics", "--collect", "loadavg", "--collect", "time"]));
    assert_eq!(part.code, Some(0), "{part:?}");
    assert!(
        part.out.contains("node_load1 ") && part.out.contains("node_time_seconds ") && !part.out.contains("node_cpu")
    );
    let wrong = run(&mut tidewatch(&["metrics", "--collect", "everything"]));
    assert_eq!((wrong.code, wrong.out.as_str()), (Some(1), ""));
    assert!(wrong.err.contains("everything") && wrong.err.contains("loadavg"), "{}", wrong.err);
}

#[test]
fn the_command_writes_the_documentation_that_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("metrics.md");
    let done = run(tidewatch(&["metrics", "--docs"]).arg(&file));
    assert_eq!(done.code, Some(0), "{done:?}");
    let (written, kept) = (std::fs::read_to_string(file).unwrap(), Path::new(ROOT).join("docs/metrics.md"));
    assert!(
        written == std::fs::read_to_string(kept).unwrap(),
        "docs/metrics.md: tidewatch metrics --docs docs/metrics.md"
    );
}
