//! What the parts that walk sysfs and procfs have in common.

use std::io::{Error, ErrorKind};
use std::path::Path;

use super::files::Reader;
use crate::collect::CollectError;

/// So many entries of a folder are looked at: no kernel has as many devices of a kind.
const ENTRIES: usize = 1 << 16;

/// The names in a folder, in their order; what is no text is left out.
pub(super) fn names(folder: &Path) -> Result<Vec<String>, CollectError> {
    let failed = |source| CollectError::Io { what: folder.display().to_string(), source };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)?.take(ENTRIES) {
        names.extend(entry.map_err(failed)?.file_name().into_string());
    }
    names.sort_unstable();
    Ok(names)
}

/// The error of a part that has nothing to tell here: its success is 0, and nobody is warned.
pub(super) fn no_data(what: &Path) -> CollectError {
    CollectError::Io { what: what.display().to_string(), source: Error::from(ErrorKind::NotFound) }
}

/// Whether what should have been read is not there.
pub(super) fn is_absent(error: &CollectError) -> bool {
    matches!(error, CollectError::Io { source, .. } if source.kind() == ErrorKind::NotFound)
}

/// What was read, or nothing where it is not there.
pub(super) fn if_there<T>(read: Result<T, CollectError>) -> Result<Option<T>, CollectError> {
    match read {
        Err(error) if is_absent(&error) => Ok(None),
        read => read.map(Some),
    }
}

/// The text of an attribute, or nothing where it cannot be read: devices lack what does not apply to them, and some
/// attributes give an error then.
pub(super) fn attribute(files: &mut Reader, path: &Path) -> Option<String> {
    files.attribute(path).ok().map(|text| text.trim().to_owned())
}

/// The number of an attribute, or nothing where it cannot be read or is none.
pub(super) fn value(files: &mut Reader, path: &Path) -> Option<f64> {
    files.attribute(path).ok().and_then(|text| integer(text.trim()))
}

/// A whole number as the kernel writes one: with a sign, or in hexadecimal digits after `0x`.
pub(super) fn integer(text: &str) -> Option<f64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok().map(|number| number as f64),
        None => text.parse::<i128>().ok().map(|number| number as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_in_their_order() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["eth1", "eth0", "lo"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        assert_eq!(names(folder.path()).unwrap(), ["eth0", "eth1", "lo"]);
    }

    #[test]
    fn an_integer_has_a_sign_or_sixteen_digits() {
        let given = ["12", "-1", "0x1003", "18446744073709551615", "", "1.5", "0xg", "nan"].map(integer);
        let number = 18_446_744_073_709_551_615.0;
        assert_eq!(given, [Some(12.0), Some(-1.0), Some(4099.0), Some(number), None, None, None, None]);
    }

    #[test]
    fn what_is_absent_is_told_from_what_failed() {
        let folder = tempfile::tempdir().unwrap();
        assert!(is_absent(&names(&folder.path().join("none")).unwrap_err()));
        assert!(is_absent(&no_data(folder.path())));
        std::fs::write(folder.path().join("file"), "").unwrap();
        let error = names(&folder.path().join("file")).unwrap_err();
        assert!(!is_absent(&error), "{error}");
        assert_eq!(if_there(Err::<(), _>(no_data(folder.path()))).unwrap(), None);
        assert!(if_there(Err::<(), _>(error)).is_err());
    }
}
