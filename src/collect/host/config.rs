//! The section `[collectors.host]`.

use std::borrow::Cow;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use super::filesystem::{MOUNT_POINTS_EXCLUDED, TYPES_EXCLUDED};
use super::filter::Filter;
use super::list::Row;
use super::{HostConfig, LIST, NAMES, Roots, sysinfo};
use crate::collect::Schedule;
use crate::config::{Problem, Problems, Span};
use crate::metrics::Desc;

/// The release whose labels `names` can ask for: Debian 12's. No family was lost since.
const OLDER: &str = "1.5";

/// A family of the current release as the older one had it: without this label.
pub(super) fn as_of(older: bool, desc: &'static Desc, added: &str) -> Cow<'static, Desc> {
    if !older {
        return Cow::Borrowed(desc);
    }
    let labels = desc.labels.iter().copied().filter(|label| *label != added).collect();
    Cow::Owned(Desc { labels: Cow::Owned(labels), ..desc.clone() })
}

/// What reads the host's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// The kernel's own files: everything, on Linux only.
    Linux,
    /// The crate `sysinfo`: less, on any system.
    Sysinfo,
}

impl Default for Backend {
    fn default() -> Self {
        if cfg!(target_os = "linux") { Self::Linux } else { Self::Sysinfo }
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

    /// Whether series carry the labels of the older release.
    pub(super) fn is_older(&self) -> bool {
        self.names.iter().any(|name| name == OLDER)
    }

    pub(super) fn check(&self, problems: &mut Problems) {
        self.parts.check(problems);
        for (at, name) in self.names.iter().enumerate().filter(|(_, name)| *name != OLDER) {
            let message = format!("`{name}` is no release whose names are known");
            problems.push(Problem::error(format!("names.{at}"), message).hint(format!("take out all but \"{OLDER}\"")));
        }
        for row in LIST {
            (row.check)(self, problems);
        }
        let missing = |name: &&String| self.backend == Backend::Sysinfo && !sysinfo::HAS.contains(&name.as_str());
        for name in self.parts.enable.iter().filter(missing) {
            problems.push(
                Problem::warning("parts.enable", format!("the backend `sysinfo` has no part `{name}`"))
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

/// Which parts run, by the names of node_exporter's collectors: those that it has on by default, with changes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Parts {
    /// Whether those run that run by default: the opposite of `--collector.disable-defaults`.
    pub defaults: bool,
    /// These too: `--collector.NAME`.
    pub enable: Vec<String>,
    /// Not these: `--no-collector.NAME`.
    pub disable: Vec<String>,
}

impl Default for Parts {
    fn default() -> Self {
        Self { defaults: true, enable: Vec::new(), disable: Vec::new() }
    }
}

impl Parts {
    /// Whether a part runs.
    pub(super) fn takes(&self, row: &Row) -> bool {
        let among = |names: &[String]| names.iter().any(|listed| listed == row.name);
        ((self.defaults && row.on) || among(&self.enable)) && !among(&self.disable)
    }

    fn check(&self, problems: &mut Problems) {
        for (key, names) in [("enable", &self.enable), ("disable", &self.disable)] {
            for (index, name) in names.iter().enumerate().filter(|(_, name)| !NAMES.contains(&name.as_str())) {
                problems.push(
                    Problem::error(format!("parts.{key}.{index}"), format!("there is no part `{name}`"))
                        .hint(format!("the parts are {}", NAMES.join(", "))),
                );
            }
        }
        if !LIST.iter().any(|row| self.takes(row)) {
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
    pub(super) fn check(&self, part: &str, problems: &mut Problems) {
        let (include, exclude) = (self.device_include.as_deref(), self.device_exclude.as_deref());
        Filter::check(&format!("{part}.device"), include, exclude, problems);
    }

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
    pub(super) fn check(&self, schedule: &Schedule, problems: &mut Problems) {
        let points = (&self.mount_points_include, &self.mount_points_exclude);
        let types = (&self.fs_types_include, &self.fs_types_exclude);
        for (key, (include, exclude)) in [("filesystem.mount_points", points), ("filesystem.fs_types", types)] {
            Filter::check(key, include.as_deref(), exclude.as_deref(), problems);
        }
        if self.mount_timeout >= schedule.timeout {
            problems.push(
                Problem::warning("filesystem.mount_timeout", "not shorter than `schedule.timeout`")
                    .hint("a mount that hangs would cost the host's other series once"),
            );
        }
    }

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
        let text = "parts = { enable = ['cpu', 'cpus'], disable = ['net'] }\nnetdev.device_include = '['\nnames = ['1.5', '2']\n\
            filesystem = { mount_timeout = '9s', fs_types_include = 'a', fs_types_exclude = 'b' }\n";
        let problems = problems(text);
        let keys: Vec<_> = problems.iter().map(|problem| problem.split(':').next().unwrap()).collect();
        assert_eq!(
            keys,
            [
                "parts.enable.1",
                "parts.disable.0",
                "names.1",
                "netdev.device_include",
                "filesystem.fs_types_exclude",
                "filesystem.mount_timeout"
            ]
        );
    }

    #[test]
    fn a_part_that_the_backend_lacks_is_named() {
        let text = "backend = 'sysinfo'\nparts = { enable = ['cpu', 'meminfo'] }";
        assert_eq!(problems(text), ["parts.enable: the backend `sysinfo` has no part `cpu`"]);
    }

    #[test]
    fn no_part_at_all_is_a_mistake() {
        assert_eq!(
            problems("parts = { defaults = false, enable = ['cpu'], disable = ['cpu'] }"),
            ["parts: no part is left"]
        );
    }

    #[test]
    fn parts_are_chosen_as_by_node_exporters_flags() {
        let chosen = |text: &str| {
            let (config, problems) = crate::config::Document::new("t.toml", text).parse::<HostConfig>();
            assert!(problems.0.is_empty(), "{problems}");
            LIST.iter().filter(|row| config.parts.takes(row)).map(|row| row.name).collect::<Vec<_>>()
        };
        let defaults: Vec<_> = LIST.iter().filter(|row| row.on).map(|row| row.name).collect();
        assert_eq!(chosen(""), defaults);
        assert_eq!(chosen("parts = { defaults = false, enable = ['cpu', 'stat'] }"), ["cpu", "stat"]);
        let without: Vec<_> = defaults.into_iter().filter(|name| *name != "cpu").collect();
        assert_eq!(chosen("parts = { disable = ['cpu'] }"), without);
    }

    #[test]
    fn the_default_patterns_are_patterns() {
        let config = FilesystemConfig::default();
        assert!(!config.types().takes("overlay") && config.types().takes("ext4"));
        assert!(!config.points().takes("/run/credentials/a.service") && config.points().takes("/run"));
        assert!(!config.points().takes("/proc") && config.points().takes("/process"));
    }
}
