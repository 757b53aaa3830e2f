//! `pcidevice`: devices on the PCI bus (Documentation/ABI/testing/sysfs-bus-pci).

use std::path::{Path, PathBuf};

use async_trait::async_trait;

use super::attribute;
use super::{Listed, Part, Run, Site};
use crate::collect::CollectError;
use crate::metrics::{Batch, Desc};

const LOCATION: &[&str] = &["segment", "bus", "device", "function"];

const GIGA: f64 = 1e9;

static INFO: Desc = Desc::gauge(
    "node_pcidevice_info",
    "Non-numeric data from /sys/bus/pci/devices/<location>, value is always 1.",
    &[
        "segment",
        "bus",
        "device",
        "function",
        "parent_segment",
        "parent_bus",
        "parent_device",
        "parent_function",
        "class_id",
        "vendor_id",
        "device_id",
        "subsystem_vendor_id",
        "subsystem_device_id",
        "revision",
    ],
);

/// The attribute, its family, the factor to the family's unit, and what is given where the attribute is missing.
#[rustfmt::skip]
static VALUES: [(&str, Desc, f64, f64); 9] = [
    ("max_link_speed", Desc::gauge("node_pcidevice_max_link_transfers_per_second", "Value of maximum link's transfers per second (T/s)", LOCATION), GIGA, -1.0),
    ("max_link_width", Desc::gauge("node_pcidevice_max_link_width", "Value of maximum link's width (number of lanes)", LOCATION), 1.0, -1.0),
    ("current_link_speed", Desc::gauge("node_pcidevice_current_link_transfers_per_second", "Value of current link's transfers per second (T/s)", LOCATION), GIGA, -1.0),
    ("current_link_width", Desc::gauge("node_pcidevice_current_link_width", "Value of current link's width (number of lanes)", LOCATION), 1.0, -1.0),
    ("d3cold_allowed", Desc::gauge("node_pcidevice_d3cold_allowed", "Whether the PCIe device supports D3cold power state (0/1).", LOCATION), 1.0, 0.0),
    ("sriov_drivers_autoprobe", Desc::gauge("node_pcidevice_sriov_drivers_autoprobe", "Whether SR-IOV drivers autoprobe is enabled for the device (0/1).", LOCATION), 1.0, 0.0),
    ("sriov_numvfs", Desc::gauge("node_pcidevice_sriov_numvfs", "Number of Virtual Functions (VFs) currently enabled for SR-IOV.", LOCATION), 1.0, 0.0),
    ("sriov_totalvfs", Desc::gauge("node_pcidevice_sriov_totalvfs", "Total number of Virtual Functions (VFs) supported by the device.", LOCATION), 1.0, 0.0),
    ("sriov_vf_total_msix", Desc::gauge("node_pcidevice_sriov_vf_total_msix", "Total number of MSI-X vectors for Virtual Functions.", LOCATION), 1.0, 0.0),
];
static NUMA_NODE: Desc = Desc::gauge("node_pcidevice_numa_node", "NUMA node number for the PCI device.", LOCATION);
static POWER: Desc = Desc::gauge(
    "node_pcidevice_power_state",
    "PCIe device power state, one of: D0, D1, D2, D3hot, D3cold, unknown or error.",
    &["segment", "bus", "device", "function", "state"],
);

const POWER_STATES: [&str; 7] = ["D0", "D1", "D2", "D3hot", "D3cold", "unknown", "error"];

pub(super) struct PciDevices {
    folder: PathBuf,
}

impl Listed for PciDevices {
    fn descs() -> Vec<&'static Desc> {
        VALUES.iter().map(|(_, desc, _, _)| desc).chain([&INFO, &NUMA_NODE, &POWER]).collect()
    }

    fn new(site: &Site<'_>) -> Self {
        Self { folder: site.roots.sysfs.join("bus/pci/devices") }
    }
}

#[async_trait]
impl Part for PciDevices {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        for name in attribute::names(&self.folder)? {
            if let Some(location) = location(&name) {
                describe(&self.folder.join(&name), location, &mut run.batch);
            }
        }
        Ok(())
    }
}

/// `0000:00:1f.2` in its four parts.
fn location(name: &str) -> Option<[&str; 4]> {
    let (rest, function) = name.split_once('.')?;
    let mut parts = rest.split(':');
    let location = [parts.next()?, parts.next()?, parts.next()?, function];
    let hexadecimal = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    (parts.next().is_none() && location.iter().all(hexadecimal)).then_some(location)
}

fn describe(folder: &Path, location: [&str; 4], batch: &mut Batch) {
    let text = |file: &str| attribute::text(&folder.join(file)).unwrap_or_default();
    // The device lies below the bridge that it is behind: `…/0000:00:01.0/0000:01:00.0`.
    let link = std::fs::read_link(folder).unwrap_or_default();
    let parent = link.parent().and_then(Path::file_name).and_then(|name| name.to_str()).and_then(self::location);
    let ids = ["class", "vendor", "device", "subsystem_vendor", "subsystem_device", "revision"].map(text);
    let mut labels = location.to_vec();
    labels.extend(parent.unwrap_or(["*"; 4]));
    labels.extend(ids.iter().map(String::as_str));
    batch.push(&INFO, &labels, 1.0);
    for (file, desc, unit, missing) in &VALUES {
        // A speed is `8.0 GT/s PCIe`, or `Unknown`.
        let value = text(file).split(' ').next().and_then(attribute::number);
        batch.push(desc, &location, value.map_or(*missing, |value| value * unit));
    }
    if let Some(node) = attribute::number(&text("numa_node")).filter(|node| *node >= 0.0) {
        batch.push(&NUMA_NODE, &location, node);
    }
    let power = text("power_state");
    let [segment, bus, device, function] = location;
    for state in POWER_STATES.iter().filter(|_| !power.is_empty()) {
        batch.push(&POWER, &[segment, bus, device, function, state], f64::from(power == *state));
    }
}
