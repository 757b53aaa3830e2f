//! `infiniband`: adapters of InfiniBand and RoCE and their ports (Documentation/ABI/stable/sysfs-class-infiniband).

use std::path::PathBuf;

use async_trait::async_trait;

use super::attribute::{self, MILLI};
use super::filter::Filter;
use super::infiniband_counters::COUNTERS;
use super::{HostConfig, Listed, Part, Run, Site};
use crate::collect::CollectError;
use crate::config::Problems;
use crate::metrics::Desc;

const PORT: &[&str] = &["device", "port"];

/// A gigabit per second in bytes.
const GIGABIT: f64 = 125_000_000.0;

static INFO: Desc = Desc::gauge(
    "node_infiniband_info",
    "Non-numeric data from /sys/class/infiniband/<device>, value is always 1.",
    &["device", "board_id", "firmware_version", "hca_type"],
);
static STATE: Desc = Desc::gauge(
    "node_infiniband_state_id",
    "State of the InfiniBand port (0: no change, 1: down, 2: init, 3: armed, 4: active, 5: act defer)",
    PORT,
);
static PHYSICAL_STATE: Desc = Desc::gauge(
    "node_infiniband_physical_state_id",
    "Physical state of the InfiniBand port (0: no change, 1: sleep, 2: polling, 3: disable, 4: shift, 5: link up, 6: link error recover, 7: phytest)",
    PORT,
);
static RATE: Desc = Desc::gauge("node_infiniband_rate_bytes_per_second", "Maximum signal transfer rate", PORT);
static LIFESPAN: Desc = Desc::gauge(
    "node_infiniband_lifespan_seconds",
    "Two reads of the counters within this time might return the same values.",
    PORT,
);

pub(super) struct InfiniBand {
    class: PathBuf,
    devices: Filter,
}

impl Listed for InfiniBand {
    fn descs() -> Vec<&'static Desc> {
        let counters = COUNTERS.iter().map(|(_, desc, _)| desc);
        counters.chain([&INFO, &STATE, &PHYSICAL_STATE, &RATE, &LIFESPAN]).collect()
    }

    fn check(config: &HostConfig, problems: &mut Problems) {
        config.infiniband.check("infiniband", problems);
    }

    fn new(site: &Site<'_>) -> Self {
        let (roots, config) = (&site.roots, &site.config.infiniband);
        Self { class: roots.sysfs.join("class/infiniband"), devices: config.filter("") }
    }
}

#[async_trait]
impl Part for InfiniBand {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        for device in run.folders.names(&self.class)? {
            if !self.devices.takes(&device) {
                continue;
            }
            let folder = self.class.join(&device);
            let [board, firmware, hca] =
                ["board_id", "fw_ver", "hca_type"].map(|file| attribute::text(&folder.join(file)).unwrap_or_default());
            run.batch.push(&INFO, &[&device, &board, &firmware, &hca], 1.0);
            let ports = folder.join("ports");
            for port in attribute::names(&ports)? {
                let (folder, labels) = (ports.join(&port), [device.as_str(), port.as_str()]);
                let first =
                    |file: &str, end: char| attribute::number(attribute::text(&folder.join(file))?.split(end).next()?);
                let values = [
                    (&STATE, first("state", ':')),
                    (&PHYSICAL_STATE, first("phys_state", ':')),
                    (&RATE, first("rate", ' ').map(|gigabits| gigabits * GIGABIT)),
                    (&LIFESPAN, attribute::value(&folder.join("hw_counters/lifespan")).map(|value| value * MILLI)),
                ];
                for (desc, value) in values {
                    if let Some(value) = value {
                        run.batch.push(desc, &labels, value);
                    }
                }
                attribute::push(&mut run.batch, &COUNTERS, &folder, &labels);
            }
        }
        Ok(())
    }
}
