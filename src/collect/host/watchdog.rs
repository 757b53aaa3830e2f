//! `watchdog`: the timers that restart the machine when it no longer resets them (sysfs-class-watchdog).

use std::path::PathBuf;

use async_trait::async_trait;

use super::sysfs::{attribute, value};
use super::{Listed, Part, Run, Site};
use crate::collect::CollectError;
use crate::metrics::Desc;

const LABELS: &[&str] = &["name"];

/// The attributes that are numbers, with their families.
#[rustfmt::skip]
static NUMBERS: [(&str, Desc); 7] = [
    ("bootstatus", Desc::gauge("node_watchdog_bootstatus", "Value of /sys/class/watchdog/<watchdog>/bootstatus", LABELS)),
    ("fw_version", Desc::gauge("node_watchdog_fw_version", "Value of /sys/class/watchdog/<watchdog>/fw_version", LABELS)),
    ("nowayout", Desc::gauge("node_watchdog_nowayout", "Value of /sys/class/watchdog/<watchdog>/nowayout", LABELS)),
    ("timeleft", Desc::gauge("node_watchdog_timeleft_seconds", "Value of /sys/class/watchdog/<watchdog>/timeleft", LABELS)),
    ("timeout", Desc::gauge("node_watchdog_timeout_seconds", "Value of /sys/class/watchdog/<watchdog>/timeout", LABELS)),
    ("pretimeout", Desc::gauge("node_watchdog_pretimeout_seconds", "Value of /sys/class/watchdog/<watchdog>/pretimeout", LABELS)),
    ("access_cs0", Desc::gauge("node_watchdog_access_cs0", "Value of /sys/class/watchdog/<watchdog>/access_cs0", LABELS)),
];

/// The attributes that are labels.
const TEXTS: [&str; 5] = ["identity", "options", "pretimeout_governor", "state", "status"];

static INFO: Desc = Desc::gauge(
    "node_watchdog_info",
    "Info of /sys/class/watchdog/<watchdog>",
    &["identity", "name", "options", "pretimeout_governor", "state", "status"],
);

pub(super) struct Watchdogs {
    class: PathBuf,
}

impl Listed for Watchdogs {
    fn descs() -> Vec<&'static Desc> {
        NUMBERS.iter().map(|(_, desc)| desc).chain([&INFO]).collect()
    }

    fn new(site: &Site<'_>) -> Self {
        Self { class: site.roots.sysfs.join("class/watchdog") }
    }
}

#[async_trait]
impl Part for Watchdogs {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        for name in run.folders.names(&self.class)? {
            let folder = self.class.join(&name);
            for (file, desc) in &NUMBERS {
                if let Some(value) = value(&mut run.files, &folder.join(file)) {
                    run.batch.push(desc, &[&name], value);
                }
            }
            let texts = TEXTS.map(|file| attribute(&mut run.files, &folder.join(file)).unwrap_or_default());
            let [identity, options, governor, state, status] = texts.each_ref().map(String::as_str);
            run.batch.push(&INFO, &[identity, &name, options, governor, state, status], 1.0);
        }
        Ok(())
    }
}
