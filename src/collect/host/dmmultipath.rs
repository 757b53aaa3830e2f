//! `dmmultipath`: disks that are reached over several paths (device mapper's multipath maps).

use std::path::{Path, PathBuf};

use async_trait::async_trait;

use super::attribute;
use super::{Listed, Part, Run, Site};
use crate::collect::CollectError;
use crate::metrics::Desc;

/// The kernel counts a block device in sectors of this size.
const SECTOR: f64 = 512.0;

const DEVICE: &[&str] = &["device", "sysfs_name"];

static INFO: Desc = Desc::gauge(
    "node_dmmultipath_device_info",
    "Non-numeric information about a DM-multipath device.",
    &["device", "sysfs_name", "uuid"],
);
static ACTIVE: Desc = Desc::gauge(
    "node_dmmultipath_device_active",
    "Whether the multipath device-mapper device is active (1) or suspended (0).",
    DEVICE,
);
static SIZE: Desc = Desc::gauge("node_dmmultipath_device_size_bytes", "Size of the multipath device in bytes.", DEVICE);
static PATHS: Desc = Desc::gauge("node_dmmultipath_device_paths", "Number of paths for a multipath device.", DEVICE);
static PATHS_ACTIVE: Desc = Desc::gauge(
    "node_dmmultipath_device_paths_active",
    "Number of paths in active state (SCSI running or NVMe live) for a multipath device.",
    DEVICE,
);
static PATHS_FAILED: Desc = Desc::gauge(
    "node_dmmultipath_device_paths_failed",
    "Number of paths not in active state for a multipath device.",
    DEVICE,
);
static PATH_STATE: Desc = Desc::gauge(
    "node_dmmultipath_path_state",
    "Reports the underlying device state for a multipath path, as read from /sys/block/<dev>/device/state.",
    &["device", "path", "state"],
);

pub(super) struct Multipath {
    block: PathBuf,
}

impl Listed for Multipath {
    fn descs() -> Vec<&'static Desc> {
        vec![&INFO, &ACTIVE, &SIZE, &PATHS, &PATHS_ACTIVE, &PATHS_FAILED, &PATH_STATE]
    }

    fn new(site: &Site<'_>) -> Self {
        Self { block: site.roots.sysfs.join("block") }
    }
}

impl Multipath {
    /// The state of a path's own device: `running` of a SCSI disk, `live` of NVMe. A device that is neither has none.
    fn state(&self, path: &str) -> Option<String> {
        attribute::text(&self.block.join(path).join("device/state"))
    }
}

#[async_trait]
impl Part for Multipath {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        for (device, _) in run.folders.numbered(&self.block, "dm-")? {
            let folder = self.block.join(&device);
            let text = |file: &str| attribute::text(&folder.join("dm").join(file));
            let Some(uuid) = text("uuid").filter(|uuid| uuid.starts_with("mpath-")) else { continue };
            let name = text("name").unwrap_or_default();
            let labels = [name.as_str(), device.as_str()];
            run.batch.push(&INFO, &[&name, &device, &uuid], 1.0);
            if let Some(suspended) = text("suspended") {
                run.batch.push(&ACTIVE, &labels, f64::from(suspended != "1"));
            }
            if let Some(sectors) = attribute::value(&folder.join("size")) {
                run.batch.push(&SIZE, &labels, sectors * SECTOR);
            }
            let states: Vec<_> = paths(&folder).into_iter().map(|path| (self.state(&path), path)).collect();
            // A path whose device tells no state, as virtio's do, has not failed for that.
            let (mut active, mut failed) = (0_u32, 0_u32);
            for (state, path) in &states {
                match state.as_deref() {
                    Some("running" | "live") => active += 1,
                    Some(_) => failed += 1,
                    None => {}
                }
                run.batch.push(&PATH_STATE, &[&name, path, state.as_deref().unwrap_or("unknown")], 1.0);
            }
            run.batch.push(&PATHS, &labels, states.len() as f64);
            run.batch.push(&PATHS_ACTIVE, &labels, f64::from(active));
            run.batch.push(&PATHS_FAILED, &labels, f64::from(failed));
        }
        Ok(())
    }
}

fn paths(device: &Path) -> Vec<String> {
    attribute::names(&device.join("slaves")).unwrap_or_default()
}
