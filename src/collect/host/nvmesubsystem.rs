//! `nvmesubsystem`: NVMe subsystems and the paths to them.

use std::path::{Path, PathBuf};

use async_trait::async_trait;

use super::{Listed, Part, Run, Site, attribute, nvme};
use crate::collect::CollectError;
use crate::metrics::{Batch, Desc};

const SUBSYSTEM: &[&str] = &["subsystem"];

static INFO: Desc = Desc::gauge(
    "node_nvmesubsystem_info",
    "Non-numeric information about an NVMe subsystem.",
    &["subsystem", "nqn", "model", "serial", "iopolicy"],
);
static NAMESPACE: Desc = Desc::gauge(
    "node_nvmesubsystem_namespace_info",
    "Maps an NVMe namespace block device to its subsystem.",
    &["subsystem", "device"],
);
static PATHS: Desc =
    Desc::gauge("node_nvmesubsystem_paths", "Number of controller paths for an NVMe subsystem.", SUBSYSTEM);
static LIVE: Desc = Desc::gauge(
    "node_nvmesubsystem_paths_live",
    "Number of controller paths in live state for an NVMe subsystem.",
    SUBSYSTEM,
);
static STATE: Desc = Desc::gauge(
    "node_nvmesubsystem_path_state",
    "Current NVMe controller path state (1 for the current state, 0 for all others).",
    &["subsystem", "controller", "transport", "state"],
);

const STATES: [&str; 7] = ["connecting", "dead", "deleting", "live", "new", "resetting", "unknown"];

pub(super) struct Subsystems {
    class: PathBuf,
}

impl Listed for Subsystems {
    fn descs() -> Vec<&'static Desc> {
        vec![&INFO, &NAMESPACE, &PATHS, &LIVE, &STATE]
    }

    fn new(site: &Site<'_>) -> Self {
        Self { class: site.roots.sysfs.join("class/nvme-subsystem") }
    }
}

#[async_trait]
impl Part for Subsystems {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        for (subsystem, _) in attribute::numbered(&self.class, "nvme-subsys")? {
            let folder = self.class.join(&subsystem);
            let text = |file: &str| attribute::text(&folder.join(file)).unwrap_or_default();
            let [nqn, model, serial, policy] = ["subsysnqn", "model", "serial", "iopolicy"].map(text);
            run.batch.push(&INFO, &[&subsystem, &nqn, &model, &serial, &policy], 1.0);
            let (mut paths, mut live) = (0_u32, 0_u32);
            for (name, rest) in attribute::numbered(&folder, "nvme")? {
                if rest.bytes().all(|byte| byte.is_ascii_digit()) {
                    paths += 1;
                    live += u32::from(controller(&folder.join(&name), [&subsystem, &name], &mut run.batch) == "live");
                } else if !rest.contains('c') && nvme::namespace(&name).is_some() {
                    run.batch.push(&NAMESPACE, &[&subsystem, &name], 1.0);
                }
            }
            run.batch.push(&PATHS, &[&subsystem], f64::from(paths));
            run.batch.push(&LIVE, &[&subsystem], f64::from(live));
        }
        Ok(())
    }
}

/// Writes a controller's state, and returns it.
fn controller(folder: &Path, [subsystem, name]: [&str; 2], batch: &mut Batch) -> &'static str {
    let text = |file: &str| attribute::text(&folder.join(file)).unwrap_or_default();
    let (said, transport) = (text("state"), text("transport"));
    // `deleting (no IO)` is a stage of deleting.
    let word = said.split(' ').next().unwrap_or_default();
    let state = STATES.into_iter().find(|state| *state == word).unwrap_or("unknown");
    for known in STATES {
        batch.push(&STATE, &[subsystem, name, &transport, known], f64::from(known == state));
    }
    state
}
