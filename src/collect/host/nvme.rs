//! `nvme`: controllers and their namespaces.

use std::path::{Path, PathBuf};

use async_trait::async_trait;

use super::attribute;
use super::{Listed, Part, Run, Site};
use crate::collect::CollectError;
use crate::metrics::{Batch, Desc};

/// The kernel counts a block device in sectors of this size.
const SECTOR: f64 = 512.0;

const NAMESPACE: &[&str] = &["device", "nsid"];

static INFO: Desc = Desc::gauge(
    "node_nvme_info",
    "Non-numeric data from /sys/class/nvme/<device>, value is always 1.",
    &["device", "firmware_revision", "model", "serial", "state", "cntlid"],
);
static NAMESPACE_INFO: Desc = Desc::gauge(
    "node_nvme_namespace_info",
    "Information about NVMe namespaces. Value is always 1",
    &["device", "nsid", "ana_state"],
);
static CAPACITY: Desc =
    Desc::gauge("node_nvme_namespace_capacity_bytes", "Capacity of the NVMe namespace in bytes.", NAMESPACE);
static SIZE: Desc = Desc::gauge("node_nvme_namespace_size_bytes", "Size of the NVMe namespace in bytes.", NAMESPACE);
static USED: Desc = Desc::gauge(
    "node_nvme_namespace_used_bytes",
    "Used space of the NVMe namespace in bytes; only a kernel from 6.8 on tells it.",
    NAMESPACE,
);
static BLOCK: Desc = Desc::gauge(
    "node_nvme_namespace_logical_block_size_bytes",
    "Logical block size of the NVMe namespace in bytes.",
    NAMESPACE,
);

pub(super) struct Nvme {
    class: PathBuf,
}

impl Listed for Nvme {
    fn descs() -> Vec<&'static Desc> {
        vec![&INFO, &NAMESPACE_INFO, &CAPACITY, &SIZE, &USED, &BLOCK]
    }

    fn new(site: &Site<'_>) -> Self {
        Self { class: site.roots.sysfs.join("class/nvme") }
    }
}

#[async_trait]
impl Part for Nvme {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        for device in run.folders.names(&self.class)? {
            let folder = self.class.join(&device);
            let [firmware, model, serial, state, id] = ["firmware_rev", "model", "serial", "state", "cntlid"]
                .map(|file| attribute::text(&folder.join(file)).unwrap_or_default());
            run.batch.push(&INFO, &[&device, &firmware, &model, &serial, &state, &id], 1.0);
            for name in attribute::names(&folder)? {
                if let Some(id) = namespace(&name) {
                    describe(&folder.join(&name), &device, id, &mut run.batch);
                }
            }
        }
        Ok(())
    }
}

/// The number of the namespace that a folder is of: `nvme0n1`, or `nvme0c1n1` where it is reached over several paths.
pub(super) fn namespace(folder: &str) -> Option<&str> {
    let (controller, id) = folder.strip_prefix("nvme")?.rsplit_once('n')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (digits(id) && controller.split('c').all(digits)).then_some(id)
}

/// What there is of a namespace: a kernel before 6.8 does not tell how much is used.
fn describe(folder: &Path, device: &str, id: &str, batch: &mut Batch) {
    let state = attribute::text(&folder.join("ana_state"));
    batch.push(&NAMESPACE_INFO, &[device, id, state.as_deref().unwrap_or("unknown")], 1.0);
    let labels = [device, id];
    let block = attribute::value(&folder.join("queue/logical_block_size"));
    if let Some(sectors) = attribute::value(&folder.join("size")) {
        batch.push(&CAPACITY, &labels, sectors * SECTOR);
        batch.push(&SIZE, &labels, sectors * SECTOR);
    }
    if let (Some(used), Some(block)) = (attribute::value(&folder.join("nuse")), block) {
        batch.push(&USED, &labels, used * block);
    }
    if let Some(block) = block {
        batch.push(&BLOCK, &labels, block);
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_folder_of_a_namespace_is_known_by_its_name() {
        assert_eq!(super::namespace("nvme0n1"), Some("1"));
        assert_eq!(super::namespace("nvme10c2n12"), Some("12"));
        for other in ["nvme0", "ng0n1", "nvme0n", "nvme0n1p1", "hwmon0", "nvmen1"] {
            assert_eq!(super::namespace(other), None, "{other}");
        }
    }
}
