//! `tcpstat`: TCP connections by state, and what waits in their queues (proc_pid_net(5)).

use std::collections::BTreeMap;
use std::path::PathBuf;

use async_trait::async_trait;

use super::{Listed, Part, Run, Site};
use crate::collect::CollectError;
use crate::metrics::Desc;

static STATES: Desc = Desc::gauge("node_tcp_connection_states", "Number of connection states.", &["state"]);

/// By the kernel's numbers, from 1 on (include/net/tcp_states.h). Its twelfth, a request for a connection, is written as
/// the third there.
const NAMES: [&str; 11] = [
    "established",
    "syn_sent",
    "syn_recv",
    "fin_wait1",
    "fin_wait2",
    "time_wait",
    "close",
    "close_wait",
    "last_ack",
    "listen",
    "closing",
];

pub(super) struct Connections {
    /// Those of the first process are the host's, also where we run in a container; else our own.
    tables: [[PathBuf; 2]; 2],
}

impl Listed for Connections {
    fn descs() -> Vec<&'static Desc> {
        vec![&STATES]
    }

    fn new(site: &Site<'_>) -> Self {
        let table = |name| [site.roots.procfs.join("1/net").join(name), site.roots.procfs.join("net").join(name)];
        Self { tables: [table("tcp"), table("tcp6")] }
    }
}

#[async_trait]
impl Part for Connections {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        let mut counts: BTreeMap<&str, u64> = BTreeMap::from([("rx_queued_bytes", 0), ("tx_queued_bytes", 0)]);
        let [tcp, tcp6] = &self.tables;
        count(run.files.text_of_either(tcp)?, &mut counts);
        // A kernel without IPv6 has no such table.
        if let Ok(text) = run.files.text_of_either(tcp6) {
            count(text, &mut counts);
        }
        for (state, count) in counts {
            run.batch.push(&STATES, &[state], count as f64);
        }
        Ok(())
    }
}

/// Lines `sl local remote st tx:rx …` in hexadecimal numbers.
fn count(table: &str, counts: &mut BTreeMap<&str, u64>) {
    for line in table.lines().skip(1) {
        let mut fields = line.split_ascii_whitespace().skip(3);
        let state = fields.next().and_then(|state| usize::from_str_radix(state, 16).ok());
        let name = state.and_then(|state| NAMES.get(state.checked_sub(1)?)).copied().unwrap_or("unknown");
        *counts.entry(name).or_default() += 1;
        let Some((sent, received)) = fields.next().and_then(|queues| queues.split_once(':')) else { continue };
        for (name, bytes) in [("tx_queued_bytes", sent), ("rx_queued_bytes", received)] {
            let bytes = u64::from_str_radix(bytes, 16).unwrap_or_default();
            counts.entry(name).and_modify(|sum| *sum = sum.saturating_add(bytes));
        }
    }
}
