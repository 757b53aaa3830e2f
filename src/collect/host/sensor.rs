//! One sensor of a chip: what its files are called, and in which unit its values are.

use std::collections::BTreeMap;

use super::attribute::{MICRO, MILLI, number};
use crate::metrics::{Batch, Desc, Kind};

/// The kinds of sensors that there are.
const KINDS: [&str; 14] = [
    "vrm",
    "beep_enable",
    "update_interval",
    "in",
    "cpu",
    "fan",
    "pwm",
    "temp",
    "curr",
    "power",
    "energy",
    "humidity",
    "intrusion",
    "freq",
];

/// The property that holds a sensor's name instead of a number.
const LABEL: &str = "label";

static SENSOR_LABEL: Desc =
    Desc::gauge("node_hwmon_sensor_label", "Label for given chip and sensor", &["chip", "sensor", "label"]);
static VALUE: Desc = Desc::gauge("node_hwmon_*", "Hardware monitor, by sensor, property and unit.", SENSOR);
static ENERGY: Desc =
    Desc::counter("node_hwmon_energy*_joule_total", "Hardware monitor for joules used so far.", SENSOR);

const SENSOR: &[&str] = &["chip", "sensor"];

pub(super) fn descs() -> [&'static Desc; 3] {
    [&SENSOR_LABEL, &VALUE, &ENERGY]
}

/// The values of a sensor by their properties.
pub(super) type Values = BTreeMap<String, String>;

/// A sensor of a chip: `temp1`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Sensor {
    kind: &'static str,
    number: u32,
}

/// How a value is written: the family's name, its help, its type and the factor to its unit.
type Family = (String, String, Kind, f64);

impl Sensor {
    /// The sensor and the property that a file is about: `temp1_input`.
    pub(super) fn of_file(file: &str) -> Option<(Self, &str)> {
        let digits = file.find(|c: char| c.is_ascii_digit()).unwrap_or(file.len());
        let (kind, rest) = file.split_at_checked(digits)?;
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, rest) = rest.split_at_checked(end)?;
        let property = if rest.is_empty() { "" } else { rest.strip_prefix('_')? };
        let kind = *KINDS.iter().find(|known| **known == kind)?;
        Some((Self { kind, number: if number.is_empty() { 0 } else { number.parse().ok()? } }, property))
    }

    /// The label `sensor`.
    pub(super) fn name(&self) -> String {
        format!("{}{}", self.kind, self.number)
    }

    /// Writes all its values.
    pub(super) fn push(&self, chip: &str, values: &Values, batch: &mut Batch) {
        let name = self.name();
        let label = values.get(LABEL);
        if let Some(label) = label {
            batch.push(&SENSOR_LABEL, &[chip, &name, label], 1.0);
        }
        for (property, text) in values.iter().filter(|(property, _)| *property != LABEL) {
            let (Some(value), Some((family, help, kind, unit))) =
                (number(text), self.family(property, values.contains_key("")))
            else {
                continue;
            };
            let desc = Desc::named(kind, family, help, SENSOR);
            if self.kind == "freq" && property == "input" {
                // Clocks of graphics cards, told apart by what they drive.
                if let Some(label) = label {
                    batch.push(&desc, &[chip, &tidy(label)], value * unit);
                }
            } else {
                batch.push(&desc, &[chip, &name], value * unit);
            }
        }
    }

    /// The family of a property. `bare`: the sensor has a value without any property beside it.
    fn family(&self, property: &str, bare: bool) -> Option<Family> {
        let kind = self.kind;
        match kind {
            "beep_enable" | "vrm" | "update_interval" if !property.is_empty() => return None,
            "beep_enable" => return Some(gauge("beep_enabled", "Hardware beep enabled".into(), 1.0)),
            "vrm" => return Some(gauge("voltage_regulator_version", "Hardware voltage regulator".into(), 1.0)),
            "update_interval" => {
                return Some(gauge("update_interval_seconds", "Hardware monitor update interval".into(), MILLI));
            }
            _ => {}
        }
        let end = match property {
            "input" if bare => "_input".to_owned(),
            "input" | "" => String::new(),
            property => format!("_{}", tidy(property)),
        };
        let plain = format!("{kind}{end}");
        let of =
            |suffix: &str, what: &str, unit| gauge(&format!("{plain}{suffix}"), format!("{what} ({property})"), unit);
        Some(match (kind, property) {
            (_, "fault" | "alarm") => gauge(&plain, format!("Hardware sensor {property} status ({kind})"), 1.0),
            (_, "beep") => {
                gauge(&format!("{plain}_enabled"), "Hardware monitor sensor has beeping enabled".into(), 1.0)
            }
            ("in" | "cpu", _) => of("_volts", "Hardware monitor for voltage", MILLI),
            ("temp", "") => gauge("temp_celsius", "Hardware monitor for temperature (input)".into(), MILLI),
            ("temp", property) if property != "type" => of("_celsius", "Hardware monitor for temperature", MILLI),
            ("curr", _) => of("_amps", "Hardware monitor for current", MILLI),
            ("energy", _) => {
                let (name, help, _, unit) = of("_joule_total", "Hardware monitor for joules used so far", MICRO);
                (name, help, Kind::Counter, unit)
            }
            ("power", "accuracy") => gauge(&plain, "Hardware monitor power meter accuracy, as a ratio".into(), MICRO),
            ("power", "average_interval" | "average_interval_min" | "average_interval_max") => {
                of("_seconds", "Hardware monitor power usage update interval", MILLI)
            }
            ("power", _) => of("_watt", "Hardware monitor for power usage in watts", MICRO),
            ("humidity", _) => of("", "Hardware monitor for humidity, as a ratio from 0 to 1", MICRO),
            ("fan", "input" | "min" | "max" | "target") => {
                of("_rpm", "Hardware monitor for fan revolutions per minute", 1.0)
            }
            ("freq", "input") => {
                gauge(&format!("{plain}_freq_mhz"), "Hardware monitor for GPU frequency in MHz".into(), MICRO)
            }
            _ => gauge(&plain, format!("Hardware monitor {kind} element {property}"), 1.0),
        })
    }
}

fn gauge(name: &str, help: String, unit: f64) -> Family {
    (format!("node_hwmon_{name}"), help, Kind::Gauge, unit)
}

/// A word within a name or a label, as node_exporter writes it: small letters, digits and `_`.
pub(super) fn tidy(word: &str) -> String {
    let word = word.trim().to_lowercase();
    let known = |c: char| if c.is_ascii_lowercase() || c.is_ascii_digit() || c == ':' { c } else { '_' };
    word.chars().map(known).collect::<String>().trim_matches('_').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn family(file: &str) -> Option<(String, f64)> {
        let (sensor, property) = Sensor::of_file(file)?;
        let (name, _, _, unit) = sensor.family(property, false)?;
        Some((name.trim_start_matches("node_hwmon_").to_owned(), unit))
    }

    #[test]
    fn a_file_names_its_sensor_and_its_unit() {
        let cases = [
            ("temp1_input", "temp_celsius", MILLI),
            ("temp1_max_hyst", "temp_max_hyst_celsius", MILLI),
            ("temp2_type", "temp_type", 1.0),
            ("temp1_alarm", "temp_alarm", 1.0),
            ("in0_min", "in_min_volts", MILLI),
            ("fan1_input", "fan_rpm", 1.0),
            ("fan1_div", "fan_div", 1.0),
            ("pwm1", "pwm", 1.0),
            ("pwm1_enable", "pwm_enable", 1.0),
            ("curr1_crit", "curr_crit_amps", MILLI),
            ("energy1_input", "energy_joule_total", MICRO),
            ("power1_average", "power_average_watt", MICRO),
            ("power1_average_interval", "power_average_interval_seconds", MILLI),
            ("power1_accuracy", "power_accuracy", MICRO),
            ("humidity1_input", "humidity", MICRO),
            ("intrusion0_beep", "intrusion_beep_enabled", 1.0),
            ("freq1_input", "freq_freq_mhz", MICRO),
            ("beep_enable", "beep_enabled", 1.0),
            ("update_interval", "update_interval_seconds", MILLI),
        ];
        for (file, name, unit) in cases {
            assert_eq!(family(file), Some((name.to_owned(), unit)), "{file}");
        }
        for file in ["name", "uevent", "device", "temp", "tempx_input", "temp1input", "temp99999999999_input"] {
            let expected = (file == "temp").then(|| ("temp_celsius".to_owned(), MILLI));
            assert_eq!(family(file), expected, "{file}");
        }
    }

    #[test]
    fn words_are_made_into_names() {
        assert_eq!(tidy("PCI Adapter-0000:01"), "pci_adapter_0000:01");
        assert_eq!(tidy("_é_"), "");
    }
}
