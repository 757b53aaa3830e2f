//! The collector of containers: on a recorded host beside cAdvisor's scrape of it, on a daemon's stand-in that hangs and
//! goes away, and on a real daemon.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidewatch::clock::Clock;
use tidewatch::collect::containers::{Containers, ContainersConfig, Space, Statvfs};
use tidewatch::collect::{Collector, Deps, Output};
use tidewatch::metrics::expose::{Format, write};
use tidewatch::task::Tasks;
use tidewatch::telemetry::Telemetry;

mod daemon;
mod live;
mod recorded;

/// Samples by family and labels.
#[derive(Debug, Default)]
struct Samples(BTreeMap<(String, BTreeMap<String, String>), f64>);

impl Samples {
    fn parse(text: &str) -> Self {
        let rows = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        let row = |line: &str| {
            let (series, value) = line.rsplit_once(' ').unwrap();
            (key(series), value.parse().unwrap())
        };
        Self(rows.map(row).collect())
    }

    /// The value of the only series of a family that has these labels.
    fn value(&self, family: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let matches = |found: &BTreeMap<String, String>| {
            labels.iter().all(|(name, value)| found.get(*name).is_some_and(|found| found == value))
        };
        let mut values = self.0.iter().filter(|((name, found), _)| name == family && matches(found));
        let (series, value) = values.next()?;
        assert!(values.next().is_none(), "more than one like {series:?}");
        Some(*value)
    }

    /// The value of a container's only series of a family.
    fn of(&self, container: &str, family: &str) -> Option<f64> {
        self.value(family, &[("name", container)])
    }
}

/// A series as it is written, taken apart.
fn key(series: &str) -> (String, BTreeMap<String, String>) {
    let Some((family, rest)) = series.split_once('{') else { return (series.to_owned(), BTreeMap::new()) };
    let mut labels = BTreeMap::new();
    let mut rest = rest.strip_suffix('}').unwrap();
    while let Some((name, more)) = rest.split_once("=\"") {
        let mut end = 0;
        let bytes = more.as_bytes();
        while bytes[end] != b'"' {
            end += 1 + usize::from(bytes[end] == b'\\');
        }
        labels.insert(name.trim_start_matches(',').to_owned(), more[..end].to_owned());
        rest = &more[end + 1..];
    }
    (family.to_owned(), labels)
}

/// What a run wrote, and what it told.
async fn run(containers: &Containers) -> (String, Samples, Output) {
    let mut output = Output::default();
    containers.collect(&mut output).await.unwrap();
    let batches: Vec<_> = output.parts().map(|(_, batch)| batch).collect();
    let mut text = Vec::new();
    assert_eq!(write(&batches, Format::Text, &mut text), [], "nothing is dropped");
    let text = String::from_utf8(text).unwrap();
    let samples = Samples::parse(&text);
    (text, samples, output)
}

fn deps() -> Deps {
    Deps { clock: Clock::system(), tasks: Tasks::new(&Telemetry::new()), agents: Arc::default() }
}

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/containers/debian12")
}

fn config(root: &Path, socket: &Path) -> ContainersConfig {
    ContainersConfig {
        socket: Some(socket.to_owned()),
        procfs: root.join("proc"),
        sysfs: root.join("sys"),
        rootfs: root.to_owned(),
        ..ContainersConfig::default()
    }
}

/// What the recorded host's file systems told.
fn told(root: &Path) -> Statvfs {
    let table = std::fs::read_to_string(root.join("statvfs.tsv")).unwrap();
    let row = |line: &str| {
        let (point, numbers) = line.split_once('\t').unwrap();
        let [size, used, files, files_free] =
            numbers.split('\t').map(|number| number.parse().unwrap()).collect::<Vec<u64>>()[..]
        else {
            panic!("{line}")
        };
        (root.join(point.trim_start_matches('/')), Space { size, used, files, files_free })
    };
    let spaces: BTreeMap<PathBuf, Space> = table.lines().skip(1).map(row).collect();
    Arc::new(move |path| spaces.get(path).copied())
}
