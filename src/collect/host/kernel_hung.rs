//! `kernel_hung`: tasks that the kernel found hanging, since Linux 6.16.

use std::path::PathBuf;

use async_trait::async_trait;

use super::files::{counter, malformed};
use super::{Listed, Part, Run, Site};
use crate::collect::CollectError;
use crate::metrics::Desc;

static TASKS: Desc = Desc::counter(
    "node_kernel_hung_tasks_total",
    "Total number of tasks that have been detected as hung since the system booted.",
    &[],
);

pub(super) struct HungTasks {
    file: PathBuf,
}

impl Listed for HungTasks {
    fn descs() -> Vec<&'static Desc> {
        vec![&TASKS]
    }

    fn new(site: &Site<'_>) -> Self {
        Self { file: site.roots.procfs.join("sys/kernel/hung_task_detect_count") }
    }
}

#[async_trait]
impl Part for HungTasks {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        let tasks =
            counter(run.files.attribute(&self.file)?.trim()).ok_or_else(|| malformed(&self.file, "no number"))?;
        run.batch.push(&TASKS, &[], tasks);
        Ok(())
    }
}
