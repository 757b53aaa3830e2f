//! `entropy`: what the kernel's source of randomness holds (random(4)).

use std::path::PathBuf;

use async_trait::async_trait;

use super::files::{counter, malformed};
use super::{Listed, Part, Run, Site};
use crate::collect::CollectError;
use crate::metrics::Desc;

static FILES: [(&str, Desc); 2] = [
    ("entropy_avail", Desc::gauge("node_entropy_available_bits", "Bits of available entropy.", &[])),
    ("poolsize", Desc::gauge("node_entropy_pool_size_bits", "Bits of entropy pool.", &[])),
];

pub(super) struct Entropy {
    folder: PathBuf,
}

impl Listed for Entropy {
    fn descs() -> Vec<&'static Desc> {
        FILES.iter().map(|(_, desc)| desc).collect()
    }

    fn new(site: &Site<'_>) -> Self {
        Self { folder: site.roots.procfs.join("sys/kernel/random") }
    }
}

#[async_trait]
impl Part for Entropy {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        for (file, desc) in &FILES {
            let file = self.folder.join(file);
            let bits = counter(run.files.attribute(&file)?.trim()).ok_or_else(|| malformed(&file, "no number"))?;
            run.batch.push(desc, &[], bits);
        }
        Ok(())
    }
}
