//! `edac`: memory errors that the hardware corrected or could not (Documentation/admin-guide/RAS).

use std::path::{Path, PathBuf};

use async_trait::async_trait;

use super::attribute::{self, Attribute};
use super::sysfs::if_there;
use super::{Listed, Part, Run, Site};
use crate::collect::CollectError;
use crate::metrics::{Batch, Desc};

const CHANNEL: &[&str] = &["controller", "csrow", "channel", "dimm_label"];

static CONTROLLER: [Attribute; 2] = [
    (
        "ce_count",
        Desc::counter("node_edac_correctable_errors_total", "Total correctable memory errors.", &["controller"]),
        1.0,
    ),
    (
        "ue_count",
        Desc::counter("node_edac_uncorrectable_errors_total", "Total uncorrectable memory errors.", &["controller"]),
        1.0,
    ),
];
static ROW: [Attribute; 2] = [
    (
        "ce_count",
        Desc::counter(
            "node_edac_csrow_correctable_errors_total",
            "Total correctable memory errors for this csrow.",
            &["controller", "csrow"],
        ),
        1.0,
    ),
    (
        "ue_count",
        Desc::counter(
            "node_edac_csrow_uncorrectable_errors_total",
            "Total uncorrectable memory errors for this csrow.",
            &["controller", "csrow"],
        ),
        1.0,
    ),
];
static CHANNEL_CORRECTED: Desc = Desc::counter(
    "node_edac_channel_correctable_errors_total",
    "Total correctable memory errors for this channel.",
    CHANNEL,
);
static CHANNEL_UNCORRECTED: Desc = Desc::counter(
    "node_edac_channel_uncorrectable_errors_total",
    "Total uncorrectable memory errors for this channel.",
    CHANNEL,
);

pub(super) struct Memory {
    folder: PathBuf,
}

impl Listed for Memory {
    fn descs() -> Vec<&'static Desc> {
        let tables = CONTROLLER.iter().chain(&ROW).map(|(_, desc, _)| desc);
        tables.chain([&CHANNEL_CORRECTED, &CHANNEL_UNCORRECTED]).collect()
    }

    fn new(site: &Site<'_>) -> Self {
        Self { folder: site.roots.sysfs.join("devices/system/edac/mc") }
    }
}

#[async_trait]
impl Part for Memory {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        for (name, controller) in if_there(run.folders.numbered(&self.folder, "mc"))?.into_iter().flatten() {
            let folder = self.folder.join(name);
            attribute::push(&mut run.batch, &CONTROLLER, &folder, &[&controller]);
            // Errors of which the controller does not know the row.
            for ((_, desc, _), file) in ROW.iter().zip(["ce_noinfo_count", "ue_noinfo_count"]) {
                if let Some(value) = attribute::value(&folder.join(file)) {
                    run.batch.push(desc, &[&controller, "unknown"], value);
                }
            }
            for (name, row) in attribute::numbered(&folder, "csrow")? {
                let folder = folder.join(name);
                attribute::push(&mut run.batch, &ROW, &folder, &[&controller, &row]);
                channels(&folder, &controller, &row, &mut run.batch)?;
            }
        }
        Ok(())
    }
}

fn channels(folder: &Path, controller: &str, row: &str, batch: &mut Batch) -> Result<(), CollectError> {
    for (name, rest) in attribute::numbered(folder, "ch")? {
        let Some(channel) = rest.strip_suffix("_ce_count") else { continue };
        let label = attribute::text(&folder.join(format!("ch{channel}_dimm_label")));
        let labels = [controller, row, channel, &label.map_or_else(|| "unknown".to_owned(), |label| tidy(&label))];
        let files = [(&CHANNEL_CORRECTED, name), (&CHANNEL_UNCORRECTED, format!("ch{channel}_ue_count"))];
        for (desc, file) in files {
            if let Some(value) = attribute::value(&folder.join(file)) {
                batch.push(desc, &labels, value);
            }
        }
    }
    Ok(())
}

/// `mc#0csrow#1channel#0` as node_exporter writes it: `mc0_csrow1_channel0`.
fn tidy(label: &str) -> String {
    label.replace('#', "").replace("csrow", "_csrow").replace("channel", "_channel")
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_kernel_s_own_label_of_a_module_is_made_readable() {
        assert_eq!(super::tidy("mc#0csrow#1channel#0"), "mc0_csrow1_channel0");
        assert_eq!(super::tidy("DIMM_A1"), "DIMM_A1");
    }
}
