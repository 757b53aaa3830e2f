//! Reading the kernel's files: bounded, into a buffer that is kept between runs, as the files themselves are.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::kept::{Kept, read_at};
use crate::collect::CollectError;

/// No file that is read here is bigger: `mountinfo` of a host with ten thousand mounts has some 3 MiB.
const LIMIT: usize = 16 << 20;

/// What is kept of the buffer for the next file.
const KEPT: usize = 256 << 10;

/// What the buffer grows by at least: most files of procfs fit, and sysfs's all do.
const PAGE: usize = 4 << 10;

/// A table is read in pieces of this size. No line has as many bytes: those of sockets have 150 to 200.
const CHUNK: usize = 16 << 10;

/// A buffer that files are read into, one after the other.
#[derive(Default)]
pub(super) struct Reader {
    /// All of it is initialised; the file's bytes are the first ones.
    buffer: Vec<u8>,
    length: usize,
    kept: Kept,
}

impl Reader {
    /// Begins a run: files that the last one did not read are closed.
    pub(super) fn begin(&mut self) {
        self.kept.begin();
    }

    /// The whole file, or the second one where the first cannot be read.
    pub(super) fn bytes_of_either(&mut self, [first, second]: &[PathBuf; 2]) -> Result<&[u8], CollectError> {
        self.load(first).or_else(|_| self.load(second))?;
        Ok(self.loaded())
    }

    /// The whole file as text; what is no UTF-8 is replaced.
    pub(super) fn text(&mut self, path: &Path) -> Result<&str, CollectError> {
        self.load(path)?;
        self.as_text(path)
    }

    /// A file that the kernel gives in one piece, as text: a read that leaves room is the last one. So are attributes of
    /// sysfs, settings, and those tables of procfs that it makes as a single record (`single_open`).
    pub(super) fn attribute(&mut self, path: &Path) -> Result<&str, CollectError> {
        self.load_until(path, |_| true)?;
        self.as_text(path)
    }

    /// The same, or the second file where the first cannot be read.
    pub(super) fn attribute_of_either(&mut self, [first, second]: &[PathBuf; 2]) -> Result<&str, CollectError> {
        self.load_until(first, |_| true).or_else(|_| self.load_until(second, |_| true))?;
        self.as_text(first)
    }

    /// The whole file as text, or the second one where the first cannot be read.
    pub(super) fn text_of_either(&mut self, files: &[PathBuf; 2]) -> Result<&str, CollectError> {
        self.bytes_of_either(files)?;
        self.as_text(&files[0])
    }

    /// Tells each line of a table, or of the second one where the first cannot be read. It is not held: a table of sockets
    /// may be larger than any buffer should be. What is longer than any line is cut.
    pub(super) fn each_line(
        &mut self,
        [first, second]: &[PathBuf; 2],
        mut tell: impl FnMut(&str),
    ) -> Result<(), CollectError> {
        let failed = |source| CollectError::Io { what: first.display().to_string(), source };
        if self.buffer.len() < CHUNK {
            self.buffer.resize(CHUNK, 0);
        }
        let buffer = &mut self.buffer[..CHUNK];
        let mut each = |file: &File| lines(file, buffer, &mut tell);
        self.kept.read(first, &mut each).or_else(|_| self.kept.read(second, &mut each)).map_err(failed)
    }

    /// The number that a file of sysfs holds and nothing else.
    pub(super) fn number(&mut self, path: &Path) -> Option<u64> {
        self.kept.read(path, |file| digits(|buffer| read_at(file, buffer, 0))).ok()?
    }

    /// Takes a device's folder to be the one with this number of its entry: see [`Kept::belongs`].
    pub(super) fn belongs(&mut self, folder: &Path, inode: u64) {
        self.kept.belongs(folder, inode);
    }

    /// Whether the table of mounts that the last run read is still as it was; see [`Kept::is_unchanged`].
    pub(super) fn is_unchanged(&mut self, tables: &[PathBuf; 2]) -> bool {
        tables.iter().any(|table| self.kept.is_unchanged(table))
    }

    fn load(&mut self, path: &Path) -> Result<(), CollectError> {
        self.load_until(path, |read| read == 0)
    }

    /// Loads a file, of which a read of so many bytes is the last one.
    fn load_until(&mut self, path: &Path, is_last: fn(usize) -> bool) -> Result<(), CollectError> {
        if self.buffer.len() > KEPT {
            self.buffer = Vec::new();
        }
        let (buffer, length) = (&mut self.buffer, &mut self.length);
        let read = self.kept.read(path, |file| {
            *length = 0;
            // A file that is larger is known by its first byte too many.
            while *length <= LIMIT {
                if *length == buffer.len() {
                    buffer.resize((2 * *length).clamp(PAGE, LIMIT + 1), 0);
                }
                let read = read_at(file, &mut buffer[*length..], *length as u64)?;
                *length += read;
                // A read that filled the buffer may have been cut off by it.
                if *length < buffer.len() && is_last(read) {
                    break;
                }
            }
            Ok(())
        });
        read.map_err(|source| CollectError::Io { what: path.display().to_string(), source })?;
        if self.length > LIMIT {
            return Err(malformed(path, "larger than 16 MiB"));
        }
        Ok(())
    }

    fn loaded(&self) -> &[u8] {
        &self.buffer[..self.length]
    }

    fn as_text(&mut self, path: &Path) -> Result<&str, CollectError> {
        if std::str::from_utf8(self.loaded()).is_err() {
            self.buffer = String::from_utf8_lossy(self.loaded()).into_owned().into_bytes();
            self.length = self.buffer.len();
        }
        std::str::from_utf8(self.loaded()).map_err(|error| malformed(path, &error.to_string()))
    }
}

/// The number that a file of sysfs holds and nothing else, for what is asked once.
pub(super) fn number(path: &Path) -> Option<u64> {
    let mut file = File::open(path).ok()?;
    digits(|buffer| file.read(buffer)).ok()?
}

/// Reads a file piece by piece, and tells each line without its end.
fn lines(file: &File, buffer: &mut [u8], tell: &mut impl FnMut(&str)) -> io::Result<()> {
    // What is left of a line that goes on in the next piece, and how far the file is read.
    let (mut left, mut offset) = (0, 0);
    loop {
        let read = read_at(file, &mut buffer[left..], offset)?;
        offset += read as u64;
        let filled = left + read;
        let whole = match buffer[..filled].iter().rposition(|byte| *byte == b'\n') {
            Some(last) if read > 0 => last + 1,
            None if read > 0 && filled < buffer.len() => 0,
            // The end, or no line.
            _ => filled,
        };
        for line in buffer[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            tell(&String::from_utf8_lossy(line));
        }
        if read == 0 {
            return Ok(());
        }
        buffer.copy_within(whole..filled, 0);
        left = filled - whole;
    }
}

/// The number that one read gives: an attribute of sysfs comes whole.
fn digits(read: impl FnOnce(&mut [u8]) -> io::Result<usize>) -> io::Result<Option<u64>> {
    let mut buffer = [0; 32];
    let length = read(&mut buffer)?;
    let text = buffer.get(..length).and_then(|digits| std::str::from_utf8(digits).ok());
    Ok(text.and_then(|text| text.trim().parse().ok()))
}

/// A file of one piece that several parts need, read at most once a run.
#[derive(Default)]
pub(super) struct Once {
    reader: Reader,
    read: bool,
}

impl Once {
    /// The file's text. `path` is the same in every call of a run.
    pub(super) fn text(&mut self, path: &Path) -> Result<&str, CollectError> {
        if !self.read {
            self.reader.attribute(path)?;
            self.read = true;
        }
        std::str::from_utf8(self.reader.loaded()).map_err(|error| malformed(path, &error.to_string()))
    }

    /// Begins the next run.
    pub(super) fn forget(&mut self) {
        self.read = false;
        self.reader.begin();
    }
}

/// The error of a file that does not look as documented.
pub(super) fn malformed(path: &Path, why: &str) -> CollectError {
    CollectError::Malformed { what: path.display().to_string(), why: why.to_owned() }
}

/// A counter as the kernel writes it. Anything else, a negative number too, is no counter and gives no sample.
pub(super) fn counter(text: &str) -> Option<f64> {
    match text.parse::<u64>() {
        Ok(number) => Some(number as f64),
        // More than 64 bits: rounded, as every sample is.
        Err(_) if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_digits_and_nothing_else() {
        assert_eq!(counter("0"), Some(0.0));
        assert_eq!(counter("18446744073709551615"), Some(18_446_744_073_709_551_615.0));
        assert_eq!(counter("99999999999999999999999"), Some(1e23));
        for garbage in ["", "-1", "1.5", "nan", "inf", "0x10", "1e3", "12kB"] {
            assert_eq!(counter(garbage), None, "{garbage}");
        }
    }

    #[test]
    fn an_attribute_longer_than_the_buffer_comes_whole() {
        let folder = tempfile::tempdir().unwrap();
        let (file, text) = (folder.path().join("file"), "0123456789".repeat(1_000));
        std::fs::write(&file, &text).unwrap();
        for length in [0, 1, 100, PAGE, 2 * PAGE, text.len()] {
            let mut reader = Reader { buffer: vec![0; length], ..Reader::default() };
            assert_eq!(reader.attribute(&file).unwrap(), text, "{length}");
        }
    }

    #[test]
    fn lines_are_told_one_by_one_however_long_the_file_is() {
        let folder = tempfile::tempdir().unwrap();
        let (file, none) = (folder.path().join("file"), folder.path().join("none"));
        let rows: Vec<String> = (0..1_000).map(|row| "x".repeat(row % 97) + &row.to_string()).collect();
        for end in ["\n", ""] {
            std::fs::write(&file, rows.join("\n") + end).unwrap();
            let mut told = Vec::new();
            Reader::default().each_line(&[none.clone(), file.clone()], |line| told.push(line.to_owned())).unwrap();
            assert_eq!(told, rows);
        }
        std::fs::write(&file, "y".repeat(3 * CHUNK)).unwrap();
        let mut told = 0;
        Reader::default().each_line(&[none.clone(), file], |line| told += line.len()).unwrap();
        assert_eq!(told, 3 * CHUNK);
        assert!(Reader::default().each_line(&[none.clone(), none], |_| ()).is_err());
    }

    #[test]
    fn an_endless_file_is_refused() {
        let error = Reader::default().text(Path::new("/dev/zero")).unwrap_err();
        assert_eq!(error.to_string(), "/dev/zero: larger than 16 MiB");
    }

    #[test]
    fn text_survives_bytes_that_are_no_text() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, b"a\xffb").unwrap();
        assert_eq!(Reader::default().text(&file).unwrap(), "a\u{fffd}b");
    }
}
