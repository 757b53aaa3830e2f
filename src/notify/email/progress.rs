//! Who is done with a mail that could not be finished at once: nobody gets it twice for another's sake.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use crate::store::Delivery;

use super::super::{Retry, SendError};

/// How each recipient fared.
pub(super) type Answers = Vec<(String, Result<(), SendError>)>;

/// The unfinished mails, by row and sequence: tests share a row that is none. It lasts as long as the configuration.
#[derive(Default)]
pub(super) struct Progress(Mutex<BTreeMap<(i64, i64), Done>>);

/// Whom not to ask again.
#[derive(Clone, Default)]
pub(super) struct Done {
    taken: BTreeSet<String>,
    refused: BTreeSet<String>,
}

/// Mails remembered at a time; one beyond them costs a second copy at worst.
const MAILS: usize = 1_000;

impl Progress {
    /// Who is done with this mail.
    pub(super) fn of(&self, delivery: &Delivery) -> Done {
        let mails = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        mails.get(&key(delivery)).cloned().unwrap_or_default()
    }

    /// Keeps what became of the recipients, and says what that means for the row.
    pub(super) fn concluded(&self, delivery: &Delivery, answers: Answers) -> Result<(), SendError> {
        let mut mails = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let done = mails.entry(key(delivery)).or_default();
        let (mut refusal, mut again) = (None, None);
        for (address, answer) in answers {
            match answer {
                Ok(()) => drop(done.taken.insert(address)),
                Err(error) if error.retry == Retry::Never => {
                    tracing::warn!(recipient = address, %error, "a recipient is refused for good");
                    done.refused.insert(address);
                    refusal = Some(error);
                }
                Err(error) => again = Some(error),
            }
        }
        let somebody_has_it = !done.taken.is_empty();
        if let Some(error) = again {
            while mails.len() > MAILS {
                mails.pop_first();
            }
            // After a restart nobody remembers who has it, and a new attempt goes to all.
            let retry = if somebody_has_it { Retry::Ambiguous } else { error.retry };
            return Err(SendError { retry, ..error });
        }
        mails.remove(&key(delivery));
        match refusal {
            Some(error) if !somebody_has_it => Err(error),
            _ => Ok(()),
        }
    }
}

impl Done {
    pub(super) fn contains(&self, address: &str) -> bool {
        self.taken.contains(address) || self.refused.contains(address)
    }
}

fn key(delivery: &Delivery) -> (i64, i64) {
    (delivery.id, delivery.sequence)
}
