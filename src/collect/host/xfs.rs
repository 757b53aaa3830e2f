//! `xfs`: what each XFS file system did (`/sys/fs/xfs/DEVICE/stats/stats`).

use std::path::PathBuf;

use async_trait::async_trait;

use super::files::malformed;
use super::sysfs::if_there;
use super::{Listed, Part, Run, Site};
use crate::collect::CollectError;
use crate::metrics::Desc;

macro_rules! xfs {
    ($line:literal, $column:literal, $name:literal, $help:literal) => {
        ($line, $column, Desc::counter(concat!("node_xfs_", $name, "_total"), $help, &["device"]))
    };
}

/// Lines, columns and families, as the kernel writes them and xfs.org's page on runtime statistics explains them.
#[rustfmt::skip]
static FIELDS: [(&str, usize, Desc); 39] = [
    xfs!("extent_alloc", 0, "extent_allocation_extents_allocated", "Number of extents allocated for a filesystem."),
    xfs!("extent_alloc", 1, "extent_allocation_blocks_allocated", "Number of blocks allocated for a filesystem."),
    xfs!("extent_alloc", 2, "extent_allocation_extents_freed", "Number of extents freed for a filesystem."),
    xfs!("extent_alloc", 3, "extent_allocation_blocks_freed", "Number of blocks freed for a filesystem."),
    xfs!("abt", 0, "allocation_btree_lookups", "Number of allocation B-tree lookups for a filesystem."),
    xfs!("abt", 1, "allocation_btree_compares", "Number of allocation B-tree compares for a filesystem."),
    xfs!("abt", 2, "allocation_btree_records_inserted", "Number of allocation B-tree records inserted for a filesystem."),
    xfs!("abt", 3, "allocation_btree_records_deleted", "Number of allocation B-tree records deleted for a filesystem."),
    xfs!("blk_map", 0, "block_mapping_reads", "Number of block map for read operations for a filesystem."),
    xfs!("blk_map", 1, "block_mapping_writes", "Number of block map for write operations for a filesystem."),
    xfs!("blk_map", 2, "block_mapping_unmaps", "Number of block unmaps (deletes) for a filesystem."),
    xfs!("blk_map", 3, "block_mapping_extent_list_insertions", "Number of extent list insertions for a filesystem."),
    xfs!("blk_map", 4, "block_mapping_extent_list_deletions", "Number of extent list deletions for a filesystem."),
    xfs!("blk_map", 5, "block_mapping_extent_list_lookups", "Number of extent list lookups for a filesystem."),
    xfs!("blk_map", 6, "block_mapping_extent_list_compares", "Number of extent list compares for a filesystem."),
    xfs!("bmbt", 0, "block_map_btree_lookups", "Number of block map B-tree lookups for a filesystem."),
    xfs!("bmbt", 1, "block_map_btree_compares", "Number of block map B-tree compares for a filesystem."),
    xfs!("bmbt", 2, "block_map_btree_records_inserted", "Number of block map B-tree records inserted for a filesystem."),
    xfs!("bmbt", 3, "block_map_btree_records_deleted", "Number of block map B-tree records deleted for a filesystem."),
    xfs!("dir", 0, "directory_operation_lookup", "Number of file name lookups that miss the cache of directory entries."),
    xfs!("dir", 1, "directory_operation_create", "Number of times a new directory entry was created for a filesystem."),
    xfs!("dir", 2, "directory_operation_remove", "Number of times an existing directory entry was removed for a filesystem."),
    xfs!("dir", 3, "directory_operation_getdents", "Number of times the directory getdents operation was performed for a filesystem."),
    xfs!("ig", 0, "inode_operation_attempts", "Number of times an XFS inode was looked for in the inode cache."),
    xfs!("ig", 1, "inode_operation_found", "Number of times an XFS inode was found in the inode cache."),
    xfs!("ig", 2, "inode_operation_recycled", "Number of times an XFS inode was found in the cache while it was being recycled."),
    xfs!("ig", 3, "inode_operation_missed", "Number of times an XFS inode was not found in the inode cache."),
    xfs!("ig", 4, "inode_operation_duplicates", "Number of times a missing XFS inode had been added by another process meanwhile."),
    xfs!("ig", 5, "inode_operation_reclaims", "Number of times an XFS inode was reclaimed from the cache to free its memory."),
    xfs!("ig", 6, "inode_operation_attribute_changes", "Number of times the attributes of an XFS inode were changed."),
    xfs!("rw", 0, "write_calls", "Number of write(2) system calls made to files in a filesystem."),
    xfs!("rw", 1, "read_calls", "Number of read(2) system calls made to files in a filesystem."),
    xfs!("vnodes", 0, "vnode_active", "Number of vnodes not on free lists for a filesystem."),
    xfs!("vnodes", 1, "vnode_allocate", "Number of times vn_alloc called for a filesystem."),
    xfs!("vnodes", 2, "vnode_get", "Number of times vn_get called for a filesystem."),
    xfs!("vnodes", 3, "vnode_hold", "Number of times vn_hold called for a filesystem."),
    xfs!("vnodes", 4, "vnode_release", "Number of times vn_rele called for a filesystem."),
    xfs!("vnodes", 5, "vnode_reclaim", "Number of times vn_reclaim called for a filesystem."),
    xfs!("vnodes", 6, "vnode_remove", "Number of times vn_remove called for a filesystem."),
];

pub(super) struct Xfs {
    folder: PathBuf,
}

impl Listed for Xfs {
    fn descs() -> Vec<&'static Desc> {
        FIELDS.iter().map(|(.., desc)| desc).collect()
    }

    fn new(site: &Site<'_>) -> Self {
        Self { folder: site.roots.sysfs.join("fs/xfs") }
    }
}

#[async_trait]
impl Part for Xfs {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        let found = if_there(run.folders.names(&self.folder))?.unwrap_or_default();
        // `stats` beside the devices has the sums of all.
        for device in found.into_iter().filter(|name| name != "stats") {
            let file = self.folder.join(&device).join("stats/stats");
            let Some(text) = if_there(run.files.text(&file))? else { continue };
            for (line, column, desc) in &FIELDS {
                let number =
                    number(text, line, *column).ok_or_else(|| malformed(&file, "a line of too few numbers"))?;
                run.batch.push(desc, &[&device], f64::from(number));
            }
        }
        Ok(())
    }
}

/// A number of a line; 0 where this kernel has no such line.
fn number(text: &str, line: &str, column: usize) -> Option<u32> {
    let mut lines = text.lines().filter_map(|found| found.split_once(' '));
    let Some((_, numbers)) = lines.find(|(name, _)| *name == line) else { return Some(0) };
    numbers.split_ascii_whitespace().nth(column)?.parse().ok()
}
