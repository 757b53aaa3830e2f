//! `powersupplyclass`: batteries and power adapters (Documentation/power/power_supply_class).

use std::path::PathBuf;

use async_trait::async_trait;
use serde::Deserialize;

use super::attribute;
use super::filter::Filter;
use super::{HostConfig, Listed, Part, Run, Site};
use crate::collect::CollectError;
use crate::config::Problems;
use crate::metrics::{Desc, Kind};

/// Which power supplies are taken.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PowerSupplyConfig {
    /// No power supplies whose name matches.
    pub ignored_supplies: Option<String>,
}

/// What the kernel gives as it is.
const PLAIN: f64 = 1.0;
/// What it gives in millionths of an ampere, a volt, a watt or an hour of them.
const MILLIONTHS: f64 = 1e6;
/// Temperatures, in tenths of a degree.
const TENTHS: f64 = 10.0;

/// The attribute, the end of its family's name, and what it is divided by.
#[rustfmt::skip]
const ATTRIBUTES: [(&str, &str, f64); 49] = [
    ("authentic", "authentic", PLAIN),
    ("calibrate", "calibrate", PLAIN),
    ("capacity", "capacity", PLAIN),
    ("capacity_alert_max", "capacity_alert_max", PLAIN),
    ("capacity_alert_min", "capacity_alert_min", PLAIN),
    ("cycle_count", "cyclecount", PLAIN),
    ("online", "online", PLAIN),
    ("present", "present", PLAIN),
    ("time_to_empty_now", "time_to_empty_seconds", PLAIN),
    ("time_to_full_now", "time_to_full_seconds", PLAIN),
    ("current_boot", "current_boot", MILLIONTHS),
    ("current_max", "current_max", MILLIONTHS),
    ("current_now", "current_ampere", MILLIONTHS),
    ("energy_empty", "energy_empty", MILLIONTHS),
    ("energy_empty_design", "energy_empty_design", MILLIONTHS),
    ("energy_full", "energy_full", MILLIONTHS),
    ("energy_full_design", "energy_full_design", MILLIONTHS),
    ("energy_now", "energy_watthour", MILLIONTHS),
    ("voltage_boot", "voltage_boot", MILLIONTHS),
    ("voltage_max", "voltage_max", MILLIONTHS),
    ("voltage_max_design", "voltage_max_design", MILLIONTHS),
    ("voltage_min", "voltage_min", MILLIONTHS),
    ("voltage_min_design", "voltage_min_design", MILLIONTHS),
    ("voltage_now", "voltage_volt", MILLIONTHS),
    ("voltage_ocv", "voltage_ocv", MILLIONTHS),
    ("charge_control_limit", "charge_control_limit", MILLIONTHS),
    ("charge_control_limit_max", "charge_control_limit_max", MILLIONTHS),
    ("charge_counter", "charge_counter", MILLIONTHS),
    ("charge_empty", "charge_empty", MILLIONTHS),
    ("charge_empty_design", "charge_empty_design", MILLIONTHS),
    ("charge_full", "charge_full", MILLIONTHS),
    ("charge_full_design", "charge_full_design", MILLIONTHS),
    ("charge_now", "charge_ampere", MILLIONTHS),
    ("charge_term_current", "charge_term_current", MILLIONTHS),
    ("constant_charge_current", "constant_charge_current", MILLIONTHS),
    ("constant_charge_current_max", "constant_charge_current_max", MILLIONTHS),
    ("constant_charge_voltage", "constant_charge_voltage", MILLIONTHS),
    ("constant_charge_voltage_max", "constant_charge_voltage_max", MILLIONTHS),
    ("precharge_current", "precharge_current", MILLIONTHS),
    ("input_current_limit", "input_current_limit", MILLIONTHS),
    ("power_now", "power_watt", MILLIONTHS),
    ("temp", "temp_celsius", TENTHS),
    ("temp_alert_max", "temp_alert_max_celsius", TENTHS),
    ("temp_alert_min", "temp_alert_min_celsius", TENTHS),
    ("temp_ambient", "temp_ambient_celsius", TENTHS),
    ("temp_ambient_max", "temp_ambient_max_celsius", TENTHS),
    ("temp_ambient_min", "temp_ambient_min_celsius", TENTHS),
    ("temp_max", "temp_max_celsius", TENTHS),
    ("temp_min", "temp_min_celsius", TENTHS),
];

/// The supply, and the attributes in words: each is a label of `info` where it says something.
const LABELS: &[&str] = &[
    "power_supply",
    "capacity_level",
    "charge_type",
    "health",
    "manufacturer",
    "model_name",
    "scope",
    "serial_number",
    "status",
    "technology",
    "type",
    "usb_type",
];

static VALUE: Desc = Desc::gauge(
    "node_power_supply_*",
    "Value of /sys/class/power_supply/<power_supply>, by its attribute.",
    &["power_supply"],
);
static INFO: Desc = Desc::gauge("node_power_supply_info", "info of /sys/class/power_supply/<power_supply>.", LABELS);

pub(super) struct PowerSupplies {
    class: PathBuf,
    supplies: Filter,
    /// The families, in the order of the attributes.
    families: Vec<Desc>,
}

impl Listed for PowerSupplies {
    fn descs() -> Vec<&'static Desc> {
        vec![&INFO, &VALUE]
    }

    fn check(config: &HostConfig, problems: &mut Problems) {
        Filter::check_one(
            "powersupplyclass.ignored_supplies",
            config.powersupplyclass.ignored_supplies.as_deref(),
            problems,
        );
    }

    fn new(site: &Site<'_>) -> Self {
        let (roots, config) = (&site.roots, &site.config.powersupplyclass);
        Self {
            class: roots.sysfs.join("class/power_supply"),
            supplies: Filter::new(None, config.ignored_supplies.as_deref(), "^$"),
            families: ATTRIBUTES.iter().map(|(_, name, _)| family(name)).collect(),
        }
    }
}

fn family(name: &str) -> Desc {
    let help = format!("{name} value of /sys/class/power_supply/<power_supply>.");
    Desc::named(Kind::Gauge, format!("node_power_supply_{name}"), help, &["power_supply"])
}

#[async_trait]
impl Part for PowerSupplies {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        for supply in run.folders.names(&self.class)? {
            if !self.supplies.takes(&supply) {
                continue;
            }
            let folder = self.class.join(&supply);
            for ((file, _, unit), desc) in ATTRIBUTES.iter().zip(&self.families) {
                if let Some(value) = attribute::value(&folder.join(file)) {
                    run.batch.push(desc, &[&supply], value / unit);
                }
            }
            let words = LABELS.iter().skip(1).filter_map(|word| Some((*word, attribute::text(&folder.join(word))?)));
            let words: Vec<_> = words.filter(|(_, text)| !text.is_empty()).collect();
            let mut labels = vec![("power_supply", supply.as_str())];
            labels.extend(words.iter().map(|(word, text)| (*word, text.as_str())));
            run.batch.push_labelled(&INFO, &labels, 1.0);
        }
        Ok(())
    }
}
