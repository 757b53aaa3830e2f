//! `cgroups`: how many control groups each controller has (cgroups(7)).

use std::path::PathBuf;

use async_trait::async_trait;

use super::files::counter;
use super::{Listed, Part, Run, Site};
use crate::collect::CollectError;
use crate::metrics::Desc;

static CGROUPS: Desc = Desc::gauge("node_cgroups_cgroups", "Current cgroup number of the subsystem.", &["subsys_name"]);
static ENABLED: Desc = Desc::gauge("node_cgroups_enabled", "Whether the subsystem is enabled.", &["subsys_name"]);

pub(super) struct Controllers {
    file: PathBuf,
}

impl Listed for Controllers {
    fn descs() -> Vec<&'static Desc> {
        vec![&CGROUPS, &ENABLED]
    }

    fn new(site: &Site<'_>) -> Self {
        Self { file: site.roots.procfs.join("cgroups") }
    }
}

#[async_trait]
impl Part for Controllers {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        for line in run.files.text(&self.file)?.lines().filter(|line| !line.starts_with('#')) {
            let mut words = line.split_ascii_whitespace();
            let (Some(name), Some(_hierarchy)) = (words.next(), words.next()) else { continue };
            for (desc, value) in [&CGROUPS, &ENABLED].into_iter().zip(words.by_ref()) {
                if let Some(value) = counter(value) {
                    run.batch.push(desc, &[name], value);
                }
            }
        }
        Ok(())
    }
}
