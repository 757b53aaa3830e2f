//! `tcpstat`: TCP connections by state, and what waits in their queues (proc_pid_net(5)).

use std::path::PathBuf;

use async_trait::async_trait;

use super::sysfs::if_there;
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
        let mut counts = Counts::default();
        let [tcp, tcp6] = &self.tables;
        run.files.each_line(tcp, |line| counts.add(line))?;
        // A kernel without IPv6 has no such table.
        if_there(run.files.each_line(tcp6, |line| counts.add(line)))?;
        for (state, count) in NAMES.iter().chain(&["unknown"]).zip(counts.states).filter(|(_, count)| *count > 0) {
            run.batch.push(&STATES, &[state], count as f64);
        }
        run.batch.push(&STATES, &["rx_queued_bytes"], counts.received as f64);
        run.batch.push(&STATES, &["tx_queued_bytes"], counts.sent as f64);
        Ok(())
    }
}

/// What the tables' rows say together.
#[derive(Default)]
struct Counts {
    /// By [`NAMES`], and last those that have none.
    states: [u64; NAMES.len() + 1],
    sent: u64,
    received: u64,
}

impl Counts {
    /// Adds a line `sl local remote st tx:rx …` in hexadecimal numbers. The header is none.
    fn add(&mut self, line: &str) {
        let mut fields = line.split_ascii_whitespace().skip(3);
        let (Some(state), Some(queues)) = (fields.next(), fields.next()) else { return };
        let Some((sent, received)) = queues.split_once(':') else { return };
        let place = usize::from_str_radix(state, 16).ok().and_then(|number| number.checked_sub(1));
        let place = place.filter(|place| *place < NAMES.len()).unwrap_or(NAMES.len());
        self.states[place] += 1;
        for (sum, bytes) in [(&mut self.sent, sent), (&mut self.received, received)] {
            *sum = sum.saturating_add(u64::from_str_radix(bytes, 16).unwrap_or_default());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::files::Reader;
    use super::*;

    #[test]
    fn a_table_larger_than_any_buffer_is_counted() {
        let mut table = tempfile::NamedTempFile::new().unwrap();
        writeln!(table, "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when").unwrap();
        let row = format!("   0: 0100007F:0016 00000000:0000 01 00000002:00000010 {}\n", "0".repeat(100));
        let rows = 120_000;
        table.write_all(row.repeat(rows).as_bytes()).unwrap();
        writeln!(table, "   1: 0100007F:0016 00000000:0000 0C 00000000:00000001").unwrap();
        assert!(table.as_file().metadata().unwrap().len() > 16 << 20);
        let mut counts = Counts::default();
        let tables = ["/none".into(), table.path().into()];
        Reader::default().each_line(&tables, |line| counts.add(line)).unwrap();
        let rows = rows as u64;
        assert_eq!((counts.states[0], counts.states[NAMES.len()]), (rows, 1));
        assert_eq!(counts.states.iter().sum::<u64>(), rows + 1);
        assert_eq!((counts.sent, counts.received), (2 * rows, 16 * rows + 1));
    }
}
