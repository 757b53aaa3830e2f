//! The limit of series: a collector may not flood.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Output;

/// What a run had too much of.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Cut {
    /// How many series were dropped.
    pub(super) series: usize,
    /// The families that they belonged to.
    pub(super) families: BTreeSet<String>,
}

/// Drops whole families, part by part, until `out` holds at most `max` series. A family that does not fit costs none of
/// the later ones that do.
pub(super) fn cut(out: &mut Output, max: usize) -> Cut {
    let mut cut = Cut::default();
    let mut left = max;
    for batch in out.batches_mut() {
        if batch.series() > left {
            for dropped in Arc::make_mut(batch).truncate_families(left) {
                cut.series += dropped.series;
                cut.families.insert(dropped.family);
            }
        }
        left = left.saturating_sub(batch.series());
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Desc;

    static SMALL: Desc = Desc::gauge("small", "Two series.", &["row"]);
    static BIG: Desc = Desc::gauge("big", "Three series.", &["row"]);

    #[test]
    fn whole_families_are_cut_until_the_rest_fits() {
        for (max, series, families, left) in [
            (7, 0, vec![], (5, 2)),
            (6, 2, vec!["small"], (5, 0)),
            (4, 4, vec!["small"], (3, 0)),
            (2, 5, vec!["big", "small"], (2, 0)),
        ] {
            let mut out = Output::default();
            for row in ["1", "2", "3"] {
                out.part("first").push(&BIG, &[row], 1.0);
            }
            for part in ["first", "second"] {
                for row in ["1", "2"] {
                    out.part(part).push(&SMALL, &[row], 1.0);
                }
            }
            let cut = cut(&mut out, max);
            let names: Vec<_> = cut.families.iter().map(String::as_str).collect();
            assert_eq!((cut.series, names), (series, families), "{max}");
            assert_eq!((out.part("first").series(), out.part("second").series()), left, "{max}");
        }
    }
}
