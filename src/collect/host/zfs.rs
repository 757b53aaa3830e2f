//! `zfs`: the statistics of ZFS and of its pools (`/proc/spl/kstat/zfs`).

use std::path::{Path, PathBuf};

use async_trait::async_trait;

use super::attribute;
use super::names;
use super::{Listed, Part, Run, Site};
use crate::collect::CollectError;
use crate::metrics::{Desc, Kind};

/// A table of the kernel module, and the beginning of its families' names.
const TABLES: [(&str, &str); 11] = [
    ("abdstats", "zfs_abd"),
    ("arcstats", "zfs_arc"),
    ("dbufstats", "zfs_dbuf"),
    ("dmu_tx", "zfs_dmu_tx"),
    ("dnodestats", "zfs_dnode"),
    ("fm", "zfs_fm"),
    ("vdev_cache_stats", "zfs_vdev_cache"),
    ("vdev_mirror_stats", "zfs_vdev_mirror"),
    ("xuio_stats", "zfs_xuio"),
    ("zfetchstats", "zfs_zfetch"),
    ("zil", "zfs_zil"),
];

const POOL_STATES: [&str; 7] = ["online", "degraded", "faulted", "offline", "removed", "unavail", "suspended"];

const POOL: &[&str] = &["zpool"];
const DATASET: &[&str] = &["zpool", "dataset"];

/// The types of values in a table: signed and unsigned numbers of 64 bits.
const NUMBERS: [&str; 2] = ["3", "4"];

static STATE: Desc = Desc::gauge("node_zfs_zpool_state", "kstat.zfs.misc.state", &["zpool", "state"]);
static DESCS: [Desc; 3] = [
    Desc::unknown("node_zfs_*", "kstat.zfs.misc, by table and row.", &[]),
    Desc::unknown("node_zfs_zpool_*", "kstat.zfs.misc.io of a pool, by column.", POOL),
    Desc::unknown("node_zfs_zpool_dataset_*", "kstat.zfs.misc.objset of a data set, by row.", DATASET),
];

pub(super) struct Zfs {
    folder: PathBuf,
}

impl Listed for Zfs {
    fn descs() -> Vec<&'static Desc> {
        DESCS.iter().chain([&STATE]).collect()
    }

    fn new(site: &Site<'_>) -> Self {
        Self { folder: site.roots.procfs.join("spl/kstat/zfs") }
    }
}

#[async_trait]
impl Part for Zfs {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        let entries = run.folders.names(&self.folder)?;
        for (table, prefix) in TABLES.iter().filter(|(table, _)| entries.iter().any(|entry| entry == table)) {
            let Ok(text) = run.files.text(&self.folder.join(table)) else { continue };
            for (key, value) in rows(text) {
                if let Some(value) = attribute::number(value) {
                    run.batch.push(&family(prefix, &format!("{table}.{key}"), key, &[]), &[], value);
                }
            }
        }
        for pool in entries {
            let folder = self.folder.join(&pool);
            if folder.is_dir() {
                self::pool(&folder, &pool, run)?;
            }
        }
        Ok(())
    }
}

fn family(prefix: &str, key: &str, name: &str, labels: &'static [&'static str]) -> Desc {
    let name = format!("node_{prefix}_{}", names::metric(name));
    Desc::named(Kind::Unknown, name, format!("kstat.zfs.misc.{key}"), labels)
}

/// The rows `name type data` below the heading of that name.
fn rows(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let rows = text.lines().skip_while(|line| !line.split_ascii_whitespace().eq(["name", "type", "data"])).skip(1);
    rows.filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let (name, kind, value) = (words.next()?, words.next()?, words.next()?);
        NUMBERS.contains(&kind).then_some((name, value))
    })
}

fn pool(folder: &Path, pool: &str, run: &mut Run) -> Result<(), CollectError> {
    if let Ok(text) = run.files.text(&folder.join("io")) {
        let mut lines = text.lines().skip_while(|line| !line.starts_with("nread"));
        let (names, values) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
        for (name, value) in names.split_ascii_whitespace().zip(values.split_ascii_whitespace()) {
            if let Some(value) = attribute::number(value) {
                run.batch.push(&family("zfs_zpool", &format!("io.{name}"), name, POOL), &[pool], value);
            }
        }
    }
    for file in attribute::names(folder)?.iter().filter(|name| name.starts_with("objset-")) {
        let Ok(text) = run.files.text(&folder.join(file)) else { continue };
        // A data set's name is the rest of its line, and may hold blanks.
        let name = text.lines().find_map(|line| line.strip_prefix("dataset_name"));
        let name = name.and_then(|line| line.trim_start().split_once(' ')).map(|(_kind, name)| name.trim());
        let Some(dataset) = name else { continue };
        for (key, value) in rows(text) {
            if let Some(value) = attribute::number(value) {
                let family = family("zfs_zpool_dataset", &format!("objset.{key}"), key, DATASET);
                run.batch.push(&family, &[pool, dataset], value);
            }
        }
    }
    if let Some(state) = attribute::text(&folder.join("state")) {
        let state = state.to_lowercase();
        for known in POOL_STATES {
            run.batch.push(&STATE, &[pool, known], f64::from(state == known));
        }
    }
    Ok(())
}
