//! The section `[collectors.host]`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::filesystem::{MOUNT_POINTS_EXCLUDED, TYPES_EXCLUDED};
use super::filter::Filter;
use super::{PARTS, Roots, sysinfo};
use crate::collect::Schedule;
use crate::config::{Problem, Problems, Span};

/// What reads the host's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// The kernel's own files: everything, on Linux only.
    Linux,
    /// The crate `sysinfo`: less, on any system.
    Sysinfo,
}

/// How the host is read.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HostConfig {
    /// When and how much.
    pub schedule: Schedule,
    /// What reads it; by default what the system offers.
    pub backend: Backend,
    /// Where the host's `/proc` is seen.
    pub procfs: PathBuf,
    /// Where the host's `/sys` is seen.
    pub sysfs: PathBuf,
    /// Where the host's `/` is seen.
    pub rootfs: PathBuf,
    /// Which parts run.
    pub parts: Parts,
    /// Which block devices are taken.
    pub diskstats: DeviceConfig,
    /// Which mounts are taken.
    pub filesystem: FilesystemConfig,
    /// Which network devices are taken.
    pub netdev: DeviceConfig,
}

impl Default for HostConfig {
    fn default() -> Self {
        Self {
            schedule: Schedule::default(),
            backend: if cfg!(target_os = "linux") { Backend::Linux } else { Backend::Sysinfo },
            procfs: "/proc".into(),
            sysfs: "/sys".into(),
            rootfs: "/".into(),
            parts: Parts::default(),
            diskstats: DeviceConfig::default(),
            filesystem: FilesystemConfig::default(),
            netdev: DeviceConfig::default(),
        }
    }
}

impl HostConfig {
    /// Reads the host where its `/` is mounted in a container, with its `/proc` and `/sys` below.
    pub fn below(&mut self, root: &Path) {
        self.procfs = root.join("proc");
        self.sysfs = root.join("sys");
        root.clone_into(&mut self.rootfs);
    }

    pub(super) fn roots(&self) -> Roots {
        Roots { procfs: self.procfs.clone(), sysfs: self.sysfs.clone(), rootfs: self.rootfs.clone() }
    }

    pub(super) fn check(&self, problems: &mut Problems) {
        self.parts.check(problems);
        for (key, devices) in [("diskstats.device", &self.diskstats), ("netdev.device", &self.netdev)] {
            Filter::check(key, devices.device_include.as_deref(), devices.device_exclude.as_deref(), problems);
        }
        let filesystem = &self.filesystem;
        let points = (&filesystem.mount_points_include, &filesystem.mount_points_exclude);
        let types = (&filesystem.fs_types_include, &filesystem.fs_types_exclude);
        for (key, (include, exclude)) in [("filesystem.mount_points", points), ("filesystem.fs_types", types)] {
            Filter::check(key, include.as_deref(), exclude.as_deref(), problems);
        }
        if filesystem.mount_timeout >= self.schedule.timeout {
            problems.push(
                Problem::warning("filesystem.mount_timeout", "not shorter than `schedule.timeout`")
                    .hint("a mount that hangs would cost the host's other series once"),
            );
        }
        let missing = |name: &&String| self.backend == Backend::Sysinfo && sysinfo::MISSING.contains(&name.as_str());
        for name in self.parts.include.iter().filter(missing) {
            problems.push(
                Problem::warning("parts.include", format!("the backend `sysinfo` has no part `{name}`"))
                    .hint("it gives what every system tells; only Linux tells this, by backend = \"linux\""),
            );
        }
        if self.backend == Backend::Linux && !cfg!(target_os = "linux") {
            problems.push(
                Problem::error("backend", "`linux` reads the files of a Linux kernel; this is another system")
                    .hint("leave `backend` out, or write \"sysinfo\""),
            );
        }
    }
}

/// Which parts run, by node_exporter's names: all, those of `include`, or all but those of `exclude`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Parts {
    /// Only these, unless it is empty.
    pub include: Vec<String>,
    /// Not these.
    pub exclude: Vec<String>,
}

impl Parts {
    /// Whether a part runs.
    pub(super) fn takes(&self, name: &str) -> bool {
        let among = |names: &[String]| names.iter().any(|listed| listed == name);
        (self.include.is_empty() || among(&self.include)) && !among(&self.exclude)
    }

    fn check(&self, problems: &mut Problems) {
        for (key, names) in [("include", &self.include), ("exclude", &self.exclude)] {
            for (index, name) in names.iter().enumerate().filter(|(_, name)| !PARTS.contains(&name.as_str())) {
                problems.push(
                    Problem::error(format!("parts.{key}.{index}"), format!("there is no part `{name}`"))
                        .hint(format!("the parts are {}", PARTS.join(", "))),
                );
            }
        }
        if !PARTS.iter().any(|name| self.takes(name)) {
            problems.push(
                Problem::error("parts", "no part is left")
                    .hint("to switch the collector off write schedule = { enabled = false }"),
            );
        }
    }
}

/// node_exporter's pair of patterns for devices; only one of them may be set.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DeviceConfig {
    /// Only devices whose name matches.
    pub device_include: Option<String>,
    /// No devices whose name matches.
    pub device_exclude: Option<String>,
}

impl DeviceConfig {
    pub(super) fn filter(&self, default: &str) -> Filter {
        Filter::new(self.device_include.as_deref(), self.device_exclude.as_deref(), default)
    }
}

/// node_exporter's patterns for mounts; of each pair only one may be set.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FilesystemConfig {
    /// Only mount points that match.
    pub mount_points_include: Option<String>,
    /// No mount points that match.
    pub mount_points_exclude: Option<String>,
    /// Only types that match.
    pub fs_types_include: Option<String>,
    /// No types that match.
    pub fs_types_exclude: Option<String>,
    /// A remote mount that has not answered by then is reported as not answering.
    pub mount_timeout: Span,
}

impl Default for FilesystemConfig {
    fn default() -> Self {
        Self {
            mount_points_include: None,
            mount_points_exclude: None,
            fs_types_include: None,
            fs_types_exclude: None,
            mount_timeout: Span(Duration::from_secs(5)),
        }
    }
}

impl FilesystemConfig {
    pub(super) fn points(&self) -> Filter {
        let (include, exclude) = (&self.mount_points_include, &self.mount_points_exclude);
        Filter::new(include.as_deref(), exclude.as_deref(), MOUNT_POINTS_EXCLUDED)
    }

    pub(super) fn types(&self) -> Filter {
        Filter::new(self.fs_types_include.as_deref(), self.fs_types_exclude.as_deref(), TYPES_EXCLUDED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let (config, mut problems) = crate::config::Document::new("t.toml", text).parse::<HostConfig>();
        config.check(&mut problems);
        problems.0.into_iter().map(|problem| format!("{}: {}", problem.key, problem.message)).collect()
    }

    #[test]
    fn the_defaults_are_sound() {
        assert_eq!(problems(""), [""; 0]);
    }

    #[test]
    fn what_is_wrong_is_named_by_its_key() {
        let text = "parts = { include = ['cpu', 'cpus'], exclude = ['net'] }\nnetdev.device_include = '['\n\
            filesystem = { mount_timeout = '9s', fs_types_include = 'a', fs_types_exclude = 'b' }\n";
        let problems = problems(text);
        let keys: Vec<_> = problems.iter().map(|problem| problem.split(':').next().unwrap()).collect();
        assert_eq!(
            keys,
            [
                "parts.include.1",
                "parts.exclude.0",
                "netdev.device_include",
                "filesystem.fs_types_exclude",
                "filesystem.mount_timeout"
            ]
        );
    }

    #[test]
    fn a_part_that_the_backend_lacks_is_named() {
        let text = "backend = 'sysinfo'\nparts = { include = ['cpu', 'meminfo'] }";
        assert_eq!(problems(text), ["parts.include: the backend `sysinfo` has no part `cpu`"]);
    }

    #[test]
    fn no_part_at_all_is_a_mistake() {
        assert_eq!(problems("parts = { include = ['cpu'], exclude = ['cpu'] }"), ["parts: no part is left"]);
    }

    #[test]
    fn the_default_patterns_are_patterns() {
        let config = FilesystemConfig::default();
        assert!(!config.types().takes("overlay") && config.types().takes("ext4"));
        assert!(!config.points().takes("/run/credentials/a.service") && config.points().takes("/run"));
        assert!(!config.points().takes("/proc") && config.points().takes("/process"));
    }
}
