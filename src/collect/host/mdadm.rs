//! `mdadm`: software RAID (md(4)), from `/proc/mdstat` and sysfs.

use std::path::PathBuf;

use async_trait::async_trait;

use super::files::malformed;
use super::mdstat::{self, Array};
use super::sysfs::{if_there, value};
use super::{Listed, Part, Run, Site};
use crate::collect::CollectError;
use crate::metrics::Desc;

const LABELS: &[&str] = &["device"];
const STATE_LABELS: &[&str] = &["device", "state"];

static STATE: Desc = Desc::gauge("node_md_state", "Indicates the state of md-device.", STATE_LABELS);
static DISKS: Desc = Desc::gauge("node_md_disks", "Number of active/failed/spare disks of device.", STATE_LABELS);
static REQUIRED: Desc = Desc::gauge("node_md_disks_required", "Total number of disks of device.", LABELS);
static BLOCKS: Desc = Desc::gauge("node_md_blocks", "Total number of blocks on device.", LABELS);
static SYNCED: Desc = Desc::gauge("node_md_blocks_synced", "Number of blocks synced on device.", LABELS);
static RAID_DISKS: Desc = Desc::gauge("node_md_raid_disks", "Number of raid disks on device.", LABELS);
static DEGRADED: Desc = Desc::gauge("node_md_degraded", "Number of degraded disks on device.", LABELS);

/// The states that have a series each.
const STATES: [&str; 5] = ["active", "inactive", "recovering", "resync", "check"];

/// Levels that are no array of disks, but describe some.
const CONTAINERS: [&str; 4] = ["container", "imsm", "ddf", ""];

pub(super) struct Arrays {
    table: PathBuf,
    block: PathBuf,
}

impl Listed for Arrays {
    fn descs() -> Vec<&'static Desc> {
        vec![&STATE, &DISKS, &REQUIRED, &BLOCKS, &SYNCED, &RAID_DISKS, &DEGRADED]
    }

    fn new(site: &Site<'_>) -> Self {
        Self { table: site.roots.procfs.join("mdstat"), block: site.roots.sysfs.join("block") }
    }
}

#[async_trait]
impl Part for Arrays {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        let arrays = mdstat::parse(run.files.text(&self.table)?).map_err(|why| malformed(&self.table, &why))?;
        for array in &arrays {
            write(run, array);
        }
        // Arrays that the table does not list, too: they are being made or taken apart.
        for device in if_there(run.folders.names(&self.block))?.unwrap_or_default() {
            if device.starts_with("md") {
                self.device(run, &device)?;
            }
        }
        Ok(())
    }
}

fn write(run: &mut Run, array: &Array) {
    let device = array.device.as_str();
    let batch = &mut run.batch;
    batch.push(&REQUIRED, &[device], array.required as f64);
    for (state, disks) in [("active", array.active), ("failed", array.failed), ("spare", array.spare)] {
        batch.push(&DISKS, &[device, state], disks as f64);
    }
    for state in STATES {
        batch.push(&STATE, &[device, state], f64::from(array.state == state));
    }
    batch.push(&BLOCKS, &[device], array.blocks as f64);
    batch.push(&SYNCED, &[device], array.synced as f64);
}

impl Arrays {
    fn device(&self, run: &mut Run, device: &str) -> Result<(), CollectError> {
        let folder = self.block.join(device).join("md");
        let Some(level) = if_there(run.files.text(&folder.join("level")))? else { return Ok(()) };
        let is_array = !CONTAINERS.contains(&level.trim());
        if is_array {
            // While it is reshaped: `11 (10)`.
            let disks = run.files.text(&folder.join("raid_disks"))?.split_ascii_whitespace().next();
            if let Some(disks) = disks.and_then(|disks| disks.parse::<u32>().ok()) {
                run.batch.push(&RAID_DISKS, &[device], f64::from(disks));
            }
        }
        // Levels without redundancy have no such file.
        let degraded = value(&mut run.files, &folder.join("degraded")).unwrap_or_default();
        run.batch.push(&DEGRADED, &[device], degraded);
        Ok(())
    }
}
