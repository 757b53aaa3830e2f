//! `pressure`: for how long programs waited for a resource (Linux' PSI).

use std::path::PathBuf;

use async_trait::async_trait;

use super::files::counter;
use super::sysfs::{if_there, no_data};
use super::{Listed, Part, Run, Site};
use crate::collect::CollectError;
use crate::metrics::Desc;

const fn total(name: &'static str, help: &'static str) -> Desc {
    Desc::counter(name, help, &[])
}

/// File, line and family. Programs that cannot all wait for a processor, or not all for an interrupt, have no line or one
/// that says nothing.
#[rustfmt::skip]
static TOTALS: [(&str, &str, Desc); 6] = [
    ("cpu", "some", total("node_pressure_cpu_waiting_seconds_total", "Total time in seconds that processes have waited for CPU time")),
    ("io", "some", total("node_pressure_io_waiting_seconds_total", "Total time in seconds that processes have waited due to IO congestion")),
    ("io", "full", total("node_pressure_io_stalled_seconds_total", "Total time in seconds no process could make progress due to IO congestion")),
    ("memory", "some", total("node_pressure_memory_waiting_seconds_total", "Total time in seconds that processes have waited for memory")),
    ("memory", "full", total("node_pressure_memory_stalled_seconds_total", "Total time in seconds no process could make progress due to memory congestion")),
    ("irq", "full", total("node_pressure_irq_stalled_seconds_total", "Total time in seconds no process could make progress due to IRQ congestion")),
];

pub(super) struct Pressure {
    folder: PathBuf,
}

impl Listed for Pressure {
    fn descs() -> Vec<&'static Desc> {
        TOTALS.iter().map(|(_, _, desc)| desc).collect()
    }

    fn new(site: &Site<'_>) -> Self {
        Self { folder: site.roots.procfs.join("pressure") }
    }
}

#[async_trait]
impl Part for Pressure {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        let mut found = false;
        for families in TOTALS.chunk_by(|(one, ..), (next, ..)| one == next) {
            let Some((resource, ..)) = families.first() else { continue };
            let Some(text) = if_there(run.files.attribute(&self.folder.join(resource)))? else { continue };
            for (_, line, desc) in families {
                // Disabled by the kernel's command line, the files are there and say nothing.
                let micros = total_of(text, line).ok_or_else(|| no_data(&self.folder))?;
                run.batch.push(desc, &[], micros / 1e6);
                found = true;
            }
        }
        if found { Ok(()) } else { Err(no_data(&self.folder)) }
    }
}

/// The total of the line `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`.
fn total_of(text: &str, line: &str) -> Option<f64> {
    let fields = text.lines().find_map(|found| found.strip_prefix(line))?;
    fields.split_ascii_whitespace().find_map(|field| field.strip_prefix("total=")).and_then(counter)
}
