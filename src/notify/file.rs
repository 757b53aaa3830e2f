//! Messages as JSON lines in a file that is rotated by size: for whatever reads logs, and for audits.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use serde::Deserialize;

use crate::config::{Environment, Problem, Problems, Size};
use crate::store::Delivery;

use super::blocking::Blocking;
use super::render::Renderer;
use super::wire::Event;
use super::{Anchor, Declare, Deps, Limits, Notifier, Retry, SendError};

/// `[notify.file.NAME]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FileConfig {
    /// Where the lines go. Its folder must exist.
    pub path: PathBuf,
    /// A file that would grow beyond this is set aside as `NAME.1`.
    pub max_size: Size,
    /// So many files are kept beside the current one.
    pub keep: u32,
}

impl Default for FileConfig {
    fn default() -> Self {
        Self { path: PathBuf::new(), max_size: Size(16 << 20), keep: 4 }
    }
}

/// Appends to a file.
pub struct File {
    config: FileConfig,
    renderer: Renderer,
    blocking: Blocking,
}

impl FileConfig {
    /// Appends a line and makes it durable. Opened anew each time, so that a file moved away by others is no trouble.
    fn append(&self, line: &[u8]) -> io::Result<()> {
        let path = &self.path;
        let mut file = open(path)?;
        let length = file.metadata()?.len();
        if length > 0 && length + line.len() as u64 > self.max_size.0 {
            drop(file);
            self.rotate()?;
            file = open(path)?;
        }
        // What a crash cut off must not spoil the next line.
        let mut last = [b'\n'];
        if let Some(end) = file.metadata()?.len().checked_sub(1) {
            file.read_exact_at(&mut last, end)?;
        }
        if last != [b'\n'] {
            file.write_all(b"\n")?;
        }
        file.write_all(line)?;
        file.sync_data()
    }

    /// `NAME` becomes `NAME.1`, that `NAME.2`, and so on; the oldest goes.
    fn rotate(&self) -> io::Result<()> {
        let path = &self.path;
        let aside = |number: u32| {
            let mut name = path.clone().into_os_string();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        if self.keep == 0 {
            return fs::remove_file(path);
        }
        for number in (1..self.keep).rev() {
            if aside(number).exists() {
                fs::rename(aside(number), aside(number + 1))?;
            }
        }
        fs::rename(path, aside(1))?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::File::open(folder)?.sync_all()
    }
}

fn open(path: &Path) -> io::Result<fs::File> {
    fs::OpenOptions::new().create(true).read(true).append(true).open(path)
}

#[async_trait]
impl Notifier for File {
    async fn send(&self, delivery: &Delivery) -> Result<Option<Anchor>, SendError> {
        let what = self.config.path.display().to_string();
        let mut line = serde_json::to_vec(&Event::of(delivery, &self.renderer)).map_err(|error| SendError {
            retry: Retry::Never,
            reason: "encoding",
            what: format!("{what}: {error}"),
        })?;
        line.push(b'\n');
        let config = self.config.clone();
        self.blocking.run(&what, move || config.append(&line)).await?;
        Ok(None)
    }
}

impl Declare for File {
    type Config = FileConfig;

    fn from_environment(_environment: &Environment, _problems: &mut Problems) -> Option<FileConfig> {
        None
    }

    fn check(config: &FileConfig, problems: &mut Problems) {
        if config.path.as_os_str().is_empty() {
            problems.push(Problem::error("path", "is missing").hint("path = \"/var/log/tidewatch/alerts.jsonl\""));
        } else if config.path.is_dir() {
            problems.push(Problem::error("path", "is a folder"));
        }
        if config.max_size.0 < 4_096 {
            problems.push(Problem::error("max_size", "is below 4KiB: every message would rotate the file"));
        }
        if config.keep > 1_000 {
            problems.push(Problem::error("keep", "is above 1000"));
        }
    }

    fn limits(_config: &FileConfig) -> Limits {
        // One line at a time is quicker than four that wait for each other's fsync.
        Limits { parallel: 1, ..Limits::default() }
    }

    fn build(config: &FileConfig, deps: &Deps) -> anyhow::Result<Self> {
        Ok(Self { config: config.clone(), renderer: Renderer::new(deps), blocking: Blocking::new("file", &deps.tasks) })
    }
}
