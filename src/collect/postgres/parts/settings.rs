//! The server's settings that are numbers or switches, each a family of its own.

use crate::collect::postgres::part::{Constant, Part, Scope, Work};
use crate::collect::postgres::rows::{Rows, number};
use crate::metrics::{Batch, Desc, Kind};

pub(in crate::collect::postgres) static SETTINGS: Part =
    Part { name: "settings", default: true, scope: Scope::Server, work: Work::Settings };

pub(in crate::collect::postgres) const SQL: &str = "SELECT name, setting, coalesce(unit, '') AS unit, vartype \
    FROM pg_settings WHERE vartype IN ('bool', 'integer', 'real')";

/// For the documentation: the names come from the server.
pub(in crate::collect::postgres) static PATTERN: Desc = Desc::gauge(
    "pg_settings_*",
    "Server Parameter: one family for each that is a number or a switch, in seconds or bytes where it has a unit.",
    &[],
);

/// Writes each setting as a family.
pub(in crate::collect::postgres) fn write(rows: &Rows, constant: &Constant, batch: &mut Batch) {
    let indexes = ["name", "setting", "unit"].map(|name| rows.index(name));
    let [Some(name), Some(setting), Some(unit)] = indexes else { return };
    for row in rows.iter() {
        let (Some(name), Some(value), Some(unit)) = (row.text(name), row.text(setting), row.text(unit)) else {
            continue;
        };
        if let Some((desc, value)) = family(name, value, unit) {
            constant.push(batch, &desc, &[], value);
        }
    }
}

/// The family of one setting and its value in the base unit. A unit that nobody knows is no reason to stay silent: the
/// value is given as it is.
fn family(setting: &str, value: &str, unit: &str) -> Option<(Desc, f64)> {
    let value = number(value)?;
    let base = base(unit);
    let name = setting.replace('.', "_");
    let (name, help) = match base {
        Some((base, _)) => {
            (format!("pg_settings_{name}_{base}"), format!("Server Parameter: {setting} [Units converted to {base}.]"))
        }
        None => (format!("pg_settings_{name}"), format!("Server Parameter: {setting}")),
    };
    // -1 means "off" or "as another setting says", whatever the unit.
    let factor = base.filter(|_| value.to_bits() != (-1.0_f64).to_bits()).map_or(1.0, |(_, factor)| factor);
    Some((Desc::named(Kind::Gauge, name, help, &[]), value * factor))
}

/// Seconds or bytes, and how many of them one of `unit` is: `8kB` is 8 × 1024 bytes.
fn base(unit: &str) -> Option<(&'static str, f64)> {
    let digits = unit.find(|c: char| !c.is_ascii_digit()).unwrap_or(unit.len());
    let (count, unit) = unit.split_at(digits);
    let count = if count.is_empty() { 1.0 } else { count.parse().ok()? };
    let (base, size) = match unit {
        "us" => ("seconds", 1e-6),
        "ms" => ("seconds", 1e-3),
        "s" => ("seconds", 1.0),
        "min" => ("seconds", 60.0),
        "h" => ("seconds", 3_600.0),
        "d" => ("seconds", 86_400.0),
        "B" => ("bytes", 1.0),
        "kB" => ("bytes", 1_024.0),
        "MB" => ("bytes", 1_048_576.0),
        "GB" => ("bytes", 1_073_741_824.0),
        "TB" => ("bytes", 1_099_511_627_776.0),
        _ => return None,
    };
    Some((base, count * size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_in_seconds_and_bytes() {
        let read = |name: &str, value: &str, unit: &str| {
            family(name, value, unit).map(|(desc, value)| (desc.name.into_owned(), value))
        };
        for (name, value, unit, family, number) in [
            ("shared_buffers", "16384", "8kB", "pg_settings_shared_buffers_bytes", 134_217_728.0),
            ("statement_timeout", "2500", "ms", "pg_settings_statement_timeout_seconds", 2.5),
            ("log_rotation_age", "1440", "min", "pg_settings_log_rotation_age_seconds", 86_400.0),
            ("min_wal_size", "5", "16MB", "pg_settings_min_wal_size_bytes", 83_886_080.0),
            ("log_min_duration_statement", "-1", "ms", "pg_settings_log_min_duration_statement_seconds", -1.0),
            ("fsync", "on", "", "pg_settings_fsync", 1.0),
            ("pg_stat_statements.max", "5000", "", "pg_settings_pg_stat_statements_max", 5_000.0),
            ("x", "7", "parsec", "pg_settings_x", 7.0),
        ] {
            assert_eq!(read(name, value, unit), Some((family.to_owned(), number)), "{name}");
        }
        assert_eq!(read("search_path", "public", ""), None);
    }
}
