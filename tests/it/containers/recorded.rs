//! A real host with cgroup v2 and the systemd driver, whose containers stood still while cAdvisor was scraped and the
//! files were copied: so the figures are equal, not alike.

use super::*;
use crate::support::docker_stub::DockerStub;

/// Families whose values are better than cAdvisor's on purpose; `docs/migrate.md` says why.
const BETTER: [&str; 14] = [
    "cadvisor_version_info",
    "container_fs_inodes_free",
    "container_fs_inodes_total",
    "container_fs_io_time_seconds_total",
    "container_fs_io_time_weighted_seconds_total",
    "container_fs_read_seconds_total",
    "container_fs_reads_total",
    "container_fs_write_seconds_total",
    "container_fs_writes_total",
    "container_memory_failcnt",
    "container_memory_kernel_usage",
    "container_spec_cpu_shares",
    "container_spec_memory_reservation_limit_bytes",
    "machine_cpu_physical_cores",
];

/// Containers with a health check, which went on; and the root, as the whole host did.
const MOVING: [&str; 3] = ["shop_web_1", "sick", ""];

/// Series that cAdvisor writes and that mean nothing, or are left out for another reason that `docs/migrate.md` names.
fn left_out(family: &str, labels: &BTreeMap<String, String>) -> bool {
    let device = labels.get("device").map(String::as_str);
    let io = family.starts_with("container_fs_") && !family.contains("inodes") && !family.ends_with("_bytes");
    let in_memory = matches!(device, Some("/run" | "/run/lock" | "/dev/shm"));
    let whole = matches!(labels.get("id").map(String::as_str), Some("/"));
    device.is_some_and(|device| device.is_empty() || device.starts_with("overlay_"))
        || (io && in_memory)
        // The archive lacks the files of processes that were started and ended meanwhile.
        || (family == "container_file_descriptors" && labels["name"] != "burner")
        // Measured in the background.
        || (family == "container_fs_usage_bytes" && !whole)
        // A counter that kernels no longer have.
        || labels.get("tcp_state").is_some_and(|name| name == "tcpfackreorder")
        || (family.starts_with("container_hugetlb_") && labels["name"] != "burner")
        || (whole && (family.starts_with("container_threads") || family == "container_ulimits_soft"))
}

/// What holds between their value and ours.
fn agree(family: &str, kind: &str, labels: &BTreeMap<String, String>, theirs: f64, ours: f64) -> bool {
    let equal = (ours - theirs).abs() <= 1e-9 * theirs.abs();
    let moving = labels.get("name").is_some_and(|name| MOVING.contains(&name.as_str()));
    // The network and the disk went on under containers that stood still.
    let host = ["container_network_", "container_fs_"].iter().any(|start| family.starts_with(start));
    let counted_on = kind == "counter" && ours >= theirs;
    match family {
        _ if equal || BETTER.contains(&family) => true,
        // The clock went on; and cAdvisor takes the time of a file for the host's start.
        "container_last_seen" => ours > theirs,
        "container_start_time_seconds" | "container_creation_time_seconds" => moving && (ours - theirs).abs() < 60.0,
        // The kernel took a page or two back from containers that stood still.
        "container_memory_failures_total" => counted_on && (moving || ours - theirs < 2.0),
        _ if family.starts_with("container_memory_") && !moving => (ours - theirs).abs() < 65_536.0,
        _ => (moving || host) && (kind == "gauge" || counted_on),
    }
}

#[tokio::test]
async fn the_figures_are_those_that_cadvisor_told_of_the_same_moment() {
    let root = fixture();
    let stub = DockerStub::recorded(&root.join("docker"));
    let mut config = config(&root, &stub.socket());
    config.enable_metrics = ["advtcp", "hugetlb", "process", "sched", "tcp", "udp"].map(String::from).to_vec();
    let containers = Containers::with_statvfs(&config, &deps(), told(&root));
    let (text, ours, _) = run(&containers).await;
    let kinds: BTreeMap<&str, &str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
    let table = std::fs::read_to_string(root.join("original.tsv")).unwrap();
    let mut wrong = Vec::new();
    let (mut equal, mut all) = (0, 0);
    for row in table.lines().skip(1) {
        let [kind, series, theirs] = row.split('\t').collect::<Vec<_>>()[..] else { panic!("{row}") };
        let (family, mut labels) = key(series);
        if let Some(name) = labels.get("name").cloned() {
            labels.insert("container_name".into(), name);
        }
        let theirs: f64 = theirs.parse().unwrap();
        if kinds.get(family.as_str()) != Some(&kind) {
            wrong.push(format!("{family} is {:?}, not a {kind}", kinds.get(family.as_str())));
        }
        if left_out(&family, &labels) || family == "cadvisor_version_info" {
            continue;
        }
        all += 1;
        match ours.0.get(&(family.clone(), labels.clone())) {
            None => wrong.push(format!("missing: {series}")),
            Some(ours) if !agree(&family, kind, &labels, theirs, *ours) => {
                wrong.push(format!("{series}: {ours}, not {theirs}"));
            }
            Some(ours) => equal += usize::from((ours - theirs).abs() <= 1e-9 * theirs.abs()),
        }
    }
    assert!(wrong.is_empty(), "{} of {all}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(equal >= 700, "{equal} of {all} are equal");
}

#[tokio::test]
async fn what_is_better_than_the_original_is_what_the_kernel_and_the_daemon_say() {
    let root = fixture();
    let stub = DockerStub::recorded(&root.join("docker"));
    let containers = Containers::with_statvfs(&config(&root, &stub.socket()), &deps(), told(&root));
    let (_, ours, output) = run(&containers).await;
    for (container, family, value) in [
        ("burner", "container_spec_cpu_shares", 512.0),
        ("hoarder", "container_spec_cpu_shares", 1024.0),
        ("hoarder", "container_spec_memory_reservation_limit_bytes", f64::from(32 << 20)),
        ("hoarder", "container_memory_kernel_usage", 380_928.0),
        ("hoarder", "container_memory_failcnt", 2304.0),
        ("hoarder", "container_oom_events_total", 8.0),
        ("isolated", "container_fs_reads_total", 0.0),
        ("oomed", "container_exit_code", 137.0),
        ("oomed", "container_restarts_total", 2.0),
        ("done", "container_exit_code", 3.0),
        ("sick", "container_health_state", 0.0),
        ("shop_web_1", "container_health_state", 1.0),
    ] {
        assert_eq!(ours.of(container, family), Some(value), "{family} of {container}");
    }
    assert_eq!(ours.of("fresh", "container_exit_code"), None, "it never ran");
    assert_eq!(ours.of("done", "container_memory_usage_bytes"), None, "it has no cgroup");
    assert_eq!(ours.value("container_oom_events_total", &[("id", "/")]), Some(11.0));
    assert_eq!(ours.value("machine_cpu_physical_cores", &[]), Some(2.0));
    let version = [("dockerVersion", "20.10.24+dfsg1"), ("osVersion", "Debian GNU/Linux 12 (bookworm)")];
    assert_eq!(ours.value("cadvisor_version_info", &version), Some(1.0));
    let [service] = &output.facts.services[..] else { panic!() };
    assert_eq!(
        (service.service.as_str(), service.why.as_str()),
        ("docker", "not healthy: sick (8 containers running)")
    );
}

#[tokio::test]
async fn other_cgroups_are_read_on_request_only() {
    let root = fixture();
    let stub = DockerStub::recorded(&root.join("docker"));
    let mut config = config(&root, &stub.socket());
    let id = [("id", "/system.slice/docker.service")];
    let containers = Containers::with_statvfs(&config, &deps(), told(&root));
    assert_eq!(run(&containers).await.1.value("container_memory_usage_bytes", &id), None);
    config.cgroups = vec!["/system.slice".into()];
    let containers = Containers::with_statvfs(&config, &deps(), told(&root));
    let (_, ours, _) = run(&containers).await;
    assert!(ours.value("container_memory_usage_bytes", &id).is_some_and(|bytes| bytes > 0.0));
    assert!(ours.of("burner", "container_memory_usage_bytes").is_some(), "once, as a container");
}

#[tokio::test]
async fn without_the_cgroup_files_the_daemon_is_asked() {
    let root = fixture();
    let stub = DockerStub::recorded(&root.join("docker"));
    let mut config = config(&root, &stub.socket());
    config.sysfs = root.join("nothing");
    config.procfs = root.join("nothing");
    let containers = Containers::with_statvfs(&config, &deps(), told(&root));
    let (_, ours, _) = run(&containers).await;
    for (container, family, value) in [
        ("burner", "container_cpu_user_seconds_total", 69.667_124),
        ("burner", "container_cpu_cfs_throttled_periods_total", 870.0),
        ("hoarder", "container_memory_usage_bytes", 495_616.0),
        ("hoarder", "container_memory_rss", 110_592.0),
        ("hoarder", "container_fs_writes_bytes_total", 345_489_408.0),
        ("hoarder", "container_network_receive_packets_total", 12.0),
        ("hoarder", "container_spec_memory_limit_bytes", f64::from(64 << 20)),
    ] {
        assert_eq!(ours.of(container, family), Some(value), "{family} of {container}");
    }
    assert_eq!(ours.of("burner", "container_pressure_cpu_waiting_seconds_total"), None, "the daemon does not tell it");
    assert_eq!(ours.of("burner", "container_memory_swap"), None, "nor this");
    let stats = stub.asked().iter().filter(|path| path.ends_with("/stats")).count();
    assert_eq!(stats, 8, "one call for each that runs");
}
