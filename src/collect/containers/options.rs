//! Which groups of families are given: cAdvisor's names, and its default.

/// One of cAdvisor's groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Group {
    Cpu,
    CpuLoad,
    Disk,
    DiskIo,
    Memory,
    Network,
    OomEvent,
    Pressure,
    Process,
    Sched,
    Tcp,
    Udp,
    HugeTlb,
    AdvancedTcp,
}

use Group::{
    AdvancedTcp, Cpu, CpuLoad, Disk, DiskIo, HugeTlb, Memory, Network, OomEvent, Pressure, Process, Sched, Tcp, Udp,
};

/// The groups by name, and whether they are given unless the configuration says otherwise.
const KNOWN: [(&str, Group, bool); 14] = [
    ("advtcp", AdvancedTcp, false),
    ("cpu", Cpu, true),
    ("cpuLoad", CpuLoad, true),
    ("disk", Disk, true),
    ("diskIO", DiskIo, true),
    ("hugetlb", HugeTlb, false),
    ("memory", Memory, true),
    ("network", Network, true),
    ("oom_event", OomEvent, true),
    ("pressure", Pressure, true),
    ("process", Process, false),
    ("sched", Sched, false),
    ("tcp", Tcp, false),
    ("udp", Udp, false),
];

/// The groups that are given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Groups(Vec<Group>);

impl Groups {
    /// The default's, with those of `more` and without those of `fewer`.
    pub(super) fn new(more: &[String], fewer: &[String]) -> Self {
        let among = |names: &[String], name: &str| names.iter().any(|listed| listed == name);
        let given = |(name, _, default): &&(&str, Group, bool)| (*default || among(more, name)) && !among(fewer, name);
        Self(KNOWN.iter().filter(given).map(|(_, group, _)| *group).collect())
    }

    pub(super) fn has(&self, group: Group) -> bool {
        self.0.contains(&group)
    }
}

/// Whether a group has this name.
pub(super) fn is_known(name: &str) -> bool {
    KNOWN.iter().any(|(known, _, _)| *known == name)
}

/// All names, for a message.
pub(super) fn names() -> String {
    KNOWN.map(|(name, _, _)| name).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_the_originals_and_can_be_widened_and_narrowed() {
        let groups = Groups::new(&["process".into()], &["pressure".into()]);
        assert!(groups.has(Process) && groups.has(Memory) && !groups.has(Pressure));
        assert!(is_known("diskIO") && !is_known("diskio"));
    }
}
