//! `buddyinfo`: free blocks of memory by their size (proc_buddyinfo(5)).

use std::path::PathBuf;

use async_trait::async_trait;

use super::files::counter;
use super::{Listed, Part, Run, Site};
use crate::collect::CollectError;
use crate::metrics::Desc;

static BLOCKS: Desc =
    Desc::gauge("node_buddyinfo_blocks", "Count of free blocks according to size.", &["node", "zone", "size"]);

pub(super) struct FreeBlocks {
    file: PathBuf,
}

impl Listed for FreeBlocks {
    fn descs() -> Vec<&'static Desc> {
        vec![&BLOCKS]
    }

    fn new(site: &Site<'_>) -> Self {
        Self { file: site.roots.procfs.join("buddyinfo") }
    }
}

#[async_trait]
impl Part for FreeBlocks {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        for line in run.files.text(&self.file)?.lines() {
            // `Node 0, zone   Normal   4381   1093 …`
            let mut words = line.split_ascii_whitespace();
            let (Some("Node"), Some(node), Some("zone"), Some(zone)) =
                (words.next(), words.next(), words.next(), words.next())
            else {
                continue;
            };
            for (size, count) in words.enumerate() {
                if let Some(count) = counter(count) {
                    run.batch.push(&BLOCKS, &[node.trim_end_matches(','), zone, &size.to_string()], count);
                }
            }
        }
        Ok(())
    }
}
