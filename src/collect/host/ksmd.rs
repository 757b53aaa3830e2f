//! `ksmd`: pages that the kernel merged because they are the same (Documentation/admin-guide/mm/ksm.rst).

use std::path::PathBuf;

use async_trait::async_trait;

use super::attribute::{self, Attribute, MILLI, nothing};
use super::{Listed, Part, Run, Site};
use crate::collect::CollectError;
use crate::metrics::Desc;

static ATTRIBUTES: [Attribute; 9] = [
    ("full_scans", Desc::counter("node_ksmd_full_scans_total", "ksmd 'full_scans' file.", &[]), 1.0),
    ("merge_across_nodes", Desc::gauge("node_ksmd_merge_across_nodes", "ksmd 'merge_across_nodes' file.", &[]), 1.0),
    ("pages_shared", Desc::gauge("node_ksmd_pages_shared", "ksmd 'pages_shared' file.", &[]), 1.0),
    ("pages_sharing", Desc::gauge("node_ksmd_pages_sharing", "ksmd 'pages_sharing' file.", &[]), 1.0),
    ("pages_to_scan", Desc::gauge("node_ksmd_pages_to_scan", "ksmd 'pages_to_scan' file.", &[]), 1.0),
    ("pages_unshared", Desc::gauge("node_ksmd_pages_unshared", "ksmd 'pages_unshared' file.", &[]), 1.0),
    ("pages_volatile", Desc::gauge("node_ksmd_pages_volatile", "ksmd 'pages_volatile' file.", &[]), 1.0),
    ("run", Desc::gauge("node_ksmd_run", "ksmd 'run' file.", &[]), 1.0),
    ("sleep_millisecs", Desc::gauge("node_ksmd_sleep_seconds", "ksmd 'sleep_millisecs' file.", &[]), MILLI),
];

pub(super) struct SamePages {
    folder: PathBuf,
}

impl Listed for SamePages {
    fn descs() -> Vec<&'static Desc> {
        ATTRIBUTES.iter().map(|(_, desc, _)| desc).collect()
    }

    fn new(site: &Site<'_>) -> Self {
        Self { folder: site.roots.sysfs.join("kernel/mm/ksm") }
    }
}

#[async_trait]
impl Part for SamePages {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        if !self.folder.is_dir() {
            return Err(nothing(&self.folder));
        }
        attribute::push(&mut run.batch, &ATTRIBUTES, &self.folder, &[]);
        Ok(())
    }
}
