//! `meminfo`: what the memory is used for (proc_meminfo(5)). A line that this table does not know becomes a family too.

use std::borrow::Cow;
use std::path::PathBuf;

use async_trait::async_trait;

use super::files::counter;
use super::{Listed, Part, Run, Site};
use crate::collect::CollectError;
use crate::metrics::{Desc, Kind};

/// A line of the file and its family.
pub(super) struct Field {
    key: &'static str,
    pub(super) desc: Desc,
}

impl Field {
    /// Whether this is the line `key` whose value has that unit: those without one are numbers of pages.
    fn is(&self, key: &str, unit: &str) -> bool {
        self.key == key && self.desc.name.ends_with("_bytes") == (unit == "bytes")
    }
}

macro_rules! memory {
    ($key:literal, $name:literal, $help:literal) => {
        Field { key: $key, desc: Desc::gauge($name, $help, &[]) }
    };
}

/// In the kernel's order, so that the next line is nearly always the next field.
#[rustfmt::skip]
pub(super) static FIELDS: &[Field] = &[
    memory!("MemTotal", "node_memory_MemTotal_bytes", "Memory information field MemTotal_bytes."),
    memory!("MemFree", "node_memory_MemFree_bytes", "Memory information field MemFree_bytes."),
    memory!("MemAvailable", "node_memory_MemAvailable_bytes", "Memory information field MemAvailable_bytes."),
    memory!("Buffers", "node_memory_Buffers_bytes", "Memory information field Buffers_bytes."),
    memory!("Cached", "node_memory_Cached_bytes", "Memory information field Cached_bytes."),
    memory!("SwapCached", "node_memory_SwapCached_bytes", "Memory information field SwapCached_bytes."),
    memory!("Active", "node_memory_Active_bytes", "Memory information field Active_bytes."),
    memory!("Inactive", "node_memory_Inactive_bytes", "Memory information field Inactive_bytes."),
    memory!("Active(anon)", "node_memory_Active_anon_bytes", "Memory information field Active_anon_bytes."),
    memory!("Inactive(anon)", "node_memory_Inactive_anon_bytes", "Memory information field Inactive_anon_bytes."),
    memory!("Active(file)", "node_memory_Active_file_bytes", "Memory information field Active_file_bytes."),
    memory!("Inactive(file)", "node_memory_Inactive_file_bytes", "Memory information field Inactive_file_bytes."),
    memory!("Unevictable", "node_memory_Unevictable_bytes", "Memory information field Unevictable_bytes."),
    memory!("Mlocked", "node_memory_Mlocked_bytes", "Memory information field Mlocked_bytes."),
    memory!("SwapTotal", "node_memory_SwapTotal_bytes", "Memory information field SwapTotal_bytes."),
    memory!("SwapFree", "node_memory_SwapFree_bytes", "Memory information field SwapFree_bytes."),
    memory!("Zswap", "node_memory_Zswap_bytes", "Memory information field Zswap_bytes."),
    memory!("Zswapped", "node_memory_Zswapped_bytes", "Memory information field Zswapped_bytes."),
    memory!("Dirty", "node_memory_Dirty_bytes", "Memory information field Dirty_bytes."),
    memory!("Writeback", "node_memory_Writeback_bytes", "Memory information field Writeback_bytes."),
    memory!("AnonPages", "node_memory_AnonPages_bytes", "Memory information field AnonPages_bytes."),
    memory!("Mapped", "node_memory_Mapped_bytes", "Memory information field Mapped_bytes."),
    memory!("Shmem", "node_memory_Shmem_bytes", "Memory information field Shmem_bytes."),
    memory!("KReclaimable", "node_memory_KReclaimable_bytes", "Memory information field KReclaimable_bytes."),
    memory!("Slab", "node_memory_Slab_bytes", "Memory information field Slab_bytes."),
    memory!("SReclaimable", "node_memory_SReclaimable_bytes", "Memory information field SReclaimable_bytes."),
    memory!("SUnreclaim", "node_memory_SUnreclaim_bytes", "Memory information field SUnreclaim_bytes."),
    memory!("KernelStack", "node_memory_KernelStack_bytes", "Memory information field KernelStack_bytes."),
    memory!("PageTables", "node_memory_PageTables_bytes", "Memory information field PageTables_bytes."),
    memory!("SecPageTables", "node_memory_SecPageTables_bytes", "Memory information field SecPageTables_bytes."),
    memory!("NFS_Unstable", "node_memory_NFS_Unstable_bytes", "Memory information field NFS_Unstable_bytes."),
    memory!("Bounce", "node_memory_Bounce_bytes", "Memory information field Bounce_bytes."),
    memory!("WritebackTmp", "node_memory_WritebackTmp_bytes", "Memory information field WritebackTmp_bytes."),
    memory!("CommitLimit", "node_memory_CommitLimit_bytes", "Memory information field CommitLimit_bytes."),
    memory!("Committed_AS", "node_memory_Committed_AS_bytes", "Memory information field Committed_AS_bytes."),
    memory!("VmallocTotal", "node_memory_VmallocTotal_bytes", "Memory information field VmallocTotal_bytes."),
    memory!("VmallocUsed", "node_memory_VmallocUsed_bytes", "Memory information field VmallocUsed_bytes."),
    memory!("VmallocChunk", "node_memory_VmallocChunk_bytes", "Memory information field VmallocChunk_bytes."),
    memory!("Percpu", "node_memory_Percpu_bytes", "Memory information field Percpu_bytes."),
    memory!("HardwareCorrupted", "node_memory_HardwareCorrupted_bytes", "Memory information field HardwareCorrupted_bytes."),
    memory!("AnonHugePages", "node_memory_AnonHugePages_bytes", "Memory information field AnonHugePages_bytes."),
    memory!("ShmemHugePages", "node_memory_ShmemHugePages_bytes", "Memory information field ShmemHugePages_bytes."),
    memory!("ShmemPmdMapped", "node_memory_ShmemPmdMapped_bytes", "Memory information field ShmemPmdMapped_bytes."),
    memory!("FileHugePages", "node_memory_FileHugePages_bytes", "Memory information field FileHugePages_bytes."),
    memory!("FilePmdMapped", "node_memory_FilePmdMapped_bytes", "Memory information field FilePmdMapped_bytes."),
    memory!("CmaTotal", "node_memory_CmaTotal_bytes", "Memory information field CmaTotal_bytes."),
    memory!("CmaFree", "node_memory_CmaFree_bytes", "Memory information field CmaFree_bytes."),
    memory!("Unaccepted", "node_memory_Unaccepted_bytes", "Memory information field Unaccepted_bytes."),
    memory!("Balloon", "node_memory_Balloon_bytes", "Memory information field Balloon_bytes."),
    memory!("HugePages_Total", "node_memory_HugePages_Total", "Memory information field HugePages_Total."),
    memory!("HugePages_Free", "node_memory_HugePages_Free", "Memory information field HugePages_Free."),
    memory!("HugePages_Rsvd", "node_memory_HugePages_Rsvd", "Memory information field HugePages_Rsvd."),
    memory!("HugePages_Surp", "node_memory_HugePages_Surp", "Memory information field HugePages_Surp."),
    memory!("Hugepagesize", "node_memory_Hugepagesize_bytes", "Memory information field Hugepagesize_bytes."),
    memory!("Hugetlb", "node_memory_Hugetlb_bytes", "Memory information field Hugetlb_bytes."),
    memory!("DirectMap4k", "node_memory_DirectMap4k_bytes", "Memory information field DirectMap4k_bytes."),
    memory!("DirectMap2M", "node_memory_DirectMap2M_bytes", "Memory information field DirectMap2M_bytes."),
    memory!("DirectMap1G", "node_memory_DirectMap1G_bytes", "Memory information field DirectMap1G_bytes."),
];

/// How the lines that the table lacks are described.
pub(super) static OTHERS: Desc = Desc::gauge("node_memory_*", "Memory information field of another kernel.", &[]);

pub(super) struct Memory {
    file: PathBuf,
}

impl Listed for Memory {
    fn descs() -> Vec<&'static Desc> {
        FIELDS.iter().map(|field| &field.desc).chain([&OTHERS]).collect()
    }

    fn new(site: &Site<'_>) -> Self {
        Self { file: site.roots.procfs.join("meminfo") }
    }
}

#[async_trait]
impl Part for Memory {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        let (mut next, mut total, mut available) = (0, None, None);
        for line in run.files.attribute(&self.file)?.lines() {
            let Some((key, value, unit)) = parse(line) else { continue };
            match key {
                "MemTotal" => total = Some(value),
                "MemAvailable" => available = Some(value),
                _ => {}
            }
            let known = FIELDS.iter().cycle().skip(next).take(FIELDS.len()).position(|field| field.is(key, unit));
            if let Some(ahead) = known {
                let at = (next + ahead) % FIELDS.len();
                next = at + 1;
                if let Some(field) = FIELDS.get(at) {
                    run.batch.push(&field.desc, &[], value);
                }
            } else if let Some(desc) = unknown(key, unit) {
                run.batch.push(&desc, &[], value);
            }
        }
        if let (Some(total), Some(available)) = (total, available) {
            run.findings.memory(total, available);
        }
        Ok(())
    }
}

/// `MemTotal:  3 kB` as key, value and the unit that it is told in: what the kernel calls kB becomes bytes.
fn parse(line: &str) -> Option<(&str, f64, &str)> {
    let (key, rest) = line.split_once(':')?;
    let mut fields = rest.split_ascii_whitespace();
    let value = counter(fields.next()?)?;
    match fields.next().unwrap_or_default() {
        "kB" => Some((key, value * 1024.0, "bytes")),
        unit => Some((key, value, unit)),
    }
}

/// The family of a line that a newer kernel added: `Active(anon)` in bytes is `Active_anon_bytes`.
fn unknown(key: &str, unit: &str) -> Option<Desc> {
    let mut field: String = key.trim().chars().filter(|c| *c != ')').map(label).collect();
    if field.is_empty() {
        return None;
    }
    if !unit.is_empty() {
        field.push('_');
        field.extend(unit.chars().map(label));
    }
    Some(Desc {
        name: Cow::Owned(format!("node_memory_{field}")),
        help: Cow::Owned(format!("Memory information field {field}.")),
        kind: Kind::Gauge,
        labels: Cow::Borrowed(&[]),
    })
}

fn label(c: char) -> char {
    if c.is_ascii_alphanumeric() { c } else { '_' }
}

/// The family of a line, by the line's key.
pub(super) fn field(key: &str) -> Option<&'static Desc> {
    FIELDS.iter().find(|field| field.key == key).map(|field| &field.desc)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kilobytes_become_bytes_and_numbers_stay() {
        assert_eq!(parse("MemTotal:       16 kB"), Some(("MemTotal", 16_384.0, "bytes")));
        assert_eq!(parse("HugePages_Total:       3"), Some(("HugePages_Total", 3.0, "")));
        assert_eq!(parse("MemFree: 4 parsecs"), Some(("MemFree", 4.0, "parsecs")));
        for garbage in ["", "MemTotal", "MemTotal:", "MemFree: -4 kB", "A: x kB"] {
            assert_eq!(parse(garbage), None, "{garbage}");
        }
    }

    #[test]
    fn the_table_names_what_the_rule_would_name() {
        for Field { key, desc } in FIELDS {
            let unit = if key.starts_with("HugePages_") { "" } else { "bytes" };
            assert_eq!(unknown(key, unit).as_ref(), Some(desc));
        }
    }

    #[test]
    fn a_line_that_the_table_lacks_has_a_valid_name_of_its_own() {
        let name = |key, unit| unknown(key, unit).unwrap().name.into_owned();
        assert_eq!(name("Some(new thing)", "bytes"), "node_memory_Some_new_thing_bytes");
        assert_eq!(name("Größe", ""), "node_memory_Gr__e");
        assert_eq!(name("MemFree", "parsecs"), "node_memory_MemFree_parsecs");
        assert!(unknown("", "bytes").is_none());
        assert!(!FIELDS[0].is("MemTotal", "parsecs"), "a known line in another unit is another family");
    }
}
