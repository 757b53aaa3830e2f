//! `udp_queues`: how much waits in the queues of all UDP sockets.

use std::path::PathBuf;

use async_trait::async_trait;

use super::files::malformed;
use super::sysfs::{if_there, no_data};
use super::{Listed, Part, Run, Site};
use crate::collect::CollectError;
use crate::metrics::Desc;

static QUEUES: Desc = Desc::gauge(
    "node_udp_queues",
    "Number of allocated memory in the kernel for UDP datagrams in bytes.",
    &["ip", "queue"],
);

pub(super) struct UdpQueues {
    tables: [(&'static str, [PathBuf; 2]); 2],
}

impl Listed for UdpQueues {
    fn descs() -> Vec<&'static Desc> {
        vec![&QUEUES]
    }

    fn new(site: &Site<'_>) -> Self {
        Self { tables: [("v4", site.roots.net("udp")), ("v6", site.roots.net("udp6"))] }
    }
}

#[async_trait]
impl Part for UdpQueues {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        let mut found = false;
        for (ip, table) in &self.tables {
            // The header is the first line.
            let (mut sent, mut received, mut lines, mut sound) = (0, 0, 0_u64, true);
            let read = run.files.each_line(table, |line| {
                if let Some((tx, rx)) = queues(line) {
                    sent += tx;
                    received += rx;
                } else {
                    sound &= lines == 0;
                }
                lines += 1;
            });
            if if_there(read)?.is_none() {
                continue;
            }
            if !sound {
                return Err(malformed(&table[0], "a socket without its queues"));
            }
            run.batch.push(&QUEUES, &[ip, "tx"], sent as f64);
            run.batch.push(&QUEUES, &[ip, "rx"], received as f64);
            found = true;
        }
        if found { Ok(()) } else { Err(no_data(&self.tables[0].1[1])) }
    }
}

/// The fifth column of a socket, `00000000:00000000`.
fn queues(line: &str) -> Option<(u64, u64)> {
    let (sent, received) = line.split_ascii_whitespace().nth(4)?.split_once(':')?;
    Some((u64::from_str_radix(sent, 16).ok()?, u64::from_str_radix(received, 16).ok()?))
}
