//! What `/proc/cpuinfo` tells of the processors, where the part `cpu` is asked for it.

use std::path::PathBuf;

use regex_lite::Regex;
use serde::Deserialize;

use super::filter::Filter;
use super::sysfs::value;
use super::{HostConfig, Roots, Run};
use crate::collect::CollectError;
use crate::config::Problems;
use crate::metrics::Desc;

/// What is told of the processors beside the time that they spent.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CpuConfig {
    /// Whether the time that guests got is told apart.
    pub guest: bool,
    /// Tells make and model of each processor.
    pub info: bool,
    /// Tells the flags of the first one that match; implies `info`.
    pub info_flags_include: Option<String>,
    /// Tells the bugs of the first one that match; implies `info`.
    pub info_bugs_include: Option<String>,
}

impl Default for CpuConfig {
    fn default() -> Self {
        Self { guest: true, info: false, info_flags_include: None, info_bugs_include: None }
    }
}

pub(super) static INFO: Desc = Desc::gauge(
    "node_cpu_info",
    "CPU information from /proc/cpuinfo.",
    &["package", "core", "cpu", "vendor", "family", "model", "model_name", "microcode", "stepping", "cachesize"],
);
pub(super) static FLAG: Desc = Desc::gauge(
    "node_cpu_flag_info",
    "The `flags` field of CPU information from /proc/cpuinfo taken from the first core.",
    &["flag"],
);
pub(super) static BUG: Desc = Desc::gauge(
    "node_cpu_bug_info",
    "The `bugs` field of CPU information from /proc/cpuinfo taken from the first core.",
    &["bug"],
);
/// As the kernel believes it to be. Where the part `cpufreq` can measure it, that one is told, whose labels differ.
static FREQUENCY: Desc =
    Desc::gauge("node_cpu_frequency_hertz", "CPU frequency in hertz from /proc/cpuinfo.", &["package", "core", "cpu"]);

/// The lines of a processor, in the order of the labels.
const KEYS: [&str; 10] = [
    "physical id",
    "core id",
    "processor",
    "vendor_id",
    "cpu family",
    "model",
    "model name",
    "microcode",
    "stepping",
    "cache size",
];

pub(super) struct CpuInfo {
    file: PathBuf,
    /// What the part `cpufreq` tells of the first processor.
    current: PathBuf,
    flags: Option<Regex>,
    bugs: Option<Regex>,
}

impl CpuInfo {
    /// Nothing, where it is not asked for.
    pub(super) fn new(config: &CpuConfig, roots: &Roots) -> Option<Self> {
        let pattern = |text: &Option<String>| text.as_deref().and_then(|text| Regex::new(text).ok());
        let (flags, bugs) = (pattern(&config.info_flags_include), pattern(&config.info_bugs_include));
        (config.info || flags.is_some() || bugs.is_some()).then(|| Self {
            file: roots.procfs.join("cpuinfo"),
            current: roots.sysfs.join("devices/system/cpu/cpu0/cpufreq/cpuinfo_cur_freq"),
            flags,
            bugs,
        })
    }

    pub(super) fn check(config: &HostConfig, problems: &mut Problems) {
        Filter::check_one("cpu.info_flags_include", config.cpu.info_flags_include.as_deref(), problems);
        Filter::check_one("cpu.info_bugs_include", config.cpu.info_bugs_include.as_deref(), problems);
    }

    pub(super) fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        let measured = value(&mut run.devices, &self.current).is_some();
        let text = run.files.text(&self.file)?;
        for (number, processor) in text.split("\n\n").enumerate() {
            let line = |key: &str| {
                let lines = processor.lines().filter_map(|line| line.split_once(':'));
                lines.map(|(found, value)| (found.trim_end(), value.trim())).find(|(found, _)| *found == key)
            };
            let labels = KEYS.map(|key| line(key).map_or("", |(_, value)| value));
            let [package, core, cpu, ..] = labels;
            if cpu.is_empty() {
                continue;
            }
            run.batch.push(&INFO, &labels, 1.0);
            let megahertz = line("cpu MHz").and_then(|(_, value)| value.parse::<f64>().ok());
            if let Some(megahertz) = megahertz.filter(|_| !measured) {
                run.batch.push(&FREQUENCY, &[package, core, cpu], megahertz * 1e6);
            }
            for (key, desc, taken) in [("flags", &FLAG, &self.flags), ("bugs", &BUG, &self.bugs)] {
                let words = line(key).map_or("", |(_, words)| words).split_ascii_whitespace();
                if let (0, Some(taken)) = (number, taken) {
                    words.filter(|word| taken.is_match(word)).for_each(|word| run.batch.push(desc, &[word], 1.0));
                }
            }
        }
        Ok(())
    }
}
