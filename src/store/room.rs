//! Room on the volume of the data folder: how much there is, and a file that is given up when there is none.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate, statvfs};
use rustix::io::Errno;

use super::sqlite::connect::sync_folder;

/// How much room a volume has, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// What we may still write.
    pub free: u64,
    /// What it holds in all.
    pub total: u64,
}

impl Room {
    /// On the volume of `folder`.
    ///
    /// # Errors
    /// The folder is not there.
    pub fn of(folder: &Path) -> io::Result<Self> {
        let found = statvfs(folder)?;
        let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
        Ok(Self { free: bytes(found.f_bavail), total: bytes(found.f_blocks) })
    }
}

/// Room that is taken beforehand: given up, it lets what is on its way be finished.
#[derive(Debug)]
pub struct Reserve(PathBuf);

impl Reserve {
    /// In a data folder.
    pub fn new(folder: &Path) -> Self {
        Self(folder.join("reserve"))
    }

    /// How long it is; 0 when it is given up.
    pub fn bytes(&self) -> u64 {
        std::fs::metadata(&self.0).map_or(0, |file| file.len())
    }

    /// Takes `bytes`, really: a file with holes would give nothing back.
    ///
    /// # Errors
    /// There is no room; nothing is left of the attempt.
    pub fn take(&self, bytes: u64) -> io::Result<()> {
        if bytes == self.bytes() {
            return Ok(());
        }
        if bytes == 0 {
            return self.give_up();
        }
        let taken = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&self.0);
        let taken = taken.and_then(|file| fill(file, bytes)).and_then(|()| sync_folder(&self.0));
        taken.inspect_err(|_| drop(self.give_up()))
    }

    /// Gives it up. Once more is no error.
    ///
    /// # Errors
    /// It cannot be deleted.
    pub fn give_up(&self) -> io::Result<()> {
        match std::fs::remove_file(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

fn fill(mut file: File, bytes: u64) -> io::Result<()> {
    match fallocate(&file, FallocateFlags::empty(), 0, bytes) {
        // A file system without that call.
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
            io::copy(&mut io::Read::take(io::repeat(0), bytes), &mut file)?;
        }
        taken => taken?,
    }
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn a_reserve_takes_real_room_and_gives_it_back() {
        let folder = tempfile::tempdir().unwrap();
        let reserve = Reserve::new(folder.path());
        assert_eq!(reserve.bytes(), 0);
        reserve.give_up().unwrap();
        reserve.take(1 << 20).unwrap();
        let file = std::fs::metadata(folder.path().join("reserve")).unwrap();
        assert!(file.len() == 1 << 20 && file.blocks() * 512 >= 1 << 20, "{} blocks", file.blocks());
        reserve.take(1 << 19).unwrap();
        assert_eq!(reserve.bytes(), 1 << 19);
        reserve.give_up().unwrap();
        assert_eq!(reserve.bytes(), 0);
        std::fs::create_dir(folder.path().join("reserve")).unwrap();
        assert!(reserve.take(1 << 19).is_err() && reserve.give_up().is_err());
    }

    #[test]
    fn a_volume_tells_its_room() {
        let room = Room::of(Path::new("/")).unwrap();
        assert!(room.free <= room.total && room.total > 0);
        assert!(Room::of(Path::new("/no/such/folder")).is_err());
    }
}
