//! The collector of the machine: on made-up trees, and on a tree of a real host beside node_exporter's scrape of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tidewatch::clock::Clock;
use tidewatch::collect::host::{Host, HostConfig, Parts, Space, Statvfs};
use tidewatch::collect::{Collector, Declare, Deps, Output};
use tidewatch::facts::State;
use tidewatch::metrics::expose::{Format, write};
use tidewatch::task::Tasks;
use tidewatch::telemetry::Telemetry;

use crate::support::eventually;

mod live;
mod made_up;
mod parts;
mod services;
mod systemd;
mod textfile;

/// Series with their values, as they are written.
type Series = BTreeMap<String, String>;

/// Families of the host `debian12` whose files are not in that tree: rare hardware.
const RARE: &[&str] = &["node_btrfs_", "node_cooling_", "node_dmmultipath_", "node_hwmon_", "node_infiniband_"];

/// What a scrape itself moves: its connections.
const MOVING: &[&str] = &["node_netstat_Tcp_CurrEstab", "node_sockstat_"];

/// Their parts, and those which find nothing there.
const RARE_PARTS: &[&str] = &[
    "bcache",
    "bcachefs",
    "btrfs",
    "dmmultipath",
    "edac",
    "fibrechannel",
    "hwmon",
    "infiniband",
    "nvme",
    "powersupplyclass",
    "rapl",
    "tapestats",
    "thermal_zone",
    "zfs",
];

fn fixture(tree: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/host").join(tree)
}

pub(crate) fn deps(clock: Clock) -> Deps {
    Deps { clock, tasks: Tasks::new(&Telemetry::new()), agents: Arc::default() }
}

fn config(root: &Path) -> HostConfig {
    HostConfig { procfs: root.join("proc"), sysfs: root.join("sys"), rootfs: root.to_owned(), ..HostConfig::default() }
}

/// These parts and no others.
fn only(parts: &[&str]) -> Parts {
    Parts { defaults: false, enable: parts.iter().map(|part| (*part).to_owned()).collect(), ..Parts::default() }
}

pub(crate) async fn run(host: &Host) -> (String, Output) {
    let mut output = Output::default();
    host.collect(&mut output).await.unwrap();
    let batches: Vec<_> = output.parts().map(|(_, batch)| batch).collect();
    let mut text = Vec::new();
    assert_eq!(write(&batches, Format::Text, &mut text), [], "nothing is dropped");
    (String::from_utf8(text).unwrap(), output)
}

fn series(text: &str) -> Series {
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn kinds(text: &str) -> BTreeMap<&str, &str> {
    text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect()
}

fn family(series: &str) -> &str {
    series.split('{').next().unwrap()
}

/// Without what differs from run to run and from machine to machine.
fn steady(text: &str) -> String {
    let volatile = |line: &&str| {
        line.starts_with("node_scrape_collector_duration_seconds{")
            || line.starts_with("node_time_zone_offset_seconds{")
    };
    text.lines().filter(|line| !volatile(line)).flat_map(|line| [line, "\n"]).collect()
}

/// Compares with the file; `TIDEWATCH_BLESS=1` writes it anew.
fn golden(file: &Path, text: &str) {
    if std::env::var_os("TIDEWATCH_BLESS").is_some() {
        std::fs::write(file, text).unwrap();
    }
    let expected = std::fs::read_to_string(file).unwrap_or_default();
    for (number, (found, wanted)) in text.lines().zip(expected.lines()).enumerate() {
        assert_eq!(found, wanted, "{}:{}", file.display(), number + 1);
    }
    assert_eq!(text.lines().count(), expected.lines().count(), "{}", file.display());
}

/// What a tree's file systems told, from its `statvfs.tsv`.
fn told(root: &Path) -> Statvfs {
    let table = std::fs::read_to_string(root.join("statvfs.tsv")).unwrap();
    let row = |line: &str| {
        let (point, numbers) = line.split_once('\t').unwrap();
        let numbers: Vec<u64> = numbers.split('\t').map(|number| number.parse().unwrap()).collect();
        let bytes = |blocks: u64| blocks * numbers[0];
        let (size, free, avail) = (bytes(numbers[1]), bytes(numbers[2]), bytes(numbers[3]));
        (
            root.join(point.trim_start_matches('/')),
            Space { size, free, avail, files: numbers[4], files_free: numbers[5], ..Space::default() },
        )
    };
    let spaces: BTreeMap<PathBuf, Space> = table.lines().skip(1).map(row).collect();
    Arc::new(move |path| spaces.get(path).copied().ok_or_else(|| std::io::ErrorKind::NotFound.into()))
}

#[tokio::test]
async fn a_tree_of_oddities_reads_as_it_should() {
    let root = fixture("odd");
    let mut config = config(&root);
    config.parts = only(&["cpu", "diskstats", "filesystem", "loadavg", "meminfo", "netdev", "stat", "time"]);
    let statvfs: Statvfs = Arc::new(|path| match path.file_name().and_then(|name| name.to_str()) {
        Some("ssh") => Err(rustix::io::Errno::NOTCONN.into()),
        Some("empty") => Ok(Space::default()),
        _ => Ok(Space {
            size: 50 << 30,
            free: 20 << 30,
            avail: 15 << 30,
            files: 1000,
            files_free: 900,
            ..Space::default()
        }),
    });
    let clock = Clock::manual(Timestamp::from_second(1_795_241_340).unwrap());
    let host = Host::with_statvfs(&config, &deps(clock), &statvfs);
    let (text, output) = run(&host).await;
    golden(&root.join("expected.prom"), &steady(&text));
    let [service] = &output.facts.services[..] else { panic!("{:?}", output.facts.services) };
    assert_eq!((service.service.as_str(), service.state), ("host", State::Critical));
    assert_eq!(service.why, "memory 95 % of 3.9 GiB used");
    assert!(!service.next.is_empty());
}

#[tokio::test]
async fn a_real_host_reads_as_node_exporter_read_it() {
    let root = fixture("debian12");
    let between = Clock::manual(Timestamp::from_second(1_795_241_340).unwrap());
    let host = Host::with_statvfs(&config(&root), &deps(between), &told(&root));
    let (text, _) = run(&host).await;
    let (ours, kinds) = (series(&text), kinds(&text));
    let table = std::fs::read_to_string(root.join("original.tsv")).unwrap();
    // These tell of the machine that the test runs on.
    let elsewhere = |series: &str| {
        ["node_uname_info{", "node_time_zone_", "node_timex_"].iter().any(|start| series.starts_with(start))
    };
    let rare = |series: &str| {
        let of_part = |part: &&str| series.contains(&format!("{{collector=\"{part}\"}}"));
        RARE.iter().any(|start| series.starts_with(start)) || RARE_PARTS.iter().any(of_part)
    };
    let mut apart = Vec::new();
    let mut theirs = BTreeSet::new();
    for row in table.lines().skip(1) {
        let [kind, series, before, after] = row.split('\t').collect::<Vec<_>>()[..] else { panic!("{row}") };
        if rare(series) {
            continue;
        }
        assert_eq!(kinds.get(family(series)), Some(&kind), "the type of {series}");
        if elsewhere(series) {
            continue;
        }
        theirs.insert(family(series));
        let Some(value) = ours.get(series) else { panic!("{series} is missing") };
        let [value, before, after] = [value, before, after].map(|number| number.parse::<f64>().unwrap());
        // The files were copied between the two scrapes: what only goes up lies between them.
        let same = (before - after).abs() < f64::EPSILON;
        if (kind != "gauge" || same) && !MOVING.iter().any(|start| series.starts_with(start)) {
            let slack = 1e-12 * after.abs();
            if !(before - slack..=after + slack).contains(&value) {
                apart.push(format!("{series}: {before} <= {value} <= {after}"));
            }
        }
    }
    assert_eq!(apart, Vec::<String>::new());
    for name in ours.keys().filter(|series| theirs.contains(family(series)) && !elsewhere(series)) {
        assert!(table.contains(&format!("\t{name}\t")), "node_exporter has no {name}");
    }
    let more = ours.keys().filter(|series| !rare(series) && !elsewhere(series)).map(|series| family(series));
    let more: BTreeSet<_> = more.filter(|name| !theirs.contains(name)).collect();
    let sockets = ["sockets_used", "TCP_inuse", "TCP_alloc", "TCP_tw", "RAW6_inuse"];
    assert_eq!(sockets.map(|name| ours[&format!("node_sockstat_{name}")].as_str()), ["161", "9", "12", "4", "2"]);
    // Lines of this kernel's meminfo that the release does not know.
    assert_eq!(
        Vec::from_iter(more),
        [
            "node_memory_FileHugePages_bytes",
            "node_memory_FilePmdMapped_bytes",
            "node_memory_Hugetlb_bytes",
            "node_memory_KReclaimable_bytes",
            "node_memory_SecPageTables_bytes",
            "node_scrape_collector_duration_seconds"
        ]
    );
}

/// A copy of a tree that a test may change.
fn copied(tree: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let status = Command::new("cp").arg("-R").arg(fixture(tree).join(".")).arg(folder.path()).status().unwrap();
    assert!(status.success());
    folder
}

#[tokio::test]
async fn a_processor_that_is_taken_out_takes_its_series_with_it() {
    let tree = copied("debian12");
    let stat = tree.path().join("proc/stat");
    let all = std::fs::read_to_string(&stat).unwrap();
    let config = HostConfig { parts: only(&["cpu"]), ..config(tree.path()) };
    let host = Host::with_statvfs(&config, &deps(Clock::system()), &told(&fixture("debian12")));
    let of_second = async || {
        let (text, _) = run(&host).await;
        series(&text).into_iter().filter(|(name, _)| name.contains(r#"cpu="1""#)).collect::<Series>()
    };
    let before = of_second().await;
    assert_eq!(before.len(), 10);
    let without: String = all.lines().filter(|line| !line.starts_with("cpu1")).flat_map(|line| [line, "\n"]).collect();
    std::fs::write(&stat, without).unwrap();
    assert_eq!(of_second().await, Series::new());
    // Back with a little less idle time than it had: the counter does not fall.
    std::fs::write(&stat, all.replace("cpu1 12604 126 20378 3556", "cpu1 12700 126 20378 3500")).unwrap();
    let after = of_second().await;
    let value = |series: &Series, mode: &str| {
        series[&format!(r#"node_cpu_seconds_total{{cpu="1",mode="{mode}"}}"#)].parse::<f64>().unwrap()
    };
    assert_eq!(value(&after, "idle").to_string(), value(&before, "idle").to_string());
    assert_eq!(value(&after, "user").to_string(), "127");
}

#[tokio::test]
async fn a_part_that_fails_costs_its_own_series_only() {
    let tree = copied("debian12");
    let host = Host::with_statvfs(&config(tree.path()), &deps(Clock::system()), &told(&fixture("debian12")));
    let failed = async || {
        let (text, output) = run(&host).await;
        let ours = series(&text);
        let parts: Vec<_> = output.parts().map(|(part, _)| part).collect();
        let of =
            |family: &str, part: &str| ours[&format!("node_scrape_collector_{family}{{collector=\"{part}\"}}")].clone();
        assert!(parts.iter().all(|part| of("duration_seconds", part).parse::<f64>().unwrap() >= 0.0));
        (text, parts.into_iter().filter(|part| of("success", part) == "0").collect::<BTreeSet<_>>())
    };
    let (_, before) = failed().await;
    std::fs::remove_file(tree.path().join("proc/meminfo")).unwrap();
    std::fs::write(tree.path().join("proc/loadavg"), "1.5 high 3").unwrap();
    let (text, after) = failed().await;
    assert_eq!(&after - &before, BTreeSet::from(["loadavg", "meminfo"]));
    assert!(before.is_subset(&after));
    assert!(!text.contains("node_memory_") && !text.contains("node_load"), "what it had written is dropped");
}

#[tokio::test]
async fn only_the_chosen_parts_run() {
    let mut config = config(&fixture("debian12"));
    config.parts = Parts { disable: vec!["cpu".into()], ..only(&["loadavg", "cpu"]) };
    let (text, _) = run(&Host::build(&config, &deps(Clock::system()))).await;
    let names: BTreeSet<_> = text.lines().filter(|line| !line.starts_with('#')).map(family).collect();
    assert_eq!(names.iter().filter(|name| name.starts_with("node_load")).count(), 3);
    assert!(names.iter().all(|name| name.starts_with("node_load") || name.starts_with("node_scrape_")), "{names:?}");
}

/// A file system whose server is gone until it is released.
#[derive(Default)]
struct Gate {
    hanging: Mutex<bool>,
    released: Condvar,
    calls: Mutex<usize>,
}

impl Gate {
    fn set(&self, hanging: bool) {
        *self.hanging.lock().unwrap() = hanging;
        self.released.notify_all();
    }

    fn statvfs(self: Arc<Self>) -> Statvfs {
        Arc::new(move |path| {
            if path.starts_with(fixture("odd").join("mnt/nfs")) {
                *self.calls.lock().unwrap() += 1;
                // Not for ever, so that a scrape that waits for it fails the test instead of hanging it.
                let limit = Duration::from_secs(20);
                drop(self.released.wait_timeout_while(self.hanging.lock().unwrap(), limit, |hanging| *hanging));
            }
            Ok(Space {
                size: 50 << 30,
                free: 40 << 30,
                avail: 40 << 30,
                files: 1000,
                files_free: 900,
                ..Space::default()
            })
        })
    }
}

#[tokio::test]
async fn a_mount_that_hangs_never_hangs_a_scrape_and_is_tried_again() {
    let gate = Arc::new(Gate::default());
    gate.set(true);
    let mut config = config(&fixture("odd"));
    config.parts = only(&["filesystem"]);
    config.filesystem.mount_timeout = "300ms".parse().unwrap();
    let host = Host::with_statvfs(&config, &deps(Clock::system()), &Arc::clone(&gate).statvfs());
    let labels = |error: &str| {
        format!(r#"{{device="server:/data",device_error="{error}",fstype="nfs4",mountpoint="/mnt/nfs"}}"#)
    };
    for _ in 0..3 {
        let begun = Instant::now();
        let (text, output) = run(&host).await;
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        let ours = series(&text);
        let error = labels("mountpoint timeout");
        assert_eq!(ours[&format!("node_filesystem_device_error{error}")], "1");
        assert_eq!(ours[&format!("node_filesystem_readonly{error}")], "0");
        assert!(!ours.contains_key(&format!("node_filesystem_size_bytes{}", labels(""))), "no value is made up");
        let local = r#"{device="/dev/sda",device_error="",fstype="ext4",mountpoint="/"}"#;
        assert_eq!(ours[&format!("node_filesystem_size_bytes{local}")], "53687091200");
        assert_eq!(ours[r#"node_scrape_collector_success{collector="filesystem"}"#], "1");
        let service = &output.facts.services[0];
        assert_eq!(service.state, State::Warning);
        assert_eq!(service.why, "mount /mnt/nfs: mountpoint timeout");
    }
    assert_eq!(*gate.calls.lock().unwrap(), 2, "the mount and the one below it, once each while they hang");
    gate.set(false);
    eventually("the mount is asked again and answers", Duration::from_secs(20), async || {
        let (text, output) = run(&host).await;
        let answered = series(&text).contains_key(&format!("node_filesystem_size_bytes{}", labels("")));
        (answered && output.facts.services[0].state == State::Ok).then_some(())
    })
    .await;
}
