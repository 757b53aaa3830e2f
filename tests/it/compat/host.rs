//! The families of node_exporter 1.12, and of 1.5 where this kernel still offers them, on the host of the test.

use std::collections::{BTreeMap, BTreeSet};

use tidewatch::clock::Clock;
use tidewatch::collect::Declare;
use tidewatch::collect::host::{Host, HostConfig, Parts};

use crate::host::{deps, run};
use crate::support::compat::{Exceptions, compare, compare_series, reference};

/// Labels that name a device, a mount, a processor, or what else is of one machine.
const OWN: [&str; 7] = ["clocksource", "cpu", "device", "device_error", "fstype", "mountpoint", "time_zone"];

/// Families whose labels all tell of the machine.
const OF_A_MACHINE: [&str; 5] = ["node_cpu_info", "node_disk_info", "node_network_info", "node_os_", "node_uname_info"];

async fn agrees(name: &str, parts: Parts) {
    agrees_by(name, &HostConfig { parts, ..HostConfig::default() }).await;
}

async fn agrees_by(name: &str, config: &HostConfig) -> String {
    let (ours, _) = run(&Host::build(config, &deps(Clock::system()))).await;
    let (reference, exceptions) = (reference(name), Exceptions::of(name));
    let mut found = compare(&reference, &ours, &exceptions);
    let shared = |family: &str| !OF_A_MACHINE.iter().any(|start| family.starts_with(start));
    found.extend(compare_series(&reference, &ours, &exceptions, &OWN, shared));
    assert_eq!(found, Vec::<String>::new(), "{name}");
    ours
}

#[tokio::test]
async fn node_exporter_1_12() {
    agrees("node_exporter-1.12.1", Parts::default()).await;
}

#[tokio::test]
async fn node_exporter_1_5() {
    // Debian's package has this one on by default.
    agrees("node_exporter-1.5.0", Parts { enable: vec!["systemd".into()], ..Parts::default() }).await;
}

/// The names of labels of each family.
fn labels(text: &str) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut all: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (family, rest) in text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('{')) {
        let names = rest.split('"').step_by(2).filter_map(|piece| piece.trim_start_matches(',').strip_suffix('='));
        all.entry(family).or_default().extend(names);
    }
    all
}

#[tokio::test]
async fn node_exporter_1_5_by_its_labels() {
    let parts = Parts { enable: vec!["systemd".into()], ..Parts::default() };
    let config = HostConfig { parts, names: vec!["1.5".into()], ..HostConfig::default() };
    let ours = agrees_by("node_exporter-1.5.0", &config).await;
    let (older, current) = (reference("node_exporter-1.5.0"), reference("node_exporter-1.12.1"));
    let (ours, older, current) = (labels(&ours), labels(&older), labels(&current));
    let mut added = BTreeSet::new();
    for (family, labels) in older.iter().filter(|(family, _)| family.starts_with("node_")) {
        let Some(now) = current.get(family).filter(|_| *family != "node_exporter_build_info") else { continue };
        added.extend(now.difference(labels));
        assert!(labels.is_subset(now), "{family} lost a label");
        assert!(ours.get(family).is_none_or(|ours| ours == labels), "{family}: {:?}", ours.get(family));
    }
    assert_eq!(added, BTreeSet::from(["adminstate", "device_error", "rotational"]));
}

/// The parts that are off by default and find something on every host.
const OPTIONAL: [&str; 21] = [
    "buddyinfo",
    "cgroups",
    "cpu_vulnerabilities",
    "drbd",
    "drm",
    "interrupts",
    "ksmd",
    "lnstat",
    "meminfo_numa",
    "network_route",
    "nvmesubsystem",
    "pcidevice",
    "processes",
    "qdisc",
    "slabinfo",
    "softirqs",
    "swap",
    "sysctl",
    "tcpstat",
    "xfrm",
    "zoneinfo",
];

#[tokio::test]
async fn node_exporter_1_12_with_all_collectors() {
    let name = "node_exporter-1.12.1-all-collectors";
    let mut config = HostConfig::default();
    config.cpu.info = true;
    config.parts.enable = OPTIONAL.map(str::to_owned).to_vec();
    let (ours, _) = run(&Host::build(&config, &deps(Clock::system()))).await;
    assert_eq!(compare(&reference(name), &ours, &Exceptions::of(name)), Vec::<String>::new());
}
