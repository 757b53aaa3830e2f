//! The host's block devices: their names by number, and what they did (`/proc/diskstats`).

use std::collections::HashMap;

/// What a device did since the host started. Sectors have 512 bytes, times are in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Disk {
    pub(super) reads: u64,
    pub(super) reads_merged: u64,
    pub(super) sectors_read: u64,
    pub(super) read_time: u64,
    pub(super) writes: u64,
    pub(super) writes_merged: u64,
    pub(super) sectors_written: u64,
    pub(super) write_time: u64,
    pub(super) current: u64,
    pub(super) io_time: u64,
    pub(super) weighted_time: u64,
}

/// All devices by number.
#[derive(Debug, Default)]
pub(super) struct Disks(HashMap<(u32, u32), (String, Disk)>);

impl Disks {
    /// Reads the table.
    pub(super) fn parse(table: &str) -> Self {
        let row = |line: &str| {
            let mut words = line.split_ascii_whitespace();
            let number = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
            let name = format!("/dev/{}", words.next()?);
            let mut next = || words.next()?.parse().ok();
            let disk = Disk {
                reads: next()?,
                reads_merged: next()?,
                sectors_read: next()?,
                read_time: next()?,
                writes: next()?,
                writes_merged: next()?,
                sectors_written: next()?,
                write_time: next()?,
                current: next()?,
                io_time: next()?,
                weighted_time: next()?,
            };
            Some((number, (name, disk)))
        };
        Self(table.lines().filter_map(row).collect())
    }

    /// The device file of a number; the number itself where the table does not have it.
    pub(super) fn name(&self, major: u32, minor: u32) -> String {
        self.0.get(&(major, minor)).map_or_else(|| format!("{major}:{minor}"), |(name, _)| name.clone())
    }

    /// What a device did. A file system that spans several has a number of its own, and the name of one of them.
    pub(super) fn disk(&self, number: (u32, u32), device: &str) -> Option<&Disk> {
        let named = || self.0.values().find(|(name, _)| name == device);
        self.0.get(&number).or_else(named).map(|(_, disk)| disk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_every_kernel_are_read() {
        let disks = Disks::parse(
            " 254       0 vda 3734 690 519858 8545 9297 83588 1310704 38848 0 28940 49014 0 0 0 0 1370 1620\n\
            8 0 sda 1 2 3 4 5 6 7 8 9 10 11\n8 1 sda1 1 2\n",
        );
        assert_eq!(disks.name(254, 0), "/dev/vda");
        assert_eq!(disks.disk((254, 0), "").map(|disk| (disk.reads, disk.io_time)), Some((3734, 28940)));
        assert_eq!(disks.disk((0, 40), "/dev/sda").map(|disk| disk.weighted_time), Some(11));
        assert_eq!(disks.name(8, 1), "8:1");
    }
}
