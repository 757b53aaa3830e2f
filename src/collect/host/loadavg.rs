//! `loadavg`: the three averages of the run queue (proc_loadavg(5)).

use std::path::PathBuf;

use async_trait::async_trait;

use super::files::malformed;
use super::{Listed, Part, Run, Site};
use crate::collect::CollectError;
use crate::metrics::Desc;

pub(super) static LOAD: [Desc; 3] = [
    Desc::gauge("node_load1", "1m load average.", &[]),
    Desc::gauge("node_load5", "5m load average.", &[]),
    Desc::gauge("node_load15", "15m load average.", &[]),
];

pub(super) struct LoadAverage {
    file: PathBuf,
}

impl Listed for LoadAverage {
    fn descs() -> Vec<&'static Desc> {
        LOAD.iter().collect()
    }

    fn new(site: &Site<'_>) -> Self {
        Self { file: site.roots.procfs.join("loadavg") }
    }
}

#[async_trait]
impl Part for LoadAverage {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        let text = run.files.attribute(&self.file)?;
        let mut fields = text.split_ascii_whitespace();
        for desc in &LOAD {
            let value: Option<f64> = fields.next().and_then(|field| field.parse().ok());
            run.batch.push(desc, &[], value.ok_or_else(|| malformed(&self.file, "not three averages"))?);
        }
        Ok(())
    }
}
