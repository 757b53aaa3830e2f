//! `netdev`: what network devices received and sent (`/proc/net/dev`).

use std::borrow::Cow;
use std::path::PathBuf;

use async_trait::async_trait;

use super::files::{counter, malformed};
use super::filter::Filter;
use super::{HostConfig, Listed, Part, Roots, Run, Site};
use crate::collect::CollectError;
use crate::config::Problems;
use crate::metrics::{Desc, Kind};

const fn total(name: &'static str, help: &'static str) -> Desc {
    Desc::counter(name, help, &["device"])
}

/// A column of the table on its side, and its family.
type Column = (&'static str, Desc);

/// The receiving side, in the kernel's order.
#[rustfmt::skip]
pub(super) static RECEIVE: [Column; 8] = [
    ("bytes", total("node_network_receive_bytes_total", "Network device statistic receive_bytes.")),
    ("packets", total("node_network_receive_packets_total", "Network device statistic receive_packets.")),
    ("errs", total("node_network_receive_errs_total", "Network device statistic receive_errs.")),
    ("drop", total("node_network_receive_drop_total", "Network device statistic receive_drop.")),
    ("fifo", total("node_network_receive_fifo_total", "Network device statistic receive_fifo.")),
    ("frame", total("node_network_receive_frame_total", "Network device statistic receive_frame.")),
    ("compressed", total("node_network_receive_compressed_total", "Network device statistic receive_compressed.")),
    ("multicast", total("node_network_receive_multicast_total", "Network device statistic receive_multicast.")),
];

/// The sending side.
#[rustfmt::skip]
pub(super) static TRANSMIT: [Column; 8] = [
    ("bytes", total("node_network_transmit_bytes_total", "Network device statistic transmit_bytes.")),
    ("packets", total("node_network_transmit_packets_total", "Network device statistic transmit_packets.")),
    ("errs", total("node_network_transmit_errs_total", "Network device statistic transmit_errs.")),
    ("drop", total("node_network_transmit_drop_total", "Network device statistic transmit_drop.")),
    ("fifo", total("node_network_transmit_fifo_total", "Network device statistic transmit_fifo.")),
    ("colls", total("node_network_transmit_colls_total", "Network device statistic transmit_colls.")),
    ("carrier", total("node_network_transmit_carrier_total", "Network device statistic transmit_carrier.")),
    ("compressed", total("node_network_transmit_compressed_total", "Network device statistic transmit_compressed.")),
];

/// Not in the table: sysfs has it.
static NO_HANDLER: Desc = total("node_network_receive_nohandler_total", "Network device statistic receive_nohandler.");

/// How the columns that the table lacks are described.
static OTHERS: [Desc; 2] = [
    total("node_network_receive_*_total", "Network device statistic of another kernel."),
    total("node_network_transmit_*_total", "Network device statistic of another kernel."),
];

pub(super) struct NetworkDevices {
    /// That of the first process is the host's, also where we run in a container; else our own.
    tables: [PathBuf; 2],
    class: PathBuf,
    devices: Filter,
}

impl Listed for NetworkDevices {
    fn descs() -> Vec<&'static Desc> {
        RECEIVE.iter().chain(&TRANSMIT).map(|(_, desc)| desc).chain([&NO_HANDLER]).chain(&OTHERS).collect()
    }

    fn check(config: &HostConfig, problems: &mut Problems) {
        config.netdev.check("netdev", problems);
    }

    fn new(site: &Site<'_>) -> Self {
        let Roots { procfs, sysfs, .. } = &site.roots;
        Self {
            tables: [procfs.join("1/net/dev"), procfs.join("net/dev")],
            class: sysfs.join("class/net"),
            devices: site.config.netdev.filter(""),
        }
    }
}

#[async_trait]
impl Part for NetworkDevices {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        let [file, _] = &self.tables;
        let devices = run.folders.entries(&self.class).unwrap_or_default();
        let mut lines = run.table.text_of_either(&self.tables)?.lines();
        let header = lines.nth(1).ok_or_else(|| malformed(file, "no header of two lines"))?;
        let columns = columns(header).ok_or_else(|| malformed(file, "a header without two sides"))?;
        for line in lines {
            // A device's name has no colon in it, and neither has a number.
            let Some((device, values)) = line.rsplit_once(':') else { continue };
            let device = device.trim();
            if !self.devices.takes(device) {
                continue;
            }
            for (desc, value) in columns.iter().zip(values.split_ascii_whitespace()) {
                if let Some(value) = counter(value) {
                    run.batch.push(desc, &[device], value);
                }
            }
            let Some(entry) = devices.iter().find(|entry| entry.name == device) else { continue };
            let folder = self.class.join(device);
            run.devices.belongs(&folder, entry.inode);
            if let Some(value) = run.devices.number(&folder.join("statistics/rx_nohandler")) {
                run.batch.push(&NO_HANDLER, &[device], value as f64);
            }
        }
        Ok(())
    }
}

/// The family of each column: the known one, or one that is made for a column that a newer kernel added.
fn columns(header: &str) -> Option<Vec<Cow<'static, Desc>>> {
    let mut sides = header.split('|').skip(1);
    let (receive, transmit) = (sides.next()?, sides.next()?);
    let mut columns = Vec::with_capacity(RECEIVE.len() + TRANSMIT.len());
    for (side, names, known) in [("receive", receive, &RECEIVE), ("transmit", transmit, &TRANSMIT)] {
        for name in names.split_ascii_whitespace() {
            let known = known.iter().find(|(known, _)| *known == name);
            columns.push(known.map_or_else(|| Cow::Owned(unknown(side, name)), |(_, desc)| Cow::Borrowed(desc)));
        }
    }
    Some(columns)
}

fn unknown(side: &str, name: &str) -> Desc {
    let label = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let key = format!("{side}_{}", name.chars().map(label).collect::<String>());
    Desc {
        name: Cow::Owned(format!("node_network_{key}_total")),
        help: Cow::Owned(format!("Network device statistic {key}.")),
        kind: Kind::Counter,
        labels: Cow::Borrowed(&["device"]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_that_a_newer_kernel_added_gets_a_family_of_its_own() {
        let columns = columns(" face |bytes packets new-one|bytes colls").unwrap();
        let names: Vec<_> = columns.iter().map(|desc| desc.name.as_ref()).collect();
        assert_eq!(
            names,
            [
                "node_network_receive_bytes_total",
                "node_network_receive_packets_total",
                "node_network_receive_new_one_total",
                "node_network_transmit_bytes_total",
                "node_network_transmit_colls_total"
            ]
        );
    }

    #[test]
    fn the_table_names_what_the_rule_would_name() {
        for (side, known) in [("receive", &RECEIVE), ("transmit", &TRANSMIT)] {
            for (name, desc) in known {
                assert_eq!(unknown(side, name), *desc);
            }
        }
    }
}
