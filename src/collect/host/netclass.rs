//! `netclass`: what network devices are and how they stand (sysfs-class-net).

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use serde::Deserialize;

use super::filter::Filter;
use super::sysfs::{attribute, names, value};
use super::{HostConfig, Listed, Part, Run, Site};
use crate::collect::CollectError;
use crate::config::Problems;
use crate::metrics::{Desc, Kind};

const LABELS: &[&str] = &["device"];

static UP: Desc = Desc::gauge("node_network_up", "Value is 1 if operstate is 'up', 0 otherwise.", LABELS);
static INFO: Desc = Desc::gauge(
    "node_network_info",
    "Non-numeric data from /sys/class/net/<iface>, value is always 1.",
    &["address", "adminstate", "broadcast", "device", "duplex", "ifalias", "operstate"],
);
static SPEED: Desc = property(Kind::Gauge, "node_network_speed_bytes", "Network device property: speed_bytes");

const fn property(kind: Kind, name: &'static str, help: &'static str) -> Desc {
    Desc::new(kind, name, help, LABELS)
}

/// Attributes that are numbers, with their families.
#[rustfmt::skip]
static NUMBERS: [(&str, Desc); 16] = [
    ("addr_assign_type", property(Kind::Gauge, "node_network_address_assign_type", "Network device property: address_assign_type")),
    ("carrier", property(Kind::Gauge, "node_network_carrier", "Network device property: carrier")),
    ("carrier_changes", property(Kind::Counter, "node_network_carrier_changes_total", "Network device property: carrier_changes_total")),
    ("carrier_up_count", property(Kind::Counter, "node_network_carrier_up_changes_total", "Network device property: carrier_up_changes_total")),
    ("carrier_down_count", property(Kind::Counter, "node_network_carrier_down_changes_total", "Network device property: carrier_down_changes_total")),
    ("dev_id", property(Kind::Gauge, "node_network_device_id", "Network device property: device_id")),
    ("dormant", property(Kind::Gauge, "node_network_dormant", "Network device property: dormant")),
    ("flags", property(Kind::Gauge, "node_network_flags", "Network device property: flags")),
    ("ifindex", property(Kind::Gauge, "node_network_iface_id", "Network device property: iface_id")),
    ("iflink", property(Kind::Gauge, "node_network_iface_link", "Network device property: iface_link")),
    ("link_mode", property(Kind::Gauge, "node_network_iface_link_mode", "Network device property: iface_link_mode")),
    ("mtu", property(Kind::Gauge, "node_network_mtu_bytes", "Network device property: mtu_bytes")),
    ("name_assign_type", property(Kind::Gauge, "node_network_name_assign_type", "Network device property: name_assign_type")),
    ("netdev_group", property(Kind::Gauge, "node_network_net_dev_group", "Network device property: net_dev_group")),
    ("tx_queue_len", property(Kind::Gauge, "node_network_transmit_queue_length", "Network device property: transmit_queue_length")),
    ("type", property(Kind::Gauge, "node_network_protocol_type", "Network device property: protocol_type")),
];

/// Bit 0 of the flags: the device was switched on.
const SWITCHED_ON: u32 = 1;

/// Which devices are told about, and what of them.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NetclassConfig {
    /// No devices whose name matches.
    pub ignored_devices: Option<String>,
    /// Whether a speed that the driver does not know, -1, is left out.
    pub ignore_invalid_speed: bool,
}

pub(super) struct NetworkClass {
    class: PathBuf,
    devices: Filter,
    ignore_invalid_speed: bool,
}

impl Listed for NetworkClass {
    fn descs() -> Vec<&'static Desc> {
        NUMBERS.iter().map(|(_, desc)| desc).chain([&UP, &INFO, &SPEED]).collect()
    }

    fn check(config: &HostConfig, problems: &mut Problems) {
        Filter::check_one("netclass.ignored_devices", config.netclass.ignored_devices.as_deref(), problems);
    }

    fn new(site: &Site<'_>) -> Self {
        let config = &site.config.netclass;
        Self {
            class: site.roots.sysfs.join("class/net"),
            devices: Filter::new(None, config.ignored_devices.as_deref(), ""),
            ignore_invalid_speed: config.ignore_invalid_speed,
        }
    }
}

#[async_trait]
impl Part for NetworkClass {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        for device in names(&self.class)? {
            let folder = self.class.join(&device);
            // `bonding_masters` is a file among the devices.
            if self.devices.takes(&device) && run.devices.is_device(&folder) {
                self.device(run, &device, &folder);
            }
        }
        Ok(())
    }
}

impl NetworkClass {
    fn device(&self, run: &mut Run, device: &str, folder: &Path) {
        let mut flags = None;
        for (file, desc) in &NUMBERS {
            // Many devices give an error where an attribute does not apply to them.
            if let Some(number) = value(&mut run.devices, &folder.join(file)) {
                run.batch.push(desc, &[device], number);
                if *file == "flags" {
                    flags = Some(number as u32);
                }
            }
        }
        let speed = run.devices.attribute(&folder.join("speed")).ok().and_then(|text| text.trim().parse::<i64>().ok());
        if let Some(speed) = speed.filter(|speed| *speed >= 0 || !self.ignore_invalid_speed) {
            // Megabits in bytes, and -1 as the original rounds it.
            run.batch.push(&SPEED, &[device], (speed.saturating_mul(1_000_000) / 8) as f64);
        }
        let mut text = |file| attribute(&mut run.devices, &folder.join(file)).unwrap_or_default();
        let [address, broadcast, duplex, alias, state] =
            ["address", "broadcast", "duplex", "ifalias", "operstate"].map(&mut text);
        let admin = match flags {
            None => "unknown",
            Some(flags) if flags & SWITCHED_ON != 0 => "up",
            Some(_) => "down",
        };
        run.batch.push(&UP, &[device], f64::from(state == "up"));
        run.batch.push(&INFO, &[&address, admin, &broadcast, device, &duplex, &alias, &state], 1.0);
    }
}
