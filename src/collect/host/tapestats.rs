//! `tapestats`: tape drives (Documentation/scsi/st.rst).

use std::path::PathBuf;

use async_trait::async_trait;
use serde::Deserialize;

use super::attribute::{self, Attribute};
use super::filter::Filter;
use super::{HostConfig, Listed, Part, Run, Site};
use crate::collect::CollectError;
use crate::config::Problems;
use crate::metrics::Desc;

/// Which tape drives are taken.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TapeConfig {
    /// No drives whose name matches.
    pub ignored_devices: Option<String>,
}

const NANOSECOND: f64 = 1e-9;

const fn total(name: &'static str, help: &'static str) -> Desc {
    Desc::counter(name, help, &["device"])
}

#[rustfmt::skip]
static ATTRIBUTES: [Attribute; 10] = [
    ("stats/in_flight", Desc::gauge("node_tape_io_now", "The number of I/Os currently outstanding to this device.", &["device"]), 1.0),
    ("stats/io_ns", total("node_tape_io_time_seconds_total", "The time spent waiting for all I/O to complete, the tape's movements too."), NANOSECOND),
    ("stats/other_cnt", total("node_tape_io_others_total", "The number of I/Os issued to the tape drive other than read or write commands."), 1.0),
    ("stats/read_byte_cnt", total("node_tape_read_bytes_total", "The number of bytes read from the tape drive."), 1.0),
    ("stats/read_cnt", total("node_tape_reads_completed_total", "The number of read requests issued to the tape drive."), 1.0),
    ("stats/read_ns", total("node_tape_read_time_seconds_total", "The time spent waiting for read requests to complete."), NANOSECOND),
    ("stats/resid_cnt", total("node_tape_residual_total", "How often a read asked for more than a block of the tape, or a write did not reach the tape whole."), 1.0),
    ("stats/write_byte_cnt", total("node_tape_written_bytes_total", "The number of bytes written to the tape drive."), 1.0),
    ("stats/write_cnt", total("node_tape_writes_completed_total", "The number of write requests issued to the tape drive."), 1.0),
    ("stats/write_ns", total("node_tape_write_time_seconds_total", "The time spent waiting for write requests to complete."), NANOSECOND),
];

pub(super) struct Tapes {
    class: PathBuf,
    devices: Filter,
}

impl Listed for Tapes {
    fn descs() -> Vec<&'static Desc> {
        ATTRIBUTES.iter().map(|(_, desc, _)| desc).collect()
    }

    fn check(config: &HostConfig, problems: &mut Problems) {
        Filter::check_one("tapestats.ignored_devices", config.tapestats.ignored_devices.as_deref(), problems);
    }

    fn new(site: &Site<'_>) -> Self {
        let (roots, config) = (&site.roots, &site.config.tapestats);
        let devices = Filter::new(None, config.ignored_devices.as_deref(), "^$");
        Self { class: roots.sysfs.join("class/scsi_tape"), devices }
    }
}

#[async_trait]
impl Part for Tapes {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        for (device, number) in run.folders.numbered(&self.class, "st")? {
            // `st0m`, `st0a` are other ways of opening `st0`.
            if number.bytes().all(|byte| byte.is_ascii_digit()) && self.devices.takes(&device) {
                attribute::push(&mut run.batch, &ATTRIBUTES, &self.class.join(&device), &[&device]);
            }
        }
        Ok(())
    }
}
