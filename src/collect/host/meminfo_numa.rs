//! `meminfo_numa`: memory by node (Documentation/admin-guide/numastat.rst).

use std::path::PathBuf;

use async_trait::async_trait;

use super::attribute::{self, number};
use super::{Listed, Part, Run, Site, names};
use crate::collect::CollectError;
use crate::metrics::{Desc, Kind};

const NODE: &[&str] = &["node"];
const KIBI: f64 = 1024.0;

static DESCS: [Desc; 2] = [
    Desc::gauge("node_memory_numa_*", "Memory information field of a node.", NODE),
    Desc::counter("node_memory_numa_*_total", "Pages of a node by how they were asked for.", NODE),
];

pub(super) struct Nodes {
    folder: PathBuf,
}

impl Listed for Nodes {
    fn descs() -> Vec<&'static Desc> {
        DESCS.iter().collect()
    }

    fn new(site: &Site<'_>) -> Self {
        Self { folder: site.roots.sysfs.join("devices/system/node") }
    }
}

#[async_trait]
impl Part for Nodes {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        for (name, node) in attribute::numbered(&self.folder, "node")? {
            let folder = self.folder.join(name);
            for line in run.files.text(&folder.join("meminfo"))?.lines() {
                // `Node 0 Active(anon):     396 kB`
                let mut words = line.split_ascii_whitespace().skip(2);
                let (Some(key), Some(value)) = (words.next(), words.next().and_then(number)) else { continue };
                let unit = if words.next() == Some("kB") { KIBI } else { 1.0 };
                run.batch.push(&family(Kind::Gauge, key), &[&node], value * unit);
            }
            for line in run.files.text(&folder.join("numastat"))?.lines() {
                let Some((key, value)) = line.split_once(' ') else { continue };
                if let Some(value) = number(value) {
                    run.batch.push(&family(Kind::Counter, &format!("{key}_total")), &[&node], value);
                }
            }
        }
        Ok(())
    }
}

/// `Active(anon):` is the field `Active_anon`.
fn family(kind: Kind, key: &str) -> Desc {
    let key = names::metric(key.trim_end_matches(':').trim_end_matches(')'));
    let help = format!("Memory information field {key}.");
    Desc::named(kind, format!("node_memory_numa_{key}"), help, NODE)
}
