//! `stat`: totals of the kernel since boot (proc_stat(5)).

use std::path::PathBuf;

use async_trait::async_trait;
use serde::Deserialize;

use super::files::counter;
use super::{Listed, Part, Run, Site};
use crate::collect::CollectError;
use crate::metrics::Desc;

pub(super) static BOOT_TIME: Desc = Desc::gauge("node_boot_time_seconds", "Node boot time, in unixtime.", &[]);
static INTERRUPTS: Desc = Desc::counter("node_intr_total", "Total number of interrupts serviced.", &[]);
static SWITCHES: Desc = Desc::counter("node_context_switches_total", "Total number of context switches.", &[]);
static FORKS: Desc = Desc::counter("node_forks_total", "Total number of forks.", &[]);
static RUNNING: Desc = Desc::gauge("node_procs_running", "Number of processes in runnable state.", &[]);
static BLOCKED: Desc =
    Desc::gauge("node_procs_blocked", "Number of processes blocked waiting for I/O to complete.", &[]);

static SOFT: Desc = Desc::counter("node_softirqs_total", "Number of softirq calls.", &["vector"]);

/// The kernel's soft interrupts, in its order (include/linux/interrupt.h); their sum stands before them.
const VECTORS: [&str; 10] =
    ["hi", "timer", "net_tx", "net_rx", "block", "block_iopoll", "tasklet", "sched", "hrtimer", "rcu"];

/// What of the totals is told.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StatConfig {
    /// Tells how often each soft interrupt came.
    pub softirq: bool,
}

pub(super) struct Totals {
    file: PathBuf,
    softirq: bool,
}

impl Listed for Totals {
    fn descs() -> Vec<&'static Desc> {
        vec![&INTERRUPTS, &SWITCHES, &FORKS, &BOOT_TIME, &RUNNING, &BLOCKED, &SOFT]
    }

    fn new(site: &Site<'_>) -> Self {
        Self { file: site.roots.procfs.join("stat"), softirq: site.config.stat.softirq }
    }
}

#[async_trait]
impl Part for Totals {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        for line in run.stat.text(&self.file)?.lines() {
            let mut fields = line.split_ascii_whitespace();
            let desc = match fields.next() {
                Some("intr") => &INTERRUPTS,
                Some("ctxt") => &SWITCHES,
                Some("processes") => &FORKS,
                Some("btime") => &BOOT_TIME,
                Some("procs_running") => &RUNNING,
                Some("procs_blocked") => &BLOCKED,
                Some("softirq") if self.softirq => {
                    for (vector, count) in VECTORS.iter().zip(fields.skip(1)) {
                        if let Some(count) = counter(count) {
                            run.batch.push(&SOFT, &[vector], count);
                        }
                    }
                    continue;
                }
                _ => continue,
            };
            if let Some(value) = fields.next().and_then(counter) {
                run.batch.push(desc, &[], value);
            }
        }
        Ok(())
    }
}
