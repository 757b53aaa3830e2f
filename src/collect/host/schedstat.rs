//! `schedstat`: how long each processor ran tasks, and how long tasks waited for it.

use std::path::PathBuf;

use async_trait::async_trait;

use super::files::counter;
use super::{Listed, Part, Run, Site};
use crate::collect::CollectError;
use crate::metrics::Desc;

const LABELS: &[&str] = &["cpu"];

static RUNNING: Desc =
    Desc::counter("node_schedstat_running_seconds_total", "Number of seconds CPU spent running a process.", LABELS);
static WAITING: Desc = Desc::counter(
    "node_schedstat_waiting_seconds_total",
    "Number of seconds spent by processing waiting for this CPU.",
    LABELS,
);
static SLICES: Desc = Desc::counter("node_schedstat_timeslices_total", "Number of timeslices executed by CPU.", LABELS);

pub(super) struct Schedules {
    file: PathBuf,
}

impl Listed for Schedules {
    fn descs() -> Vec<&'static Desc> {
        vec![&RUNNING, &WAITING, &SLICES]
    }

    fn new(site: &Site<'_>) -> Self {
        Self { file: site.roots.procfs.join("schedstat") }
    }
}

#[async_trait]
impl Part for Schedules {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        for line in run.files.text(&self.file)?.lines() {
            let Some((processor, numbers)) = line.strip_prefix("cpu").and_then(|line| line.split_once(' ')) else {
                continue;
            };
            // The last three of nine; what comes before is the scheduler's own business.
            let mut numbers = numbers.split_ascii_whitespace().map(counter).skip(6);
            let (Some(Some(running)), Some(Some(waiting)), Some(Some(slices))) =
                (numbers.next(), numbers.next(), numbers.next())
            else {
                continue;
            };
            run.batch.push(&RUNNING, &[processor], running / 1e9);
            run.batch.push(&WAITING, &[processor], waiting / 1e9);
            run.batch.push(&SLICES, &[processor], slices);
        }
        Ok(())
    }
}
