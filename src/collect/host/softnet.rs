//! `softnet`: what each processor did with the packets that arrived (`/proc/net/softnet_stat`).

use std::path::PathBuf;

use async_trait::async_trait;

use super::files::malformed;
use super::{Listed, Part, Run, Site};
use crate::collect::CollectError;
use crate::metrics::Desc;

const LABELS: &[&str] = &["cpu"];

/// Columns with their families. Older kernels have fewer.
#[rustfmt::skip]
static COLUMNS: [(usize, Desc); 7] = [
    (0, Desc::counter("node_softnet_processed_total", "Number of processed packets", LABELS)),
    (1, Desc::counter("node_softnet_dropped_total", "Number of dropped packets", LABELS)),
    (2, Desc::counter("node_softnet_times_squeezed_total", "Number of times processing packets ran out of quota", LABELS)),
    (8, Desc::counter("node_softnet_cpu_collision_total", "Number of collision occur while obtaining device lock while transmitting", LABELS)),
    (9, Desc::counter("node_softnet_received_rps_total", "Number of times cpu woken up received_rps", LABELS)),
    (10, Desc::counter("node_softnet_flow_limit_count_total", "Number of times flow limit has been reached", LABELS)),
    (11, Desc::gauge("node_softnet_backlog_len", "Softnet backlog status", LABELS)),
];

/// The column that tells the processor, since Linux 5.14; before, it is the line's number.
const PROCESSOR: usize = 12;

/// All kernels have as many.
const LEAST: usize = 9;

pub(super) struct Softnet {
    table: [PathBuf; 2],
}

impl Listed for Softnet {
    fn descs() -> Vec<&'static Desc> {
        COLUMNS.iter().map(|(_, desc)| desc).collect()
    }

    fn new(site: &Site<'_>) -> Self {
        Self { table: site.roots.net("softnet_stat") }
    }
}

#[async_trait]
impl Part for Softnet {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        let mut columns: Vec<u32> = Vec::new();
        for (number, line) in run.files.text_of_either(&self.table)?.lines().enumerate() {
            columns.clear();
            columns.extend(line.split_ascii_whitespace().map_while(|column| u32::from_str_radix(column, 16).ok()));
            if columns.len() < LEAST {
                return Err(malformed(&self.table[0], "a line of less than 9 numbers"));
            }
            let processor = columns.get(PROCESSOR).map_or(number, |processor| *processor as usize).to_string();
            for (column, desc) in &COLUMNS {
                let value = columns.get(*column).copied().unwrap_or_default();
                run.batch.push(desc, &[&processor], f64::from(value));
            }
        }
        Ok(())
    }
}
