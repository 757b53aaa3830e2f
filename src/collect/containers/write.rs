//! From what was looked up to samples.

use super::container::{Container, Limits, Phase};
use super::disks::Disk;
use super::families::{FS_DISK, FS_SPACE, FS_USAGE};
use super::options::{Group, Groups};
use super::reader::Look;
use super::series::Series;
use super::space::{Mount, Space};
use super::stats::{Io, Stats};
use super::usage::Usage;
use crate::metrics::Batch;

/// What every container's series need.
pub(super) struct Scene<'a> {
    pub(super) groups: &'a Groups,
    /// The names of the shown labels, as they are written.
    pub(super) shown: &'a [String],
    pub(super) look: &'a Look,
    pub(super) usage: &'a Usage,
    /// Seconds since 1970.
    pub(super) now: i64,
}

impl Scene<'_> {
    /// A container. `id` is its cgroup's path, `kills` all of its lives.
    pub(super) fn container(
        &self,
        batch: &mut Batch,
        container: &Container,
        id: &str,
        stats: Option<&Stats>,
        kills: u64,
    ) {
        let mut series = Series::of_container(batch, self.shown, container, id);
        let details = container.details.as_ref();
        series.life(details.map(|details| details.restarts), container.exit_code);
        if container.phase == Phase::Still && container.exit_code.is_none() {
            // It was made, and never started.
            return;
        }
        if self.groups.has(Group::OomEvent) {
            series.oom(kills);
        }
        let Some(stats) = stats else { return };
        let started = details.and_then(|details| details.started).map(jiff::Timestamp::as_second);
        series.about(self.now, container.created, started, container.health.value());
        let limits = details.map(|details| &details.limits);
        if let Some(limits) = limits {
            series.spec(self.limits(limits), limits.cpu_quota);
        }
        if self.groups.has(Group::CpuLoad) {
            series.load();
        }
        series.stats(stats, limits.is_some_and(|limits| limits.cpu_quota > 0));
        let storage = self.look.storage.as_ref();
        self.io(&mut series, stats, storage.map(|(mount, _)| mount));
        if let Some((mount, space)) = storage {
            self.file_system(&mut series, mount, space);
            if let Some(bytes) = self.usage.bytes(&container.id) {
                series.push_with(&FS_USAGE[0], &[("device", &mount.device)], bytes as f64);
            }
        }
    }

    /// Swap by itself with version 2, with memory in version 1.
    fn limits(&self, limits: &Limits) -> [u64; 5] {
        let swap = if self.look.unified {
            limits.memory_and_swap.saturating_sub(limits.memory)
        } else {
            limits.memory_and_swap
        };
        [limits.cpu_period, limits.cpu_shares, limits.memory, limits.reservation, swap]
    }

    /// The root, or another cgroup that is no container's.
    pub(super) fn cgroup(&self, batch: &mut Batch, id: &str, stats: &Stats) {
        let mut series = Series::of_cgroup(batch, self.shown, id);
        let root = id == "/";
        let made = if root { self.look.booted } else { 0 };
        series.about(self.now, made, Some(made).filter(|_| root), -1.0);
        if self.groups.has(Group::OomEvent) {
            series.oom(stats.oom_kills.unwrap_or(0));
        }
        if root {
            let machine = &self.look.machine;
            let (period, shares) = if self.look.unified { (0, 0) } else { (100_000, 1024) };
            let swap = if self.look.unified { machine.swap } else { 0 };
            series.spec([period, shares, machine.memory, 0, swap], 0);
        }
        if self.groups.has(Group::CpuLoad) {
            series.load();
        }
        series.stats(stats, false);
        self.io(&mut series, stats, None);
        if root {
            for (mount, space) in &self.look.file_systems {
                self.root_file_system(&mut series, mount, space, stats);
            }
        }
    }

    /// What it did on each device, and on that of `storage` also when it did nothing.
    fn io(&self, series: &mut Series<'_>, stats: &Stats, storage: Option<&Mount>) {
        let Some(rows) = &stats.io else { return };
        for row in rows {
            series.io(&self.look.disks.name(row.major, row.minor), row);
        }
        let name = |row: &Io| self.look.disks.name(row.major, row.minor);
        if let Some(mount) = storage.filter(|mount| !rows.iter().any(|row| name(row) == mount.device)) {
            series.fs_io(&mount.device, &Io::default());
        }
    }

    fn file_system(&self, series: &mut Series<'_>, mount: &Mount, space: &Space) {
        if self.groups.has(Group::Disk) {
            for (desc, value) in FS_SPACE.iter().zip([space.size, space.files, space.files_free]) {
                series.push_with(desc, &[("device", &mount.device)], value as f64);
            }
        }
        if self.groups.has(Group::DiskIo)
            && let Some(disk) = self.look.disks.disk(mount.number, &mount.device)
        {
            for (desc, value) in FS_DISK.iter().zip(whole(disk)) {
                series.push_with(desc, &[("device", &mount.device)], value);
            }
        }
    }

    /// The root's file systems; where its cgroup does not count I/O, the kernel's table of disks does.
    fn root_file_system(&self, series: &mut Series<'_>, mount: &Mount, space: &Space, stats: &Stats) {
        self.file_system(series, mount, space);
        if self.groups.has(Group::Disk) {
            series.push_with(&FS_USAGE[0], &[("device", &mount.device)], space.used as f64);
        }
        let name = |row: &Io| self.look.disks.name(row.major, row.minor);
        let counted = stats.io.iter().flatten().any(|row| name(row) == mount.device);
        let disk = self.look.disks.disk(mount.number, &mount.device);
        if let Some(disk) = disk.filter(|_| self.groups.has(Group::DiskIo) && !counted) {
            let (read_bytes, write_bytes) = (disk.sectors_read * 512, disk.sectors_written * 512);
            let io = Io { read_bytes, write_bytes, reads: disk.reads, writes: disk.writes, ..Io::default() };
            series.fs_io(&mount.device, &io);
        }
    }
}

/// In the order of [`FS_DISK`]; times in seconds.
fn whole(disk: &Disk) -> [f64; 9] {
    let seconds = |millis: u64| millis as f64 / 1e3;
    [
        disk.reads_merged as f64,
        disk.writes_merged as f64,
        disk.sectors_read as f64,
        disk.sectors_written as f64,
        seconds(disk.read_time),
        seconds(disk.write_time),
        disk.current as f64,
        seconds(disk.io_time),
        seconds(disk.weighted_time),
    ]
}
