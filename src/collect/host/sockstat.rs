//! `sockstat`: how many sockets are in use, and the memory that they hold.

use std::path::PathBuf;

use async_trait::async_trait;

use super::fields::word;
use super::files::{counter, malformed};
use super::sysfs::if_there;
use super::{Listed, Part, Run, Site};
use crate::collect::CollectError;
use crate::metrics::{Batch, Desc, Kind};

static USED: Desc = Desc::gauge("node_sockstat_sockets_used", "Number of IPv4 sockets in use.", &[]);

macro_rules! sockets {
    ($protocol:literal, $field:literal) => {
        (
            $protocol,
            $field,
            Desc::gauge(
                concat!("node_sockstat_", $protocol, "_", $field),
                concat!("Number of ", $protocol, " sockets in state ", $field, "."),
                &[],
            ),
        )
    };
}

/// What kernels tell of each protocol.
static KNOWN: [(&str, &str, Desc); 19] = [
    sockets!("TCP", "inuse"),
    sockets!("TCP", "orphan"),
    sockets!("TCP", "tw"),
    sockets!("TCP", "alloc"),
    sockets!("TCP", "mem"),
    sockets!("TCP", "mem_bytes"),
    sockets!("UDP", "inuse"),
    sockets!("UDP", "mem"),
    sockets!("UDP", "mem_bytes"),
    sockets!("UDPLITE", "inuse"),
    sockets!("RAW", "inuse"),
    sockets!("FRAG", "inuse"),
    sockets!("FRAG", "memory"),
    sockets!("TCP6", "inuse"),
    sockets!("UDP6", "inuse"),
    sockets!("UDPLITE6", "inuse"),
    sockets!("RAW6", "inuse"),
    sockets!("FRAG6", "inuse"),
    sockets!("FRAG6", "memory"),
];

/// How what the table lacks is described.
static OTHERS: Desc = Desc::gauge("node_sockstat_*", "Number of sockets of another protocol.", &[]);

/// The fields that have families. Of others node_exporter does not tell.
const FIELDS: [&str; 6] = ["inuse", "orphan", "tw", "alloc", "mem", "memory"];

pub(super) struct Sockets {
    tables: [[PathBuf; 2]; 2],
    page: f64,
}

impl Listed for Sockets {
    fn descs() -> Vec<&'static Desc> {
        KNOWN.iter().map(|(.., desc)| desc).chain([&USED, &OTHERS]).collect()
    }

    fn new(site: &Site<'_>) -> Self {
        let tables = [site.roots.net("sockstat"), site.roots.net("sockstat6")];
        Self { tables, page: rustix::param::page_size() as f64 }
    }
}

#[async_trait]
impl Part for Sockets {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        for table in &self.tables {
            // Without IPv4 or IPv6 its file is not there.
            let Some(text) = if_there(run.files.attribute_of_either(table))? else { continue };
            for line in text.lines() {
                self.line(line, &mut run.batch).ok_or_else(|| malformed(&table[0], "a line without values"))?;
            }
        }
        Ok(())
    }
}

impl Sockets {
    /// Reads `TCP: inuse 4 orphan 0`.
    fn line(&self, line: &str, batch: &mut Batch) -> Option<()> {
        let (protocol, pairs) = line.split_once(':')?;
        let mut words = pairs.split_ascii_whitespace();
        while let Some(field) = words.next() {
            let value = words.next().and_then(counter)?;
            if protocol == "sockets" {
                if field == "used" {
                    batch.push(&USED, &[], value);
                }
            } else if FIELDS.contains(&field) {
                push(batch, protocol, field, value);
                // Pages, which nobody wants to multiply.
                if field == "mem" {
                    push(batch, protocol, "mem_bytes", value * self.page);
                }
            }
        }
        Some(())
    }
}

fn push(batch: &mut Batch, protocol: &str, field: &str, value: f64) {
    if let Some((.., desc)) = KNOWN.iter().find(|known| known.0 == protocol && known.1 == field) {
        batch.push(desc, &[], value);
    } else {
        let name = format!("node_sockstat_{}_{field}", word(protocol));
        let help = format!("Number of {protocol} sockets in state {field}.");
        batch.push(&Desc::named(Kind::Gauge, name, help, &[]), &[], value);
    }
}
