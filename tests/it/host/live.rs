//! The collector on this host: beside Debian's node_exporter, and its two backends beside each other.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use tidewatch::clock::Clock;
use tidewatch::collect::Declare;
use tidewatch::collect::host::{Backend, Host, HostConfig};
use tidewatch::facts::State;

use super::{Series, deps, family, kinds, only, run, series};
use crate::support::process::{Running, program};
use crate::support::{eventually, free_port};

/// The parts that the older release has too.
const COMMON: &[&str] = &[
    "arp",
    "bcache",
    "bonding",
    "btrfs",
    "conntrack",
    "cpu",
    "cpufreq",
    "diskstats",
    "dmi",
    "edac",
    "entropy",
    "fibrechannel",
    "filefd",
    "filesystem",
    "hwmon",
    "infiniband",
    "ipvs",
    "loadavg",
    "mdadm",
    "meminfo",
    "netclass",
    "netdev",
    "netstat",
    "nfs",
    "nfsd",
    "nvme",
    "os",
    "powersupplyclass",
    "pressure",
    "rapl",
    "schedstat",
    "selinux",
    "sockstat",
    "softnet",
    "stat",
    "tapestats",
    "thermal_zone",
    "time",
    "timex",
    "udp_queues",
    "uname",
    "vmstat",
    "xfs",
    "zfs",
];

/// Repeats `compare` until it tells no difference: on a busy machine a value may jump between two scrapes, so one round
/// of several has to agree in all.
async fn agreed(mut compare: impl AsyncFnMut() -> String) {
    let begun = Instant::now();
    loop {
        let difference = compare().await;
        if difference.is_empty() {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{difference}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// What a comparison tells.
fn difference(one_sided: &[String], apart: &[String]) -> String {
    if one_sided.is_empty() && apart.is_empty() {
        return String::new();
    }
    format!("series of one side only: {one_sided:#?}; values apart: {apart:#?}")
}

/// The body of `GET path` from a server that closes the connection after it.
fn get(port: u16, path: &str) -> Option<String> {
    let mut connection = TcpStream::connect(("127.0.0.1", port)).ok()?;
    write!(connection, "GET {path} HTTP/1.0\r\nAccept: text/plain\r\n\r\n").ok()?;
    let mut response = String::new();
    connection.read_to_string(&mut response).ok()?;
    Some(response.split_once("\r\n\r\n")?.1.to_owned())
}

/// Families that the older release does not know.
const NEWER: &[&str] = &[
    "node_filesystem_mount_info",
    "node_filesystem_purgeable_bytes",
    "node_netstat_TcpExt_TCPOFOQueue",
    "node_netstat_TcpExt_TCPRcvQDrop",
    "node_softnet_backlog_len",
    "node_softnet_cpu_collision_total",
    "node_softnet_flow_limit_count_total",
    "node_softnet_received_rps_total",
];

/// Labels that it does not know.
const NEWER_LABELS: &[&str] = &["adminstate", "device_error", "rotational"];

/// Series of this machine that the older release has too: without those that it does not know, or knows otherwise.
fn as_of_1_5(series: Series) -> Series {
    let known = series.into_iter().filter(|(name, _)| !NEWER.contains(&family(name)));
    known.map(|(name, value)| (NEWER_LABELS.iter().fold(name, |name, label| without(&name, label)), value)).collect()
}

/// A series without one of its labels, which is not the last.
fn without(series: &str, label: &str) -> String {
    let at = ["{", ","].iter().find_map(|before| Some(series.find(&format!("{before}{label}=\""))? + 1));
    let end = at.and_then(|at| Some(at + series[at..].find("\",")? + 2));
    match (at, end) {
        (Some(at), Some(end)) => format!("{}{}", &series[..at], &series[end..]),
        _ => series.to_owned(),
    }
}

/// The gauges that are neither within 5 % of the one nor between both. They may be one in twenty: a scrape is itself a
/// process and a connection.
fn apart(kinds: &BTreeMap<&str, &str>, before: &Series, ours: &Series, after: &Series) -> Vec<String> {
    let number = |series: &Series, name: &str| series.get(name).and_then(|value| value.parse::<f64>().ok());
    let (mut apart, mut compared) = (Vec::new(), 0);
    for (name, value) in ours {
        let (Some(before), Ok(value), Some(after)) = (number(before, name), value.parse(), number(after, name)) else {
            continue;
        };
        if kinds.get(family(name)) != Some(&"gauge") || name.starts_with("node_scrape_") {
            continue;
        }
        compared += 1;
        let slack = 0.05 * before.abs().max(after.abs());
        let near = before.min(after) - slack <= value && value <= before.max(after) + slack;
        if !near {
            apart.push(format!("{name}: {before}, ours {value}, {after}"));
        }
    }
    if apart.len() * 20 <= compared { Vec::new() } else { apart }
}

#[tokio::test]
async fn this_host_reads_as_debians_node_exporter_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let mut command = Command::new(program("prometheus-node-exporter"));
    command.arg(format!("--web.listen-address=127.0.0.1:{port}")).arg("--collector.disable-defaults");
    // Debian has patched defaults of its own (no `lo`, nothing below `/run` and `/mnt`): the new release's are given.
    command.args([
        r"--collector.diskstats.device-exclude=^(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$",
        "--collector.filesystem.mount-points-exclude=^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+|\
         var/lib/containers/storage/.+)($|/)",
        "--collector.filesystem.fs-types-exclude=^(autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|devtmpfs|\
         fusectl|hugetlbfs|iso9660|mqueue|nsfs|overlay|proc|procfs|pstore|rpc_pipefs|securityfs|selinuxfs|squashfs|\
         erofs|sysfs|tracefs)$",
        "--collector.netdev.device-exclude=^$",
    ]);
    command.args(COMMON.iter().map(|part| format!("--collector.{part}")));
    let _running = Running::start(folder.path(), "node_exporter", &mut command);
    let scrape = async || get(port, "/metrics");
    eventually("node_exporter answers", Duration::from_secs(20), scrape).await;
    let host = Host::build(&HostConfig { parts: only(COMMON), ..HostConfig::default() }, &deps(Clock::system()));
    agreed(async || {
        let before = get(port, "/metrics").unwrap();
        let (text, _) = run(&host).await;
        let after = get(port, "/metrics").unwrap();
        let own = |text: &str| -> Series {
            let others = ["go_", "process_", "promhttp_", "node_exporter_build_info"];
            series(text).into_iter().filter(|(name, _)| !others.iter().any(|other| name.starts_with(other))).collect()
        };
        let (before, ours, after) = (own(&before), as_of_1_5(own(&text)), own(&after));
        let names = |series: &Series| series.keys().cloned().collect::<BTreeSet<_>>();
        let different: Vec<_> = names(&before).symmetric_difference(&names(&ours)).cloned().collect();
        difference(&different, &apart(&kinds(&text), &before, &ours, &after))
    })
    .await;
}

#[tokio::test]
async fn sysinfo_gives_what_it_claims_under_the_same_names() {
    let build = |backend| Host::build(&HostConfig { backend, ..HostConfig::default() }, &deps(Clock::system()));
    let (linux, portable) = (build(Backend::Linux), build(Backend::Sysinfo));
    let claimed = [
        "node_boot_time_seconds",
        "node_filesystem_avail_bytes",
        "node_filesystem_readonly",
        "node_filesystem_size_bytes",
        "node_load1",
        "node_load15",
        "node_load5",
        "node_memory_MemAvailable_bytes",
        "node_memory_MemFree_bytes",
        "node_memory_MemTotal_bytes",
        "node_memory_SwapFree_bytes",
        "node_memory_SwapTotal_bytes",
        "node_network_receive_bytes_total",
        "node_network_receive_errs_total",
        "node_network_receive_packets_total",
        "node_network_transmit_bytes_total",
        "node_network_transmit_errs_total",
        "node_network_transmit_packets_total",
        "node_scrape_collector_duration_seconds",
        "node_scrape_collector_success",
        "node_time_clocksource_available_info",
        "node_time_clocksource_current_info",
        "node_time_seconds",
        "node_time_zone_offset_seconds",
        "node_uname_info",
    ];
    agreed(async || {
        let (before, _) = run(&linux).await;
        let (text, output) = run(&portable).await;
        let (after, _) = run(&linux).await;
        assert_ne!(output.facts.services[0].state, State::Unknown);
        let (before, ours, after) = (series(&before), series(&text), series(&after));
        let families: BTreeSet<_> = ours.keys().map(|name| family(name)).collect();
        assert_eq!(Vec::from_iter(families), claimed);
        let more: Vec<_> = ours.keys().filter(|name| !before.contains_key(*name)).cloned().collect();
        difference(&more, &apart(&kinds(&text), &before, &ours, &after))
    })
    .await;
}
