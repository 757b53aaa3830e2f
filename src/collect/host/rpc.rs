//! What `/proc/net/rpc/nfs` and `nfsd` have in common: a line a subject, its name and then numbers.

/// The procedures of NFS 2, in the kernel's order.
#[rustfmt::skip]
pub(super) const V2: [&str; 18] = [
    "Null", "GetAttr", "SetAttr", "Root", "Lookup", "ReadLink", "Read", "WrCache", "Write", "Create", "Remove", "Rename",
    "Link", "SymLink", "MkDir", "RmDir", "ReadDir", "FsStat",
];

/// The procedures of NFS 3.
#[rustfmt::skip]
pub(super) const V3: [&str; 22] = [
    "Null", "GetAttr", "SetAttr", "Lookup", "Access", "ReadLink", "Read", "Write", "Create", "MkDir", "SymLink", "MkNod",
    "Remove", "RmDir", "Rename", "Link", "ReadDir", "ReadDirPlus", "FsStat", "FsInfo", "PathConf", "Commit",
];

/// The file's lines.
pub(super) struct Lines<'a>(pub(super) &'a str);

impl Lines<'_> {
    /// The numbers of the line `name`; nothing where this kernel has no such line, or not such a one.
    pub(super) fn numbers(&self, name: &str) -> Vec<u64> {
        let mut lines = self.0.lines().filter_map(|line| line.split_once(' '));
        let numbers = lines.find(|(found, _)| *found == name).map_or("", |(_, numbers)| numbers);
        numbers.split_ascii_whitespace().map_while(|number| number.parse().ok()).collect()
    }

    /// The numbers of procedures, whose line begins with how many there are.
    pub(super) fn procedures(&self, name: &str) -> impl Iterator<Item = u64> {
        // Older kernels count fewer procedures: what they do not know never happened.
        self.numbers(name).into_iter().skip(1).chain(std::iter::repeat(0))
    }
}

/// A number that is there, or 0.
pub(super) fn at(numbers: &[u64], index: usize) -> f64 {
    numbers.get(index).copied().unwrap_or_default() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_found_by_their_name_and_padded() {
        let lines = Lines("net 1 2 3 4\nproc3 2 7 8\nth 8 0 0.000 1.5\n");
        assert_eq!(lines.numbers("net"), [1, 2, 3, 4]);
        assert_eq!(lines.numbers("proc2"), [0; 0]);
        assert_eq!(lines.numbers("th"), [8, 0]);
        assert_eq!(lines.procedures("proc3").take(3).collect::<Vec<_>>(), [7, 8, 0]);
    }
}
