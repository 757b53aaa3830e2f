//! `diskstats`: what block devices did (Documentation/admin-guide/iostats.rst of the kernel), and what they are.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use super::config::as_of;
use super::files::{Reader, counter};
use super::filter::Filter;
use super::udev::Udev;
use super::{HostConfig, Listed, Part, Run, Site};
use crate::collect::CollectError;
use crate::config::Problems;
use crate::metrics::{Batch, Desc};

/// node_exporter 1.12's own default: no partitions, no RAM disks, no loops.
pub(super) const DEVICES_EXCLUDED: &str = r"^(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$";

/// A sector of these counters has 512 bytes, whatever the device's own size is.
const SECTOR: f64 = 512.0;
const MILLISECOND: f64 = 0.001;

const fn total(name: &'static str, help: &'static str) -> Desc {
    Desc::counter(name, help, &["device"])
}

/// The columns in their order with the unit of each. A kernel before 4.18 has 11 of them, one before 5.5 has 15.
#[rustfmt::skip]
static COLUMNS: [(Desc, f64); 17] = [
    (total("node_disk_reads_completed_total", "The total number of reads completed successfully."), 1.0),
    (total("node_disk_reads_merged_total", "The total number of reads merged."), 1.0),
    (total("node_disk_read_bytes_total", "The total number of bytes read successfully."), SECTOR),
    (total("node_disk_read_time_seconds_total", "The total number of seconds spent by all reads."), MILLISECOND),
    (total("node_disk_writes_completed_total", "The total number of writes completed successfully."), 1.0),
    (total("node_disk_writes_merged_total", "The number of writes merged."), 1.0),
    (total("node_disk_written_bytes_total", "The total number of bytes written successfully."), SECTOR),
    (total("node_disk_write_time_seconds_total", "This is the total number of seconds spent by all writes."), MILLISECOND),
    (Desc::gauge("node_disk_io_now", "The number of I/Os currently in progress.", &["device"]), 1.0),
    (total("node_disk_io_time_seconds_total", "Total seconds spent doing I/Os."), MILLISECOND),
    (total("node_disk_io_time_weighted_seconds_total", "The weighted # of seconds spent doing I/Os."), MILLISECOND),
    (total("node_disk_discards_completed_total", "The total number of discards completed successfully."), 1.0),
    (total("node_disk_discards_merged_total", "The total number of discards merged."), 1.0),
    (total("node_disk_discarded_sectors_total", "The total number of sectors discarded successfully."), 1.0),
    (total("node_disk_discard_time_seconds_total", "This is the total number of seconds spent by all discards."), MILLISECOND),
    (total("node_disk_flush_requests_total", "The total number of flush requests completed successfully"), 1.0),
    (total("node_disk_flush_requests_time_seconds_total", "This is the total number of seconds spent by all flush requests."), MILLISECOND),
];

const ROTATIONAL: &str = "rotational";

static INFO: Desc = Desc::gauge(
    "node_disk_info",
    "Info of /sys/block/<block_device>.",
    &["device", "major", "minor", "model", "path", "revision", ROTATIONAL, "serial", "wwn"],
);
static FILESYSTEM_INFO: Desc = Desc::gauge(
    "node_disk_filesystem_info",
    "Info about disk filesystem.",
    &["device", "type", "usage", "uuid", "version"],
);
static MAPPER_INFO: Desc = Desc::gauge(
    "node_disk_device_mapper_info",
    "Info about disk device mapper.",
    &["device", "lv_layer", "lv_name", "name", "uuid", "vg_name"],
);
static ATA: [(&str, Desc); 3] = [
    ("ID_ATA_WRITE_CACHE", Desc::gauge("node_disk_ata_write_cache", "ATA disk has a write cache.", &["device"])),
    (
        "ID_ATA_WRITE_CACHE_ENABLED",
        Desc::gauge("node_disk_ata_write_cache_enabled", "ATA disk has its write cache enabled.", &["device"]),
    ),
    (
        "ID_ATA_ROTATION_RATE_RPM",
        Desc::gauge("node_disk_ata_rotation_rate_rpm", "ATA disk rotation rate in RPMs (0 for SSDs).", &["device"]),
    ),
];

pub(super) struct Disks {
    file: PathBuf,
    block: PathBuf,
    udev: Mutex<Udev>,
    devices: Filter,
    /// Without the label `rotational` in an older release.
    info: Cow<'static, Desc>,
}

impl Listed for Disks {
    fn descs() -> Vec<&'static Desc> {
        let columns = COLUMNS.iter().map(|(desc, _)| desc);
        let ata = ATA.iter().map(|(_, desc)| desc);
        columns.chain([&INFO, &FILESYSTEM_INFO, &MAPPER_INFO]).chain(ata).collect()
    }

    fn check(config: &HostConfig, problems: &mut Problems) {
        config.diskstats.check("diskstats", problems);
    }

    fn new(site: &Site<'_>) -> Self {
        Self {
            file: site.roots.procfs.join("diskstats"),
            block: site.roots.sysfs.join("block"),
            udev: Mutex::new(Udev::new(site.roots.rootfs.join("run/udev/data"))),
            devices: site.config.diskstats.filter(DEVICES_EXCLUDED),
            info: as_of(site.config.is_older(), &INFO, ROTATIONAL),
        }
    }
}

#[async_trait]
impl Part for Disks {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        for line in run.table.text(&self.file)?.lines() {
            let mut fields = line.split_ascii_whitespace();
            let (Some(major), Some(minor), Some(device)) = (fields.next(), fields.next(), fields.next()) else {
                continue;
            };
            if !self.devices.takes(device) {
                continue;
            }
            for ((desc, unit), field) in COLUMNS.iter().zip(fields) {
                if let Some(value) = counter(field) {
                    run.batch.push(desc, &[device], value * unit);
                }
            }
            self.describe([device, major, minor], &mut run.files, &mut run.batch);
        }
        Ok(())
    }
}

impl Disks {
    /// What the device is, as udev and sysfs know it.
    fn describe(&self, [device, major, minor]: [&str; 3], files: &mut Reader, batch: &mut Batch) {
        let mut udev = self.udev.lock().unwrap_or_else(PoisonError::into_inner);
        let udev = udev.of(major, minor, files);
        // A slash in a device's name (`cciss/c0d0`) is an exclamation mark in sysfs.
        let folder = self.block.join(device.replace('/', "!"));
        let rotational = files.number(&folder.join("queue/rotational")).unwrap_or_default().to_string();
        let get = |key| udev.get(key);
        let labels = self.info.labels.iter().map(|label| match *label {
            "device" => device,
            "major" => major,
            "minor" => minor,
            "model" => get("ID_MODEL"),
            "path" => get("ID_PATH"),
            "revision" => get("ID_REVISION"),
            ROTATIONAL => &rotational,
            "serial" => udev.serial(),
            _ => get("ID_WWN"),
        });
        batch.push(&self.info, &labels.collect::<Vec<_>>(), 1.0);
        let kind = get("ID_FS_TYPE");
        if !kind.is_empty() {
            let labels = [device, kind, get("ID_FS_USAGE"), get("ID_FS_UUID"), get("ID_FS_VERSION")];
            batch.push(&FILESYSTEM_INFO, &labels, 1.0);
        }
        let name = get("DM_NAME");
        if !name.is_empty() {
            let labels = [device, get("DM_LV_LAYER"), get("DM_LV_NAME"), name, get("DM_UUID"), get("DM_VG_NAME")];
            batch.push(&MAPPER_INFO, &labels, 1.0);
        }
        if !get("ID_ATA").is_empty() {
            for (key, desc) in &ATA {
                if let Some(value) = counter(get(key)) {
                    batch.push(desc, &[device], value);
                }
            }
        }
    }
}
