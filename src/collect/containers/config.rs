//! The section `[collectors.containers]`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::options::{Groups, is_known, names};
use super::reader::Roots;
use crate::collect::Schedule;
use crate::config::{Environment, Problem, Problems, Span};

/// Docker's socket, below the host's root.
const SOCKET: &str = "/var/run/docker.sock";

/// The same where the host's root is mounted elsewhere: `/var/run` is a link there, which leads into our own.
const SOCKET_BELOW: &str = "run/docker.sock";

/// How containers are read.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ContainersConfig {
    /// When and how much.
    pub schedule: Schedule,
    /// The daemon's socket, Docker's or Podman's; by default Docker's, where it is there.
    pub socket: Option<PathBuf>,
    /// A call about one container may take this long.
    pub call_timeout: Span,
    /// Where the host's `/proc` is seen.
    pub procfs: PathBuf,
    /// Where the host's `/sys` is seen.
    pub sysfs: PathBuf,
    /// Where the host's `/` is seen.
    pub rootfs: PathBuf,
    /// The containers' labels that are shown, each as `container_label_NAME`.
    pub labels: Vec<String>,
    /// Prefixes of cgroups that are read although they are no container's: `/system.slice`; the root is always read.
    pub cgroups: Vec<String>,
    /// cAdvisor's groups of families that are given besides its default.
    pub enable_metrics: Vec<String>,
    /// cAdvisor's groups of families that are not given.
    pub disable_metrics: Vec<String>,
}

impl Default for ContainersConfig {
    fn default() -> Self {
        Self {
            schedule: Schedule::default(),
            socket: None,
            call_timeout: Span(Duration::from_secs(2)),
            procfs: "/proc".into(),
            sysfs: "/sys".into(),
            rootfs: "/".into(),
            labels: vec!["com.docker.compose.project".into(), "com.docker.compose.service".into()],
            cgroups: Vec::new(),
            enable_metrics: Vec::new(),
            disable_metrics: Vec::new(),
        }
    }
}

impl ContainersConfig {
    /// Lays `TIDEWATCH_HOST_ROOT` and `DOCKER_HOST` over it.
    pub(super) fn complete(&mut self, environment: &Environment, problems: &mut Problems) {
        if let Some(root) = environment.get("TIDEWATCH_HOST_ROOT") {
            let root = Path::new(root);
            self.procfs = root.join("proc");
            self.sysfs = root.join("sys");
            root.clone_into(&mut self.rootfs);
        }
        let Some(host) = environment.get("DOCKER_HOST").filter(|host| !host.is_empty()) else { return };
        match host.strip_prefix("unix://") {
            Some(path) => {
                self.socket.get_or_insert_with(|| path.into());
            }
            None => problems.push(
                Problem::warning("socket", "DOCKER_HOST names no unix socket, and is not used")
                    .hint("containers are read on the host they run on: write unix:///var/run/docker.sock"),
            ),
        }
    }

    /// The daemon's socket: the configured one, else Docker's where it is there.
    pub fn daemon(&self) -> Option<PathBuf> {
        let usual = [PathBuf::from(SOCKET), self.rootfs.join(SOCKET_BELOW)];
        self.socket.clone().or_else(|| usual.into_iter().find(|path| path.exists()))
    }

    pub(super) fn roots(&self) -> Roots {
        Roots { procfs: self.procfs.clone(), sysfs: self.sysfs.clone(), rootfs: self.rootfs.clone() }
    }

    pub(super) fn groups(&self) -> Groups {
        Groups::new(&self.enable_metrics, &self.disable_metrics)
    }

    /// The names of the labels as they are written.
    pub(super) fn written_labels(&self) -> Vec<String> {
        self.labels.iter().map(|label| written(label)).collect()
    }

    pub(super) fn check(&self, problems: &mut Problems) {
        for (key, groups) in [("enable_metrics", &self.enable_metrics), ("disable_metrics", &self.disable_metrics)] {
            for (index, group) in groups.iter().enumerate().filter(|(_, group)| !is_known(group)) {
                problems.push(
                    Problem::error(format!("{key}.{index}"), format!("there is no group `{group}`"))
                        .hint(format!("the groups are {}", names())),
                );
            }
        }
        let written = self.written_labels();
        for (index, name) in written.iter().enumerate().filter(|(index, name)| written[..*index].contains(name)) {
            problems.push(
                Problem::error(format!("labels.{index}"), format!("is written as `{name}`, which is there already"))
                    .hint("keep one of the two"),
            );
        }
        for (index, prefix) in self.cgroups.iter().enumerate().filter(|(_, prefix)| !prefix.starts_with('/')) {
            problems.push(
                Problem::error(format!("cgroups.{index}"), format!("`{prefix}` is no path of a cgroup"))
                    .hint("write it from the root: \"/system.slice\""),
            );
        }
        if self.call_timeout >= self.schedule.timeout {
            problems.push(
                Problem::error("call_timeout", "not shorter than `schedule.timeout`")
                    .hint("one container that hangs would cost the series of all"),
            );
        }
    }
}

/// cAdvisor's way of writing a label's name.
fn written(label: &str) -> String {
    let letters = label.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' });
    format!("container_label_{}", letters.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(config: &ContainersConfig) -> Vec<String> {
        let mut problems = Problems::default();
        config.check(&mut problems);
        problems.0.into_iter().map(|problem| problem.key).collect()
    }

    #[test]
    fn the_default_is_sound_and_mistakes_are_named() {
        assert!(keys(&ContainersConfig::default()).is_empty());
        let wrong = ContainersConfig {
            labels: vec!["a.b".into(), "a-b".into()],
            cgroups: vec!["system.slice".into()],
            enable_metrics: vec!["prozess".into()],
            call_timeout: Span::seconds(60),
            ..ContainersConfig::default()
        };
        assert_eq!(keys(&wrong), ["enable_metrics.0", "labels.1", "cgroups.0", "call_timeout"]);
    }

    #[test]
    fn labels_are_written_as_the_original_writes_them() {
        assert_eq!(written("com.docker.compose.service"), "container_label_com_docker_compose_service");
    }

    #[test]
    fn a_configured_socket_comes_before_the_usual_one() {
        let config = ContainersConfig { socket: Some("/run/podman/podman.sock".into()), ..ContainersConfig::default() };
        assert_eq!(config.daemon(), Some("/run/podman/podman.sock".into()));
    }
}
