//! `slabinfo`: the kernel's caches of objects (slabinfo(5)). Only root may read them.

use std::path::PathBuf;

use async_trait::async_trait;
use serde::Deserialize;

use super::files::counter;
use super::filter::Filter;
use super::{HostConfig, Listed, Part, Run, Site};
use crate::collect::CollectError;
use crate::config::Problems;
use crate::metrics::Desc;

/// Which caches are taken.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SlabinfoConfig {
    /// Only caches that match.
    pub slabs_include: Option<String>,
    /// No caches that match.
    pub slabs_exclude: Option<String>,
}

const SLAB: &[&str] = &["slab"];

/// The columns in their order.
static COLUMNS: [Desc; 5] = [
    Desc::gauge(
        "node_slabinfo_active_objects",
        "The number of objects that are currently active (i.e., in use).",
        SLAB,
    ),
    Desc::gauge(
        "node_slabinfo_objects",
        "The total number of allocated objects (i.e., objects that are both in use and not in use).",
        SLAB,
    ),
    Desc::gauge("node_slabinfo_object_size_bytes", "The size of objects in this slab, in bytes.", SLAB),
    Desc::gauge("node_slabinfo_objects_per_slab", "The number of objects stored in each slab.", SLAB),
    Desc::gauge("node_slabinfo_pages_per_slab", "The number of pages allocated for each slab.", SLAB),
];

pub(super) struct Slabs {
    file: PathBuf,
    slabs: Filter,
}

impl Listed for Slabs {
    fn descs() -> Vec<&'static Desc> {
        COLUMNS.iter().collect()
    }

    fn check(config: &HostConfig, problems: &mut Problems) {
        let (include, exclude) = (&config.slabinfo.slabs_include, &config.slabinfo.slabs_exclude);
        Filter::check("slabinfo.slabs", include.as_deref(), exclude.as_deref(), problems);
    }

    fn new(site: &Site<'_>) -> Self {
        let (roots, config) = (&site.roots, &site.config.slabinfo);
        let slabs = Filter::new(config.slabs_include.as_deref(), config.slabs_exclude.as_deref(), "");
        Self { file: roots.procfs.join("slabinfo"), slabs }
    }
}

#[async_trait]
impl Part for Slabs {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        // Two lines of heading: the version, and the columns after a `#`.
        for line in run.files.text(&self.file)?.lines().skip(1).filter(|line| !line.starts_with('#')) {
            let mut words = line.split_ascii_whitespace();
            let Some(slab) = words.next().filter(|slab| self.slabs.takes(slab)) else { continue };
            for (desc, word) in COLUMNS.iter().zip(words) {
                if let Some(value) = counter(word) {
                    run.batch.push(desc, &[slab], value);
                }
            }
        }
        Ok(())
    }
}
