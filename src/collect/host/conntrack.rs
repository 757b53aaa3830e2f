//! `conntrack`: the table of tracked connections.

use std::path::PathBuf;

use async_trait::async_trait;

use super::files::malformed;
use super::sysfs::if_there;
use super::{Listed, Part, Run, Site};
use crate::collect::CollectError;
use crate::metrics::Desc;

/// Files of one number.
static SIZES: [(&str, Desc); 2] = [
    (
        "nf_conntrack_count",
        Desc::gauge(
            "node_nf_conntrack_entries",
            "Number of currently allocated flow entries for connection tracking.",
            &[],
        ),
    ),
    (
        "nf_conntrack_max",
        Desc::gauge("node_nf_conntrack_entries_limit", "Maximum size of connection tracking table.", &[]),
    ),
];

/// Columns of the statistics, which have a line a processor.
#[rustfmt::skip]
static COLUMNS: [(usize, Desc); 8] = [
    (2, Desc::gauge("node_nf_conntrack_stat_found", "Number of searched entries which were successful.", &[])),
    (4, Desc::gauge("node_nf_conntrack_stat_invalid", "Number of packets seen which can not be tracked.", &[])),
    (5, Desc::gauge("node_nf_conntrack_stat_ignore", "Number of packets seen which are already connected to a conntrack entry.", &[])),
    (8, Desc::gauge("node_nf_conntrack_stat_insert", "Number of entries inserted into the list.", &[])),
    (9, Desc::gauge("node_nf_conntrack_stat_insert_failed", "Number of entries for which list insertion was attempted but failed.", &[])),
    (10, Desc::gauge("node_nf_conntrack_stat_drop", "Number of packets dropped due to conntrack failure.", &[])),
    (11, Desc::gauge("node_nf_conntrack_stat_early_drop", "Number of dropped conntrack entries to make room for new ones, if maximum table size was reached.", &[])),
    (SEARCH_RESTART, Desc::gauge("node_nf_conntrack_stat_search_restart", "Number of conntrack table lookups which had to be restarted due to hashtable resizes.", &[])),
];

/// The last column, which kernels before 2.6.35 lack.
const SEARCH_RESTART: usize = 16;

pub(super) struct Connections {
    sizes: PathBuf,
    statistics: [PathBuf; 2],
}

impl Listed for Connections {
    fn descs() -> Vec<&'static Desc> {
        SIZES.iter().map(|(_, desc)| desc).chain(COLUMNS.iter().map(|(_, desc)| desc)).collect()
    }

    fn new(site: &Site<'_>) -> Self {
        Self { sizes: site.roots.procfs.join("sys/net/netfilter"), statistics: site.roots.net("stat/nf_conntrack") }
    }
}

#[async_trait]
impl Part for Connections {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        for (file, desc) in &SIZES {
            let file = self.sizes.join(file);
            let size: u64 = run.files.attribute(&file)?.trim().parse().map_err(|_| malformed(&file, "no number"))?;
            run.batch.push(desc, &[], size as f64);
        }
        // A kernel may be built without this one.
        let Some(text) = if_there(run.files.text_of_either(&self.statistics))? else { return Ok(()) };
        let sums = sums(text).ok_or_else(|| malformed(&self.statistics[0], "a line that is not 16 or 17 numbers"))?;
        for ((_, desc), sum) in COLUMNS.iter().zip(sums) {
            run.batch.push(desc, &[], sum as f64);
        }
        Ok(())
    }
}

/// The columns' sums over all processors.
fn sums(text: &str) -> Option<[u64; 8]> {
    let mut sums = [0_u64; 8];
    for line in text.lines().skip(1) {
        let numbers: Option<Vec<u64>> =
            line.split_ascii_whitespace().map(|number| u64::from_str_radix(number, 16).ok()).collect();
        let numbers =
            numbers.filter(|numbers| numbers.len() == SEARCH_RESTART || numbers.len() == SEARCH_RESTART + 1)?;
        for (sum, (column, _)) in sums.iter_mut().zip(&COLUMNS) {
            *sum = sum.wrapping_add(numbers.get(*column).copied().unwrap_or_default());
        }
    }
    Some(sums)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_added_and_an_old_kernel_lacks_the_last_column() {
        let line = |last: &str| format!("0 1 a 3 4 5 6 7 8 9 a b c d e f{last}\n");
        let both = format!("header\n{}{}", line(" 10"), line(""));
        assert_eq!(sums(&both), Some([20, 8, 10, 16, 18, 20, 22, 16]));
        assert_eq!(sums("header\n0 1 2\n"), None);
        assert_eq!(sums(&format!("header\n{}", line(" x"))), None);
    }
}
