//! `nfs`: what this machine asked of NFS servers (`/proc/net/rpc/nfs`).

use std::path::PathBuf;

use async_trait::async_trait;

use super::rpc::{Lines, V2, V3, at};
use super::{Listed, Part, Run, Site};
use crate::collect::CollectError;
use crate::metrics::Desc;

static PACKETS: Desc = Desc::counter(
    "node_nfs_packets_total",
    "Total NFSd network packets (sent+received) by protocol type.",
    &["protocol"],
);
static CONNECTIONS: Desc = Desc::counter("node_nfs_connections_total", "Total number of NFSd TCP connections.", &[]);
static REQUESTS: Desc =
    Desc::counter("node_nfs_requests_total", "Number of NFS procedures invoked.", &["method", "proto"]);

/// The line `rpc`.
static RPC: [Desc; 3] = [
    Desc::counter("node_nfs_rpcs_total", "Total number of RPCs performed.", &[]),
    Desc::counter("node_nfs_rpc_retransmissions_total", "Number of RPC transmissions performed.", &[]),
    Desc::counter(
        "node_nfs_rpc_authentication_refreshes_total",
        "Number of RPC authentication refreshes performed.",
        &[],
    ),
];

/// The procedures of NFS 4 as a client counts them.
#[rustfmt::skip]
const V4: [&str; 59] = [
    "Null", "Read", "Write", "Commit", "Open", "OpenConfirm", "OpenNoattr", "OpenDowngrade", "Close", "Setattr", "FsInfo",
    "Renew", "SetClientID", "SetClientIDConfirm", "Lock", "Lockt", "Locku", "Access", "Getattr", "Lookup", "LookupRoot",
    "Remove", "Rename", "Link", "Symlink", "Create", "Pathconf", "StatFs", "ReadLink", "ReadDir", "ServerCaps",
    "DelegReturn", "GetACL", "SetACL", "FsLocations", "ReleaseLockowner", "Secinfo", "FsidPresent", "ExchangeID",
    "CreateSession", "DestroySession", "Sequence", "GetLeaseTime", "ReclaimComplete", "GetDeviceInfo", "LayoutGet",
    "LayoutCommit", "LayoutReturn", "SecinfoNoName", "TestStateID", "FreeStateID", "GetDeviceList", "BindConnToSession",
    "DestroyClientID", "Seek", "Allocate", "DeAllocate", "LayoutStats", "Clone",
];

pub(super) struct Client {
    table: [PathBuf; 2],
}

impl Listed for Client {
    fn descs() -> Vec<&'static Desc> {
        RPC.iter().chain([&PACKETS, &CONNECTIONS, &REQUESTS]).collect()
    }

    fn new(site: &Site<'_>) -> Self {
        Self { table: site.roots.net("rpc/nfs") }
    }
}

#[async_trait]
impl Part for Client {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        let lines = Lines(run.files.text_of_either(&self.table)?);
        let batch = &mut run.batch;
        let net = lines.numbers("net");
        batch.push(&PACKETS, &["udp"], at(&net, 1));
        batch.push(&PACKETS, &["tcp"], at(&net, 2));
        batch.push(&CONNECTIONS, &[], at(&net, 3));
        let rpc = lines.numbers("rpc");
        for (index, desc) in RPC.iter().enumerate() {
            batch.push(desc, &[], at(&rpc, index));
        }
        let versions: [(&str, &str, &[&str]); 3] = [("2", "proc2", &V2), ("3", "proc3", &V3), ("4", "proc4", &V4)];
        for (proto, line, methods) in versions {
            for (method, count) in methods.iter().zip(lines.procedures(line)) {
                batch.push(&REQUESTS, &[method, proto], count as f64);
            }
        }
        Ok(())
    }
}
