//! `zoneinfo`: the zones of memory (proc_zoneinfo(5)).

use std::path::PathBuf;

use async_trait::async_trait;

use super::attribute::number;
use super::{Listed, Part, Run, Site};
use crate::collect::CollectError;
use crate::metrics::{Desc, Kind};

const ZONE: &[&str] = &["node", "zone"];

/// Lines with a family of their own. What stands for the whole node is given with the node's first zone, as it is there.
#[rustfmt::skip]
static ROWS: [(&str, Desc); 34] = [
    ("nr_free_pages", Desc::gauge("node_zoneinfo_nr_free_pages", "Total number of free pages in the zone", ZONE)),
    ("min", Desc::gauge("node_zoneinfo_min_pages", "Zone watermark pages_min", ZONE)),
    ("low", Desc::gauge("node_zoneinfo_low_pages", "Zone watermark pages_low", ZONE)),
    ("high", Desc::gauge("node_zoneinfo_high_pages", "Zone watermark pages_high", ZONE)),
    ("scanned", Desc::gauge("node_zoneinfo_scanned_pages", "Pages scanned since last reclaim", ZONE)),
    ("spanned", Desc::gauge("node_zoneinfo_spanned_pages", "Total pages spanned by the zone, including holes", ZONE)),
    ("present", Desc::gauge("node_zoneinfo_present_pages", "Physical pages existing within the zone", ZONE)),
    ("managed", Desc::gauge("node_zoneinfo_managed_pages", "Present pages managed by the buddy system", ZONE)),
    ("nr_active_anon", Desc::gauge("node_zoneinfo_nr_active_anon_pages", "Number of anonymous pages recently more used", ZONE)),
    ("nr_inactive_anon", Desc::gauge("node_zoneinfo_nr_inactive_anon_pages", "Number of anonymous pages recently less used", ZONE)),
    ("nr_isolated_anon", Desc::gauge("node_zoneinfo_nr_isolated_anon_pages", "Temporary isolated pages from anon lru", ZONE)),
    ("nr_anon_pages", Desc::gauge("node_zoneinfo_nr_anon_pages", "Number of anonymous pages currently used by the system", ZONE)),
    ("nr_anon_transparent_hugepages", Desc::gauge("node_zoneinfo_nr_anon_transparent_hugepages", "Number of anonymous transparent huge pages currently used by the system", ZONE)),
    ("nr_active_file", Desc::gauge("node_zoneinfo_nr_active_file_pages", "Number of active pages with file-backing", ZONE)),
    ("nr_inactive_file", Desc::gauge("node_zoneinfo_nr_inactive_file_pages", "Number of inactive pages with file-backing", ZONE)),
    ("nr_isolated_file", Desc::gauge("node_zoneinfo_nr_isolated_file_pages", "Temporary isolated pages from file lru", ZONE)),
    ("nr_file_pages", Desc::gauge("node_zoneinfo_nr_file_pages", "Number of file pages", ZONE)),
    ("nr_slab_reclaimable", Desc::gauge("node_zoneinfo_nr_slab_reclaimable_pages", "Number of reclaimable slab pages", ZONE)),
    ("nr_slab_unreclaimable", Desc::gauge("node_zoneinfo_nr_slab_unreclaimable_pages", "Number of unreclaimable slab pages", ZONE)),
    ("nr_mlock_stack", Desc::gauge("node_zoneinfo_nr_mlock_stack_pages", "mlock()ed pages found and moved off LRU", ZONE)),
    ("nr_kernel_stack", Desc::gauge("node_zoneinfo_nr_kernel_stacks", "Number of kernel stacks", ZONE)),
    ("nr_mapped", Desc::gauge("node_zoneinfo_nr_mapped_pages", "Number of mapped pages", ZONE)),
    ("nr_dirty", Desc::gauge("node_zoneinfo_nr_dirty_pages", "Number of dirty pages", ZONE)),
    ("nr_writeback", Desc::gauge("node_zoneinfo_nr_writeback_pages", "Number of writeback pages", ZONE)),
    ("nr_unevictable", Desc::gauge("node_zoneinfo_nr_unevictable_pages", "Number of unevictable pages", ZONE)),
    ("nr_shmem", Desc::gauge("node_zoneinfo_nr_shmem_pages", "Number of shmem pages (included tmpfs/GEM pages)", ZONE)),
    ("nr_dirtied", Desc::counter("node_zoneinfo_nr_dirtied_total", "Page dirtyings since bootup", ZONE)),
    ("nr_written", Desc::counter("node_zoneinfo_nr_written_total", "Page writings since bootup", ZONE)),
    ("numa_hit", Desc::counter("node_zoneinfo_numa_hit_total", "Allocated in intended node", ZONE)),
    ("numa_miss", Desc::counter("node_zoneinfo_numa_miss_total", "Allocated in non intended node", ZONE)),
    ("numa_foreign", Desc::counter("node_zoneinfo_numa_foreign_total", "Was intended here, hit elsewhere", ZONE)),
    ("numa_interleave", Desc::counter("node_zoneinfo_numa_interleave_total", "Interleaver preferred this zone", ZONE)),
    ("numa_local", Desc::counter("node_zoneinfo_numa_local_total", "Allocation from local node", ZONE)),
    ("numa_other", Desc::counter("node_zoneinfo_numa_other_total", "Allocation from other node", ZONE)),
];

static PROTECTION: Desc = Desc::gauge("node_zoneinfo_protection_*", "Protection array, by field.", ZONE);

pub(super) struct Zones {
    file: PathBuf,
}

impl Listed for Zones {
    fn descs() -> Vec<&'static Desc> {
        ROWS.iter().map(|(_, desc)| desc).chain([&PROTECTION]).collect()
    }

    fn new(site: &Site<'_>) -> Self {
        Self { file: site.roots.procfs.join("zoneinfo") }
    }
}

#[async_trait]
impl Part for Zones {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        let (mut node, mut zone) = ("", "");
        for line in run.files.text(&self.file)?.lines() {
            if let Some((number, name)) = line.strip_prefix("Node ").and_then(|rest| rest.split_once(", zone")) {
                (node, zone) = (number, name.trim());
                continue;
            }
            let Some((key, rest)) = line.trim_start().split_once(' ') else { continue };
            if key == "protection:" {
                for (index, value) in rest.trim_matches(['(', ')', ' ']).split(", ").enumerate() {
                    if let Some(value) = number(value) {
                        run.batch.push(&protection(index), &[node, zone], value);
                    }
                }
                continue;
            }
            let row = ROWS.iter().find(|(known, _)| *known == key);
            if let (Some((_, desc)), Some(value)) = (row, number(rest)) {
                run.batch.push(desc, &[node, zone], value);
            }
        }
        Ok(())
    }
}

fn protection(index: usize) -> Desc {
    let help = format!("Protection array {index}. field");
    Desc::named(Kind::Gauge, format!("node_zoneinfo_protection_{index}"), help, ZONE)
}
