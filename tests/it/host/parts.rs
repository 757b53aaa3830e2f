//! The parts for special hardware and the optional ones: on a real host's files beside node_exporter's scrape of it.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use tidewatch::clock::Clock;
use tidewatch::collect::Declare;
use tidewatch::collect::host::{Host, HostConfig};

use super::{Series, config, deps, family, fixture, golden, kinds, run, series, steady};

/// A tree from its archive: thousands of small files and links are kept as one.
fn unpacked(archive: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let archive = fixture(archive);
    let status = Command::new("tar").arg("-xzf").arg(&archive).arg("-C").arg(folder.path()).status().unwrap();
    assert!(status.success(), "{}", archive.display());
    folder
}

/// The configuration of some parts of a tree, with their options.
pub(super) fn of_parts(root: &Path, parts: &[&str], options: &str) -> HostConfig {
    let roots = config(root);
    let text = format!("parts = {{ defaults = false, enable = {parts:?} }}\n{options}");
    let config: HostConfig = toml::from_str(&text).unwrap();
    HostConfig { procfs: roots.procfs, sysfs: roots.sysfs, rootfs: roots.rootfs, ..config }
}

/// What some parts write about a tree.
pub(super) async fn read(root: &Path, parts: &[&str], options: &str) -> String {
    let host = Host::build(&of_parts(root, parts, options), &deps(Clock::system()));
    run(&host).await.0
}

/// A series with its labels in the order of their names, as the original writes them.
fn ordered(series: &str) -> String {
    let Some((family, labels)) = series.split_once('{') else { return series.to_owned() };
    let mut labels: Vec<_> = labels.trim_end_matches('}').split_inclusive("\",").collect();
    let with_comma = |label: &str| format!("{},", label.trim_end_matches(','));
    labels.sort_unstable_by_key(|label| label.split('=').next().unwrap().to_owned());
    let labels: String = labels.into_iter().map(with_comma).collect();
    format!("{family}{{{}}}", labels.trim_end_matches(','))
}

/// Whether two numbers are the same, however they are written.
pub(super) fn same(a: &str, b: &str) -> bool {
    let [a, b] = [a, b].map(|text| text.parse::<f64>().unwrap());
    (a - b).abs() <= 1e-12 * b.abs()
}

/// The series of some families.
pub(super) fn told(text: &str, prefixes: &[&str]) -> Series {
    let told = |name: &str| prefixes.iter().any(|prefix| name.starts_with(prefix));
    series(text).into_iter().filter(|(name, _)| told(name)).map(|(name, value)| (ordered(&name), value)).collect()
}

pub(super) fn reference(name: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/reference").join(name);
    std::fs::read_to_string(file).unwrap()
}

/// The parts that the host's scrape shows, with the beginnings of their families.
const OF_DEBIAN: [(&str, &str); 27] = [
    ("bcache", "node_bcache_"),
    ("bcachefs", "node_bcachefs_"),
    ("btrfs", "node_btrfs_"),
    ("buddyinfo", "node_buddyinfo_"),
    ("cgroups", "node_cgroups_"),
    ("cpu_vulnerabilities", "node_cpu_vulnerabilities_"),
    ("dmmultipath", "node_dmmultipath_"),
    ("drm", "node_drm_"),
    ("edac", "node_edac_"),
    ("hwmon", "node_hwmon_"),
    ("infiniband", "node_infiniband_"),
    ("interrupts", "node_interrupts_"),
    ("ksmd", "node_ksmd_"),
    ("lnstat", "node_lnstat_"),
    ("meminfo_numa", "node_memory_numa_"),
    ("nvme", "node_nvme_"),
    ("nvmesubsystem", "node_nvmesubsystem_"),
    ("pcidevice", "node_pcidevice_"),
    ("processes", "node_processes_"),
    ("slabinfo", "node_slabinfo_"),
    ("softirqs", "node_softirqs_functions_"),
    ("swap", "node_swap_"),
    ("sysctl", "node_sysctl_"),
    ("tcpstat", "node_tcp_connection_"),
    ("thermal_zone", "node_cooling_device_"),
    ("xfrm", "node_xfrm_"),
    ("zoneinfo", "node_zoneinfo_"),
];

/// Where the original gave up because an attribute is missing, we give the rest.
const MORE: [&str; 2] = ["node_nvme_", "node_dmmultipath_"];

/// What went on while the files were copied: its values lie somewhere near.
const MOVING: [&str; 16] = [
    "node_buddyinfo_blocks",
    "node_infiniband_",
    "node_interrupts_total",
    "node_lnstat_",
    "node_memory_numa_",
    "node_hwmon_temp_celsius",
    "node_processes_",
    "node_slabinfo_active_objects",
    "node_slabinfo_objects",
    "node_softirqs_functions_total",
    "node_swap_used_bytes",
    "node_sysctl_fs_file_nr_total",
    "node_tcp_connection_states",
    "node_cgroups_cgroups",
    "node_zoneinfo_nr_",
    "node_zoneinfo_numa_",
];

#[tokio::test]
async fn special_and_optional_parts_read_a_real_host_as_node_exporter_read_it() {
    let tree = unpacked("debian12-parts.tar.gz");
    let parts = OF_DEBIAN.map(|(part, _)| part);
    let options = "[sysctl]\ninclude = ['vm.swappiness', 'fs.file-nr:total,current,max']\n\
        include_info = ['kernel.core_pattern', 'kernel.seccomp.actions_avail']";
    let text = read(tree.path(), &parts, options).await;
    let all = reference("debian12-node_exporter-all.prom");
    let prefixes = OF_DEBIAN.map(|(_, prefix)| prefix);
    let (ours, theirs) = (told(&text, &prefixes), told(&all, &prefixes));
    let (kinds, known) = (kinds(&text), kinds(&all));
    let mut wrong = Vec::new();
    for (name, value) in &theirs {
        let moving = MOVING.iter().any(|prefix| name.starts_with(prefix));
        match ours.get(name) {
            // A state in which no process was when the files were copied has no series.
            None if moving && (name.contains("state=")) => {}
            None => wrong.push(format!("{name} is missing")),
            Some(found) if !moving && !same(found, value) => {
                wrong.push(format!("{name}: {found} instead of {value}"));
            }
            Some(_) => {}
        }
        if kinds.get(family(name)).is_some_and(|kind| known[family(name)] != *kind) {
            wrong.push(format!("{name} is no {}", kinds[family(name)]));
        }
    }
    for name in ours.keys().filter(|name| !theirs.contains_key(*name)) {
        let moving = MOVING.iter().any(|prefix| name.starts_with(prefix)) && name.contains("state=");
        if !moving && !MORE.iter().any(|prefix| name.starts_with(prefix)) {
            wrong.push(format!("{name} is ours alone"));
        }
    }
    assert_eq!(wrong, [""; 0]);
    assert!(theirs.len() > 1900, "{}", theirs.len());
    // The disk has no `nuse`, and the map's path no state: the rest of both is given.
    let more: BTreeSet<_> = ours.keys().filter(|name| !theirs.contains_key(*name)).map(|name| family(name)).collect();
    let more: Vec<_> = more.into_iter().filter(|name| MORE.iter().any(|prefix| name.starts_with(prefix))).collect();
    assert_eq!(
        more,
        [
            "node_dmmultipath_device_active",
            "node_dmmultipath_device_info",
            "node_dmmultipath_device_paths",
            "node_dmmultipath_device_paths_active",
            "node_dmmultipath_device_paths_failed",
            "node_dmmultipath_device_size_bytes",
            "node_dmmultipath_path_state",
            "node_nvme_info",
            "node_nvme_namespace_capacity_bytes",
            "node_nvme_namespace_info",
            "node_nvme_namespace_logical_block_size_bytes",
            "node_nvme_namespace_size_bytes",
        ]
    );
}

/// A tree from a text: `== PATH` begins a file, `== PATH -> TARGET` is a link.
fn planted(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(fixture(text)).unwrap();
    for file in text.split("== ").skip(1) {
        let (heading, content) = file.split_once('\n').unwrap();
        let (path, target) = heading.split_once(" -> ").map_or((heading, None), |(path, target)| (path, Some(target)));
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        match target {
            Some(target) => std::os::unix::fs::symlink(target, path).unwrap(),
            None => std::fs::write(path, content).unwrap(),
        }
    }
    folder
}

#[tokio::test]
async fn hardware_that_few_have_reads_as_it_should() {
    let tree = planted("hardware.txt");
    let parts = [
        "bcache",
        "bcachefs",
        "btrfs",
        "dmmultipath",
        "drbd",
        "drm",
        "edac",
        "fibrechannel",
        "hwmon",
        "infiniband",
        "nvme",
        "nvmesubsystem",
        "powersupplyclass",
        "rapl",
        "tapestats",
        "thermal_zone",
        "zfs",
    ];
    let text = read(tree.path(), &parts, "bcache.priority_stats = true").await;
    let text = text.replace(tree.path().to_str().unwrap(), "");
    golden(&fixture("hardware.prom"), &steady(&text));
    let labelled = read(tree.path(), &["rapl"], "rapl.enable_zone_label = true").await;
    assert!(labelled.contains(r#"rapl_zone="dram"} 12.5"#), "{labelled}");
}

#[tokio::test]
async fn a_machine_without_it_has_no_data_and_no_warning() {
    let empty = tempfile::tempdir().unwrap();
    let parts: Vec<_> = OF_DEBIAN.iter().map(|(part, _)| *part).filter(|part| *part != "sysctl").collect();
    let text = read(empty.path(), &parts, "").await;
    let told: Vec<_> = series(&text).into_iter().filter(|(name, _)| !name.starts_with("node_scrape_")).collect();
    assert_eq!(told, []);
    // As in the original, these succeed where the kernel has no such thing at all.
    let succeeded: Vec<_> = parts
        .iter()
        .filter(|part| text.contains(&format!("node_scrape_collector_success{{collector=\"{part}\"}} 1\n")))
        .collect();
    assert_eq!(succeeded, [&"bcache", &"btrfs", &"drm", &"edac", &"thermal_zone"]);
}

#[tokio::test]
async fn options_choose_what_is_read() {
    let tree = planted("hardware.txt");
    let options = "hwmon = { chip_exclude = '^platform_' }\npowersupplyclass.ignored_supplies = '^BAT'\n\
        infiniband.device_include = '^mlx4'";
    let text = read(tree.path(), &["hwmon", "powersupplyclass", "infiniband"], options).await;
    assert!(!text.contains("platform_coretemp") && text.contains(r#"chip="acpitz""#), "{text}");
    assert!(!text.contains(r#"power_supply="BAT0""#) && text.contains(r#"power_supply="AC""#), "{text}");
    assert!(!text.contains(r#"device="mlx5_0""#) && text.contains(r#"device="mlx4_0""#), "{text}");
}
