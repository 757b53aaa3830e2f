//! The containers of which the details are to be asked.

use std::collections::{HashMap, VecDeque};

/// Each container stands in the queue once, and one question about it at a time is under way: answers cannot overtake
/// each other.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: VecDeque<String>,
    /// Those under way, with how much had been told of each when the question was put.
    asking: HashMap<String, u64>,
}

impl Queue {
    /// Puts those at the end that are not in it.
    pub(super) fn add(&mut self, ids: impl IntoIterator<Item = String>) {
        for id in ids {
            if !self.waiting.contains(&id) {
                self.waiting.push_back(id);
            }
        }
    }

    /// The next one to be asked about.
    pub(super) fn next(&mut self, told: impl FnOnce(&str) -> u64) -> Option<String> {
        let at = self.waiting.iter().position(|id| !self.asking.contains_key(id))?;
        let id = self.waiting.remove(at)?;
        self.asking.insert(id.clone(), told(&id));
        Some(id)
    }

    /// The answer about one is there. Whether nothing was told of it meanwhile.
    pub(super) fn is_current(&mut self, id: &str, told: u64) -> bool {
        self.asking.remove(id) == Some(told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_question_about_each_is_under_way() {
        let mut queue = Queue::default();
        queue.add(["a", "a", "b"].map(String::from));
        assert_eq!(queue.next(|_| 1), Some("a".into()));
        queue.add(["a".into()]);
        assert_eq!(queue.next(|_| 1), Some("b".into()));
        assert_eq!(queue.next(|_| 1), None, "a is asked about already");
        assert!(!queue.is_current("a", 2), "more was told of it meanwhile");
        assert_eq!(queue.next(|_| 2), Some("a".into()));
        assert!(queue.is_current("a", 2) && queue.is_current("b", 1));
        assert_eq!(queue.next(|_| 2), None);
    }
}
