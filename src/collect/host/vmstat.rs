//! `vmstat`: events of the virtual memory (proc_vmstat(5)).

use std::path::PathBuf;

use async_trait::async_trait;

use super::fields::{Fields, word};
use super::files::{counter, malformed};
use super::{HostConfig, Listed, Part, Run, Site};
use crate::collect::CollectError;
use crate::config::Problems;
use crate::metrics::{Desc, Kind};

const FIELDS: &str = "^(oom_kill|pgpg|pswp|pg.*fault).*";

/// How all of them are described.
static ALL: Desc = Desc::unknown("node_vmstat_*", "/proc/vmstat information field.", &[]);

pub(super) struct VirtualMemory {
    file: PathBuf,
    fields: Fields,
}

impl Listed for VirtualMemory {
    fn descs() -> Vec<&'static Desc> {
        vec![&ALL]
    }

    fn check(config: &HostConfig, problems: &mut Problems) {
        config.vmstat.check("vmstat", problems);
    }

    fn new(site: &Site<'_>) -> Self {
        let make = |field: &str| {
            let (name, help) =
                (format!("node_vmstat_{}", word(field)), format!("/proc/vmstat information field {field}."));
            (field.to_owned(), Desc::named(Kind::Unknown, name, help, &[]))
        };
        Self { file: site.roots.procfs.join("vmstat"), fields: Fields::new(&site.config.vmstat, FIELDS, make) }
    }
}

#[async_trait]
impl Part for VirtualMemory {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        let mut pass = self.fields.pass();
        for line in run.files.text(&self.file)?.lines() {
            let why = || malformed(&self.file, "a line that is no name and number");
            let (field, value) = line.split_once(' ').ok_or_else(why)?;
            if let Some(desc) = pass.family([field, "", ""]) {
                run.batch.push(desc, &[], counter(value.trim()).ok_or_else(why)?);
            }
        }
        Ok(())
    }
}
