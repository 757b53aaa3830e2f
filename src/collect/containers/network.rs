//! A container's network interfaces, from its own namespace: `/proc/PID/net/dev`.

use super::stats::Interface;

/// Interfaces that cAdvisor leaves out: the loopback, and the host's ends of containers' pairs.
const LEFT_OUT: [&str; 3] = ["veth", "docker", "nerdctl"];

/// The rows of the table: bytes, packets, errors and drops, received and sent.
pub(super) fn parse(table: &str) -> Vec<Interface> {
    let rows = table.lines().skip(2);
    rows.filter_map(|line| {
        // A name has no colon in it, and neither has a number.
        let (name, numbers) = line.rsplit_once(':')?;
        let name = name.trim();
        if name == "lo" || LEFT_OUT.iter().any(|prefix| name.starts_with(prefix)) {
            return None;
        }
        let mut counts = [0; 8];
        for (column, value) in numbers.split_ascii_whitespace().enumerate() {
            let at = match column {
                0..4 => column,
                8..12 => column - 4,
                _ => continue,
            };
            counts[at] = value.parse().ok()?;
        }
        Some(Interface { name: name.to_owned(), counts })
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_and_the_hosts_ends_of_pairs_are_left_out() {
        let table = "Inter-|   Receive   |  Transmit\n face |bytes …\n    lo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n\
            eth0: 936 12 1 2 0 0 0 0 5 6 7 8 0 0 0 0\nveth12: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n";
        assert_eq!(parse(table), [Interface { name: "eth0".into(), counts: [936, 12, 1, 2, 5, 6, 7, 8] }]);
    }
}
