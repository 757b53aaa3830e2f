//! `bcache`: caches in front of block devices (Documentation/admin-guide/bcache.rst).

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use serde::Deserialize;

use super::attribute::{self, Attribute, MICRO};
use super::human;
use super::sysfs::if_there;
use super::{Listed, Part, Run, Site};
use crate::collect::CollectError;
use crate::metrics::{Batch, Desc};

/// What of bcache is read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BcacheConfig {
    /// Reads `priority_stats` too, for which the kernel sorts all buckets.
    pub priority_stats: bool,
}

const SET: &[&str] = &["uuid"];
const BACKING: &[&str] = &["uuid", "backing_device"];
const CACHE: &[&str] = &["uuid", "cache_device"];

/// Of the whole set.
#[rustfmt::skip]
static OF_SET: [Attribute; 10] = [
    ("average_key_size", Desc::gauge("node_bcache_average_key_size_sectors", "Average data per key in the btree (sectors).", SET), 1.0),
    ("btree_cache_size", Desc::gauge("node_bcache_btree_cache_size_bytes", "Amount of memory currently used by the btree cache.", SET), 1.0),
    ("cache_available_percent", Desc::gauge("node_bcache_cache_available_percent", "Percentage of cache device without dirty data, usable for writeback (may contain clean cached data).", SET), 1.0),
    ("congested", Desc::gauge("node_bcache_congested", "Congestion.", SET), 1.0),
    ("root_usage_percent", Desc::gauge("node_bcache_root_usage_percent", "Percentage of the root btree node in use (tree depth increases if too high).", SET), 1.0),
    ("tree_depth", Desc::gauge("node_bcache_tree_depth", "Depth of the btree.", SET), 1.0),
    ("internal/active_journal_entries", Desc::gauge("node_bcache_active_journal_entries", "Number of journal entries that are newer than the index.", SET), 1.0),
    ("internal/btree_nodes", Desc::gauge("node_bcache_btree_nodes", "Total nodes in the btree.", SET), 1.0),
    ("internal/btree_read_average_duration_us", Desc::gauge("node_bcache_btree_read_average_duration_seconds", "Average btree read duration.", SET), MICRO),
    ("internal/cache_read_races", Desc::counter("node_bcache_cache_read_races_total", "Reads whose bucket was reused before they were done.", SET), 1.0),
];

/// Of a device behind the cache.
#[rustfmt::skip]
static OF_BACKING: [Attribute; 7] = [
    ("dirty_data", Desc::gauge("node_bcache_dirty_data_bytes", "Amount of dirty data for this backing device in the cache.", BACKING), 1.0),
    ("stats_total/bypassed", Desc::counter("node_bcache_bypassed_bytes_total", "Amount of IO (both reads and writes) that has bypassed the cache.", BACKING), 1.0),
    ("stats_total/cache_hits", Desc::counter("node_bcache_cache_hits_total", "Hits counted per individual IO as bcache sees them.", BACKING), 1.0),
    ("stats_total/cache_misses", Desc::counter("node_bcache_cache_misses_total", "Misses counted per individual IO as bcache sees them.", BACKING), 1.0),
    ("stats_total/cache_bypass_hits", Desc::counter("node_bcache_cache_bypass_hits_total", "Hits for IO intended to skip the cache.", BACKING), 1.0),
    ("stats_total/cache_bypass_misses", Desc::counter("node_bcache_cache_bypass_misses_total", "Misses for IO intended to skip the cache.", BACKING), 1.0),
    ("stats_total/cache_miss_collisions", Desc::counter("node_bcache_cache_miss_collisions_total", "Instances where data insertion from cache miss raced with write (data already present).", BACKING), 1.0),
];

/// Given where it is not zero: kernels since 5.9 have no such counter.
static READAHEADS: Desc =
    Desc::counter("node_bcache_cache_readaheads_total", "Count of times readahead occurred.", BACKING);

/// Lines of `writeback_rate_debug`.
#[rustfmt::skip]
static WRITEBACK: [(&str, Desc); 5] = [
    ("rate", Desc::gauge("node_bcache_writeback_rate", "Current writeback rate for this backing device in bytes.", BACKING)),
    ("target", Desc::gauge("node_bcache_dirty_target_bytes", "Current dirty data target threshold for this backing device in bytes.", BACKING)),
    ("proportional", Desc::gauge("node_bcache_writeback_rate_proportional_term", "Current result of proportional controller, part of writeback rate", BACKING)),
    ("integral", Desc::gauge("node_bcache_writeback_rate_integral_term", "Current result of integral controller, part of writeback rate", BACKING)),
    ("change", Desc::gauge("node_bcache_writeback_change", "Last writeback rate change step for this backing device.", BACKING)),
];

/// Of a device that caches.
#[rustfmt::skip]
static OF_CACHE: [Attribute; 3] = [
    ("io_errors", Desc::gauge("node_bcache_io_errors", "Number of errors that have occurred, decayed by io_error_halflife.", CACHE), 1.0),
    ("metadata_written", Desc::counter("node_bcache_metadata_written_bytes_total", "Sum of all non data writes (btree writes and all other metadata).", CACHE), 1.0),
    ("written", Desc::counter("node_bcache_written_bytes_total", "Sum of all data that has been written to the cache.", CACHE), 1.0),
];

/// Lines of `priority_stats`.
#[rustfmt::skip]
static PRIORITY: [(&str, Desc); 2] = [
    ("Unused", Desc::gauge("node_bcache_priority_stats_unused_percent", "The percentage of the cache that doesn't contain any data.", CACHE)),
    ("Metadata", Desc::gauge("node_bcache_priority_stats_metadata_percent", "Bcache's metadata overhead.", CACHE)),
];

pub(super) struct Bcache {
    folder: PathBuf,
    priority: bool,
}

impl Listed for Bcache {
    fn descs() -> Vec<&'static Desc> {
        let attributes = OF_SET.iter().chain(&OF_BACKING).chain(&OF_CACHE).map(|(_, desc, _)| desc);
        let lines = WRITEBACK.iter().chain(&PRIORITY).map(|(_, desc)| desc);
        attributes.chain(lines).chain([&READAHEADS]).collect()
    }

    fn new(site: &Site<'_>) -> Self {
        let (roots, config) = (&site.roots, &site.config.bcache);
        Self { folder: roots.sysfs.join("fs/bcache"), priority: config.priority_stats }
    }
}

#[async_trait]
impl Part for Bcache {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        // Beside the sets there are files to register devices.
        for set in if_there(run.folders.names(&self.folder))?.into_iter().flatten().filter(|name| name.contains('-')) {
            let folder = self.folder.join(&set);
            push(&mut run.batch, &OF_SET, &folder, &[&set]);
            for (device, _) in attribute::numbered(&folder, "bdev")? {
                let (folder, labels) = (folder.join(&device), [set.as_str(), device.as_str()]);
                push(&mut run.batch, &OF_BACKING, &folder, &labels);
                let readaheads = value(&folder.join("stats_total/cache_readaheads"));
                if let Some(count) = readaheads.filter(|count| *count > 0.0) {
                    run.batch.push(&READAHEADS, &labels, count);
                }
                lines(&mut run.batch, &WRITEBACK, &folder.join("writeback_rate_debug"), &labels);
            }
            for (device, _) in attribute::numbered(&folder, "cache")? {
                let (folder, labels) = (folder.join(&device), [set.as_str(), device.as_str()]);
                push(&mut run.batch, &OF_CACHE, &folder, &labels);
                if self.priority {
                    lines(&mut run.batch, &PRIORITY, &folder.join("priority_stats"), &labels);
                }
            }
        }
        Ok(())
    }
}

fn value(file: &Path) -> Option<f64> {
    human::number(&attribute::text(file)?)
}

fn push(batch: &mut Batch, table: &[Attribute], folder: &Path, labels: &[&str]) {
    for (file, desc, unit) in table {
        if let Some(value) = value(&folder.join(file)) {
            batch.push(desc, labels, value * unit);
        }
    }
}

/// Lines like `rate:  1.1M/sec` and `Unused:  99%`.
fn lines(batch: &mut Batch, table: &[(&str, Desc)], file: &Path, labels: &[&str]) {
    let text = attribute::text(file).unwrap_or_default();
    for (key, value) in text.lines().filter_map(|line| line.split_once(':')) {
        let value = value.trim().trim_end_matches("/sec").trim_end_matches('%');
        let known = table.iter().find(|(known, _)| *known == key.trim());
        if let (Some((_, desc)), Some(value)) = (known, human::number(value)) {
            batch.push(desc, labels, value);
        }
    }
}
