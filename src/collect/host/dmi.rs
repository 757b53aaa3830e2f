//! `dmi`: what the machine's firmware says it is (sysfs-firmware-dmi). It does not change while the kernel runs.

use std::path::PathBuf;
use std::sync::OnceLock;

use async_trait::async_trait;

use super::sysfs::{attribute, no_data};
use super::{Listed, Part, Run, Site};
use crate::collect::CollectError;
use crate::metrics::Desc;

/// How it is described: the labels are those whose file is there and can be read.
static INFO: Desc = Desc::gauge("node_dmi_info", "What the firmware says about the machine; the value is 1.", LABELS);

/// The labels; each is the name of its file, but the last.
const LABELS: &[&str] = &[
    "bios_date",
    "bios_release",
    "bios_vendor",
    "bios_version",
    "board_asset_tag",
    "board_name",
    "board_serial",
    "board_vendor",
    "board_version",
    "chassis_asset_tag",
    "chassis_serial",
    "chassis_vendor",
    "chassis_version",
    "product_family",
    "product_name",
    "product_serial",
    "product_sku",
    "product_uuid",
    "product_version",
    "system_vendor",
];

pub(super) struct Firmware {
    folder: PathBuf,
    found: OnceLock<Vec<(&'static str, String)>>,
}

impl Listed for Firmware {
    fn descs() -> Vec<&'static Desc> {
        vec![&INFO]
    }

    fn new(site: &Site<'_>) -> Self {
        Self { folder: site.roots.sysfs.join("class/dmi/id"), found: OnceLock::new() }
    }
}

#[async_trait]
impl Part for Firmware {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        let found = self.found.get_or_init(|| {
            let file = |label: &'static str| if label == "system_vendor" { "sys_vendor" } else { label };
            let read = |label: &&'static str| {
                attribute(&mut run.files, &self.folder.join(file(label))).map(|text| (*label, text))
            };
            LABELS.iter().filter_map(read).collect()
        });
        if found.is_empty() {
            return Err(no_data(&self.folder));
        }
        let labels: Vec<(&str, &str)> = found.iter().map(|(label, text)| (*label, text.as_str())).collect();
        run.batch.push_labelled(&INFO, &labels, 1.0);
        Ok(())
    }
}
