//! `drbd`: block devices that are kept on two machines (`/proc/drbd` of DRBD 8).

use std::path::PathBuf;

use async_trait::async_trait;

use super::attribute::number;
use super::{Listed, Part, Run, Site};
use crate::collect::CollectError;
use crate::metrics::Desc;

const DEVICE: &[&str] = &["device"];
const KIBI: f64 = 1024.0;

/// The keys of a device's lines, with the factor to the family's unit.
#[rustfmt::skip]
static NUMBERS: [(&str, Desc, f64); 12] = [
    ("ns", Desc::counter("node_drbd_network_sent_bytes_total", "Total number of bytes sent via the network.", DEVICE), KIBI),
    ("nr", Desc::counter("node_drbd_network_received_bytes_total", "Total number of bytes received via the network.", DEVICE), KIBI),
    ("dw", Desc::counter("node_drbd_disk_written_bytes_total", "Net data written on local hard disk; in bytes.", DEVICE), KIBI),
    ("dr", Desc::counter("node_drbd_disk_read_bytes_total", "Net data read from local hard disk; in bytes.", DEVICE), KIBI),
    ("al", Desc::counter("node_drbd_activitylog_writes_total", "Number of updates of the activity log area of the meta data.", DEVICE), 1.0),
    ("bm", Desc::counter("node_drbd_bitmap_writes_total", "Number of updates of the bitmap area of the meta data.", DEVICE), 1.0),
    ("lo", Desc::gauge("node_drbd_local_pending", "Number of open requests to the local I/O sub-system.", DEVICE), 1.0),
    ("pe", Desc::gauge("node_drbd_remote_pending", "Number of requests sent to the peer, but that have not yet been answered by the latter.", DEVICE), 1.0),
    ("ua", Desc::gauge("node_drbd_remote_unacknowledged", "Number of requests received by the peer, but that have not yet been answered.", DEVICE), 1.0),
    ("ap", Desc::gauge("node_drbd_application_pending", "Number of block I/O requests forwarded to DRBD, but not yet answered by DRBD.", DEVICE), 1.0),
    ("ep", Desc::gauge("node_drbd_epochs", "Number of Epochs currently on the fly.", DEVICE), 1.0),
    ("oos", Desc::gauge("node_drbd_out_of_sync_bytes", "Amount of data known to be out of sync; in bytes.", DEVICE), KIBI),
];

/// The keys with a word of this node and one of the other, and the word that counts.
static PAIRS: [(&str, Desc, &str); 2] = [
    (
        "ro",
        Desc::gauge(
            "node_drbd_node_role_is_primary",
            "Whether the role of the node is in the primary state.",
            &["device", "node"],
        ),
        "Primary",
    ),
    (
        "ds",
        Desc::gauge(
            "node_drbd_disk_state_is_up_to_date",
            "Whether the disk of the node is up to date.",
            &["device", "node"],
        ),
        "UpToDate",
    ),
];

static CONNECTED: Desc = Desc::gauge("node_drbd_connected", "Whether DRBD is connected to the peer.", DEVICE);

pub(super) struct Drbd {
    file: PathBuf,
}

impl Listed for Drbd {
    fn descs() -> Vec<&'static Desc> {
        let numbers = NUMBERS.iter().map(|(_, desc, _)| desc);
        numbers.chain(PAIRS.iter().map(|(_, desc, _)| desc)).chain([&CONNECTED]).collect()
    }

    fn new(site: &Site<'_>) -> Self {
        Self { file: site.roots.procfs.join("drbd") }
    }
}

#[async_trait]
impl Part for Drbd {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        let mut device = None;
        for word in run.files.text(&self.file)?.split_ascii_whitespace() {
            let Some((key, value)) = word.split_once(':') else { continue };
            if value.is_empty() {
                device = key.parse().ok().map(|number: u32| format!("drbd{number}")).or(device);
                continue;
            }
            let Some(device) = &device else { continue };
            if let Some((_, desc, unit)) = NUMBERS.iter().find(|(known, _, _)| *known == key) {
                if let Some(value) = number(value) {
                    run.batch.push(desc, &[device], value * unit);
                }
            } else if let Some((_, desc, good)) = PAIRS.iter().find(|(known, _, _)| *known == key) {
                for (node, word) in ["local", "remote"].into_iter().zip(value.split('/')) {
                    run.batch.push(desc, &[device, node], f64::from(word == *good));
                }
            } else if key == "cs" {
                run.batch.push(&CONNECTED, &[device], f64::from(value == "Connected"));
            }
        }
        Ok(())
    }
}
