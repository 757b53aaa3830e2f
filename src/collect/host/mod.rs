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
use crate::metrics::{Batch, Desc};

mod config;
mod cpu;
mod detached;
mod diskstats;
mod files;
mod filesystem;
mod filter;
mod findings;
mod kept;
mod loadavg;
mod meminfo;
mod mounts;
mod netdev;
mod stat;
mod statvfs;
mod sysinfo;
mod time;
mod topology;
mod udev;
mod uname;

pub use config::{Backend, DeviceConfig, FilesystemConfig, HostConfig, Parts};
pub use statvfs::{Space, Statvfs};

static DURATION: Desc = Desc::gauge(
    "node_scrape_collector_duration_seconds",
    "node_exporter: Duration of a collector scrape.",
    &["collector"],
);
static SUCCESS: Desc =
    Desc::gauge("node_scrape_collector_success", "node_exporter: Whether a collector succeeded.", &["collector"]);

/// The parts' names. `filesystem` runs last: it is the only one that may have to wait.
const PARTS: &[&str] = &["cpu", "diskstats", "loadavg", "meminfo", "netdev", "stat", "time", "uname", "filesystem"];

/// Where the host's file systems are seen.
#[derive(Clone, Debug)]
struct Roots {
    procfs: PathBuf,
    sysfs: PathBuf,
    rootfs: PathBuf,
}

/// What one run has at hand, and what it found. The buffers are kept for the next one.
#[derive(Default)]
struct Run {
    batch: Batch,
    /// A table, walked while files about its rows are read into the other.
    table: files::Reader,
    files: files::Reader,
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
        let build = |name: &'static str| {
            let part = match config.backend {
                Backend::Linux => linux(name, config, deps, statvfs),
                Backend::Sysinfo => portable(name, config, deps),
            };
            part.map(|part| Entry { name, part, failing: AtomicBool::new(false) })
        };
        Self {
            clock: deps.clock.clone(),
            parts: PARTS.iter().copied().filter(|name| config.parts.takes(name)).filter_map(build).collect(),
            buffers: Mutex::default(),
        }
    }
}

fn linux(name: &str, config: &HostConfig, deps: &Deps, statvfs: &Statvfs) -> Option<Box<dyn Part>> {
    let roots = &config.roots();
    Some(match name {
        "cpu" => Box::new(cpu::Cpu::new(roots)),
        "diskstats" => Box::new(diskstats::Disks::new(roots, &config.diskstats)),
        "filesystem" => {
            let detached = detached::Detached::new(deps.tasks.clone(), deps.clock.clone());
            Box::new(filesystem::Filesystems::new(roots, &config.filesystem, statvfs.clone(), detached))
        }
        "loadavg" => Box::new(loadavg::LoadAverage::new(roots)),
        "meminfo" => Box::new(meminfo::Memory::new(roots)),
        "netdev" => Box::new(netdev::NetworkDevices::new(roots, &config.netdev)),
        "stat" => Box::new(stat::Totals::new(roots)),
        "time" => Box::new(time::Time::new(roots, deps.clock.clone())),
        "uname" => Box::new(uname::Uname),
        _ => return None,
    })
}

fn portable(name: &str, config: &HostConfig, deps: &Deps) -> Option<Box<dyn Part>> {
    Some(match name {
        "filesystem" => {
            let detached = detached::Detached::new(deps.tasks.clone(), deps.clock.clone());
            Box::new(sysinfo::Filesystems::new(&config.filesystem, detached))
        }
        "loadavg" => Box::new(sysinfo::LoadAverage),
        "meminfo" => Box::new(sysinfo::Memory),
        "netdev" => Box::new(sysinfo::NetworkDevices::new(&config.netdev)),
        "stat" => Box::new(sysinfo::Totals),
        "time" => Box::new(time::Time::new(&config.roots(), deps.clock.clone())),
        "uname" => Box::new(uname::Uname),
        _ => return None,
    })
}

#[async_trait]
impl Collector for Host {
    async fn collect(&self, out: &mut Output) -> Result<(), CollectError> {
        let mut run = std::mem::take(&mut *self.buffers.lock().unwrap_or_else(PoisonError::into_inner));
        run.stat.forget();
        run.table.begin();
        run.files.begin();
        run.findings = findings::Findings::default();
        for entry in &self.parts {
            let begun = Instant::now();
            let result = entry.part.collect(&mut run).await;
            let mut batch = std::mem::take(&mut run.batch);
            if result.is_err() {
                batch = Batch::new();
            }
            batch.push(&DURATION, &[entry.name], begun.elapsed().as_secs_f64());
            batch.push(&SUCCESS, &[entry.name], f64::from(result.is_ok()));
            *out.part(entry.name) = batch;
            entry.report(result.err());
        }
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

    const PARTS: &'static [&'static str] = PARTS;

    const FOLLOWS: Option<(&'static str, &'static str)> = Some(("node_exporter", "1.12.1"));

    fn descs() -> Vec<&'static Desc> {
        let mut descs = vec![&DURATION, &SUCCESS];
        descs.extend([&cpu::SECONDS, &cpu::GUEST]);
        descs.extend([&topology::ISOLATED, &topology::CORE_THROTTLES, &topology::PACKAGE_THROTTLES]);
        descs.extend(diskstats::descs());
        descs.extend(filesystem::DESCS);
        descs.extend(&loadavg::LOAD);
        descs.extend(meminfo::FIELDS.iter().map(|field| &field.desc).chain([&meminfo::OTHERS]));
        descs.extend(netdev::descs());
        descs.extend(stat::DESCS);
        descs.extend(time::DESCS);
        descs.push(&uname::INFO);
        descs
    }

    fn complete(config: &mut Self::Config, environment: &Environment, _problems: &mut Problems) {
        if let Some(root) = environment.get("TIDEWATCH_HOST_ROOT") {
            config.below(Path::new(root));
        }
    }

    fn check(config: &Self::Config, problems: &mut Problems) {
        config.check(problems);
    }

    fn build(config: &Self::Config, parts: &Deps) -> Self {
        Self::with_statvfs(config, parts, &statvfs::system())
    }
}
