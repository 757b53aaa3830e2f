//! What the log was told about each target: a line for each change of state, never one for each scrape.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// More targets than this are neither remembered nor told: a list of them comes from the configuration, and is short.
const MOST: usize = 10_000;

/// The targets of a collector that are down, with the reason that was logged.
#[derive(Debug, Default)]
pub struct Said(Mutex<BTreeMap<String, String>>);

impl Said {
    /// Logs where `why` differs from what was last said about `target`; `None` is that it works. The words must be
    /// stable for one cause, and name no secret.
    pub fn tell(&self, collector: &'static str, target: &str, why: Option<&str>) {
        let mut down = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match why {
            None => {
                if down.remove(target).is_some() {
                    tracing::info!(collector, target, "the target works again");
                }
            }
            Some(why) => {
                if down.get(target).is_some_and(|said| said == why) {
                    return;
                }
                if down.len() < MOST || down.contains_key(target) {
                    tracing::warn!(collector, target, why, "the target cannot be collected from");
                    down.insert(target.to_owned(), why.to_owned());
                }
            }
        }
    }
}
