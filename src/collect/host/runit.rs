//! `runit`: the services of runit, as its supervisors write down (runsv(8)).

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use serde::Deserialize;

use super::sysfs::names;
use super::{Listed, Part, Run, Site};
use crate::collect::CollectError;
use crate::metrics::Desc;

/// Where services are.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RunitConfig {
    /// The folder that has one for each service.
    pub servicedir: PathBuf,
}

impl Default for RunitConfig {
    fn default() -> Self {
        Self { servicedir: "/etc/service".into() }
    }
}

const LABELS: &[&str] = &["service", "supervisor"];

static STATE: Desc = Desc::gauge("node_service_state", "State of runit service.", LABELS);
static DESIRED: Desc = Desc::gauge("node_service_desired_state", "Desired state of runit service.", LABELS);
static NORMAL: Desc = Desc::gauge("node_service_normal_state", "Normal state of runit service.", LABELS);
static CHANGED: Desc = Desc::gauge(
    "node_service_state_last_change_timestamp_seconds",
    "Unix timestamp of the last runit service state change.",
    LABELS,
);

/// 1970 as a TAI64 label, with the ten seconds by which TAI was ahead then.
const EPOCH: u64 = (1 << 62) + 10;

pub(super) struct Services {
    folder: PathBuf,
}

/// What a supervisor wrote about its service.
#[derive(Debug, PartialEq)]
struct Status {
    /// 0 down, 1 up, 2 finishing.
    state: u8,
    wants_up: bool,
    changed: f64,
}

impl Listed for Services {
    fn descs() -> Vec<&'static Desc> {
        vec![&STATE, &DESIRED, &NORMAL, &CHANGED]
    }

    fn new(site: &Site<'_>) -> Self {
        let folder = &site.config.runit.servicedir;
        let below = folder.strip_prefix("/").map_or_else(|_| folder.clone(), |rest| site.roots.rootfs.join(rest));
        Self { folder: below }
    }
}

#[async_trait]
impl Part for Services {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        for name in names(&self.folder)? {
            let folder = self.folder.join(&name);
            let Some(status) = status(&folder.join("supervise/status")) else { continue };
            let labels = [name.as_str(), "runit"];
            run.batch.push(&STATE, &labels, f64::from(status.state));
            run.batch.push(&DESIRED, &labels, f64::from(status.wants_up));
            run.batch.push(&CHANGED, &labels, status.changed);
            run.batch.push(&NORMAL, &labels, f64::from(!folder.join("down").exists()));
        }
        Ok(())
    }
}

/// Twenty bytes: when the state changed (TAI64N), the process, whether it is paused, what is wanted, whether it was told
/// to end, and the state. Nothing where no supervisor wrote.
fn status(file: &Path) -> Option<Status> {
    let written =
        std::fs::metadata(file).ok().filter(|found| found.len() == 20).and_then(|_| std::fs::read(file).ok())?;
    let changed = u64::from_be_bytes(*written.first_chunk()?);
    Some(Status {
        state: *written.get(19)?,
        wants_up: *written.get(17)? == b'u',
        changed: changed.checked_sub(EPOCH)? as f64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_twenty_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("status");
        let mut written = Vec::from((EPOCH + 1_700_000_000).to_be_bytes());
        written.extend([0, 0, 0, 1, 42, 0, 0, 0, 0, b'u', 0, 1]);
        std::fs::write(&file, &written).unwrap();
        assert_eq!(status(&file), Some(Status { state: 1, wants_up: true, changed: 1_700_000_000.0 }));
        std::fs::write(&file, &written[..19]).unwrap();
        assert_eq!(status(&file), None);
    }
}
