//! `thermal_zone`: temperatures of zones, and how far cooling devices are at work (Documentation/driver-api/thermal).

use std::path::PathBuf;

use async_trait::async_trait;

use super::attribute;
use super::sysfs::{self, if_there};
use super::{Listed, Part, Run, Site};
use crate::collect::CollectError;
use crate::metrics::Desc;

static TEMPERATURE: Desc = Desc::gauge("node_thermal_zone_temp", "Zone temperature in Celsius", &["zone", "type"]);
static CURRENT: Desc =
    Desc::gauge("node_cooling_device_cur_state", "Current throttle state of the cooling device", &["name", "type"]);
static MOST: Desc =
    Desc::gauge("node_cooling_device_max_state", "Maximum throttle state of the cooling device", &["name", "type"]);

pub(super) struct Thermal {
    class: PathBuf,
}

impl Listed for Thermal {
    fn descs() -> Vec<&'static Desc> {
        vec![&TEMPERATURE, &CURRENT, &MOST]
    }

    fn new(site: &Site<'_>) -> Self {
        Self { class: site.roots.sysfs.join("class/thermal") }
    }
}

#[async_trait]
impl Part for Thermal {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        // A kernel without the class has no zones, which is no failure.
        let Some(names) = if_there(run.folders.names(&self.class))? else { return Ok(()) };
        for (name, zone) in attribute::in_order(&names, "thermal_zone") {
            let folder = self.class.join(name);
            let kind = sysfs::attribute(&mut run.files, &folder.join("type")).unwrap_or_default();
            if let Some(value) = sysfs::value(&mut run.files, &folder.join("temp")) {
                run.batch.push(&TEMPERATURE, &[&zone, &kind], value / 1000.0);
            }
        }
        for (name, device) in attribute::in_order(&names, "cooling_device") {
            let folder = self.class.join(name);
            let kind = sysfs::attribute(&mut run.files, &folder.join("type")).unwrap_or_default();
            for (desc, file) in [(&CURRENT, "cur_state"), (&MOST, "max_state")] {
                if let Some(value) = sysfs::value(&mut run.files, &folder.join(file)) {
                    run.batch.push(desc, &[&device, &kind], value);
                }
            }
        }
        Ok(())
    }
}
