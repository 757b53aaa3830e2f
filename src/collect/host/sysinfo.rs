//! The other backend: what the crate `sysinfo` tells on any system, under the same names.

use std::time::Duration;

use ::sysinfo::{Disks, MemoryRefreshKind, Networks, System};
use async_trait::async_trait;
use tokio::time::Instant;

use super::config::{DeviceConfig, FilesystemConfig};
use super::detached::Detached;
use super::filter::Filter;
use super::{Listed, Part, Run, Site, filesystem, loadavg, meminfo, netdev, stat, time, uname};
use crate::collect::CollectError;
use crate::metrics::Desc;

/// The parts that it has. It knows shares of processors, not their seconds, and no disks but mounted ones.
pub(super) const HAS: [&str; 7] = ["filesystem", "loadavg", "meminfo", "netdev", "stat", "time", "uname"];

/// The part of that name, where it has it.
pub(super) fn build(name: &str, site: &Site<'_>) -> Option<Box<dyn Part>> {
    Some(match name {
        "filesystem" => {
            let detached = Detached::new(site.deps.tasks.clone(), site.deps.clock.clone());
            Box::new(Filesystems::new(&site.config.filesystem, detached))
        }
        "loadavg" => Box::new(LoadAverage),
        "meminfo" => Box::new(Memory),
        "netdev" => Box::new(NetworkDevices::new(&site.config.netdev)),
        "stat" => Box::new(Totals),
        "time" => Box::new(time::Time::new(site)),
        "uname" => Box::new(uname::Uname),
        _ => return None,
    })
}

fn failed(what: &str, why: &impl ToString) -> CollectError {
    CollectError::Malformed { what: what.to_owned(), why: why.to_string() }
}

/// `meminfo`: memory and swap, as far as all systems have them.
pub(super) struct Memory;

#[async_trait]
impl Part for Memory {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        let mut system = System::new().map_err(|error| failed("sysinfo", &error))?;
        system.refresh_memory_specifics(MemoryRefreshKind::everything());
        let fields = [
            ("MemTotal", system.total_memory()),
            ("MemFree", system.free_memory()),
            ("MemAvailable", system.available_memory()),
            ("SwapTotal", system.total_swap()),
            ("SwapFree", system.free_swap()),
        ];
        for (key, value) in fields {
            if let Some(desc) = meminfo::field(key) {
                run.batch.push(desc, &[], value as f64);
            }
        }
        run.findings.memory(system.total_memory() as f64, system.available_memory() as f64);
        Ok(())
    }
}

/// `loadavg`: where the system has it; Windows has not.
pub(super) struct LoadAverage;

#[async_trait]
impl Part for LoadAverage {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        let load = System::load_average().map_err(|error| failed("sysinfo", &error))?;
        for (desc, value) in loadavg::LOAD.iter().zip([load.one, load.five, load.fifteen]) {
            run.batch.push(desc, &[], value);
        }
        Ok(())
    }
}

/// `stat`: when the system started.
pub(super) struct Totals;

#[async_trait]
impl Part for Totals {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        let boot = System::boot_time().map_err(|error| failed("sysinfo", &error))?;
        run.batch.push(&stat::BOOT_TIME, &[], boot as f64);
        Ok(())
    }
}

/// `filesystem`: size, space for others than root, read-only. All mounts are asked in one call that a single one of
/// them can hold up, so the call is made on a thread of its own.
pub(super) struct Filesystems {
    points: Filter,
    types: Filter,
    timeout: Duration,
    detached: Detached,
}

/// One mount as `sysinfo` tells it.
struct Disk {
    device: String,
    kind: String,
    point: String,
    size: u64,
    avail: u64,
    read_only: bool,
}

impl Filesystems {
    pub(super) fn new(config: &FilesystemConfig, detached: Detached) -> Self {
        Self { points: config.points(), types: config.types(), timeout: config.mount_timeout.0, detached }
    }
}

#[async_trait]
impl Part for Filesystems {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        let answer = self.detached.call("disks", Instant::now() + self.timeout, disks).await;
        let disks = answer.ok_or_else(|| failed("file systems", &"one of them does not answer"))??;
        for disk in &disks {
            if !self.points.takes(&disk.point) || !self.types.takes(&disk.kind) {
                continue;
            }
            let labels = [disk.device.as_str(), "", &disk.kind, &disk.point];
            let families: [(&Desc, f64); 3] = [
                (&filesystem::SIZE, disk.size as f64),
                (&filesystem::AVAIL, disk.avail as f64),
                (&filesystem::READ_ONLY, f64::from(disk.read_only)),
            ];
            for (desc, value) in families {
                run.batch.push(desc, &labels, value);
            }
            if !disk.read_only {
                run.findings.disk(&disk.point, disk.size, disk.avail);
            }
        }
        Ok(())
    }
}

fn disks() -> Result<Vec<Disk>, CollectError> {
    let disks = Disks::new_with_refreshed_list().map_err(|error| failed("sysinfo", &error))?;
    let mut all: Vec<Disk> = Vec::new();
    for disk in &disks {
        let disk = Disk {
            device: disk.name().to_string_lossy().into_owned(),
            kind: disk.file_system().to_string_lossy().into_owned(),
            point: disk.mount_point().to_string_lossy().into_owned(),
            size: disk.total_space(),
            avail: disk.available_space(),
            read_only: disk.is_read_only(),
        };
        let same = |other: &Disk| (&other.device, &other.kind, &other.point) == (&disk.device, &disk.kind, &disk.point);
        if !all.iter().any(same) {
            all.push(disk);
        }
    }
    Ok(all)
}

/// `netdev`: bytes, packets and errors of each device.
pub(super) struct NetworkDevices {
    devices: Filter,
}

impl NetworkDevices {
    pub(super) fn new(config: &DeviceConfig) -> Self {
        Self { devices: config.filter("") }
    }
}

#[async_trait]
impl Part for NetworkDevices {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        let networks = Networks::new_with_refreshed_list().map_err(|error| failed("sysinfo", &error))?;
        for (device, data) in &networks {
            let device = device.to_string_lossy();
            if !self.devices.takes(&device) {
                continue;
            }
            let received = [data.total_received(), data.total_packets_received(), data.total_errors_on_received()];
            let sent = [data.total_transmitted(), data.total_packets_transmitted(), data.total_errors_on_transmitted()];
            for (columns, values) in [(&netdev::RECEIVE, received), (&netdev::TRANSMIT, sent)] {
                // The first three columns are bytes, packets and errors.
                for ((_, desc), value) in columns.iter().zip(values) {
                    run.batch.push(desc, &[&device], value as f64);
                }
            }
        }
        Ok(())
    }
}
