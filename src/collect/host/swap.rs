//! `swap`: each place that memory is swapped out to (proc_swaps(5)).

use std::path::PathBuf;

use async_trait::async_trait;

use super::attribute::number;
use super::{Listed, Part, Run, Site};
use crate::collect::CollectError;
use crate::metrics::Desc;

const LABELS: &[&str] = &["device", "swap_type"];
const KIBI: f64 = 1024.0;

/// The columns after the type, with the factor to the family's unit.
static COLUMNS: [(Desc, f64); 3] = [
    (Desc::gauge("node_swap_size_bytes", "Swap device size in bytes.", LABELS), KIBI),
    (Desc::gauge("node_swap_used_bytes", "Swap device used in bytes.", LABELS), KIBI),
    (Desc::gauge("node_swap_priority", "Swap device priority.", LABELS), 1.0),
];

pub(super) struct Swaps {
    file: PathBuf,
}

impl Listed for Swaps {
    fn descs() -> Vec<&'static Desc> {
        COLUMNS.iter().map(|(desc, _)| desc).collect()
    }

    fn new(site: &Site<'_>) -> Self {
        Self { file: site.roots.procfs.join("swaps") }
    }
}

#[async_trait]
impl Part for Swaps {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        for line in run.files.text(&self.file)?.lines().skip(1) {
            let mut words = line.split_ascii_whitespace();
            let (Some(device), Some(kind)) = (words.next(), words.next()) else { continue };
            for ((desc, unit), word) in COLUMNS.iter().zip(words) {
                if let Some(value) = number(word) {
                    run.batch.push(desc, &[device, kind], value * unit);
                }
            }
        }
        Ok(())
    }
}
