//! `bcachefs`: its file systems and their devices (`/sys/fs/bcachefs`).

use std::path::{Path, PathBuf};

use async_trait::async_trait;

use super::attribute;
use super::{Listed, Part, Run, Site, human, names};
use crate::collect::CollectError;
use crate::metrics::{Batch, Desc, Kind};

const FILESYSTEM: &[&str] = &["uuid"];
const DEVICE: &[&str] = &["uuid", "device"];

static INFO: Desc = Desc::gauge("node_bcachefs_info", "Filesystem information.", FILESYSTEM);
static BTREE_CACHE: Desc =
    Desc::gauge("node_bcachefs_btree_cache_size_bytes", "Btree cache memory usage in bytes.", FILESYSTEM);
static COMPRESSION: [Desc; 2] = [
    Desc::gauge("node_bcachefs_compression_compressed_bytes", "Compressed size by algorithm.", &["uuid", "algorithm"]),
    Desc::gauge(
        "node_bcachefs_compression_uncompressed_bytes",
        "Uncompressed size by algorithm.",
        &["uuid", "algorithm"],
    ),
];
static ERRORS: Desc =
    Desc::counter("node_bcachefs_errors_total", "Error count by error type.", &["uuid", "error_type"]);
static COUNTER: Desc =
    Desc::counter("node_bcachefs_*_total", "Bcachefs counter since filesystem creation.", FILESYSTEM);
static BTREE_WRITES: [Desc; 2] = [
    Desc::counter("node_bcachefs_btree_writes_total", "Number of btree writes by type.", &["uuid", "type"]),
    Desc::gauge("node_bcachefs_btree_write_average_size_bytes", "Average btree write size by type.", &["uuid", "type"]),
];
static DEVICE_INFO: Desc =
    Desc::gauge("node_bcachefs_device_info", "Device information.", &["uuid", "device", "label", "state"]);
static DEVICE_VALUES: [(&str, Desc); 3] = [
    ("bucket_size", Desc::gauge("node_bcachefs_device_bucket_size_bytes", "Bucket size in bytes.", DEVICE)),
    ("nbuckets", Desc::gauge("node_bcachefs_device_buckets", "Total number of buckets.", DEVICE)),
    ("durability", Desc::gauge("node_bcachefs_device_durability", "Device durability setting.", DEVICE)),
];
static DEVICE_IO: Desc = Desc::counter(
    "node_bcachefs_device_io_done_bytes_total",
    "IO bytes by operation type and data type.",
    &["uuid", "device", "operation", "data_type"],
);
static DEVICE_ERRORS: Desc =
    Desc::counter("node_bcachefs_device_io_errors_total", "IO errors by error type.", &["uuid", "device", "type"]);

pub(super) struct Bcachefs {
    folder: PathBuf,
}

impl Listed for Bcachefs {
    fn descs() -> Vec<&'static Desc> {
        let mut descs = vec![&INFO, &BTREE_CACHE, &ERRORS, &COUNTER, &DEVICE_INFO, &DEVICE_IO, &DEVICE_ERRORS];
        descs.extend(COMPRESSION.iter().chain(&BTREE_WRITES));
        descs.extend(DEVICE_VALUES.iter().map(|(_, desc)| desc));
        descs
    }

    fn new(site: &Site<'_>) -> Self {
        Self { folder: site.roots.sysfs.join("fs/bcachefs") }
    }
}

#[async_trait]
impl Part for Bcachefs {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        for uuid in run.folders.names(&self.folder)? {
            let folder = self.folder.join(&uuid);
            if !folder.is_dir() {
                continue;
            }
            run.batch.push(&INFO, &[&uuid], 1.0);
            if let Some(size) = attribute::text(&folder.join("btree_cache_size")).and_then(|text| human::number(&text))
            {
                run.batch.push(&BTREE_CACHE, &[&uuid], size);
            }
            table(run, &folder.join("compression_stats"), &uuid, &COMPRESSION);
            table(run, &folder.join("btree_write_stats"), &uuid, &BTREE_WRITES);
            errors(run, &folder.join("errors"), &uuid);
            counters(run, &folder.join("counters"), &uuid);
            for device in attribute::names(&folder)? {
                if let Some(name) = device.strip_prefix("dev-") {
                    describe(run, &folder.join(&device), [&uuid, name]);
                }
            }
        }
        Ok(())
    }
}

/// A table with a heading, whose first column names a row and whose next ones are the families.
fn table(run: &mut Run, file: &Path, uuid: &str, families: &[Desc; 2]) {
    let Ok(text) = run.files.text(file) else { return };
    for line in text.lines().skip(1) {
        let mut words = line.split_ascii_whitespace();
        let Some(name) = words.next() else { continue };
        for (desc, word) in families.iter().zip(words) {
            if let Some(value) = human::number(word) {
                run.batch.push(desc, &[uuid, name.trim_end_matches(':')], value);
            }
        }
    }
}

/// Lines like `btree_node_read_err 3 1704067200`: the last is when.
fn errors(run: &mut Run, file: &Path, uuid: &str) {
    let Ok(text) = run.files.text(file) else { return };
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        if let (Some(name), Some(count)) = (words.next(), words.next().and_then(attribute::number)) {
            run.batch.push(&ERRORS, &[uuid, name], count);
        }
    }
}

/// A file for each counter, with its value since the mount and since the file system was made.
fn counters(run: &mut Run, folder: &Path, uuid: &str) {
    for name in attribute::names(folder).unwrap_or_default() {
        let text = attribute::text(&folder.join(&name)).unwrap_or_default();
        let value = text.lines().find_map(|line| line.trim().strip_prefix("since filesystem creation:"));
        if let Some(value) = value.and_then(human::number) {
            let help = format!("Bcachefs counter {name} since filesystem creation.");
            let desc =
                Desc::named(Kind::Counter, format!("node_bcachefs_{}_total", names::metric(&name)), help, FILESYSTEM);
            run.batch.push(&desc, &[uuid], value);
        }
    }
}

fn describe(run: &mut Run, folder: &Path, [uuid, device]: [&str; 2]) {
    let text = |file: &str| attribute::text(&folder.join(file)).unwrap_or_default();
    run.batch.push(&DEVICE_INFO, &[uuid, device, &text("label"), &text("state")], 1.0);
    for (file, desc) in &DEVICE_VALUES {
        if let Some(value) = human::number(&text(file)) {
            run.batch.push(desc, &[uuid, device], value);
        }
    }
    io_done(&mut run.batch, &text("io_done"), [uuid, device]);
    io_errors(&mut run.batch, &text("io_errors"), [uuid, device]);
}

/// `read:` or `write:`, and below it a line for each type of data.
fn io_done(batch: &mut Batch, text: &str, [uuid, device]: [&str; 2]) {
    let mut operation = None;
    for (key, value) in text.lines().filter_map(|line| line.trim().split_once(':')) {
        match (value.trim(), operation) {
            ("", _) => operation = Some(key),
            (value, Some(operation)) => {
                if let Some(value) = attribute::number(value) {
                    batch.push(&DEVICE_IO, &[uuid, device, operation, key.trim()], value);
                }
            }
            _ => {}
        }
    }
}

/// The first of two sections: since the file system was made. The other is since a person reset them.
fn io_errors(batch: &mut Batch, text: &str, [uuid, device]: [&str; 2]) {
    let sections = text.lines().skip_while(|line| !line.starts_with("IO errors since filesystem creation")).skip(1);
    let lines = sections.take_while(|line| !line.starts_with("IO errors since"));
    for (key, value) in lines.filter_map(|line| line.trim().split_once(':')) {
        if let Some(value) = attribute::number(value) {
            batch.push(&DEVICE_ERRORS, &[uuid, device, key.trim()], value);
        }
    }
}
