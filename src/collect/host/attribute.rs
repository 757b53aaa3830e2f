//! Attributes of sysfs: files that hold one value, in folders that stand for devices.

use std::fs::File;
use std::io::Read;
use std::path::Path;

pub(super) use super::sysfs::{names, no_data as nothing};
use crate::collect::CollectError;
use crate::metrics::{Batch, Desc};

/// The kernel gives an attribute at most a page.
const PAGE: usize = 4096;

/// A row of a table: the attribute's file, its family, and what its unit is multiplied by.
pub(super) type Attribute = (&'static str, Desc, f64);

/// Micro and milli, as the kernel writes energies and temperatures.
pub(super) const MICRO: f64 = 1e-6;
pub(super) const MILLI: f64 = 1e-3;

/// What an attribute holds, without the blanks around it; nothing where it is missing, empty of meaning or unreadable.
/// One read: an attribute comes whole, and a driver that answers "try again" must not be waited for.
pub(super) fn text(path: &Path) -> Option<String> {
    let mut page = [0; PAGE];
    let length = File::open(path).ok()?.read(&mut page).ok()?;
    Some(String::from_utf8_lossy(page.get(..length)?).trim().to_owned())
}

/// The number that an attribute holds.
pub(super) fn value(path: &Path) -> Option<f64> {
    number(&text(path)?)
}

/// A decimal number that is one.
pub(super) fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|value: &f64| value.is_finite())
}

/// The names in a folder that begin with `prefix` and go on with a digit, and what follows the prefix.
pub(super) fn numbered(folder: &Path, prefix: &str) -> Result<Vec<(String, String)>, CollectError> {
    Ok(in_order(&names(folder)?, prefix))
}

/// Those of the names that begin with `prefix` and go on with a digit, and what follows the prefix.
pub(super) fn in_order(names: &[String], prefix: &str) -> Vec<(String, String)> {
    let rest = |name: &String| {
        let rest = name.strip_prefix(prefix)?;
        rest.starts_with(|c: char| c.is_ascii_digit()).then(|| (name.clone(), rest.to_owned()))
    };
    let mut numbered: Vec<_> = names.iter().filter_map(rest).collect();
    // The tenth after the ninth.
    numbered.sort_by_key(|(name, _)| name.len());
    numbered
}

/// Writes those attributes of a folder that hold a number.
pub(super) fn push(batch: &mut Batch, table: &[Attribute], folder: &Path, labels: &[&str]) {
    for (file, desc, unit) in table {
        if let Some(value) = value(&folder.join(file)) {
            batch.push(desc, labels, value * unit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_in_the_order_of_their_numbers() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["zone10", "zone9", "zone", "zonex", "other1"] {
            std::fs::write(folder.path().join(name), " 7\n").unwrap();
        }
        let found = numbered(folder.path(), "zone").unwrap();
        assert_eq!(found, [("zone9".to_owned(), "9".to_owned()), ("zone10".to_owned(), "10".to_owned())]);
        assert_eq!(value(&folder.path().join("zone9")), Some(7.0));
        assert_eq!(value(&folder.path().join("none")), None);
    }

    #[test]
    fn a_number_is_finite() {
        assert_eq!(
            [number("-3\n"), number("1.5"), number("inf"), number("NaN"), number("")],
            [Some(-3.0), Some(1.5), None, None, None]
        );
    }
}
