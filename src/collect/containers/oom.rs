//! Counting kills for lack of memory over the lives of a container.

/// A container's kills. The kernel counts them in the cgroup, which goes away with each end of the container; the daemon
/// tells of them by events, of which several may be one. The larger of the two holds for each life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Kills {
    /// Of the lives that are over.
    before: u64,
    /// Of this life, as the kernel counts.
    counted: u64,
    /// Of this life, as the daemon told.
    told: u64,
}

impl Kills {
    /// The daemon told of one.
    pub(super) fn tell(&mut self) {
        self.told += 1;
    }

    /// The kernel's counter of this life was read.
    pub(super) fn count(&mut self, counter: u64) {
        self.counted = self.counted.max(counter);
    }

    /// This life is over.
    pub(super) fn end(&mut self) {
        *self = Self { before: self.total(), counted: 0, told: 0 };
    }

    /// All of them: never less than it was.
    pub(super) fn total(&self) -> u64 {
        self.before + self.counted.max(self.told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lives_add_up_and_no_kill_counts_twice() {
        let mut kills = Kills::default();
        kills.count(2);
        kills.tell();
        assert_eq!(kills.total(), 2);
        // The third one ended the container before anybody read the counter again.
        kills.tell();
        kills.tell();
        kills.end();
        assert_eq!(kills.total(), 3);
        kills.count(1);
        kills.end();
        kills.end();
        assert_eq!(kills.total(), 4);
    }
}
