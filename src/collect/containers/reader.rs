//! One look at the host's files: every cgroup, the disks, the file systems and the machine. It blocks, so it runs on a
//! thread of its own.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::cgroups::Hierarchy;
use super::container::{Container, Phase};
use super::disks::Disks;
use super::files::{Buffer, field};
use super::machine::{Machine, ids};
use super::network;
use super::options::{Group, Groups};
use super::processes;
use super::sockets;
use super::space::{Mount, Mounts, Space, Statvfs};
use super::stats::Stats;

/// Where the host's file systems are seen.
#[derive(Clone, Debug)]
pub(super) struct Roots {
    pub(super) procfs: PathBuf,
    pub(super) sysfs: PathBuf,
    pub(super) rootfs: PathBuf,
}

/// More cgroups beside the containers' than this are not read.
const MOST_OTHERS: usize = 5_000;

/// A container whose cgroup is there.
pub(super) struct Found {
    /// Its path, which is the label `id`.
    pub(super) path: String,
    pub(super) stats: Stats,
    /// Its network namespace could not be looked into: the daemon can.
    pub(super) blind: bool,
}

/// What a look found.
#[derive(Default)]
pub(super) struct Look {
    pub(super) unified: bool,
    /// In the order of the containers that were asked for; `None` where no cgroup is to be seen.
    pub(super) containers: Vec<Option<Found>>,
    /// The root and, on request, other cgroups that are no container's.
    pub(super) others: Vec<(String, Stats)>,
    pub(super) disks: Disks,
    /// The file system that holds the containers.
    pub(super) storage: Option<(Mount, Space)>,
    /// Those of the root.
    pub(super) file_systems: Vec<(Mount, Space)>,
    pub(super) machine: Machine,
    /// When the kernel started.
    pub(super) booted: i64,
}

/// Looks, and remembers what stays the same.
pub(super) struct Reader {
    roots: Roots,
    groups: Groups,
    /// Prefixes of the paths of cgroups that are read although they are no container's.
    others: Vec<String>,
    statvfs: Statvfs,
    buffer: Buffer,
    /// The cgroup of each container by id, of the generation that it was found for.
    paths: HashMap<String, (u64, Place)>,
    machine: Machine,
    booted: OnceLock<i64>,
}

/// Where a container is.
#[derive(Clone)]
struct Place {
    path: String,
    /// A process of it in our view of `/proc`.
    pid: Option<u32>,
}

impl Reader {
    pub(super) fn new(roots: Roots, groups: Groups, others: Vec<String>, statvfs: Statvfs) -> Self {
        Self {
            roots,
            groups,
            others,
            statvfs,
            buffer: Buffer::default(),
            paths: HashMap::new(),
            machine: Machine::default(),
            booted: OnceLock::new(),
        }
    }

    /// Looks at everything. `storage` is the daemon's folder on the host.
    pub(super) fn look(&mut self, containers: &[Container], storage: Option<&str>) -> Look {
        let hierarchy = Hierarchy::find(&self.roots.sysfs);
        let unified = hierarchy.as_ref().is_none_or(|hierarchy| hierarchy.unified);
        let mut look = Look { unified, ..Look::default() };
        self.look_at_machine(&mut look);
        if let Some(hierarchy) = &hierarchy {
            look.containers = containers.iter().map(|container| self.container(hierarchy, container)).collect();
            let there: HashSet<&str> = containers.iter().map(|container| container.id.as_str()).collect();
            self.paths.retain(|id, _| there.contains(id.as_str()));
            self.look_at_root(hierarchy, &mut look);
            let taken: HashSet<&str> = look.containers.iter().flatten().map(|found| found.path.as_str()).collect();
            let others = self.other_paths(hierarchy, &taken);
            for path in others {
                if let Some(cgroup) = hierarchy.open(&path, &self.groups) {
                    let mut stats = cgroup.read(&self.groups, &mut self.buffer);
                    self.look_at_processes(hierarchy, &path, &mut stats);
                    look.others.push((path, stats));
                }
            }
        } else {
            look.containers.resize_with(containers.len(), || None);
        }
        if self.groups.has(Group::Disk) || self.groups.has(Group::DiskIo) {
            self.look_at_disks(&mut look, storage);
        }
        look
    }

    fn container(&mut self, hierarchy: &Hierarchy, container: &Container) -> Option<Found> {
        if container.phase == Phase::Still {
            return None;
        }
        let known = self.paths.get(&container.id).filter(|(generation, _)| *generation == container.generation);
        let place = if let Some((_, place)) = known {
            place.clone()
        } else {
            let place = self.place(hierarchy, container)?;
            self.paths.insert(container.id.clone(), (container.generation, place.clone()));
            place
        };
        let cgroup = hierarchy.open(&place.path, &self.groups)?;
        let mut stats = cgroup.read(&self.groups, &mut self.buffer);
        let shares = container.details.as_ref().is_some_and(|details| details.shares_network);
        let mut blind = false;
        if self.groups.has(Group::Network) && !shares {
            let table = place.pid.map(|pid| self.roots.procfs.join(pid.to_string()).join("net/dev"));
            match table.and_then(|table| self.buffer.read(&table)) {
                Some(table) => stats.network = network::parse(table),
                None => blind = true,
            }
        }
        if let Some(pid) = place.pid.filter(|_| !shares) {
            let net = self.roots.procfs.join(pid.to_string()).join("net");
            stats.sockets = sockets::read(&net, &self.groups, &mut self.buffer);
        }
        self.look_at_processes(hierarchy, &place.path, &mut stats);
        Some(Found { path: place.path, stats, blind })
    }

    /// Where a container is, and a process of it: one that another program's view of `/proc` would not have.
    fn place(&mut self, hierarchy: &Hierarchy, container: &Container) -> Option<Place> {
        let path = hierarchy.resolve(container, &self.roots.procfs, &mut self.buffer)?;
        let told = container.details.as_ref().map(|details| details.pid).filter(|pid| *pid != 0);
        let pids = if told.is_some() { Vec::new() } else { self.pids(hierarchy, &path) };
        let mut pids = told.into_iter().chain(pids).take(10);
        let procfs = &self.roots.procfs;
        let pid = pids.find(|pid| {
            let cgroup = self.buffer.read(&procfs.join(pid.to_string()).join("cgroup"));
            cgroup.is_some_and(|text| text.contains(&container.id))
        });
        Some(Place { path, pid })
    }

    fn pids(&mut self, hierarchy: &Hierarchy, path: &str) -> Vec<u32> {
        let file = hierarchy.folder(path).join("cgroup.procs");
        self.buffer.read(&file).map(processes::pids).unwrap_or_default()
    }

    fn look_at_machine(&mut self, look: &mut Look) {
        let Roots { procfs, sysfs, rootfs } = &self.roots;
        let machine = &mut self.machine;
        machine.topology.refresh(sysfs, &mut self.buffer);
        if machine.ids.iter().all(String::is_empty) {
            machine.ids = ids(procfs, sysfs, rootfs, &mut self.buffer);
        }
        machine.take_memory(self.buffer.read(&procfs.join("meminfo")).unwrap_or_default());
        look.machine = machine.clone();
        let buffer = &mut self.buffer;
        // The kernel works long for this file, and this line of it never changes.
        look.booted = *self.booted.get_or_init(|| {
            let text = buffer.read(&procfs.join("stat")).unwrap_or_default();
            field(text, "btime").and_then(|time| i64::try_from(time).ok()).unwrap_or(0)
        });
    }

    fn look_at_root(&mut self, hierarchy: &Hierarchy, look: &mut Look) {
        let Some(cgroup) = hierarchy.open("/", &self.groups) else { return };
        let mut stats = cgroup.read(&self.groups, &mut self.buffer);
        let procfs = &self.roots.procfs;
        if let Some(memory) = stats.memory.as_mut().filter(|_| hierarchy.unified) {
            memory.swap = memory.swap.or(Some(look.machine.swap_used));
        }
        // The host's own count: the root's cgroup has none.
        stats.oom_kills = self.buffer.read(&procfs.join("vmstat")).and_then(|text| field(text, "oom_kill"));
        if self.groups.has(Group::Network) {
            let tables = [procfs.join("1/net/dev"), procfs.join("net/dev")];
            let table = tables.iter().find(|table| table.exists());
            stats.network = table.and_then(|table| self.buffer.read(table)).map(network::parse).unwrap_or_default();
        }
        stats.sockets = sockets::read(&procfs.join("1/net"), &self.groups, &mut self.buffer);
        self.look_at_processes(hierarchy, "/", &mut stats);
        look.others.push(("/".to_owned(), stats));
    }

    fn look_at_processes(&mut self, hierarchy: &Hierarchy, path: &str, stats: &mut Stats) {
        if !self.groups.has(Group::Process) && !self.groups.has(Group::Sched) {
            return;
        }
        let pids = self.pids(hierarchy, path);
        if self.groups.has(Group::Process) {
            stats.processes = Some(processes::read(&pids, &self.roots.procfs, &mut self.buffer));
        }
        if self.groups.has(Group::Sched) {
            stats.scheduled = Some(processes::scheduled(&pids, &self.roots.procfs, &mut self.buffer));
        }
    }

    /// The cgroups with a wanted prefix, from the top down, without those of containers.
    fn other_paths(&self, hierarchy: &Hierarchy, taken: &HashSet<&str>) -> Vec<String> {
        if self.others.is_empty() {
            return Vec::new();
        }
        let mut open = vec![String::new()];
        let mut found = Vec::new();
        while let Some(path) = open.pop() {
            for entry in std::fs::read_dir(hierarchy.folder(&path)).into_iter().flatten().flatten() {
                let Ok(name) = entry.file_name().into_string() else { continue };
                let below = format!("{path}/{name}");
                let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
                // On the way to a wanted one, or within it.
                let near = |prefix: &String| below.starts_with(prefix.as_str()) || prefix.starts_with(&below);
                if !is_folder || taken.contains(below.as_str()) || !self.others.iter().any(near) {
                    continue;
                }
                if self.others.iter().any(|prefix| below.starts_with(prefix.as_str())) && found.len() < MOST_OTHERS {
                    found.push(below.clone());
                }
                open.push(below);
            }
        }
        found.sort();
        found
    }

    fn look_at_disks(&mut self, look: &mut Look, storage: Option<&str>) {
        let procfs = &self.roots.procfs;
        look.disks = Disks::parse(self.buffer.read(&procfs.join("diskstats")).unwrap_or_default());
        let tables = [procfs.join("1/mountinfo"), procfs.join("self/mountinfo")];
        let table = tables.iter().find_map(|table| self.buffer.read(table).map(Mounts::parse));
        let mounts = table.unwrap_or_default();
        let space = |point: &Path| (self.statvfs)(&below(&self.roots.rootfs, point));
        let held = storage.and_then(|folder| mounts.holding(Path::new(folder)));
        look.storage = held.and_then(|mount| Some((mount.clone(), space(&mount.point)?)));
        look.file_systems =
            mounts.local.iter().filter_map(|mount| Some((mount.clone(), space(&mount.point)?))).collect();
    }
}

/// A path of the host as it is seen here.
fn below(root: &Path, path: &Path) -> PathBuf {
    path.strip_prefix("/").map_or_else(|_| root.join(path), |rest| root.join(rest))
}
