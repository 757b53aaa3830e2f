//! What was made from a file that programs replace now and then, made anew when it is another file.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// A value with the file that it was made from.
pub(super) struct Stamped<T> {
    stamp: Stamp,
    value: T,
}

/// Inode, size, and when content and inode were changed last, in seconds and nanoseconds: a file that is replaced under
/// its name has another inode, one that is written has another time.
#[derive(PartialEq, Eq)]
struct Stamp([u64; 2], [i64; 4]);

impl Stamp {
    fn of(found: &Metadata) -> Self {
        Self([found.ino(), found.size()], [found.mtime(), found.mtime_nsec(), found.ctime(), found.ctime_nsec()])
    }
}

/// The value of a file: the known one, or a new one where there is none or the file has changed. Nothing where there is
/// no file.
pub(super) fn current<'k, T, E>(
    known: &'k mut Option<Stamped<T>>,
    path: &Path,
    make: impl FnOnce() -> Result<T, E>,
) -> Result<Option<&'k T>, E> {
    let stamp = std::fs::metadata(path).ok().map(|found| Stamp::of(&found));
    if known.as_ref().map(|known| &known.stamp) != stamp.as_ref() {
        *known = None;
        if let Some(stamp) = stamp {
            *known = Some(Stamped { stamp, value: make()? });
        }
    }
    Ok(known.as_ref().map(|known| &known.value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_lasts_until_its_file_is_another_one() {
        let folder = tempfile::tempdir().unwrap();
        let (path, next) = (folder.path().join("file"), folder.path().join("next"));
        let (mut known, mut made) = (None, 0);
        let mut value = || {
            let read = || {
                made += 1;
                std::fs::read_to_string(&path)
            };
            (current(&mut known, &path, read).unwrap().cloned(), made)
        };
        assert_eq!(value(), (None, 0));
        for (text, times) in [("one", 1), ("two", 2)] {
            std::fs::write(&next, text).unwrap();
            std::fs::rename(&next, &path).unwrap();
            for _ in 0..2 {
                assert_eq!(value(), (Some(text.to_owned()), times));
            }
        }
        std::fs::remove_file(&path).unwrap();
        assert_eq!(value(), (None, 2));
    }
}
