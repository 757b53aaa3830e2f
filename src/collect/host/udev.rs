//! What udev found out about a block device (`/run/udev/data/bMAJOR:MINOR`), written when the device appeared.

use std::collections::HashMap;
use std::convert::Infallible;
use std::path::{Path, PathBuf};

use super::files::Reader;
use super::stamp::{self, Stamped};

/// The properties that have a place in a label or a value.
const KEYS: [&str; 20] = [
    "DM_LV_LAYER",
    "DM_LV_NAME",
    "DM_NAME",
    "DM_UUID",
    "DM_VG_NAME",
    "ID_ATA",
    "ID_ATA_ROTATION_RATE_RPM",
    "ID_ATA_WRITE_CACHE",
    "ID_ATA_WRITE_CACHE_ENABLED",
    "ID_FS_TYPE",
    "ID_FS_USAGE",
    "ID_FS_UUID",
    "ID_FS_VERSION",
    "ID_MODEL",
    "ID_PATH",
    "ID_REVISION",
    "ID_SERIAL",
    "ID_SERIAL_SHORT",
    "ID_WWN",
    "SCSI_IDENT_SERIAL",
];

/// So many devices are remembered.
const REMEMBERED: usize = 4_096;

/// The properties of devices, read when they have changed.
#[derive(Default)]
pub(super) struct Udev {
    folder: PathBuf,
    known: HashMap<PathBuf, Option<Stamped<Properties>>>,
    none: Properties,
}

impl Udev {
    /// Those that udev keeps in this folder.
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder, ..Self::default() }
    }

    /// The properties of a device; none where udev does not run or does not know it.
    pub(super) fn of(&mut self, major: &str, minor: &str, files: &mut Reader) -> &Properties {
        let path = self.folder.join(format!("b{major}:{minor}"));
        if self.known.len() >= REMEMBERED {
            self.known.clear();
        }
        let known = self.known.entry(path.clone()).or_default();
        let found = stamp::current(known, &path, || Ok::<_, Infallible>(Properties::read(&path, files)));
        found.ok().flatten().unwrap_or(&self.none)
    }
}

/// A device's properties.
#[derive(Debug, Default)]
pub(super) struct Properties(Vec<(&'static str, String)>);

impl Properties {
    /// Those in a file; none where it cannot be read.
    fn read(path: &Path, files: &mut Reader) -> Self {
        files.text(path).map(Self::parse).unwrap_or_default()
    }

    fn parse(text: &str) -> Self {
        let properties = text.lines().filter_map(|line| line.strip_prefix("E:")?.split_once('='));
        let known =
            |(key, value): (&str, &str)| KEYS.iter().find(|known| **known == key).map(|key| (*key, value.to_owned()));
        Self(properties.filter_map(known).collect())
    }

    /// A property; empty where there is none.
    pub(super) fn get(&self, key: &str) -> &str {
        self.0.iter().rev().find(|(known, _)| *known == key).map_or("", |(_, value)| value)
    }

    /// The serial number that is printed on the disk, as far as it is known; virtio has only the last one.
    pub(super) fn serial(&self) -> &str {
        let keys = ["SCSI_IDENT_SERIAL", "ID_SERIAL_SHORT", "ID_SERIAL"];
        keys.iter().map(|key| self.get(key)).find(|serial| !serial.is_empty()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_properties_count_and_the_last_one_holds() {
        let text = "S:disk/by-id/x\nE:ID_MODEL=a=b\nE:ID_SERIAL=one\nE:ID_SERIAL=two\nE:NO\nE:OTHER=1\n";
        let properties = Properties::parse(text);
        assert_eq!(properties.get("ID_MODEL"), "a=b");
        assert_eq!(properties.serial(), "two");
        assert_eq!(properties.get("OTHER"), "");
    }

    #[test]
    fn the_serial_number_on_the_label_comes_first() {
        let properties = Properties::parse("E:ID_SERIAL=c\nE:ID_SERIAL_SHORT=b\nE:SCSI_IDENT_SERIAL=a\n");
        assert_eq!(properties.serial(), "a");
    }
}
