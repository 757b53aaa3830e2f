//! `processes`: how many processes and threads there are, and in which states (proc_pid_stat(5)).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use async_trait::async_trait;

use super::attribute::{self, value};
use super::{Listed, Part, Run, Site};
use crate::collect::CollectError;
use crate::metrics::Desc;

static THREADS: Desc = Desc::gauge("node_processes_threads", "Allocated threads in system", &[]);
static MOST_THREADS: Desc = Desc::gauge("node_processes_max_threads", "Limit of threads in the system", &[]);
static STATES: Desc = Desc::gauge("node_processes_state", "Number of processes in each state.", &["state"]);
static THREAD_STATES: Desc =
    Desc::gauge("node_processes_threads_state", "Number of threads in each state.", &["thread_state"]);
static PIDS: Desc = Desc::gauge("node_processes_pids", "Number of PIDs", &[]);
static MOST_PIDS: Desc = Desc::gauge("node_processes_max_processes", "Number of max PIDs limit", &[]);

pub(super) struct Processes {
    procfs: PathBuf,
}

impl Listed for Processes {
    fn descs() -> Vec<&'static Desc> {
        vec![&THREADS, &MOST_THREADS, &STATES, &THREAD_STATES, &PIDS, &MOST_PIDS]
    }

    fn new(site: &Site<'_>) -> Self {
        Self { procfs: site.roots.procfs.clone() }
    }
}

/// How many are in a state.
type Counts = BTreeMap<String, u32>;

#[async_trait]
impl Part for Processes {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        let (mut pids, mut threads) = (0_u32, 0_u64);
        let (mut states, mut thread_states) = (Counts::new(), Counts::new());
        for (pid, _) in attribute::numbered(&self.procfs, "")? {
            let folder = self.procfs.join(&pid);
            // A process that ended since the folder was read is none.
            let Some((state, count)) = stat(&folder.join("stat")) else { continue };
            pids += 1;
            threads += count;
            tasks(&folder, &pid, &state, &mut thread_states);
            *states.entry(state).or_default() += 1;
        }
        run.batch.push(&THREADS, &[], threads as f64);
        run.batch.push(&PIDS, &[], f64::from(pids));
        for (desc, counts) in [(&STATES, &states), (&THREAD_STATES, &thread_states)] {
            for (state, count) in counts {
                run.batch.push(desc, &[state], f64::from(*count));
            }
        }
        for (desc, file) in [(&MOST_THREADS, "threads-max"), (&MOST_PIDS, "pid_max")] {
            if let Some(limit) = value(&self.procfs.join("sys/kernel").join(file)) {
                run.batch.push(desc, &[], limit);
            }
        }
        Ok(())
    }
}

/// The states of a process' threads; that of the first one is the process' own.
fn tasks(folder: &Path, pid: &str, state: &str, states: &mut Counts) {
    let folder = folder.join("task");
    for task in attribute::names(&folder).unwrap_or_default() {
        if task == pid {
            *states.entry(state.to_owned()).or_default() += 1;
        } else if let Some((state, _)) = stat(&folder.join(task).join("stat")) {
            *states.entry(state).or_default() += 1;
        }
    }
}

/// A process' state and how many threads it has. Its name stands in parentheses and may hold any of both.
fn stat(file: &Path) -> Option<(String, u64)> {
    let text = attribute::text(file)?;
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?.to_owned();
    // Of the fields the state is the third, the number of threads the twentieth.
    Some((state, fields.nth(16)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_forge_a_state() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("stat");
        let fields = "1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 12 0 30";
        std::fs::write(&file, format!("7 (a) R 1 (b) S {fields}\n")).unwrap();
        assert_eq!(stat(&file), Some(("S".to_owned(), 12)));
    }
}
