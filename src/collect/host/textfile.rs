//! `textfile`: metrics that other programs leave in files, in the text format.
//!
//! A file with a fault costs its own series: it is named in the log, and `node_textfile_scrape_error` is 1.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use async_trait::async_trait;
use rustix::fs::{Mode, OFlags};
use serde::Deserialize;
use tokio::time::Instant;

use super::detached::Detached;
use super::glob::folders;
use super::sysfs::names;
use super::{Listed, Part, Run, Site};
use crate::collect::{CollectError, Said};
use crate::metrics::parse::{ParsedFamily, ParsedValue, parse};
use crate::metrics::{Batch, Desc};

static MTIME: Desc =
    Desc::gauge("node_textfile_mtime_seconds", "Unixtime mtime of textfiles successfully read.", &["file"]);
static ERROR: Desc =
    Desc::gauge("node_textfile_scrape_error", "1 if there was an error opening or reading a file, 0 otherwise", &[]);

/// No file that is read is bigger.
const LIMIT: u64 = 16 << 20;

/// All files of a run together are not bigger.
const TOTAL: u64 = 32 << 20;

/// Where they are not read by then, they cost their own series only.
const PATIENCE: Duration = Duration::from_secs(3);

/// More files than this are not read.
const FILES: usize = 1000;

/// Where the files are.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TextfileConfig {
    /// Folders, or patterns of them, whose files `*.prom` are read.
    pub directory: Vec<String>,
}

pub(super) struct Textfiles {
    patterns: Vec<String>,
    said: Arc<Said>,
    detached: Detached,
}

/// What the files of one run say.
#[derive(Default)]
struct Found {
    families: Vec<(ParsedFamily, Vec<String>)>,
    by_name: HashMap<String, usize>,
    series: HashSet<String>,
    /// How many bytes were read.
    bytes: u64,
}

impl Listed for Textfiles {
    fn descs() -> Vec<&'static Desc> {
        vec![&MTIME, &ERROR]
    }

    fn new(site: &Site<'_>) -> Self {
        Self {
            patterns: site.config.textfile.directory.clone(),
            said: Arc::default(),
            detached: Detached::new(site.deps.tasks.clone(), site.deps.clock.clone()),
        }
    }
}

#[async_trait]
impl Part for Textfiles {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        let failed = if self.patterns.is_empty() {
            false
        } else {
            let (patterns, said) = (self.patterns.clone(), Arc::clone(&self.said));
            let found = self.detached.call("textfile", Instant::now() + PATIENCE, move || look(&patterns, &said)).await;
            let (foreign, times, failed) = found.ok_or_else(|| CollectError::Io {
                what: format!("the files in {}", self.patterns.join(", ")),
                source: std::io::ErrorKind::TimedOut.into(),
            })?;
            run.foreign = foreign;
            for (file, time) in times {
                run.batch.push(&MTIME, &[&file.display().to_string()], time);
            }
            failed
        };
        run.batch.push(&ERROR, &[], f64::from(failed));
        Ok(())
    }
}

/// Reads all files. Returns their series, when each was changed, and whether one could not be read.
fn look(patterns: &[String], said: &Said) -> (Batch, Vec<(PathBuf, f64)>, bool) {
    let mut found = Found::default();
    let mut failed = false;
    let mut tell = |what: &Path, why: Option<&str>| {
        failed |= why.is_some();
        said.tell("host", &format!("textfile {}", what.display()), why);
    };
    let mut times = Vec::new();
    for folder in patterns.iter().flat_map(|pattern| folders(pattern)) {
        let listed = names(&folder).map_err(|error| error.to_string());
        tell(&folder, listed.as_ref().err().map(String::as_str));
        let files = listed.unwrap_or_default().into_iter().filter(|name| name.strip_suffix(".prom").is_some());
        for file in files.map(|name| folder.join(name)) {
            let read = if times.len() < FILES { found.file(&file) } else { Err("too many files".to_owned()) };
            tell(&file, read.as_ref().err().map(String::as_str));
            times.extend(read.ok().map(|time| (file, time)));
        }
    }
    let mut batch = Batch::new();
    found.write(&mut batch);
    (batch, times, failed)
}

impl Found {
    /// Takes what a file says, all of it or nothing. Returns when the file was changed.
    fn file(&mut self, file: &Path) -> Result<f64, String> {
        let left = TOTAL.saturating_sub(self.bytes);
        let (text, time) = read(file, left).map_err(|error| error.to_string())?;
        self.bytes += text.len() as u64;
        let exposition = parse(&text).map_err(|error| error.to_string())?;
        if let Some(line) = exposition.timestamp {
            return Err(format!("line {line}: a timestamp, which would make old values look alive"));
        }
        let mut series = HashSet::new();
        for family in &exposition.families {
            self.check(family)?;
            for sample in &family.samples {
                let key = key(family, &sample.labels);
                if self.series.contains(&key) {
                    return Err(format!("{key} is in another file, too"));
                }
                series.insert(key);
            }
        }
        self.series.extend(series);
        for family in exposition.families {
            self.add(family, file);
        }
        Ok(time)
    }

    /// Whether another file says the same about the family.
    fn check(&self, family: &ParsedFamily) -> Result<(), String> {
        let Some((known, files)) = self.by_name.get(&family.name).and_then(|index| self.families.get(*index)) else {
            return Ok(());
        };
        let what = if known.kind == family.kind { "help" } else { "type" };
        let same_help = known.help.is_none() || family.help.is_none() || known.help == family.help;
        if what == "help" && same_help {
            return Ok(());
        }
        Err(format!("{} has another {what} in {}", family.name, files.join(", ")))
    }

    fn add(&mut self, family: ParsedFamily, file: &Path) {
        let file = file.display().to_string();
        if let Some((known, files)) = self.by_name.get(&family.name).and_then(|index| self.families.get_mut(*index)) {
            known.help = known.help.take().or(family.help);
            known.samples.extend(family.samples);
            files.push(file);
        } else {
            self.by_name.insert(family.name.clone(), self.families.len());
            self.families.push((family, vec![file]));
        }
    }

    fn write(self, batch: &mut Batch) {
        for (family, files) in self.families {
            let help = family.help.unwrap_or_else(|| format!("Metric read from {}", files.join(", ")));
            let desc = Desc::named(family.kind, family.name, help, &[]);
            for sample in family.samples {
                let labels: Vec<(&str, &str)> =
                    sample.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
                match sample.value {
                    ParsedValue::Number(value) => batch.push_labelled(&desc, &labels, value),
                    ParsedValue::Histogram(histogram) => batch.push_histogram_labelled(&desc, &labels, histogram),
                    ParsedValue::Summary(summary) => batch.push_summary_labelled(&desc, &labels, summary),
                }
            }
        }
    }
}

/// A series as it is told to people. A label with no value is no label.
fn key(family: &ParsedFamily, labels: &[(String, String)]) -> String {
    let pairs = labels.iter().filter(|(_, value)| !value.is_empty());
    let pairs: Vec<String> = pairs.map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{}{{{}}}", family.name, pairs.join(","))
}

/// A file's text, and when it was changed, in whole seconds; `left` is how long it may be. A pipe is no file: reading one
/// could last for ever, and so could opening it.
fn read(path: &Path, left: u64) -> std::io::Result<(String, f64)> {
    let invalid = |why: &str| std::io::Error::new(std::io::ErrorKind::InvalidData, why.to_owned());
    let file = File::from(rustix::fs::open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?);
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(invalid("not a file"));
    }
    let mut text = String::new();
    file.take(LIMIT.min(left) + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LIMIT {
        return Err(invalid("larger than 16 MiB"));
    }
    if text.len() as u64 > left {
        return Err(invalid("all files together are larger than 32 MiB"));
    }
    let changed = metadata.modified()?;
    Ok((text, changed.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_files_together_have_a_limit() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.prom");
        std::fs::write(&file, "x 1\n").unwrap();
        let mut found = Found { bytes: TOTAL - 4, ..Found::default() };
        assert!(found.file(&file).is_ok(), "it fits");
        let why = found.file(&file).unwrap_err();
        assert_eq!(why, "all files together are larger than 32 MiB");
    }
}
