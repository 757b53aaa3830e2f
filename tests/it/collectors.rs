//! What holds for every collector of the list.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tidewatch::clock::Clock;
use tidewatch::collect::{self, Config, Deps, NAMES, Output};
use tidewatch::config::{Document, Problems};
use tidewatch::facts::{ServiceState, State};
use tidewatch::metrics::expose::{self, Format};
use tidewatch::metrics::{Batch, Desc};
use tidewatch::task::Tasks;
use tidewatch::telemetry::Telemetry;

fn deps() -> Deps {
    let tasks = Tasks::new(&Telemetry::new());
    Deps { clock: Clock::system(), tasks, agents: Arc::default() }
}

/// Those that are built only where a target is named.
const NEEDS_TARGETS: &[&str] = &["postgres", "probes", "redis"];

/// Whether a family is described: by its name, or by a pattern with one `*`.
fn described(descs: &[&Desc], name: &str, kind: &str) -> bool {
    descs.iter().any(|desc| {
        let same = match desc.name.split_once('*') {
            Some((start, end)) => {
                name.len() > start.len() + end.len() && name.starts_with(start) && name.ends_with(end)
            }
            None => desc.name == name,
        };
        let written = format!("{:?}", desc.kind).to_lowercase().replace("unknown", "untyped");
        same && written == kind
    })
}

/// What a run did that its collector did not declare, or that no exposition can hold.
fn faults(name: &str, parts: &[&str], descs: &[&Desc], out: &Output) -> Vec<String> {
    let undeclared = out.parts().map(|(part, _)| part).filter(|part| *part != name && !parts.contains(part));
    let mut faults: Vec<String> = undeclared.map(|part| format!("the part {part} is undeclared")).collect();
    let batches: Vec<&Batch> = out.parts().map(|(_, batch)| batch).collect();
    let mut text = Vec::new();
    for format in [Format::OpenMetrics, Format::Text] {
        text.clear();
        let dropped = expose::write(&batches, format, &mut text);
        faults.extend(dropped.iter().map(|dropped| format!("{}: {}", dropped.family, dropped.reason)));
    }
    let text = String::from_utf8(text).unwrap();
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (family, kind) = line.split_once(' ').unwrap();
        if !described(descs, family, kind) {
            faults.push(format!("{family}, a {kind}, is not described"));
        }
    }
    let mut services = BTreeSet::new();
    let twice = out.facts.services.iter().filter(|service| !services.insert(&service.service));
    faults.extend(twice.map(|service| format!("the service {} is told twice", service.service)));
    faults
}

#[tokio::test(flavor = "multi_thread")]
async fn each_does_only_what_it_declares_and_nothing_twice() {
    let mut config = Config::default();
    // Whatever runs on this machine: nobody listens there.
    config.containers.socket = Some("/nowhere/docker.sock".into());
    let entries = collect::build(&config, &deps());
    let built: BTreeSet<_> = entries.iter().map(|entry| entry.name).collect();
    for (name, _) in NAMES {
        assert_ne!(built.contains(name), NEEDS_TARGETS.contains(name), "{name}: all are on by default that can be");
    }
    for entry in entries {
        let mut out = Output::default();
        let limit = Duration::from_secs(30);
        tokio::time::timeout(limit, entry.collector.collect(&mut out)).await.unwrap().unwrap();
        let (_, descs) = collect::descs().into_iter().find(|(name, _)| *name == entry.name).unwrap();
        assert!(out.parts().any(|(_, batch)| batch.series() > 0), "{} gives nothing", entry.name);
        assert_eq!(faults(entry.name, entry.parts, &descs, &out), Vec::<String>::new(), "{}", entry.name);
    }
}

#[test]
fn what_a_collector_did_not_declare_is_found() {
    static KNOWN: Desc = Desc::gauge("known", "Described.", &["row"]);
    static PATTERN: Desc = Desc::unknown("some_*_bytes", "Described by a pattern.", &[]);
    static SOME: Desc = Desc::unknown("some_free_bytes", "Fits the pattern.", &[]);
    static OTHER_TYPE: Desc = Desc::counter("some_used_bytes", "Of another type.", &[]);
    static STRAY: Desc = Desc::gauge("stray", "Described nowhere.", &[]);
    let mut out = Output::default();
    out.part("liar").push(&KNOWN, &["1"], 1.0);
    out.part("cpu").push(&SOME, &[], 1.0);
    assert_eq!(faults("liar", &["cpu"], &[&KNOWN, &PATTERN], &out), Vec::<String>::new());
    out.part("cpu").push(&KNOWN, &["1"], 1.0);
    out.part("secret").push(&STRAY, &[], 1.0);
    out.part("secret").push(&OTHER_TYPE, &[], 1.0);
    let service = ServiceState {
        service: "host".into(),
        state: State::Ok,
        since: Timestamp::UNIX_EPOCH,
        why: String::new(),
        next: String::new(),
    };
    out.facts.services = vec![service.clone(), service];
    assert_eq!(
        faults("liar", &["cpu"], &[&KNOWN, &PATTERN], &out),
        [
            "the part secret is undeclared",
            "known: the series is there already",
            "known: the series is there already",
            "stray, a gauge, is not described",
            "some_used_bytes, a counter, is not described",
            "the service host is told twice",
        ]
    );
}

#[test]
fn each_section_takes_a_schedule_and_points_at_what_it_does_not_know() {
    let mut problems = Problems::default();
    Config::default().check(&mut problems);
    assert_eq!(problems, Problems::default(), "the defaults are sound");
    for (name, _) in NAMES {
        let text = format!("[{name}]\nschedule = {{ timeout = \"4s\" }}\nno_such_key = 1\n");
        let (_, mut problems) = Document::new("t.toml", text).parse::<Config>();
        assert_eq!(problems.0.len(), 1, "{name}: {problems}");
        let problem = problems.0.remove(0);
        assert_eq!(problem.at, Some(("t.toml".into(), 3, 1)), "{problem}");
        assert!(problem.message.starts_with("unknown field `no_such_key`"), "{problem}");
        let (config, _) = Document::new("t.toml", format!("[{name}]\nschedule = {{ enabled = false }}\n")).parse();
        assert!(
            collect::build(&config, &deps()).iter().all(|entry| entry.name != *name),
            "{name} cannot be turned off"
        );
    }
}

#[test]
fn names_and_descriptions_are_sound_and_unique() {
    let word = |text: &str| {
        let mut letters = text.chars();
        letters.next().is_some_and(|c| c.is_ascii_lowercase())
            && letters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    let mut names = BTreeSet::new();
    for (collector, parts) in NAMES {
        for name in parts.iter().chain([collector]) {
            assert!(word(name), "{name}");
            assert!(names.insert(*name), "{name} means two things in collect[]");
        }
    }
    let mut families = BTreeSet::new();
    for (collector, descs) in collect::descs() {
        assert!(!descs.is_empty(), "{collector}");
        for desc in descs {
            let name = &desc.name;
            assert!(name.replace('*', "x").chars().all(|c| c.is_ascii_alphanumeric() || "_:".contains(c)), "{name}");
            assert!(
                desc.labels.iter().all(|label| label.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')),
                "{name}"
            );
            assert!(!desc.help.trim().is_empty(), "{name} has no help");
            assert!(families.insert(name.clone()), "{name} belongs to two collectors");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn docs_metrics_md_is_current() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    let current = tidewatch::app::documentation().await.unwrap();
    if std::env::var_os("TIDEWATCH_BLESS").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, &current).unwrap();
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    let missing: Vec<&str> = current.lines().filter(|line| !found.lines().any(|known| known == *line)).collect();
    let stale: Vec<&str> = found.lines().filter(|line| !current.lines().any(|known| known == *line)).collect();
    assert!(
        found == current,
        "docs/metrics.md is not current: renew it by `TIDEWATCH_BLESS=1 cargo test --test it collectors::`, and look at \
         the change\nmissing: {missing:#?}\nstale: {stale:#?}"
    );
}
