//! `arp`: how many neighbours each device has. node_exporter asks by netlink for what the table lists: all IPv4
//! neighbours but those that need no ARP.

use std::collections::BTreeMap;
use std::path::PathBuf;

use async_trait::async_trait;

use super::filter::Filter;
use super::{HostConfig, Listed, Part, Run, Site};
use crate::collect::CollectError;
use crate::config::Problems;
use crate::metrics::Desc;

static ENTRIES: Desc = Desc::gauge("node_arp_entries", "ARP entries by device", &["device"]);

pub(super) struct Neighbours {
    table: [PathBuf; 2],
    devices: Filter,
}

impl Listed for Neighbours {
    fn descs() -> Vec<&'static Desc> {
        vec![&ENTRIES]
    }

    fn check(config: &HostConfig, problems: &mut Problems) {
        config.arp.check("arp", problems);
    }

    fn new(site: &Site<'_>) -> Self {
        Self { table: site.roots.net("arp"), devices: site.config.arp.filter("") }
    }
}

#[async_trait]
impl Part for Neighbours {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        let mut entries: BTreeMap<&str, u32> = BTreeMap::new();
        for line in run.files.text_of_either(&self.table)?.lines().skip(1) {
            if let Some(device) = line.split_ascii_whitespace().last() {
                *entries.entry(device).or_default() += 1;
            }
        }
        for (device, entries) in entries.into_iter().filter(|(device, _)| self.devices.takes(device)) {
            run.batch.push(&ENTRIES, &[device], f64::from(entries));
        }
        Ok(())
    }
}
