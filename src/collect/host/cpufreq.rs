//! `cpufreq`: at which frequencies the processors run (sysfs-devices-system-cpu).

use std::path::{Path, PathBuf};

use async_trait::async_trait;

use super::sysfs::{attribute, value};
use super::{Listed, Part, Run, Site};
use crate::collect::CollectError;
use crate::metrics::Desc;

const LABELS: &[&str] = &["cpu"];

/// Attributes in kilohertz, with their families.
#[rustfmt::skip]
static FREQUENCIES: [(&str, Desc); 7] = [
    ("cpuinfo_cur_freq", Desc::gauge("node_cpu_frequency_hertz", "Current CPU thread frequency in hertz.", LABELS)),
    ("cpuinfo_avg_freq", Desc::gauge("node_cpu_frequency_avg_hertz", "Average CPU thread frequency in hertz.", LABELS)),
    ("cpuinfo_min_freq", Desc::gauge("node_cpu_frequency_min_hertz", "Minimum CPU thread frequency in hertz.", LABELS)),
    ("cpuinfo_max_freq", Desc::gauge("node_cpu_frequency_max_hertz", "Maximum CPU thread frequency in hertz.", LABELS)),
    ("scaling_cur_freq", Desc::gauge("node_cpu_scaling_frequency_hertz", "Current scaled CPU thread frequency in hertz.", LABELS)),
    ("scaling_min_freq", Desc::gauge("node_cpu_scaling_frequency_min_hertz", "Minimum scaled CPU thread frequency in hertz.", LABELS)),
    ("scaling_max_freq", Desc::gauge("node_cpu_scaling_frequency_max_hertz", "Maximum scaled CPU thread frequency in hertz.", LABELS)),
];

static GOVERNOR: Desc =
    Desc::gauge("node_cpu_scaling_governor", "Current enabled CPU frequency governor.", &["cpu", "governor"]);

pub(super) struct Frequencies {
    folder: PathBuf,
}

impl Listed for Frequencies {
    fn descs() -> Vec<&'static Desc> {
        FREQUENCIES.iter().map(|(_, desc)| desc).chain([&GOVERNOR]).collect()
    }

    fn new(site: &Site<'_>) -> Self {
        Self { folder: site.roots.sysfs.join("devices/system/cpu") }
    }
}

#[async_trait]
impl Part for Frequencies {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        for name in run.folders.names(&self.folder)? {
            let Some(processor) = name.strip_prefix("cpu").filter(|rest| rest.parse::<u32>().is_ok()) else { continue };
            // A processor that is offline has no such folder, and neither has one without the driver.
            let folder = self.folder.join(&name).join("cpufreq");
            if run.folders.has(&folder) {
                frequencies(run, processor, &folder);
            }
        }
        Ok(())
    }
}

fn frequencies(run: &mut Run, processor: &str, folder: &Path) {
    for (file, desc) in &FREQUENCIES {
        if let Some(kilohertz) = value(&mut run.files, &folder.join(file)) {
            run.batch.push(desc, &[processor], kilohertz * 1e3);
        }
    }
    let mut text = |file| attribute(&mut run.files, &folder.join(file)).unwrap_or_default();
    let (current, all) = (text("scaling_governor"), text("scaling_available_governors"));
    if !current.is_empty() {
        for governor in all.split_ascii_whitespace() {
            run.batch.push(&GOVERNOR, &[processor, governor], f64::from(governor == current));
        }
    }
}
