//! `time`: the clock, its zone, and what the kernel takes the time from.

use std::path::PathBuf;

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
    devices: PathBuf,
}

impl Listed for Time {
    fn descs() -> Vec<&'static Desc> {
        vec![&NOW, &ZONE, &AVAILABLE, &CURRENT]
    }

    fn new(site: &Site<'_>) -> Self {
        Self { clock: site.deps.clock.clone(), devices: site.roots.sysfs.join("devices/system/clocksource") }
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
        for device in 0..DEVICES {
            let folder = self.devices.join(format!("clocksource{device}"));
            let available = match run.files.text(&folder.join("available_clocksource")) {
                Err(CollectError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => break,
                available => available?,
            };
            let device = device.to_string();
            for source in available.split_ascii_whitespace() {
                run.batch.push(&AVAILABLE, &[source, &device], 1.0);
            }
            let current = run.files.text(&folder.join("current_clocksource"))?;
            run.batch.push(&CURRENT, &[current.trim(), &device], 1.0);
        }
        Ok(())
    }
}
