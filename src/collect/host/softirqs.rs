//! `softirqs`: deferred work of the kernel by kind and processor (proc_softirqs(5)).

use std::path::PathBuf;

use async_trait::async_trait;

use super::files::{counter, malformed};
use super::{Listed, Part, Run, Site};
use crate::collect::CollectError;
use crate::metrics::Desc;

static TOTAL: Desc = Desc::counter("node_softirqs_functions_total", "Softirq counts per CPU.", &["cpu", "type"]);

pub(super) struct SoftInterrupts {
    file: PathBuf,
}

impl Listed for SoftInterrupts {
    fn descs() -> Vec<&'static Desc> {
        vec![&TOTAL]
    }

    fn new(site: &Site<'_>) -> Self {
        Self { file: site.roots.procfs.join("softirqs") }
    }
}

#[async_trait]
impl Part for SoftInterrupts {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        let mut lines = run.files.text(&self.file)?.lines();
        let header = lines.next().ok_or_else(|| malformed(&self.file, "empty"))?;
        let cpus: Vec<_> = header.split_ascii_whitespace().map(|cpu| cpu.strip_prefix("CPU").unwrap_or(cpu)).collect();
        for (kind, counts) in lines.filter_map(|line| line.split_once(':')) {
            for (cpu, count) in cpus.iter().zip(counts.split_ascii_whitespace()) {
                if let Some(count) = counter(count) {
                    run.batch.push(&TOTAL, &[cpu, kind.trim()], count);
                }
            }
        }
        Ok(())
    }
}
