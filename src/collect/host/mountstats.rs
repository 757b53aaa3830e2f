//! `mountstats`: what NFS mounts have done (`/proc/self/mountstats`), as the kernel counts it for nfsiostat(8).

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use async_trait::async_trait;

use super::files::{counter, malformed};
use super::{Listed, Part, Run, Site};
use crate::collect::CollectError;
use crate::metrics::{Batch, Desc};

const MOUNT: &[&str] = &["export", "protocol", "mountaddr"];
const TRANSPORT: &[&str] = &["export", "protocol", "mountaddr", "transport"];
const OPERATION: &[&str] = &["export", "protocol", "mountaddr", "operation"];

const fn mount(name: &'static str, help: &'static str) -> Desc {
    Desc::counter(name, help, MOUNT)
}

const fn transport(name: &'static str, help: &'static str) -> Desc {
    Desc::counter(name, help, TRANSPORT)
}

const fn operation(name: &'static str, help: &'static str) -> Desc {
    Desc::counter(name, help, OPERATION)
}

static INFO: Desc = Desc::gauge(
    "node_mountstats_nfs_mountpoint_info",
    "Info metric for an NFS mountpoint.",
    &["export", "protocol", "mountaddr", "mountpoint"],
);
static AGE: Desc = mount("node_mountstats_nfs_age_seconds_total", "The age of the NFS mount in seconds.");

/// The numbers of the line `bytes:`.
#[rustfmt::skip]
static BYTES: [Desc; 8] = [
    mount("node_mountstats_nfs_read_bytes_total", "Number of bytes read using the read() syscall."),
    mount("node_mountstats_nfs_write_bytes_total", "Number of bytes written using the write() syscall."),
    mount("node_mountstats_nfs_direct_read_bytes_total", "Number of bytes read using the read() syscall in O_DIRECT mode."),
    mount("node_mountstats_nfs_direct_write_bytes_total", "Number of bytes written using the write() syscall in O_DIRECT mode."),
    mount("node_mountstats_nfs_total_read_bytes_total", "Number of bytes read from the NFS server, in total."),
    mount("node_mountstats_nfs_total_write_bytes_total", "Number of bytes written to the NFS server, in total."),
    mount("node_mountstats_nfs_read_pages_total", "Number of pages read directly via mmap()'d files."),
    mount("node_mountstats_nfs_write_pages_total", "Number of pages written directly via mmap()'d files."),
];

/// The numbers of the line `events:`; that of waits for congestion, which no kernel counts any more, has no family.
#[rustfmt::skip]
static EVENTS: [Option<Desc>; 27] = [
    Some(mount("node_mountstats_nfs_event_inode_revalidate_total", "Number of times cached inode attributes are re-validated from the server.")),
    Some(mount("node_mountstats_nfs_event_dnode_revalidate_total", "Number of times cached dentry nodes are re-validated from the server.")),
    Some(mount("node_mountstats_nfs_event_data_invalidate_total", "Number of times an inode cache is cleared.")),
    Some(mount("node_mountstats_nfs_event_attribute_invalidate_total", "Number of times cached inode attributes are invalidated.")),
    Some(mount("node_mountstats_nfs_event_vfs_open_total", "Number of times files or directories have been opened.")),
    Some(mount("node_mountstats_nfs_event_vfs_lookup_total", "Number of times a directory lookup has occurred.")),
    Some(mount("node_mountstats_nfs_event_vfs_access_total", "Number of times permissions have been checked.")),
    Some(mount("node_mountstats_nfs_event_vfs_update_page_total", "Number of updates (and potential writes) to pages.")),
    Some(mount("node_mountstats_nfs_event_vfs_read_page_total", "Number of pages read directly via mmap()'d files.")),
    Some(mount("node_mountstats_nfs_event_vfs_read_pages_total", "Number of times a group of pages have been read.")),
    Some(mount("node_mountstats_nfs_event_vfs_write_page_total", "Number of pages written directly via mmap()'d files.")),
    Some(mount("node_mountstats_nfs_event_vfs_write_pages_total", "Number of times a group of pages have been written.")),
    Some(mount("node_mountstats_nfs_event_vfs_getdents_total", "Number of times directory entries have been read with getdents().")),
    Some(mount("node_mountstats_nfs_event_vfs_setattr_total", "Number of times attributes have been set on inodes.")),
    Some(mount("node_mountstats_nfs_event_vfs_flush_total", "Number of pending writes that have been forcefully flushed to the server.")),
    Some(mount("node_mountstats_nfs_event_vfs_fsync_total", "Number of times fsync() has been called on directories and files.")),
    Some(mount("node_mountstats_nfs_event_vfs_lock_total", "Number of times locking has been attempted on a file.")),
    Some(mount("node_mountstats_nfs_event_vfs_file_release_total", "Number of times files have been closed and released.")),
    None,
    Some(mount("node_mountstats_nfs_event_truncation_total", "Number of times files have been truncated.")),
    Some(mount("node_mountstats_nfs_event_write_extension_total", "Number of times a file has been grown due to writes beyond its existing end.")),
    Some(mount("node_mountstats_nfs_event_silly_rename_total", "Number of times a file was removed while still open by another process.")),
    Some(mount("node_mountstats_nfs_event_short_read_total", "Number of times the NFS server gave less data than expected while reading.")),
    Some(mount("node_mountstats_nfs_event_short_write_total", "Number of times the NFS server wrote less data than expected while writing.")),
    Some(mount("node_mountstats_nfs_event_jukebox_delay_total", "Number of times the NFS server indicated EJUKEBOX; retrieving data from offline storage.")),
    Some(mount("node_mountstats_nfs_event_pnfs_read_total", "Number of NFS v4.1+ pNFS reads.")),
    Some(mount("node_mountstats_nfs_event_pnfs_write_total", "Number of NFS v4.1+ pNFS writes.")),
];

/// The numbers of a line `xprt:` from `bind` on, without that of open requests; over UDP there are no connections.
#[rustfmt::skip]
static TRANSPORTS: [Desc; 10] = [
    transport("node_mountstats_nfs_transport_bind_total", "Number of times the client has had to establish a connection from scratch to the NFS server."),
    transport("node_mountstats_nfs_transport_connect_total", "Number of times the client has made a TCP connection to the NFS server."),
    Desc::gauge("node_mountstats_nfs_transport_idle_time_seconds", "Duration since the NFS mount last saw any RPC traffic, in seconds.", TRANSPORT),
    transport("node_mountstats_nfs_transport_sends_total", "Number of RPC requests for this mount sent to the NFS server."),
    transport("node_mountstats_nfs_transport_receives_total", "Number of RPC responses for this mount received from the NFS server."),
    transport("node_mountstats_nfs_transport_bad_transaction_ids_total", "Number of times the NFS server sent a response with a transaction ID unknown to this client."),
    transport("node_mountstats_nfs_transport_backlog_queue_total", "Total number of items added to the RPC backlog queue."),
    Desc::gauge("node_mountstats_nfs_transport_maximum_rpc_slots", "Maximum number of simultaneously active RPC requests ever used.", TRANSPORT),
    transport("node_mountstats_nfs_transport_sending_queue_total", "Total number of items added to the RPC transmission sending queue."),
    transport("node_mountstats_nfs_transport_pending_queue_total", "Total number of items added to the RPC transmission pending queue."),
];

/// The numbers of an operation's line, with what each is divided by: times are in milliseconds.
#[rustfmt::skip]
static OPERATIONS: [(Desc, f64); 9] = [
    (operation("node_mountstats_nfs_operations_requests_total", "Number of requests performed for a given operation."), 1.0),
    (operation("node_mountstats_nfs_operations_transmissions_total", "Number of times an actual RPC request has been transmitted for a given operation."), 1.0),
    (operation("node_mountstats_nfs_operations_major_timeouts_total", "Number of times a request has had a major timeout for a given operation."), 1.0),
    (operation("node_mountstats_nfs_operations_sent_bytes_total", "Number of bytes sent for a given operation, including RPC headers and payload."), 1.0),
    (operation("node_mountstats_nfs_operations_received_bytes_total", "Number of bytes received for a given operation, including RPC headers and payload."), 1.0),
    (operation("node_mountstats_nfs_operations_queue_time_seconds_total", "Duration all requests spent queued for transmission for a given operation before they were sent, in seconds."), 1e3),
    (operation("node_mountstats_nfs_operations_response_time_seconds_total", "Duration all requests took to get a reply back after a request for a given operation was transmitted, in seconds."), 1e3),
    (operation("node_mountstats_nfs_operations_request_time_seconds_total", "Duration all requests took from when a request was enqueued to when it was completely handled for a given operation, in seconds."), 1e3),
    (operation("node_mountstats_nfs_operations_errors_total", "Number of errors for a given operation"), 1.0),
];

pub(super) struct NfsMounts {
    /// Those of the first process are the host's, also where we run in a container; else our own.
    statistics: [PathBuf; 2],
    mounts: [PathBuf; 2],
}

/// What the table tells of one mount.
#[derive(Default)]
struct Mount<'t> {
    export: &'t str,
    point: &'t str,
    age: Option<f64>,
    bytes: Vec<f64>,
    events: Vec<f64>,
    /// The protocol, and the numbers after the port.
    transports: Vec<(&'t str, Vec<f64>)>,
    operations: Vec<(&'t str, Vec<f64>)>,
}

impl Listed for NfsMounts {
    fn descs() -> Vec<&'static Desc> {
        let tables = BYTES.iter().chain(EVENTS.iter().flatten()).chain(&TRANSPORTS);
        tables.chain(OPERATIONS.iter().map(|(desc, _)| desc)).chain([&INFO, &AGE]).collect()
    }

    fn new(site: &Site<'_>) -> Self {
        let tables = |name| ["1", "self"].map(|process| site.roots.procfs.join(process).join(name));
        Self { statistics: tables("mountstats"), mounts: tables("mountinfo") }
    }
}

#[async_trait]
impl Part for NfsMounts {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        // The server's address, which the statistics do not tell: by the mount point, of which the last mount is seen.
        let addresses = addresses(run.table.text_of_either(&self.mounts)?);
        let text = run.files.text_of_either(&self.statistics)?;
        let mounts = parse(text).ok_or_else(|| malformed(&self.statistics[0], "a line without numbers"))?;
        // A server's export that is mounted twice has one set of counters.
        let (mut points, mut exports) = (BTreeSet::new(), BTreeSet::new());
        for mount in &mounts {
            let address = addresses.get(mount.point).copied().unwrap_or_default();
            for (protocol, _) in &mount.transports {
                let labels = [mount.export, protocol, address];
                if points.insert((labels, mount.point)) {
                    run.batch.push(&INFO, &[mount.export, protocol, address, mount.point], 1.0);
                }
                if !exports.insert(labels) {
                    break;
                }
                mount.push(&mut run.batch, labels);
            }
        }
        Ok(())
    }
}

impl Mount<'_> {
    fn push(&self, batch: &mut Batch, labels: [&str; 3]) {
        let [export, protocol, address] = labels;
        if let Some(age) = self.age {
            batch.push(&AGE, &labels, age);
        }
        for (desc, value) in BYTES.iter().zip(&self.bytes) {
            batch.push(desc, &labels, *value);
        }
        for (desc, value) in EVENTS.iter().zip(&self.events) {
            if let Some(desc) = desc {
                batch.push(desc, &labels, *value);
            }
        }
        for (number, (_, values)) in self.transports.iter().enumerate() {
            let labels = [export, protocol, address, &number.to_string()];
            for (desc, value) in TRANSPORTS.iter().zip(values) {
                batch.push(desc, &labels, *value);
            }
        }
        for (name, values) in &self.operations {
            for ((desc, unit), value) in OPERATIONS.iter().zip(values) {
                batch.push(desc, &[export, protocol, address, name], value / unit);
            }
        }
    }
}

/// The option `addr` of each mount point.
fn addresses(mounts: &str) -> BTreeMap<&str, &str> {
    let mut addresses = BTreeMap::new();
    for line in mounts.lines() {
        let of_all = line.rsplit_once(' ').map_or("", |(_, options)| options);
        let address = of_all.split(',').find_map(|option| option.strip_prefix("addr="));
        addresses.extend(line.split(' ').nth(4).zip(address));
    }
    addresses
}

/// The NFS mounts of the table; nothing where a line that should be numbers is not.
fn parse(table: &str) -> Option<Vec<Mount<'_>>> {
    let mut mounts: Vec<Mount<'_>> = Vec::new();
    // Lines about a mount follow its own, also those of other file systems.
    let mut open = false;
    let mut operations = false;
    for line in table.lines() {
        let mut words = line.split_ascii_whitespace();
        let Some(first) = words.next() else { continue };
        if first == "device" {
            // `device SERVER:/EXPORT mounted on POINT with fstype nfs4 statvers=1.1`
            let words: Vec<&str> = words.by_ref().collect();
            (open, operations) = (false, false);
            if let [export, "mounted", "on", point, "with", "fstype", "nfs" | "nfs4", _version] = words[..] {
                mounts.push(Mount { export, point, ..Mount::default() });
                open = true;
            }
        }
        let Some(mount) = mounts.last_mut().filter(|_| open) else { continue };
        let mut numbers = || words.by_ref().map(counter).collect::<Option<Vec<f64>>>();
        match first {
            "age:" => mount.age = Some(*numbers()?.first()?),
            "bytes:" => mount.bytes = numbers()?,
            "events:" => mount.events = numbers()?,
            "xprt:" => {
                let protocol = words.next()?;
                let numbers = words.by_ref().map(counter).collect::<Option<Vec<f64>>>()?;
                mount.transports.push((protocol, of_transport(protocol, &numbers)?));
            }
            "per-op" => operations = true,
            name if operations => mount.operations.push((name.strip_suffix(':')?, numbers()?)),
            _ => {}
        }
    }
    Some(mounts)
}

/// The numbers of a transport in the order of the families.
fn of_transport(protocol: &str, numbers: &[f64]) -> Option<Vec<f64>> {
    let at = |places: &[Option<usize>]| {
        let value = |place: &Option<usize>| place.map_or(Some(0.0), |place| numbers.get(place).copied());
        // Before statvers 1.1 the last three were not told.
        places.iter().map_while(value).collect::<Vec<_>>()
    };
    Some(match protocol {
        // Port, bind, sends, receives, bad ids, open requests, backlog, slots, sending, pending.
        "udp" => at(&[Some(1), None, None, Some(2), Some(3), Some(4), Some(6), Some(7), Some(8), Some(9)]),
        // Port, bind, connects, time to connect, idle, and on as above. Others follow with RDMA, which has no slots.
        "tcp" => at(&[1, 2, 4, 5, 6, 7, 9, 10, 11, 12].map(Some)),
        "rdma" => at(&[1, 2, 4, 5, 6, 7, 9].map(Some)),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transport_of_an_older_kernel_tells_less() {
        let numbers: Vec<f64> = (0..13).map(f64::from).collect();
        assert_eq!(of_transport("tcp", &numbers), Some([1, 2, 4, 5, 6, 7, 9, 10, 11, 12].map(f64::from).to_vec()));
        assert_eq!(of_transport("tcp", &numbers[..10]), Some([1, 2, 4, 5, 6, 7, 9].map(f64::from).to_vec()));
        assert_eq!(of_transport("udp", &numbers[..7]), Some([1, 0, 0, 2, 3, 4, 6].map(f64::from).to_vec()));
        assert_eq!(of_transport("carrier pigeon", &numbers), None);
    }

    #[test]
    fn only_nfs_has_statistics_and_words_are_no_numbers() {
        let table = "device a mounted on /a with fstype nfsd\n\tage:\t5\n\
            device s:/e mounted on /e with fstype nfs4 statvers=1.1\n\tage:\t7\n\tper-op statistics\n\t  READ: 1 2\n";
        let mounts = parse(table).unwrap();
        let [mount] = &mounts[..] else { panic!("{}", mounts.len()) };
        assert_eq!((mount.export, mount.point, mount.age), ("s:/e", "/e", Some(7.0)));
        assert_eq!(mount.operations, [("READ", vec![1.0, 2.0])]);
        assert!(parse(&table.replace(" 2\n", " x\n")).is_none());
    }
}
