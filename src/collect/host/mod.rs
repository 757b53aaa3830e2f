//! `host`: the machine, in parts that have node_exporter's names, families and labels (release 1.12).
//!
//! Each part is timed and fails alone: `node_scrape_collector_duration_seconds` and `_success` stand in its own batch.
//! The kernel's files are read below configurable roots, so that a container shows its host and a test a made-up one.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use async_trait::async_trait;

use super::{CollectError, Collector, Declare, Deps, Output};
use crate::clock::Clock;
use crate::config::{Environment, Problems};
use crate::metrics::{Batch, Desc, Room};

mod absent;
mod attribute;
mod config;
mod cpuinfo;
mod dbus;
mod detached;
mod fields;
mod files;
mod filter;
mod findings;
mod folders;
mod glob;
mod human;
mod infiniband_counters;
mod kept;
#[macro_use]
mod list;
mod mdstat;
mod mounts;
mod names;
mod netlink;
mod rpc;
mod sensor;
mod stamp;
mod statvfs;
mod sysfs;
mod sysinfo;
mod topology;
mod udev;
mod unit;

pub use config::{Backend, DeviceConfig, FilesystemConfig, Parts};
pub use cpuinfo::CpuConfig;
pub use fields::FieldsConfig;
pub use ipvs::IpvsConfig;
use list::{Listed, Site};
pub use netclass::NetclassConfig;
pub(super) use statvfs::is_remote;
pub use statvfs::{Space, Statvfs};
pub use textfile::TextfileConfig;

// `on`: runs by default, as in node_exporter. Last what may have to wait for an answer.
parts! {
    arp => Neighbours, on, DeviceConfig;
    bcache => Bcache, on, bcache::BcacheConfig;
    bcachefs => Bcachefs, on;
    bonding => Bonds, on;
    btrfs => Btrfs, on;
    buddyinfo => FreeBlocks, off;
    cgroups => Controllers, off;
    conntrack => Connections, on;
    cpu => Cpu, on, CpuConfig;
    cpu_vulnerabilities => Vulnerabilities, off;
    cpufreq => Frequencies, on;
    diskstats => Disks, on, DeviceConfig;
    dmi => Firmware, on;
    dmmultipath => Multipath, on;
    drbd => Drbd, off;
    drm => Cards, off;
    edac => Memory, on;
    entropy => Entropy, on;
    fibrechannel => FibreChannel, on;
    filefd => OpenFiles, on;
    hwmon => Hwmon, on, hwmon::HwmonConfig;
    infiniband => InfiniBand, on, DeviceConfig;
    interrupts => Interrupts, off, interrupts::InterruptsConfig;
    ipvs => Balancer, on, IpvsConfig;
    kernel_hung => HungTasks, on;
    ksmd => SamePages, off;
    lnstat => Caches, off;
    loadavg => LoadAverage, on;
    mdadm => Arrays, on;
    meminfo => Memory, on;
    meminfo_numa => Nodes, off;
    mountstats => NfsMounts, off;
    netclass => NetworkClass, on, NetclassConfig;
    netdev => NetworkDevices, on, DeviceConfig;
    network_route => Routes, off;
    netstat => Protocols, on, FieldsConfig;
    nfs => Client, on;
    nfsd => Server, on;
    nvme => Nvme, on;
    nvmesubsystem => Subsystems, off;
    os => Release, on;
    pcidevice => PciDevices, off;
    powersupplyclass => PowerSupplies, on, powersupplyclass::PowerSupplyConfig;
    pressure => Pressure, on;
    processes => Processes, off;
    qdisc => Queues, off, DeviceConfig;
    rapl => Rapl, on, rapl::RaplConfig;
    runit => Services, off, runit::RunitConfig;
    schedstat => Schedules, on;
    selinux => Selinux, on;
    slabinfo => Slabs, off, slabinfo::SlabinfoConfig;
    sockstat => Sockets, on;
    softirqs => SoftInterrupts, off;
    softnet => Softnet, on;
    stat => Totals, on, stat::StatConfig;
    swap => Swaps, off;
    sysctl => Sysctl, off, sysctl::SysctlConfig;
    tapestats => Tapes, on, tapestats::TapeConfig;
    tcpstat => Connections, off;
    textfile => Textfiles, on, TextfileConfig;
    thermal_zone => Thermal, on;
    time => Time, on;
    timex => ClockState, on;
    udp_queues => UdpQueues, on;
    uname => Uname, on;
    vmstat => VirtualMemory, on, FieldsConfig;
    watchdog => Watchdogs, on;
    xfrm => Ipsec, off;
    xfs => Xfs, on;
    zfs => Zfs, on;
    zoneinfo => Zones, off;
    logind => Logins, off;
    systemd => Systemd, off, systemd::SystemdConfig;
    supervisord => Programs, off, supervisord::SupervisordConfig;
    ntp => Ntp, off, ntp::NtpConfig;
    filesystem => Filesystems, on, FilesystemConfig;
}

static DURATION: Desc = Desc::gauge(
    "node_scrape_collector_duration_seconds",
    "node_exporter: Duration of a collector scrape.",
    &["collector"],
);
static SUCCESS: Desc =
    Desc::gauge("node_scrape_collector_success", "node_exporter: Whether a collector succeeded.", &["collector"]);

/// Where the host's file systems are seen.
#[derive(Clone, Debug)]
struct Roots {
    procfs: PathBuf,
    sysfs: PathBuf,
    rootfs: PathBuf,
}

impl Roots {
    /// A file about the network: that of the first process is the host's, also where we run in a container; else our own.
    fn net(&self, file: &str) -> [PathBuf; 2] {
        [self.procfs.join("1/net").join(file), self.procfs.join("net").join(file)]
    }
}

/// What one run has at hand, and what it found. The buffers are kept for the next one.
#[derive(Default)]
struct Run {
    batch: Batch,
    /// What each part's batch held the last time.
    rooms: Vec<Room>,
    /// What other programs wrote. It gives way where it has a name of ours.
    foreign: Batch,
    /// A table, walked while files about its rows are read into the other.
    table: files::Reader,
    files: files::Reader,
    /// For network devices, of which a host may have so many that no other file would stay open.
    devices: files::Reader,
    folders: folders::Folders,
    /// `/proc/stat`, which two parts read: the kernel works longest for it.
    stat: files::Once,
    findings: findings::Findings,
}

/// One of node_exporter's collectors.
#[async_trait]
trait Part: Send + Sync {
    /// Writes its samples; where it fails, what it wrote is dropped.
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError>;
}

/// A part that runs.
struct Entry {
    name: &'static str,
    part: Box<dyn Part>,
    /// Whether its last run failed: a failure is logged when it begins.
    failing: AtomicBool,
}

/// The collector of the machine's own state.
pub struct Host {
    clock: Clock,
    parts: Vec<Entry>,
    /// The last run's buffers.
    buffers: Mutex<Run>,
}

impl Host {
    /// Builds it with another way of asking file systems about their space than the system's.
    pub fn with_statvfs(config: &HostConfig, deps: &Deps, statvfs: &Statvfs) -> Self {
        let site = Site { config, roots: config.roots(), deps, statvfs };
        let build = |row: &list::Row| {
            let part = match config.backend {
                Backend::Linux => Some((row.build)(&site)),
                Backend::Sysinfo => sysinfo::build(row.name, &site),
            };
            part.map(|part| Entry { name: row.name, part, failing: AtomicBool::new(false) })
        };
        Self {
            clock: deps.clock.clone(),
            parts: LIST.iter().filter(|row| config.parts.takes(row)).filter_map(build).collect(),
            buffers: Mutex::default(),
        }
    }
}

#[async_trait]
impl Collector for Host {
    async fn collect(&self, out: &mut Output) -> Result<(), CollectError> {
        let mut run = std::mem::take(&mut *self.buffers.lock().unwrap_or_else(PoisonError::into_inner));
        run.stat.forget();
        run.table.begin();
        run.files.begin();
        run.devices.begin();
        run.folders.begin();
        run.findings = findings::Findings::default();
        let mut rooms = std::mem::take(&mut run.rooms);
        rooms.resize(self.parts.len(), Room::default());
        for (entry, room) in self.parts.iter().zip(&mut rooms) {
            let begun = Instant::now();
            run.batch = Batch::with_room(*room);
            let result = entry.part.collect(&mut run).await;
            let mut batch = std::mem::take(&mut run.batch);
            if result.is_err() {
                batch = Batch::new();
            }
            batch.push(&DURATION, &[entry.name], begun.elapsed().as_secs_f64());
            batch.push(&SUCCESS, &[entry.name], f64::from(result.is_ok()));
            *room = batch.room();
            out.add(entry.name, batch);
            entry.report(result.err());
        }
        run.rooms = rooms;
        // Last, so that the limit of series costs these first.
        out.add("textfile", std::mem::take(&mut run.foreign).foreign());
        out.facts.services.push(run.findings.state(self.clock.now()));
        *self.buffers.lock().unwrap_or_else(PoisonError::into_inner) = run;
        Ok(())
    }
}

impl Entry {
    /// Logs a failure when it begins. What is simply not there is no failure to speak of: many kernels lack a file.
    fn report(&self, error: Option<CollectError>) {
        let began = self.failing.swap(error.is_some(), Ordering::Relaxed) != error.is_some();
        match error {
            Some(CollectError::Io { what, source }) if source.kind() == std::io::ErrorKind::NotFound => {
                tracing::debug!(part = self.name, what, "no data");
            }
            Some(error) if began => tracing::warn!(part = self.name, %error, "a part of the host could not be read"),
            None if began => tracing::info!(part = self.name, "a part of the host can be read again"),
            _ => {}
        }
    }
}

impl Declare for Host {
    type Config = HostConfig;

    const PARTS: &'static [&'static str] = NAMES;

    const FOLLOWS: Option<(&'static str, &'static str)> = Some(("node_exporter", "1.12.1"));

    fn descs() -> Vec<&'static Desc> {
        let mut descs = vec![&DURATION, &SUCCESS];
        descs.extend(LIST.iter().flat_map(|row| (row.descs)()));
        descs
    }

    fn complete(config: &mut Self::Config, environment: &Environment, _problems: &mut Problems) {
        if let Some(root) = environment.get("TIDEWATCH_HOST_ROOT") {
            config.below(Path::new(root));
        }
    }

    fn watches(config: &Self::Config) -> Option<String> {
        Some(config.rootfs.display().to_string())
    }

    fn check(config: &Self::Config, problems: &mut Problems) {
        config.check(problems);
    }

    fn build(config: &Self::Config, parts: &Deps) -> Self {
        Self::with_statvfs(config, parts, &statvfs::system())
    }
}
