//! `sysctl`: settings of the kernel that the configuration names (proc_sys(5)).

use std::path::PathBuf;

use async_trait::async_trait;
use serde::Deserialize;

use super::attribute::number;
use super::files::malformed;
use super::{Listed, Part, Run, Site, names};
use crate::collect::CollectError;
use crate::metrics::{Batch, Desc, Kind};

/// Which settings are taken.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SysctlConfig {
    /// Numbers: `vm.swappiness`, `kernel.random`; several in a file get an index, or names: `fs.file-nr:total,current,max`.
    pub include: Vec<String>,
    /// Words, as labels of `node_sysctl_info`.
    pub include_info: Vec<String>,
}

static INFO: Desc = Desc::gauge("node_sysctl_info", "sysctl info", &["name", "value", "index"]);
static VALUE: Desc = Desc::unknown("node_sysctl_*", "A setting of the kernel that the configuration names.", &[]);

/// A setting with the names of its fields.
struct Setting {
    name: String,
    keys: Vec<String>,
    file: PathBuf,
    numeric: bool,
}

pub(super) struct Sysctl {
    settings: Vec<Setting>,
}

impl Listed for Sysctl {
    fn descs() -> Vec<&'static Desc> {
        vec![&INFO, &VALUE]
    }

    fn new(site: &Site<'_>) -> Self {
        let (roots, config) = (&site.roots, &site.config.sysctl);
        let setting = |(text, numeric): (&String, bool)| {
            let (name, keys) = text.split_once(':').unwrap_or((text, ""));
            // As in sysctl(8): a dot separates folders, a slash stands for a dot in a device's name.
            let path = name.split('.').map(|part| part.replace('/', ".")).filter(|part| part != ".." && part != ".");
            let file = roots.procfs.join("sys").join(path.collect::<PathBuf>());
            let keys = keys.split(',').filter(|key| !key.is_empty()).map(str::to_owned).collect();
            Setting { name: name.to_owned(), keys, file, numeric }
        };
        let numbers = config.include.iter().map(|text| (text, true));
        let words = config.include_info.iter().map(|text| (text, false));
        Self { settings: numbers.chain(words).map(setting).collect() }
    }
}

#[async_trait]
impl Part for Sysctl {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        for setting in &self.settings {
            let text = run.files.text(&setting.file)?;
            setting.push(text, &mut run.batch)?;
        }
        Ok(())
    }
}

impl Setting {
    fn push(&self, text: &str, batch: &mut Batch) -> Result<(), CollectError> {
        let fields: Vec<_> = text.split_ascii_whitespace().collect();
        if !self.numeric {
            for (index, field) in fields.iter().enumerate() {
                batch.push(&INFO, &[&self.name, field, &index.to_string()], 1.0);
            }
            return Ok(());
        }
        let values: Option<Vec<f64>> = fields.iter().map(|field| number(field)).collect();
        let values = values.ok_or_else(|| malformed(&self.file, "not only numbers: name it in `include_info`"))?;
        let metric = format!("node_sysctl_{}", names::metric(&self.name));
        if !self.keys.is_empty() && self.keys.len() != values.len() {
            let why = format!("{} fields, but {} names in `include`", values.len(), self.keys.len());
            return Err(malformed(&self.file, &why));
        }
        for (index, value) in values.iter().enumerate() {
            let help = format!("sysctl {}", self.name);
            if let Some(key) = self.keys.get(index) {
                let (name, help) = (format!("{metric}_{}", names::metric(key)), format!("{help}, field {index}"));
                batch.push(&Desc::named(Kind::Unknown, name, help, &[]), &[], *value);
            } else if values.len() == 1 {
                batch.push(&Desc::named(Kind::Unknown, metric.clone(), help, &[]), &[], *value);
            } else {
                let desc = Desc::named(Kind::Unknown, metric.clone(), help, &["index"]);
                batch.push(&desc, &[&index.to_string()], *value);
            }
        }
        Ok(())
    }
}
