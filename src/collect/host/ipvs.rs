//! `ipvs`: the kernel's load balancer (`/proc/net/ip_vs_stats` and `ip_vs`).

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use async_trait::async_trait;
use serde::Deserialize;

use super::files::malformed;
use super::{HostConfig, Listed, Part, Run, Site};
use crate::collect::CollectError;
use crate::config::{Problem, Problems};
use crate::metrics::Desc;

/// The totals, in the kernel's order.
static TOTALS: [Desc; 5] = [
    Desc::counter("node_ipvs_connections_total", "The total number of connections made.", &[]),
    Desc::counter("node_ipvs_incoming_packets_total", "The total number of incoming packets.", &[]),
    Desc::counter("node_ipvs_outgoing_packets_total", "The total number of outgoing packets.", &[]),
    Desc::counter("node_ipvs_incoming_bytes_total", "The total amount of incoming data.", &[]),
    Desc::counter("node_ipvs_outgoing_bytes_total", "The total amount of outgoing data.", &[]),
];

/// The labels of a backend.
const LABELS: &[&str] = &["local_address", "local_mark", "local_port", "proto", "remote_address", "remote_port"];

/// A backend's weight, active and inactive connections, in the kernel's order.
static BACKENDS: [Desc; 3] = [
    Desc::gauge("node_ipvs_backend_weight", "The current backend weight by local and remote address.", LABELS),
    Desc::gauge(
        "node_ipvs_backend_connections_active",
        "The current active connections by local and remote address.",
        LABELS,
    ),
    Desc::gauge(
        "node_ipvs_backend_connections_inactive",
        "The current inactive connections by local and remote address.",
        LABELS,
    ),
];

/// How backends are told.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IpvsConfig {
    /// The labels that a backend keeps; those that then are the same are added up.
    pub backend_labels: Vec<String>,
}

impl Default for IpvsConfig {
    fn default() -> Self {
        Self { backend_labels: LABELS.iter().map(|label| (*label).to_owned()).collect() }
    }
}

pub(super) struct Balancer {
    statistics: [PathBuf; 2],
    table: [PathBuf; 2],
    /// For each label whether it is kept.
    kept: [bool; 6],
}

/// A backend's labels, and its three numbers.
type Backends = BTreeMap<[String; 6], [u64; 3]>;

impl Listed for Balancer {
    fn descs() -> Vec<&'static Desc> {
        TOTALS.iter().chain(&BACKENDS).collect()
    }

    fn check(config: &HostConfig, problems: &mut Problems) {
        for (index, label) in config.ipvs.backend_labels.iter().enumerate() {
            if !LABELS.contains(&label.as_str()) {
                let key = format!("ipvs.backend_labels.{index}");
                let problem = Problem::error(key, format!("a backend has no label `{label}`"));
                problems.push(problem.hint(format!("the labels are {}", LABELS.join(", "))));
            }
        }
    }

    fn new(site: &Site<'_>) -> Self {
        let mut kept = [false; 6];
        for (kept, label) in kept.iter_mut().zip(LABELS) {
            *kept = site.config.ipvs.backend_labels.iter().any(|wanted| wanted == label);
        }
        Self { statistics: site.roots.net("ip_vs_stats"), table: site.roots.net("ip_vs"), kept }
    }
}

#[async_trait]
impl Part for Balancer {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        let text = run.files.text_of_either(&self.statistics)?;
        let numbers = text.lines().nth(2).unwrap_or_default().split_ascii_whitespace();
        let totals: Vec<u64> = numbers.map_while(|number| u64::from_str_radix(number, 16).ok()).collect();
        if totals.len() != TOTALS.len() {
            return Err(malformed(&self.statistics[0], "a third line that is not five numbers"));
        }
        for (desc, total) in TOTALS.iter().zip(totals) {
            run.batch.push(desc, &[], total as f64);
        }
        let table = run.files.text_of_either(&self.table)?;
        let backends = backends(table, self.kept).ok_or_else(|| malformed(&self.table[0], "not as documented"))?;
        for (values, numbers) in backends {
            let labels: Vec<(&str, &str)> = LABELS
                .iter()
                .zip(&values)
                .zip(self.kept)
                .filter_map(|((label, value), kept)| kept.then_some((*label, value.as_str())))
                .collect();
            for (desc, number) in BACKENDS.iter().zip(numbers) {
                run.batch.push_labelled(desc, &labels, number as f64);
            }
        }
        Ok(())
    }
}

/// The backends below their services, added up where their kept labels are the same.
fn backends(table: &str, kept: [bool; 6]) -> Option<Backends> {
    let mut sums = Backends::new();
    let (mut proto, mut mark) = (String::new(), String::new());
    let mut local = (String::new(), 0);
    // Three lines of headings.
    for line in table.lines().skip(3) {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        match fields[..] {
            [kind @ ("TCP" | "UDP" | "SCTP"), service, ..] => {
                (proto, mark, local) = (kind.to_owned(), String::new(), address(service)?);
            }
            [kind @ "FWM", number, ..] => {
                (proto, mark, local) = (kind.to_owned(), number.to_owned(), (String::new(), 0));
            }
            ["->", backend, _, weight, active, inactive, ..] => {
                let (remote, port) = address(backend)?;
                let mut labels =
                    [local.0.clone(), mark.clone(), local.1.to_string(), proto.clone(), remote, port.to_string()];
                for (label, _) in labels.iter_mut().zip(kept).filter(|(_, kept)| !kept) {
                    label.clear();
                }
                let sum = sums.entry(labels).or_default();
                for (sum, number) in sum.iter_mut().zip([weight, active, inactive]) {
                    *sum += number.parse::<u64>().ok()?;
                }
            }
            _ => {}
        }
    }
    Some(sums)
}

/// `C0A80016:0CEA`, or an IPv6 address in brackets and a port.
fn address(text: &str) -> Option<(String, u16)> {
    let (address, port) = text.rsplit_once(':')?;
    let address = match address.strip_prefix('[').and_then(|address| address.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().ok()?.to_string(),
        None => Ipv4Addr::from_bits(u32::from_str_radix(address, 16).ok()?).to_string(),
    };
    Some((address, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "IP Virtual Server version 1.2.1 (size=4096)\n\
        Prot LocalAddress:Port Scheduler Flags\n  -> RemoteAddress:Port Forward Weight ActiveConn InActConn\n\
        TCP  C0A80016:0CEA wlc\n  -> C0A85216:0CEA      Tunnel  100    248        2\n  -> C0A85318:0CEA      Tunnel  100    248        2\n\
        FWM  10001000 wlc\n  -> C0A85318:0CEA      Route   20     64         1\n\
        TCP  [2001:0DB8:0000:0000:0000:0000:0000:0001]:0050 rr\n  -> [2001:0DB8:0000:0000:0000:0000:0000:0002]:1F90 Masq 1 0 0\n";

    #[test]
    fn backends_belong_to_the_service_above_them() {
        let found = backends(TABLE, [true; 6]).unwrap();
        let row = |values: [&str; 6]| found[&values.map(str::to_owned)];
        assert_eq!(row(["192.168.0.22", "", "3306", "TCP", "192.168.82.22", "3306"]), [100, 248, 2]);
        assert_eq!(row(["", "10001000", "0", "FWM", "192.168.83.24", "3306"]), [20, 64, 1]);
        assert_eq!(row(["2001:db8::1", "", "80", "TCP", "2001:db8::2", "8080"]), [1, 0, 0]);
        assert_eq!(found.len(), 4);
    }

    #[test]
    fn what_differs_in_dropped_labels_only_is_added_up() {
        let found = backends(TABLE, [true, false, false, false, false, false]).unwrap();
        let sum = found[&["192.168.0.22", "", "", "", "", ""].map(str::to_owned)];
        assert_eq!(sum, [200, 496, 4]);
        assert_eq!(backends("\n\n\nTCP nonsense rr\n", [true; 6]), None);
    }
}
