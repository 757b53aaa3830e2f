//! `nfsd`: what this machine does as an NFS server (`/proc/net/rpc/nfsd`).

use std::path::PathBuf;

use async_trait::async_trait;

use super::rpc::{Lines, V2, V3, at};
use super::{Listed, Part, Run, Site};
use crate::collect::CollectError;
use crate::metrics::Desc;

/// Lines, columns and families without labels.
#[rustfmt::skip]
static NUMBERS: [(&str, usize, Desc); 11] = [
    ("rc", 0, Desc::counter("node_nfsd_reply_cache_hits_total", "Total number of NFSd Reply Cache hits (client lost server response).", &[])),
    ("rc", 1, Desc::counter("node_nfsd_reply_cache_misses_total", "Total number of NFSd Reply Cache an operation that requires caching (idempotent).", &[])),
    ("rc", 2, Desc::counter("node_nfsd_reply_cache_nocache_total", "Total number of NFSd Reply Cache non-idempotent operations (rename/delete/…).", &[])),
    ("fh", 0, Desc::counter("node_nfsd_file_handles_stale_total", "Total number of NFSd stale file handles", &[])),
    ("io", 0, Desc::counter("node_nfsd_disk_bytes_read_total", "Total NFSd bytes read.", &[])),
    ("io", 1, Desc::counter("node_nfsd_disk_bytes_written_total", "Total NFSd bytes written.", &[])),
    ("th", 0, Desc::gauge("node_nfsd_server_threads", "Total number of NFSd kernel threads that are running.", &[])),
    ("ra", 0, Desc::gauge("node_nfsd_read_ahead_cache_size_blocks", "How large the read ahead cache is in blocks.", &[])),
    ("ra", 11, Desc::counter("node_nfsd_read_ahead_cache_not_found_total", "Total number of NFSd read ahead cache not found.", &[])),
    ("net", 3, Desc::counter("node_nfsd_connections_total", "Total number of NFSd TCP connections.", &[])),
    ("rpc", 0, Desc::counter("node_nfsd_server_rpcs_total", "Total number of NFSd RPCs.", &[])),
];

static PACKETS: Desc = Desc::counter(
    "node_nfsd_packets_total",
    "Total NFSd network packets (sent+received) by protocol type.",
    &["proto"],
);
static ERRORS: Desc =
    Desc::counter("node_nfsd_rpc_errors_total", "Total number of NFSd RPC errors by error type.", &["error"]);
static REQUESTS: Desc = Desc::counter(
    "node_nfsd_requests_total",
    "Total number NFSd Requests by method and protocol.",
    &["method", "proto"],
);

/// The procedures of NFS 2 and 3 that do nothing, and the operations of NFS 4 that node_exporter does not tell.
const UNTOLD: [&str; 3] = ["Null", "PutPubFH", "PutRootFH"];

/// The operations of NFS 4, from the fourth on: three numbers are not used.
#[rustfmt::skip]
const V4: [&str; 37] = [
    "Access", "Close", "Commit", "Create", "DelegPurge", "DelegReturn", "GetAttr", "GetFH", "Link", "Lock", "Lockt",
    "Locku", "Lookup", "LookupRoot", "Nverify", "Open", "OpenAttr", "OpenConfirm", "OpenDgrd", "PutFH", "PutPubFH",
    "PutRootFH", "Read", "ReadDir", "ReadLink", "Remove", "Rename", "Renew", "RestoreFH", "SaveFH", "SecInfo", "SetAttr",
    "SetClientID", "SetClientIDConfirm", "Verify", "Write", "RelLockOwner",
];

pub(super) struct Server {
    table: [PathBuf; 2],
}

impl Listed for Server {
    fn descs() -> Vec<&'static Desc> {
        NUMBERS.iter().map(|(.., desc)| desc).chain([&PACKETS, &ERRORS, &REQUESTS]).collect()
    }

    fn new(site: &Site<'_>) -> Self {
        Self { table: site.roots.net("rpc/nfsd") }
    }
}

#[async_trait]
impl Part for Server {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        let lines = Lines(run.files.text_of_either(&self.table)?);
        let batch = &mut run.batch;
        for (line, column, desc) in &NUMBERS {
            batch.push(desc, &[], at(&lines.numbers(line), *column));
        }
        let net = lines.numbers("net");
        batch.push(&PACKETS, &["udp"], at(&net, 1));
        batch.push(&PACKETS, &["tcp"], at(&net, 2));
        let rpc = lines.numbers("rpc");
        for (column, error) in [(2, "fmt"), (3, "auth"), (4, "cInt")] {
            batch.push(&ERRORS, &[error], at(&rpc, column));
        }
        let versions: [(&str, &str, usize, &[&str]); 3] =
            [("2", "proc2", 0, &V2), ("3", "proc3", 0, &V3), ("4", "proc4ops", 3, &V4)];
        for (proto, line, unused, methods) in versions {
            let methods = methods.iter().zip(lines.procedures(line).skip(unused));
            for (method, count) in methods.filter(|(method, _)| !UNTOLD.contains(method)) {
                batch.push(&REQUESTS, &[method, proto], count as f64);
            }
        }
        batch.push(&REQUESTS, &["WdelegGetattr", "4"], at(&lines.numbers("wdeleg_getattr"), 0));
        Ok(())
    }
}
