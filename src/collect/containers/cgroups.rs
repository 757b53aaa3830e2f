//! Finding a container's cgroup in the mounted hierarchies, of either version and either driver.

use std::path::{Path, PathBuf};

use super::container::Container;
use super::files::{Buffer, Folder};
use super::options::Groups;
use super::stats::Stats;
use super::{v1, v2};

/// The mounted hierarchies.
#[derive(Clone, Debug)]
pub(super) struct Hierarchy {
    mount: PathBuf,
    /// Version 2.
    pub(super) unified: bool,
}

/// A cgroup that is there now.
pub(super) enum Cgroup {
    V1(v1::Folders),
    V2(Folder),
}

/// The controllers whose path is a container's in version 1: Docker uses the same one for all.
const CONTROLLERS: [&str; 3] = ["memory", "cpuacct", "cpu"];

impl Hierarchy {
    /// What is mounted below `sysfs`; `None` if there is nothing to read.
    pub(super) fn find(sysfs: &Path) -> Option<Self> {
        let mount = sysfs.join("fs/cgroup");
        let unified = mount.join("cgroup.controllers").exists();
        let there = unified || CONTROLLERS.iter().any(|controller| mount.join(controller).is_dir());
        there.then_some(Self { mount, unified })
    }

    /// Opens a cgroup; `None` if it is not there.
    pub(super) fn open(&self, path: &str, groups: &Groups) -> Option<Cgroup> {
        if self.unified {
            Folder::open(&self.mount.join(path.trim_start_matches('/'))).ok().map(Cgroup::V2)
        } else {
            v1::Folders::open(&self.mount, path, groups).map(Cgroup::V1)
        }
    }

    /// A cgroup's folder, for what both versions have: its processes, and those below.
    pub(super) fn folder(&self, path: &str) -> PathBuf {
        let root = if self.unified { self.mount.clone() } else { self.mount.join(self.first()) };
        root.join(path.trim_start_matches('/'))
    }

    fn first(&self) -> &'static str {
        CONTROLLERS.into_iter().find(|controller| self.mount.join(controller).is_dir()).unwrap_or(CONTROLLERS[0])
    }

    /// The cgroup of a container that runs: where its first process is, else where the drivers would put it.
    pub(super) fn resolve(&self, container: &Container, procfs: &Path, buffer: &mut Buffer) -> Option<String> {
        let details = container.details.as_ref();
        let pid = details.map_or(0, |details| details.pid);
        let told = (pid != 0)
            .then(|| buffer.read(&procfs.join(pid.to_string()).join("cgroup")).and_then(|text| self.of_process(text)))
            .flatten()
            .and_then(|path| own(&path, &container.id));
        let parent = details.map_or("", |details| details.cgroup_parent.as_str());
        let guesses = [false, true].into_iter().map(|systemd| usual(&container.id, parent, systemd));
        let podman = format!("/machine.slice/libpod-{}.scope", container.id);
        told.into_iter().chain(guesses).chain([podman]).find(|path| self.folder(path).is_dir())
    }

    /// The path in `/proc/PID/cgroup`. Where that file was written for another namespace than the one that is read, it
    /// climbs: those steps lead to the root of what is mounted here.
    fn of_process(&self, text: &str) -> Option<String> {
        let path = text.lines().find_map(|line| {
            let (_, rest) = line.split_once(':')?;
            let (controllers, path) = rest.split_once(':')?;
            let ours = |controllers: &str| controllers.split(',').any(|name| CONTROLLERS.contains(&name));
            (if self.unified { controllers.is_empty() } else { ours(controllers) }).then_some(path)
        })?;
        let steps: Vec<&str> = path.split('/').filter(|step| !step.is_empty() && *step != "..").collect();
        Some(format!("/{}", steps.join("/")))
    }
}

impl Cgroup {
    /// Everything that is asked for.
    pub(super) fn read(&self, groups: &Groups, buffer: &mut Buffer) -> Stats {
        match self {
            Self::V1(folders) => folders.read(groups, buffer),
            Self::V2(folder) => v2::read(folder, groups, buffer),
        }
    }
}

/// The part of a path that ends with the container's own cgroup: its processes may have made others below. `None` if
/// the path is another's, as that of a process which got the number of one that ended.
fn own(path: &str, id: &str) -> Option<String> {
    let at = path.find(id)? + id.len();
    let end = path.get(at..)?.find('/').map_or(path.len(), |slash| at + slash);
    path.get(..end).map(str::to_owned)
}

/// Where a driver puts a container.
pub(super) fn usual(id: &str, parent: &str, systemd: bool) -> String {
    if systemd {
        let slice = if parent.is_empty() { "system.slice" } else { parent };
        return format!("{}/docker-{id}.scope", slice_path(slice));
    }
    let parent = if parent.is_empty() { "docker" } else { parent.trim_matches('/') };
    format!("/{parent}/{id}")
}

/// systemd's rule: `a-b.slice` lies in `a.slice`.
fn slice_path(slice: &str) -> String {
    let name = slice.trim_matches('/').trim_end_matches(".slice");
    let ends = name.match_indices('-').map(|(at, _)| at).chain([name.len()]);
    ends.filter_map(|end| name.get(..end)).flat_map(|part| ["/", part, ".slice"]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drivers_paths_are_known() {
        assert_eq!(usual("ab", "", false), "/docker/ab");
        assert_eq!(usual("ab", "/team/x", false), "/team/x/ab");
        assert_eq!(usual("ab", "", true), "/system.slice/docker-ab.scope");
        assert_eq!(usual("ab", "a-b.slice", true), "/a.slice/a-b.slice/docker-ab.scope");
    }

    #[test]
    fn a_process_deeper_down_and_one_of_another_namespace_lead_to_the_container() {
        let of = |unified: bool, text: &str| Hierarchy { mount: "/".into(), unified }.of_process(text);
        assert_eq!(
            of(true, "0::/../../system.slice/docker-ab.scope\n").as_deref(),
            Some("/system.slice/docker-ab.scope")
        );
        assert_eq!(of(false, "5:devices:/x\n4:cpu,cpuacct:/docker/ab\n0::/\n").as_deref(), Some("/docker/ab"));
        assert_eq!(
            own("/system.slice/docker-ab.scope/init.scope", "ab").as_deref(),
            Some("/system.slice/docker-ab.scope")
        );
        assert_eq!(own("/docker/cd", "ab"), None);
    }
}
