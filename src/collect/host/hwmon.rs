//! `hwmon`: sensors of temperature, fans, voltage and power (Documentation/hwmon/sysfs-interface).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use serde::Deserialize;

use super::files::Reader;
use super::filter::Filter;
use super::folders::Folders;
use super::sensor::{self, Sensor, Values};
use super::sysfs;
use super::{HostConfig, Listed, Part, Run, Site};
use crate::collect::CollectError;
use crate::config::Problems;
use crate::metrics::Desc;

/// Which sensors are taken; of each pair only one may be set.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HwmonConfig {
    /// Only chips that match, by the label `chip`.
    pub chip_include: Option<String>,
    /// No chips that match.
    pub chip_exclude: Option<String>,
    /// Only sensors that match, written `chip;sensor`.
    pub sensor_include: Option<String>,
    /// No sensors that match.
    pub sensor_exclude: Option<String>,
}

static CHIP: Desc =
    Desc::gauge("node_hwmon_chip_names", "Annotation metric for human-readable chip names", &["chip", "chip_name"]);

pub(super) struct Hwmon {
    class: PathBuf,
    chips: Filter,
    sensors: Filter,
}

impl Listed for Hwmon {
    fn descs() -> Vec<&'static Desc> {
        let mut descs = vec![&CHIP];
        descs.extend(sensor::descs());
        descs
    }

    fn check(config: &HostConfig, problems: &mut Problems) {
        let hwmon = &config.hwmon;
        let chips = (&hwmon.chip_include, &hwmon.chip_exclude);
        let sensors = (&hwmon.sensor_include, &hwmon.sensor_exclude);
        for (key, (include, exclude)) in [("hwmon.chip", chips), ("hwmon.sensor", sensors)] {
            Filter::check(key, include.as_deref(), exclude.as_deref(), problems);
        }
    }

    fn new(site: &Site<'_>) -> Self {
        let (roots, config) = (&site.roots, &site.config.hwmon);
        Self {
            class: roots.sysfs.join("class/hwmon"),
            chips: Filter::new(config.chip_include.as_deref(), config.chip_exclude.as_deref(), ""),
            sensors: Filter::new(config.sensor_include.as_deref(), config.sensor_exclude.as_deref(), ""),
        }
    }
}

/// A folder of the class, with what it is called.
struct Chip {
    folder: PathBuf,
    /// By its device, or by its own name: stable over restarts, not always unique.
    base: String,
    /// As the driver calls it; may be empty.
    name: String,
}

#[async_trait]
impl Part for Hwmon {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        let folders = run.folders.names(&self.class)?.into_iter().map(|name| self.class.join(name));
        let chips: Vec<Chip> = folders.filter_map(|folder| Chip::find(folder, &mut run.files)).collect();
        for chip in &chips {
            let label = chip.label(&chips);
            if !self.chips.takes(&label) {
                continue;
            }
            if !chip.name.is_empty() {
                run.batch.push(&CHIP, &[&label, &chip.name], 1.0);
            }
            for (sensor, values) in chip.sensors(&mut run.folders, &mut run.files)? {
                let name = sensor.name();
                if self.sensors.takes(&format!("{label};{name}")) {
                    sensor.push(&label, &values, &mut run.batch);
                }
            }
        }
        Ok(())
    }
}

impl Chip {
    fn find(folder: PathBuf, files: &mut Reader) -> Option<Self> {
        let name = sysfs::attribute(files, &folder.join("name")).map(|name| sensor::tidy(&name)).unwrap_or_default();
        let base = [device(&folder), name.clone(), sensor::tidy(folder.file_name()?.to_str()?)];
        let base = base.into_iter().find(|base| !base.is_empty())?;
        Some(Self { folder, base, name })
    }

    /// Two chips of one device are told apart by their names, or else by their numbers.
    fn label(&self, all: &[Self]) -> String {
        let same = |chip: &&Self| chip.base == self.base;
        if all.iter().filter(same).count() == 1 {
            return self.base.clone();
        }
        let unique =
            !self.name.is_empty() && all.iter().filter(same).filter(|chip| chip.name == self.name).count() == 1;
        let number = self.folder.file_name().and_then(|name| name.to_str()).map(sensor::tidy).unwrap_or_default();
        format!("{}_{}", self.base, if unique { &self.name } else { &number })
    }

    /// The files of each sensor. Drivers from before 3.13 have them beside the device's own attributes.
    fn sensors(&self, folders: &mut Folders, files: &mut Reader) -> Result<BTreeMap<Sensor, Values>, CollectError> {
        let mut sensors: BTreeMap<Sensor, Values> = BTreeMap::new();
        let device = self.folder.join("device");
        for folder in [&self.folder, &device] {
            if folder == &device && !folder.is_dir() {
                continue;
            }
            for file in folders.names(folder)? {
                let Some((sensor, property)) = Sensor::of_file(&file) else { continue };
                if let Some(text) = sysfs::attribute(files, &folder.join(&file)) {
                    sensors.entry(sensor).or_default().insert(property.to_owned(), text);
                }
            }
        }
        Ok(sensors)
    }
}

/// `nvme_nvme0`: the kind of the chip's device and its name; empty where the chip has none.
fn device(folder: &Path) -> String {
    let Ok(device) = folder.join("device").canonicalize() else { return String::new() };
    let part = |path: Option<&Path>| {
        path.and_then(Path::file_name).and_then(|name| name.to_str()).map(sensor::tidy).unwrap_or_default()
    };
    let (kind, name) = (part(device.parent()), part(Some(&device)));
    if kind.is_empty() || name.is_empty() { name } else { format!("{kind}_{name}") }
}
