//! The limit of series: a collector may not flood.

use std::collections::BTreeSet;

use super::Output;

/// What a run had too much of.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Cut {
    /// How many series were dropped.
    pub(super) series: usize,
    /// The families that they belonged to.
    pub(super) families: BTreeSet<String>,
}

/// Drops whole families until `out` holds at most `max` series. A family that does not fit costs none of the later ones
/// that do.
pub(super) fn cut(out: &mut Output, max: usize) -> Cut {
    let mut cut = Cut::default();
    let mut left = max;
    for batch in out.batches_mut() {
        let before = batch.series();
        if before > left {
            *batch = crate::metrics::Batch::new();
        }
        cut.series += before - batch.series();
        left -= batch.series();
    }
    cut
}
