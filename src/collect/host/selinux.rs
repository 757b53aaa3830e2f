//! `selinux`: whether SELinux is there, and whether it enforces.

use std::path::PathBuf;

use async_trait::async_trait;

use super::sysfs::if_there;
use super::{Listed, Part, Run, Site};
use crate::collect::CollectError;
use crate::metrics::Desc;

static ENABLED: Desc = Desc::gauge("node_selinux_enabled", "SELinux is enabled, 1 is true, 0 is false", &[]);
static CONFIGURED: Desc = Desc::gauge("node_selinux_config_mode", "Configured SELinux enforcement mode", &[]);
static CURRENT: Desc = Desc::gauge("node_selinux_current_mode", "Current SELinux enforcement mode", &[]);

/// The mode of a system on which it is off.
const DISABLED: f64 = -1.0;

pub(super) struct Selinux {
    enforce: PathBuf,
    config: PathBuf,
}

impl Listed for Selinux {
    fn descs() -> Vec<&'static Desc> {
        vec![&ENABLED, &CONFIGURED, &CURRENT]
    }

    fn new(site: &Site<'_>) -> Self {
        let roots = &site.roots;
        Self { enforce: roots.sysfs.join("fs/selinux/enforce"), config: roots.rootfs.join("etc/selinux/config") }
    }
}

#[async_trait]
impl Part for Selinux {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        // The file is there where its file system is mounted, and that is where it is on.
        let current = if_there(run.files.text(&self.enforce))?.map(|text| text.trim().parse().unwrap_or(DISABLED));
        run.batch.push(&ENABLED, &[], f64::from(current.is_some()));
        if let Some(current) = current {
            let configured = run.files.text(&self.config).map_or(DISABLED, configured);
            run.batch.push(&CONFIGURED, &[], configured);
            run.batch.push(&CURRENT, &[], current);
        }
        Ok(())
    }
}

/// The mode that the configuration names: enforcing 1, permissive 0.
fn configured(text: &str) -> f64 {
    let mut modes = text.lines().filter_map(|line| line.trim().strip_prefix("SELINUX="));
    match modes.next_back().map(str::trim) {
        Some("enforcing") => 1.0,
        Some("permissive") => 0.0,
        _ => DISABLED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configured_mode_is_that_of_the_line_selinux() {
        let text = "# SELINUX= can take one of these\nSELINUX=enforcing\nSELINUXTYPE=targeted\n";
        assert_eq!(configured(text).to_string(), "1");
        assert_eq!(configured("SELINUX=permissive").to_string(), "0");
        assert_eq!(configured("").to_string(), "-1");
    }
}
