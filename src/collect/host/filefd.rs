//! `filefd`: how many files are open (`/proc/sys/fs/file-nr`).

use std::path::PathBuf;

use async_trait::async_trait;

use super::files::{counter, malformed};
use super::{Listed, Part, Run, Site};
use crate::collect::CollectError;
use crate::metrics::Desc;

static ALLOCATED: Desc = Desc::gauge("node_filefd_allocated", "File descriptor statistics: allocated.", &[]);
static MAXIMUM: Desc = Desc::gauge("node_filefd_maximum", "File descriptor statistics: maximum.", &[]);

pub(super) struct OpenFiles {
    file: PathBuf,
}

impl Listed for OpenFiles {
    fn descs() -> Vec<&'static Desc> {
        vec![&ALLOCATED, &MAXIMUM]
    }

    fn new(site: &Site<'_>) -> Self {
        Self { file: site.roots.procfs.join("sys/fs/file-nr") }
    }
}

#[async_trait]
impl Part for OpenFiles {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        // The second is always 0.
        let mut numbers = run.files.attribute(&self.file)?.split_ascii_whitespace().map(counter);
        let (Some(Some(allocated)), _, Some(Some(maximum))) = (numbers.next(), numbers.next(), numbers.next()) else {
            return Err(malformed(&self.file, "not three numbers"));
        };
        run.batch.push(&ALLOCATED, &[], allocated);
        run.batch.push(&MAXIMUM, &[], maximum);
        Ok(())
    }
}
