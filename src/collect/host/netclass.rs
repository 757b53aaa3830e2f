//! `netclass`: what network devices are and how they stand (sysfs-class-net).

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde::Deserialize;

use super::config::as_of;
use super::filter::Filter;
use super::folders::Entry;
use super::sysfs::{attribute, value};
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

/// How a device stands, in numbers, with their families.
#[rustfmt::skip]
static STATES: [(&str, Desc); 6] = [
    ("carrier", property(Kind::Gauge, "node_network_carrier", "Network device property: carrier")),
    ("carrier_changes", property(Kind::Counter, "node_network_carrier_changes_total", "Network device property: carrier_changes_total")),
    ("carrier_up_count", property(Kind::Counter, "node_network_carrier_up_changes_total", "Network device property: carrier_up_changes_total")),
    ("carrier_down_count", property(Kind::Counter, "node_network_carrier_down_changes_total", "Network device property: carrier_down_changes_total")),
    ("dormant", property(Kind::Gauge, "node_network_dormant", "Network device property: dormant")),
    ("flags", property(Kind::Gauge, "node_network_flags", "Network device property: flags")),
];

/// What a device is and how it was set up, in numbers, with their families.
#[rustfmt::skip]
static SETTINGS: [(&str, Desc); 10] = [
    ("addr_assign_type", property(Kind::Gauge, "node_network_address_assign_type", "Network device property: address_assign_type")),
    ("dev_id", property(Kind::Gauge, "node_network_device_id", "Network device property: device_id")),
    ("ifindex", property(Kind::Gauge, "node_network_iface_id", "Network device property: iface_id")),
    ("iflink", property(Kind::Gauge, "node_network_iface_link", "Network device property: iface_link")),
    ("link_mode", property(Kind::Gauge, "node_network_iface_link_mode", "Network device property: iface_link_mode")),
    ("mtu", property(Kind::Gauge, "node_network_mtu_bytes", "Network device property: mtu_bytes")),
    ("name_assign_type", property(Kind::Gauge, "node_network_name_assign_type", "Network device property: name_assign_type")),
    ("netdev_group", property(Kind::Gauge, "node_network_net_dev_group", "Network device property: net_dev_group")),
    ("tx_queue_len", property(Kind::Gauge, "node_network_transmit_queue_length", "Network device property: transmit_queue_length")),
    ("type", property(Kind::Gauge, "node_network_protocol_type", "Network device property: protocol_type")),
];

/// The same in words.
const WORDS: [&str; 3] = ["address", "broadcast", "ifalias"];

/// Settings are read again after this, and at once where a device is another one or was switched: half of what sysfs
/// tells changes only when somebody changes it, and each attribute is a call of its own.
const SETTINGS_LAST: Duration = Duration::from_mins(1);

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
    /// Without the label `adminstate` in an older release.
    info: Cow<'static, Desc>,
    /// By the device's name.
    settings: Mutex<HashMap<String, Settings>>,
}

/// What is known of a device.
struct Settings {
    inode: u64,
    flags: Option<u32>,
    read: Instant,
    numbers: [Option<f64>; SETTINGS.len()],
    words: [String; WORDS.len()],
}

impl Listed for NetworkClass {
    fn descs() -> Vec<&'static Desc> {
        STATES.iter().chain(&SETTINGS).map(|(_, desc)| desc).chain([&UP, &INFO, &SPEED]).collect()
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
            info: as_of(site.config.is_older(), &INFO, "adminstate"),
            settings: Mutex::default(),
        }
    }
}

#[async_trait]
impl Part for NetworkClass {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        let mut settings = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        let mut before = std::mem::take(&mut *settings);
        // `bonding_masters` is a file among the devices.
        let devices = run.folders.entries(&self.class)?;
        for device in devices.iter().filter(|entry| !entry.is_file && self.devices.takes(&entry.name)) {
            let told = self.device(run, device, before.remove(&device.name));
            settings.insert(device.name.clone(), told);
        }
        Ok(())
    }
}

impl NetworkClass {
    /// Writes what there is to tell of a device, and returns what the next run need not read.
    fn device(&self, run: &mut Run, entry: &Entry, before: Option<Settings>) -> Settings {
        let (device, folder) = (entry.name.as_str(), self.class.join(&entry.name));
        run.devices.belongs(&folder, entry.inode);
        let mut flags = None;
        for (file, desc) in &STATES {
            // Many devices give an error where an attribute does not apply to them.
            if let Some(number) = value(&mut run.devices, &folder.join(file)) {
                run.batch.push(desc, &[device], number);
                if *file == "flags" {
                    flags = Some(number as u32);
                }
            }
        }
        let lasts = |known: &Settings| {
            known.inode == entry.inode && known.flags == flags && known.read.elapsed() < SETTINGS_LAST
        };
        let settings = before.filter(lasts).unwrap_or_else(|| Settings {
            inode: entry.inode,
            flags,
            read: Instant::now(),
            numbers: SETTINGS.each_ref().map(|(file, _)| value(&mut run.devices, &folder.join(file))),
            words: WORDS.map(|file| attribute(&mut run.devices, &folder.join(file)).unwrap_or_default()),
        });
        for ((_, desc), number) in SETTINGS.iter().zip(settings.numbers) {
            if let Some(number) = number {
                run.batch.push(desc, &[device], number);
            }
        }
        let speed = run.devices.attribute(&folder.join("speed")).ok().and_then(|text| text.trim().parse::<i64>().ok());
        if let Some(speed) = speed.filter(|speed| *speed >= 0 || !self.ignore_invalid_speed) {
            // Megabits in bytes, and -1 as the original rounds it.
            run.batch.push(&SPEED, &[device], (speed.saturating_mul(1_000_000) / 8) as f64);
        }
        let mut text = |file| attribute(&mut run.devices, &folder.join(file)).unwrap_or_default();
        let (duplex, state) = (text("duplex"), text("operstate"));
        let admin = match flags {
            None => "unknown",
            Some(flags) if flags & SWITCHED_ON != 0 => "up",
            Some(_) => "down",
        };
        let [address, broadcast, alias] = &settings.words;
        run.batch.push(&UP, &[device], f64::from(state == "up"));
        let labels = [address, admin, broadcast, device, &duplex, alias, &state];
        let of_older = [address, broadcast, device, &duplex, alias, &state];
        let labels: &[&str] = if self.info.labels.len() < labels.len() { &of_older } else { &labels };
        run.batch.push(&self.info, labels, 1.0);
        settings
    }
}
