//! A network namespace's sockets and protocol counters, from `/proc/PID/net`: the groups `tcp`, `udp` and `advtcp`.

use std::path::Path;

use super::files::Buffer;
use super::options::{Group, Groups};

/// cAdvisor's names of the states, in the order of the kernel's numbers from 1.
pub(super) const TCP_STATES: [&str; 11] = [
    "established",
    "synsent",
    "synrecv",
    "finwait1",
    "finwait2",
    "timewait",
    "close",
    "closewait",
    "lastack",
    "listen",
    "closing",
];

/// cAdvisor's names of the figures of UDP.
pub(super) const UDP_STATES: [&str; 4] = ["listen", "dropped", "rxqueued", "txqueued"];

/// The number that the kernel gives a UDP socket without a peer.
const UNCONNECTED: u64 = 7;

/// What the tables of a namespace hold; the second of two is that of IPv6. A table that could not be read is `None`:
/// noughts would say that there are no sockets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sockets {
    pub(super) tcp: [Option<[u64; 11]>; 2],
    pub(super) udp: [Option<[u64; 4]>; 2],
    /// The counters of TCP, by their names in lower case.
    pub(super) counters: Vec<(String, i64)>,
}

/// Reads what is asked for in `net`, the folder of a process.
pub(super) fn read(net: &Path, groups: &Groups, buffer: &mut Buffer) -> Sockets {
    let mut found = Sockets::default();
    if groups.has(Group::Tcp) {
        found.tcp = ["tcp", "tcp6"].map(|table| buffer.read(&net.join(table)).map(tcp));
    }
    if groups.has(Group::Udp) {
        found.udp = ["udp", "udp6"].map(|table| buffer.read(&net.join(table)).map(udp));
    }
    if groups.has(Group::AdvancedTcp) {
        for (table, protocol) in [("netstat", "TcpExt:"), ("snmp", "Tcp:")] {
            let text = buffer.read(&net.join(table)).unwrap_or_default();
            found.counters.extend(counters(text, protocol));
        }
    }
    found
}

/// The columns `st`, `tx_queue:rx_queue` and the last one of each row.
fn rows(table: &str) -> impl Iterator<Item = (u64, u64, u64, u64)> {
    table.lines().skip(1).filter_map(|line| {
        let mut words = line.split_ascii_whitespace().skip(3);
        let hex = |word: &str| u64::from_str_radix(word, 16).ok();
        let state = hex(words.next()?)?;
        let (sent, received) = words.next()?.split_once(':')?;
        let last = words.last().and_then(|word| word.parse().ok()).unwrap_or(0);
        Some((state, hex(sent)?, hex(received)?, last))
    })
}

fn tcp(table: &str) -> [u64; 11] {
    let mut states = [0; 11];
    for (state, ..) in rows(table) {
        if let Some(count) = (state as usize).checked_sub(1).and_then(|at| states.get_mut(at)) {
            *count += 1;
        }
    }
    states
}

fn udp(table: &str) -> [u64; 4] {
    rows(table).fold([0; 4], |[open, dropped, received, sent], (state, tx, rx, drops)| {
        [open + u64::from(state == UNCONNECTED), dropped + drops, received + rx, sent + tx]
    })
}

/// The pairs of the two lines that begin with `protocol`: names, then values.
fn counters(text: &str, protocol: &str) -> Vec<(String, i64)> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(protocol));
    let (names, values) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let pairs = names.split_ascii_whitespace().zip(values.split_ascii_whitespace());
    pairs.filter_map(|(name, value)| Some((name.to_ascii_lowercase(), value.parse().ok()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const UDP: &str = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n\
        246: 00000000:12B7 00000000:0000 07 00000010:00000002 00:00000000 00000000 0 0 16110 2 000000009d331ea6 5\n\
        247: 00000000:12B7 0100007F:0000 01 00000000:00000001 00:00000000 00000000 0 0 16110 2 000000009d331ea6 1\n";

    #[test]
    fn sockets_are_counted_by_state_and_queue() {
        assert_eq!(udp(UDP), [1, 6, 3, 16]);
        let states = tcp("head\n 0: 0:16 0:0 0A 0:0 0\n 1: 0:16 0:0 01 0:0 0\n 2: 0:16 0:0 FF 0:0 0\n 3: garbage\n");
        assert_eq!((states[0], states[9], states.iter().sum::<u64>()), (1, 1, 2));
    }

    #[test]
    fn a_table_that_cannot_be_read_is_not_one_without_sockets() {
        let net = tempfile::tempdir().unwrap();
        std::fs::write(net.path().join("tcp"), "head\n 0: 0:16 0:0 0A 0:0 0\n").unwrap();
        std::fs::write(net.path().join("udp"), UDP).unwrap();
        let too_large = format!("head\n{}", " 0: 0:16 0:0 01 0:0 0\n".repeat(250_000));
        std::fs::write(net.path().join("udp6"), too_large).unwrap();
        let groups = Groups::new(&["tcp".into(), "udp".into()], &[]);
        let found = read(net.path(), &groups, &mut Buffer::default());
        assert_eq!(found.tcp.map(|counts| counts.map(|counts| counts[9])), [Some(1), None]);
        assert_eq!(found.udp, [Some([1, 6, 3, 16]), None]);
    }

    #[test]
    fn counters_are_paired_with_their_names() {
        let text = "Tcp: RtoAlgorithm MaxConn ActiveOpens\nTcp: 1 -1 42\nUdp: In\nUdp: 3\n";
        let found = counters(text, "Tcp:");
        assert_eq!(found, [("rtoalgorithm".into(), 1), ("maxconn".into(), -1), ("activeopens".into(), 42)]);
        assert_eq!(counters("", "Tcp:"), []);
    }
}
