//! The journal's file: one JSON object a line; the last line of an agent counts.

use std::fs::OpenOptions;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::agents::Row;

/// No line is longer: an agent's size is bounded.
const LONGEST_LINE: u64 = 64 << 10;
/// A file below this is not worth writing anew.
const SMALL: u64 = 1 << 20;

/// As everything in the data folder: for its owner only.
const OWNER: u32 = 0o600;

/// What a write did, and how many lines it wrote.
pub(super) enum Written {
    Appended(u64),
    Compacted(u64),
}

/// The open file.
pub(super) struct File {
    path: PathBuf,
    handle: std::fs::File,
    /// What is known to be whole and synced.
    bytes: u64,
    /// A file larger than this is written anew.
    limit: u64,
    /// It may end in the middle of a line.
    ragged: bool,
}

impl File {
    /// Opens or creates the file, and hands what it holds to `take`, in its order. Returns how many lines could not be
    /// read; a last line without its end is no such line: that is how a power cut looks.
    pub(super) fn open(path: &Path, take: impl FnMut(Row)) -> io::Result<(Self, u64)> {
        let file = OpenOptions::new().read(true).append(true).create(true).mode(OWNER).open(path)?;
        let found = read(&file, take)?;
        let mut ragged = found.row_without_end;
        let size = file.metadata()?.len();
        let torn = size > found.whole && !ragged;
        let bytes = if torn && file.set_len(found.whole).is_ok() { found.whole } else { size };
        ragged |= torn && bytes == size;
        sync_folder(path)?;
        Ok((Self { path: path.to_owned(), handle: file, bytes, limit: SMALL.max(bytes), ragged }, found.corrupt))
    }

    /// A disk without room.
    #[cfg(test)]
    pub(super) fn open_full(path: &Path) -> Self {
        let handle = OpenOptions::new().append(true).open("/dev/full").unwrap();
        Self { path: path.to_owned(), handle, bytes: 0, limit: SMALL, ragged: false }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Writes `rows` and syncs; where the file has grown, writes `all` anew instead, which holds the rows too.
    pub(super) fn append(&mut self, rows: &[Row], all: impl FnOnce() -> Vec<Row>) -> io::Result<Written> {
        if self.bytes > self.limit {
            match self.compact(&all()) {
                Ok(lines) => return Ok(Written::Compacted(lines)),
                Err(error) => {
                    // Perhaps there is no room for a second file: the first still grows.
                    tracing::warn!(file = %self.path.display(), %error, "the journal could not be written anew");
                    self.limit = self.bytes.saturating_mul(2);
                }
            }
        }
        let mut text = Vec::new();
        if self.ragged {
            text.push(b'\n');
        }
        lines(rows, &mut text)?;
        let written = self.handle.write_all(&text).and_then(|()| self.handle.sync_data());
        if let Err(error) = written {
            // What was written in part is taken back; where that fails too, the next line starts anew.
            self.ragged = self.handle.set_len(self.bytes).is_err() || self.ragged;
            return Err(error);
        }
        self.ragged = false;
        self.bytes += text.len() as u64;
        Ok(Written::Appended(rows.len() as u64))
    }

    /// A new file takes the old one's place in one step: whenever the power goes, one of them is whole.
    fn compact(&mut self, all: &[Row]) -> io::Result<u64> {
        let new = self.path.with_extension("jsonl.new");
        let mut text = Vec::new();
        lines(all, &mut text)?;
        let written = write_new(&new, &text).and_then(|file| {
            std::fs::rename(&new, &self.path)?;
            Ok(file)
        });
        let file = written.inspect_err(|_| drop(std::fs::remove_file(&new)))?;
        self.handle = file;
        self.bytes = text.len() as u64;
        self.limit = SMALL.max(self.bytes.saturating_mul(4));
        self.ragged = false;
        sync_folder(&self.path)?;
        Ok(all.len() as u64)
    }
}

fn write_new(path: &Path, text: &[u8]) -> io::Result<std::fs::File> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().append(true).create_new(true).mode(OWNER).open(path)?;
    file.write_all(text)?;
    file.sync_all()?;
    Ok(file)
}

/// The name of a file is kept by its folder.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::File::open(folder)?.sync_all()
}

fn lines(rows: &[Row], text: &mut Vec<u8>) -> io::Result<()> {
    for row in rows {
        serde_json::to_writer(&mut *text, row)?;
        text.push(b'\n');
    }
    Ok(())
}

/// What reading found.
struct Found {
    /// Lines that could not be read.
    corrupt: u64,
    /// Where the last line that has its end ends.
    whole: u64,
    /// What follows is a row that lacks nothing but its end.
    row_without_end: bool,
}

fn read(file: &std::fs::File, mut take: impl FnMut(Row)) -> io::Result<Found> {
    let mut reader = BufReader::new(file);
    let mut found = Found { corrupt: 0, whole: 0, row_without_end: false };
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut length = reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line)? as u64;
        let mut ended = line.last() == Some(&b'\n');
        let text = line.trim_ascii();
        let row = serde_json::from_slice(text);
        if !ended && length == LONGEST_LINE {
            let (rest, end) = skip_line(&mut reader)?;
            (length, ended) = (length + rest, end);
        }
        match row {
            Ok(row) if ended => take(row),
            Ok(row) => {
                take(row);
                found.row_without_end = true;
            }
            Err(_) if ended && !text.is_empty() => found.corrupt += 1,
            Err(_) => {}
        }
        if !ended {
            return Ok(found);
        }
        found.whole += length;
    }
}

/// Reads on to the end of a line. Returns its length, and whether it has an end.
fn skip_line(reader: &mut impl BufRead) -> io::Result<(u64, bool)> {
    let mut length = 0;
    loop {
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            return Ok((length, false));
        }
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let used = end.map_or(buffer.len(), |at| at + 1);
        reader.consume(used);
        length += used as u64;
        if end.is_some() {
            return Ok((length, true));
        }
    }
}
