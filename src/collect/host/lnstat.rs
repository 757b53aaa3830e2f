//! `lnstat`: caches of the network, one table each below `/proc/net/stat`.

use std::path::PathBuf;

use async_trait::async_trait;

use super::{Listed, Part, Run, Site, attribute, names};
use crate::collect::CollectError;
use crate::metrics::{Desc, Kind};

const LABELS: &[&str] = &["subsystem", "cpu"];
const HELP: &str = "linux network cache stats";

static COLUMN: Desc = Desc::counter("node_lnstat_*_total", HELP, LABELS);

pub(super) struct Caches {
    /// That of the first process is the host's, also where we run in a container; else our own.
    folders: [PathBuf; 2],
}

impl Listed for Caches {
    fn descs() -> Vec<&'static Desc> {
        vec![&COLUMN]
    }

    fn new(site: &Site<'_>) -> Self {
        Self { folders: [site.roots.procfs.join("1/net/stat"), site.roots.procfs.join("net/stat")] }
    }
}

#[async_trait]
impl Part for Caches {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        let [first, second] = &self.folders;
        let folder = if first.is_dir() { first } else { second };
        for table in attribute::names(folder)? {
            let Ok(text) = run.files.text(&folder.join(&table)) else { continue };
            let mut lines = text.lines();
            let columns: Vec<_> = lines.next().unwrap_or_default().split_ascii_whitespace().map(family).collect();
            // A line for each processor, in hexadecimal numbers.
            for (cpu, line) in lines.enumerate() {
                for (desc, word) in columns.iter().zip(line.split_ascii_whitespace()) {
                    if let Ok(value) = u64::from_str_radix(word, 16) {
                        run.batch.push(desc, &[&table, &cpu.to_string()], value as f64);
                    }
                }
            }
        }
        Ok(())
    }
}

fn family(column: &str) -> Desc {
    Desc::named(Kind::Counter, format!("node_lnstat_{}_total", names::metric(column)), HELP.to_owned(), LABELS)
}
