//! `time`: the clock, its zone, and what the kernel takes the time from.

use std::path::PathBuf;
use std::sync::OnceLock;

use async_trait::async_trait;
use jiff::tz::TimeZone;

use super::{Listed, Part, Run, Site};
use crate::clock::Clock;
use crate::collect::CollectError;
use crate::metrics::Desc;

static NOW: Desc = Desc::gauge("node_time_seconds", "System time in seconds since epoch (1970).", &[]);
static ZONE: Desc = Desc::gauge("node_time_zone_offset_seconds", "System time zone offset in seconds.", &["time_zone"]);
static AVAILABLE: Desc = Desc::gauge(
    "node_time_clocksource_available_info",
    "Available clocksources read from '/sys/devices/system/clocksource'.",
    &["clocksource", "device"],
);
static CURRENT: Desc = Desc::gauge(
    "node_time_clocksource_current_info",
    "Current clocksource read from '/sys/devices/system/clocksource'.",
    &["clocksource", "device"],
);

/// The kernel has one; the number keeps a broken sysfs from being read for ever.
const DEVICES: usize = 8;

pub(super) struct Time {
    clock: Clock,
    folder: PathBuf,
    /// The devices' folders, found in the first run: the kernel makes them when it starts.
    devices: OnceLock<Vec<PathBuf>>,
}

impl Listed for Time {
    fn descs() -> Vec<&'static Desc> {
        vec![&NOW, &ZONE, &AVAILABLE, &CURRENT]
    }

    fn new(site: &Site<'_>) -> Self {
        let folder = site.roots.sysfs.join("devices/system/clocksource");
        Self { clock: site.deps.clock.clone(), folder, devices: OnceLock::new() }
    }
}

impl Time {
    fn devices(&self) -> &[PathBuf] {
        self.devices.get_or_init(|| {
            let folders = (0..DEVICES).map(|device| self.folder.join(format!("clocksource{device}")));
            folders.take_while(|folder| folder.is_dir()).collect()
        })
    }
}

#[async_trait]
impl Part for Time {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        let now = self.clock.now();
        run.batch.push(&NOW, &[], now.as_nanosecond() as f64 / 1e9);
        let zone = TimeZone::system();
        let info = zone.to_offset_info(now);
        let name = if zone.is_unknown() { "UTC" } else { info.abbreviation() };
        run.batch.push(&ZONE, &[name], f64::from(info.offset().seconds()));
        for (device, folder) in self.devices().iter().enumerate() {
            let device = device.to_string();
            let available = run.files.attribute(&folder.join("available_clocksource"))?;
            for source in available.split_ascii_whitespace() {
                run.batch.push(&AVAILABLE, &[source, &device], 1.0);
            }
            let current = run.files.attribute(&folder.join("current_clocksource"))?;
            run.batch.push(&CURRENT, &[current.trim(), &device], 1.0);
        }
        Ok(())
    }
}
