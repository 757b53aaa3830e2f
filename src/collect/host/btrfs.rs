//! `btrfs`: how its file systems use their devices, and the errors of these (`/sys/fs/btrfs`).

use std::path::{Path, PathBuf};

use async_trait::async_trait;

use super::attribute;
use super::files::Reader;
use super::sysfs::if_there;
use super::{Listed, Part, Run, Site};
use crate::collect::CollectError;
use crate::metrics::{Batch, Desc};

/// The kernel counts a block device in sectors of this size.
const SECTOR: f64 = 512.0;

const LAYOUT: &[&str] = &["uuid", "block_group_type", "mode"];
const DEVICE: &[&str] = &["uuid", "device", "btrfs_dev_uuid"];

static INFO: Desc = Desc::gauge("node_btrfs_info", "Filesystem information", &["uuid", "label"]);
static RESERVE: Desc = Desc::gauge("node_btrfs_global_rsv_size_bytes", "Size of global reserve.", &["uuid"]);
/// The lines of `commit_stats` (since Linux 6.0), with what the family's unit is divided by.
static COMMITS: [(&str, Desc, f64); 4] = [
    (
        "commits",
        Desc::counter("node_btrfs_commits_total", "The total number of commits that have occurred.", &["uuid"]),
        1.0,
    ),
    (
        "last_commit_ms",
        Desc::gauge("node_btrfs_last_commit_seconds", "Duration of the most recent commit, in seconds.", &["uuid"]),
        1000.0,
    ),
    (
        "max_commit_ms",
        Desc::gauge("node_btrfs_max_commit_seconds", "Duration of the slowest commit, in seconds.", &["uuid"]),
        1000.0,
    ),
    (
        "total_commit_ms",
        Desc::counter("node_btrfs_commit_seconds_total", "Sum of the duration of all commits, in seconds.", &["uuid"]),
        1000.0,
    ),
];
static RESERVED: Desc =
    Desc::gauge("node_btrfs_reserved_bytes", "Amount of space reserved for a data type", &["uuid", "block_group_type"]);
static USED: Desc = Desc::gauge("node_btrfs_used_bytes", "Amount of used space by a layout/data type", LAYOUT);
static SIZE: Desc = Desc::gauge("node_btrfs_size_bytes", "Amount of space allocated for a layout/data type", LAYOUT);
static RATIO: Desc = Desc::gauge("node_btrfs_allocation_ratio", "Data allocation ratio for a layout/data type", LAYOUT);
static DEVICE_SIZE: Desc =
    Desc::gauge("node_btrfs_device_size_bytes", "Size of a device that is part of the filesystem.", DEVICE);
static DEVICE_UNUSED: Desc = Desc::gauge(
    "node_btrfs_device_unused_bytes",
    "Unused bytes unused on a device that is part of the filesystem; told where it has one device.",
    DEVICE,
);
static DEVICE_ERRORS: Desc = Desc::counter(
    "node_btrfs_device_errors_total",
    "Errors reported for the device; where the filesystem has several, `device` is `devid:N` as in `btrfs filesystem show`.",
    &["uuid", "type", "device", "btrfs_dev_uuid"],
);

pub(super) struct Btrfs {
    folder: PathBuf,
    udev: PathBuf,
}

/// A device of a file system.
struct Device {
    name: String,
    /// As udev read it from the device; empty where udev does not run.
    uuid: String,
}

impl Listed for Btrfs {
    fn descs() -> Vec<&'static Desc> {
        let commits = COMMITS.iter().map(|(_, desc, _)| desc);
        let rest = [&INFO, &RESERVE, &RESERVED, &USED, &SIZE, &RATIO, &DEVICE_SIZE, &DEVICE_UNUSED, &DEVICE_ERRORS];
        commits.chain(rest).collect()
    }

    fn new(site: &Site<'_>) -> Self {
        Self { folder: site.roots.sysfs.join("fs/btrfs"), udev: site.roots.rootfs.join("run/udev/data") }
    }
}

impl Btrfs {
    fn devices(&self, filesystem: &Path, files: &mut Reader) -> Vec<Device> {
        let folder = filesystem.join("devices");
        let names = attribute::names(&folder).unwrap_or_default();
        let device = |name: String| {
            let number = attribute::text(&folder.join(&name).join("dev")).unwrap_or_default();
            let udev = files.text(&self.udev.join(format!("b{number}"))).unwrap_or_default();
            let uuid = udev.lines().find_map(|line| line.strip_prefix("E:ID_FS_UUID_SUB="));
            Device { uuid: uuid.unwrap_or_default().to_owned(), name }
        };
        names.into_iter().map(device).collect()
    }
}

#[async_trait]
impl Part for Btrfs {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        // Beside the file systems there is `features`.
        for name in if_there(run.folders.names(&self.folder))?.into_iter().flatten().filter(|name| name.contains('-')) {
            let folder = self.folder.join(&name);
            let uuid = attribute::text(&folder.join("metadata_uuid")).filter(|uuid| !uuid.is_empty()).unwrap_or(name);
            let label = attribute::text(&folder.join("label")).unwrap_or_default();
            run.batch.push(&INFO, &[&uuid, &label], 1.0);
            if let Some(size) = attribute::value(&folder.join("allocation/global_rsv_size")) {
                run.batch.push(&RESERVE, &[&uuid], size);
            }
            commits(&folder, &uuid, run);
            let devices = self.devices(&folder, &mut run.files);
            for kind in ["data", "metadata", "system"] {
                allocation(&folder.join("allocation").join(kind), [&uuid, kind], devices.len(), &mut run.batch);
            }
            sizes(&folder, &uuid, &devices, &mut run.batch);
            errors(&folder, &uuid, &devices, run);
        }
        Ok(())
    }
}

fn commits(folder: &Path, uuid: &str, run: &mut Run) {
    let Ok(text) = run.files.text(&folder.join("commit_stats")) else { return };
    for (key, value) in text.lines().filter_map(|line| line.split_once(' ')) {
        let known = COMMITS.iter().find(|(known, _, _)| *known == key);
        if let (Some((_, desc, unit)), Some(value)) = (known, attribute::number(value)) {
            run.batch.push(desc, &[uuid], value / unit);
        }
    }
}

/// Each kind of block group with its layouts, which are folders.
fn allocation(folder: &Path, [uuid, kind]: [&str; 2], devices: usize, batch: &mut Batch) {
    if let Some(reserved) = attribute::value(&folder.join("bytes_reserved")) {
        batch.push(&RESERVED, &[uuid, kind], reserved);
    }
    for mode in attribute::names(folder).unwrap_or_default() {
        let layout = folder.join(&mode);
        let labels = [uuid, kind, mode.as_str()];
        let Some(total) = attribute::value(&layout.join("total_bytes")) else { continue };
        if let Some(used) = attribute::value(&layout.join("used_bytes")) {
            batch.push(&USED, &labels, used);
        }
        batch.push(&SIZE, &labels, total);
        batch.push(&RATIO, &labels, ratio(&mode, devices as f64));
    }
}

/// How many bytes of the devices a byte of data takes.
fn ratio(mode: &str, devices: f64) -> f64 {
    match mode {
        "single" | "raid0" => 1.0,
        "dup" | "raid1" | "raid10" => 2.0,
        "raid1c3" => 3.0,
        "raid1c4" => 4.0,
        "raid5" => devices / (devices - 1.0),
        "raid6" => devices / (devices - 2.0),
        _ => 0.0,
    }
}

fn sizes(folder: &Path, uuid: &str, devices: &[Device], batch: &mut Batch) {
    for device in devices {
        let Some(sectors) = attribute::value(&folder.join("devices").join(&device.name).join("size")) else { continue };
        let labels = [uuid, device.name.as_str(), device.uuid.as_str()];
        batch.push(&DEVICE_SIZE, &labels, sectors * SECTOR);
        let allocated = ["data", "metadata", "system"]
            .map(|kind| attribute::value(&folder.join("allocation").join(kind).join("disk_total")));
        if let (1, [Some(data), Some(metadata), Some(system)]) = (devices.len(), allocated) {
            batch.push(&DEVICE_UNUSED, &labels, sectors * SECTOR - data - metadata - system);
        }
    }
}

/// Errors by the number of the device (since Linux 5.14). Which device has which number is not told by sysfs.
fn errors(folder: &Path, uuid: &str, devices: &[Device], run: &mut Run) {
    let folder = folder.join("devinfo");
    for number in attribute::names(&folder).unwrap_or_default() {
        let Ok(text) = run.files.text(&folder.join(&number).join("error_stats")) else { continue };
        let name = format!("devid:{number}");
        let (device, device_uuid) = match devices {
            [device] => (device.name.as_str(), device.uuid.as_str()),
            _ => (name.as_str(), ""),
        };
        for (key, value) in text.lines().filter_map(|line| line.split_once(' ')) {
            if let (Some(kind), Some(value)) = (key.strip_suffix("_errs"), attribute::number(value)) {
                run.batch.push(&DEVICE_ERRORS, &[uuid, kind, device, device_uuid], value);
            }
        }
    }
}
