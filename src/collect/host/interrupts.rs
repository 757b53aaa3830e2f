//! `interrupts`: each interrupt by processor (proc_interrupts(5)).

use std::path::PathBuf;

use async_trait::async_trait;
use serde::Deserialize;

use super::files::{counter, malformed};
use super::filter::Filter;
use super::{HostConfig, Listed, Part, Run, Site};
use crate::collect::CollectError;
use crate::config::Problems;
use crate::metrics::Desc;

/// Which interrupts are taken.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InterruptsConfig {
    /// Only interrupts that match, written `name;info;devices`.
    pub name_include: Option<String>,
    /// No interrupts that match.
    pub name_exclude: Option<String>,
    /// Whether those that never came on a processor are given too.
    pub include_zeros: bool,
}

impl Default for InterruptsConfig {
    fn default() -> Self {
        Self { name_include: None, name_exclude: None, include_zeros: true }
    }
}

static TOTAL: Desc = Desc::counter("node_interrupts_total", "Interrupt details.", &["cpu", "type", "info", "devices"]);

pub(super) struct Interrupts {
    file: PathBuf,
    names: Filter,
    zeros: bool,
}

impl Listed for Interrupts {
    fn descs() -> Vec<&'static Desc> {
        vec![&TOTAL]
    }

    fn check(config: &HostConfig, problems: &mut Problems) {
        let (include, exclude) = (&config.interrupts.name_include, &config.interrupts.name_exclude);
        Filter::check("interrupts.name", include.as_deref(), exclude.as_deref(), problems);
    }

    fn new(site: &Site<'_>) -> Self {
        let (roots, config) = (&site.roots, &site.config.interrupts);
        Self {
            file: roots.procfs.join("interrupts"),
            names: Filter::new(config.name_include.as_deref(), config.name_exclude.as_deref(), ""),
            zeros: config.include_zeros,
        }
    }
}

#[async_trait]
impl Part for Interrupts {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        let mut lines = run.files.text(&self.file)?.lines();
        let header = lines.next().ok_or_else(|| malformed(&self.file, "empty"))?;
        // The columns are those of the processors that are online: `CPU0  CPU2`.
        let cpus: Vec<_> = header.split_ascii_whitespace().map(|cpu| cpu.strip_prefix("CPU").unwrap_or(cpu)).collect();
        for line in lines {
            let Some((name, rest)) = line.split_once(':') else { continue };
            let name = name.trim_start();
            let words: Vec<_> = rest.split_ascii_whitespace().collect();
            // `ERR` and `MIS` have one number, and are of no processor.
            let Some((counts, details)) = words.split_at_checked(cpus.len()).filter(|(_, details)| !details.is_empty())
            else {
                continue;
            };
            let numbered = name.bytes().all(|byte| byte.is_ascii_digit());
            let (info, devices) = if numbered { details.split_at(1) } else { (details, &[] as &[&str]) };
            let (info, devices) = (info.join(" "), devices.join(" "));
            if !self.names.takes(&format!("{name};{info};{devices}")) {
                continue;
            }
            for (cpu, count) in cpus.iter().zip(counts) {
                if let Some(count) = counter(count).filter(|count| self.zeros || *count > 0.0) {
                    run.batch.push(&TOTAL, &[cpu, name, &info, &devices], count);
                }
            }
        }
        Ok(())
    }
}
