//! `drm`: graphics cards with AMD's driver (Documentation/gpu/amdgpu).

use std::path::PathBuf;

use async_trait::async_trait;

use super::attribute::{self, Attribute};
use super::{Listed, Part, Run, Site};
use crate::collect::CollectError;
use crate::metrics::Desc;

const fn gauge(name: &'static str, help: &'static str) -> Desc {
    Desc::gauge(name, help, &["card"])
}

#[rustfmt::skip]
static ATTRIBUTES: [Attribute; 7] = [
    ("gpu_busy_percent", gauge("node_drm_gpu_busy_percent", "How busy the GPU is as a percentage."), 1.0),
    ("mem_info_gtt_total", gauge("node_drm_memory_gtt_size_bytes", "The size of the graphics translation table (GTT) block in bytes."), 1.0),
    ("mem_info_gtt_used", gauge("node_drm_memory_gtt_used_bytes", "The used amount of the graphics translation table (GTT) block in bytes."), 1.0),
    ("mem_info_vram_total", gauge("node_drm_memory_vram_size_bytes", "The size of VRAM in bytes."), 1.0),
    ("mem_info_vram_used", gauge("node_drm_memory_vram_used_bytes", "The used amount of VRAM in bytes."), 1.0),
    ("mem_info_vis_vram_total", gauge("node_drm_memory_vis_vram_size_bytes", "The size of visible VRAM in bytes."), 1.0),
    ("mem_info_vis_vram_used", gauge("node_drm_memory_vis_vram_used_bytes", "The used amount of visible VRAM in bytes."), 1.0),
];

static INFO: Desc = Desc::gauge(
    "node_drm_card_info",
    "Card information",
    &["card", "memory_vendor", "power_performance_level", "unique_id", "vendor"],
);

pub(super) struct Cards {
    class: PathBuf,
}

impl Listed for Cards {
    fn descs() -> Vec<&'static Desc> {
        ATTRIBUTES.iter().map(|(_, desc, _)| desc).chain([&INFO]).collect()
    }

    fn new(site: &Site<'_>) -> Self {
        Self { class: site.roots.sysfs.join("class/drm") }
    }
}

#[async_trait]
impl Part for Cards {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        if !self.class.is_dir() {
            return Ok(());
        }
        for (card, number) in attribute::numbered(&self.class, "card")? {
            let folder = self.class.join(&card).join("device");
            let driver = attribute::text(&folder.join("uevent")).unwrap_or_default();
            // `card0-HDMI-A-1` is an output of `card0`.
            let whole = number.bytes().all(|byte| byte.is_ascii_digit());
            if !whole || !driver.lines().any(|line| line == "DRIVER=amdgpu") {
                continue;
            }
            let [vendor, level, id] = ["mem_info_vram_vendor", "power_dpm_force_performance_level", "unique_id"]
                .map(|file| attribute::text(&folder.join(file)).unwrap_or_default());
            run.batch.push(&INFO, &[&card, &vendor, &level, &id, "amd"], 1.0);
            attribute::push(&mut run.batch, &ATTRIBUTES, &folder, &[&card]);
        }
        Ok(())
    }
}
