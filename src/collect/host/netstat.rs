//! `netstat`: what the network protocols count (`/proc/net/netstat`, `snmp` and `snmp6`).

use std::path::PathBuf;

use async_trait::async_trait;

use super::fields::{Fields, Pass, word};
use super::files::malformed;
use super::sysfs::if_there;
use super::{HostConfig, Listed, Part, Run, Site};
use crate::collect::CollectError;
use crate::config::Problems;
use crate::metrics::{Batch, Desc, Kind};

const FIELDS: &str = "^(.*_(InErrors|InErrs)|Ip_Forwarding|Ip(6|Ext)_(InOctets|OutOctets)|Icmp6?_(InMsgs|OutMsgs)|\
    TcpExt_(Listen.*|Syncookies.*|TCPSynRetrans|TCPTimeouts|TCPOFOQueue|TCPRcvQDrop)|\
    Tcp_(ActiveOpens|InSegs|OutSegs|OutRsts|PassiveOpens|RetransSegs|CurrEstab)|\
    Udp6?_(InDatagrams|OutDatagrams|NoPorts|RcvbufErrors|SndbufErrors))$";

/// How all of them are described.
static ALL: Desc = Desc::unknown("node_netstat_*", "Statistic of a network protocol.", &[]);

pub(super) struct Protocols {
    /// Two lines a protocol: names and values.
    tables: [[PathBuf; 2]; 2],
    /// A line a value.
    lines: [PathBuf; 2],
    fields: Fields,
}

impl Listed for Protocols {
    fn descs() -> Vec<&'static Desc> {
        vec![&ALL]
    }

    fn check(config: &HostConfig, problems: &mut Problems) {
        config.netstat.check("netstat", problems);
    }

    fn new(site: &Site<'_>) -> Self {
        let make = |field: &str| {
            let name = format!("node_netstat_{}", word(field));
            let help = format!("Statistic {}.", field.replacen('_', "", 1));
            (field.to_owned(), Desc::named(Kind::Unknown, name, help, &[]))
        };
        Self {
            tables: [site.roots.net("netstat"), site.roots.net("snmp")],
            lines: site.roots.net("snmp6"),
            fields: Fields::new(&site.config.netstat, FIELDS, make),
        }
    }
}

#[async_trait]
impl Part for Protocols {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        let mut pass = self.fields.pass();
        for table in &self.tables {
            let text = run.files.attribute_of_either(table)?;
            push_table(text, &mut pass, &mut run.batch).ok_or_else(|| malformed(&table[0], "names without values"))?;
        }
        // Without IPv6 the file is not there.
        if let Some(text) = if_there(run.files.attribute_of_either(&self.lines))? {
            for line in text.lines() {
                let mut words = line.split_ascii_whitespace();
                let (Some(name), Some(value)) = (words.next(), words.next()) else { continue };
                // `Ip6InReceives` is `InReceives` of `Ip6`.
                let Some((protocol, name)) = name.split_once('6') else { continue };
                if let Some(desc) = pass.family([protocol, "6_", name]) {
                    let value = value.parse().map_err(|_| malformed(&self.lines[0], "a value that is no number"))?;
                    run.batch.push(desc, &[], value);
                }
            }
        }
        Ok(())
    }
}

/// Writes a table of pairs of lines: the names of a protocol's fields, and their values.
fn push_table(text: &str, pass: &mut Pass<'_>, batch: &mut Batch) -> Option<()> {
    let mut lines = text.lines();
    while let Some(names) = lines.next() {
        let (protocol, names) = names.split_once(':')?;
        let (_, values) = lines.next()?.split_once(':').filter(|(same, _)| *same == protocol)?;
        let mut values = values.split_ascii_whitespace();
        for name in names.split_ascii_whitespace() {
            let value = values.next()?;
            if let Some(desc) = pass.family([protocol, "_", name]) {
                batch.push(desc, &[], value.parse().ok()?);
            }
        }
    }
    Some(())
}
