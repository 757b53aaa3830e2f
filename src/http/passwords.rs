//! Passwords are checked slowly on purpose, so: on threads of their own, few at a time, and one that was right is known
//! for as long as its hash stays the same.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use hmac::{Hmac, KeyInit, Mac};
use prometheus::Histogram;
use sha2::Sha256;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::credential::Claim;
use super::tokens::random;
use crate::task::Tasks;
use crate::telemetry::Telemetry;

/// Hashes at the same time. A check takes a core for as long as the hash's cost says: who guesses must not have them all.
const AT_ONCE: usize = 1;

/// So many that were right are remembered; the oldest makes room. What was wrong is not, so that nobody can push others
/// out.
const REMEMBERED: usize = 256;

pub(super) struct Passwords {
    tasks: Tasks,
    /// `None` where the system has no randomness: then nothing is remembered.
    key: Option<[u8; 32]>,
    right: Arc<Mutex<VecDeque<[u8; 32]>>>,
    hashing: Arc<Semaphore>,
    seconds: Histogram,
}

impl Passwords {
    pub(super) fn new(tasks: Tasks, telemetry: &Telemetry) -> Self {
        let seconds = telemetry.histogram(
            "tidewatch_auth_password_check_duration_seconds",
            "Time that checking a password against its bcrypt hash took; one that was right is remembered.",
            &[],
            &[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0],
        );
        let (seconds, hashing) = (seconds.with_label_values::<&str>(&[]), Arc::new(Semaphore::new(AT_ONCE)));
        Self { tasks, key: random().ok(), right: Arc::default(), hashing, seconds }
    }

    /// Whether this was right before. It takes no time.
    pub(super) fn remembers(&self, claim: &Claim) -> bool {
        let mark = self.mark(claim).filter(|_| claim.principal.is_some());
        mark.is_some_and(|mark| self.right.lock().unwrap_or_else(PoisonError::into_inner).contains(&mark))
    }

    /// A turn for a check; it may take as long as the checks of others.
    pub(super) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.hashing).acquire_owned().await.ok()
    }

    /// Checks it in its turn; `None` where that failed here, which says nothing of the password.
    pub(super) async fn check(&self, claim: &Claim, turn: OwnedSemaphorePermit) -> Option<bool> {
        if self.remembers(claim) {
            return Some(true);
        }
        let (password, hash, seconds) = (claim.password.clone(), claim.hash.clone(), self.seconds.clone());
        let (mark, known) = (self.mark(claim).filter(|_| claim.principal.is_some()), Arc::clone(&self.right));
        // The turn goes along: who leaves early makes no room for the next. What was right is remembered all the same.
        let checked = self.tasks.thread("password", move || {
            let (_turn, _timer) = (turn, seconds.start_timer());
            let right = bcrypt::verify(password, hash.expose());
            if let (Ok(true), Some(mark)) = (&right, mark) {
                let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
                if known.len() >= REMEMBERED {
                    known.pop_front();
                }
                known.push_back(mark);
            }
            right
        });
        checked.ok()?.await.ok()?.ok().map(|right| right && claim.principal.is_some())
    }

    /// What stands for a password and its hash in memory: nobody without the key can make it, or read it back.
    fn mark(&self, claim: &Claim) -> Option<[u8; 32]> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key?).ok()?;
        mac.update(claim.hash.expose().as_bytes());
        mac.update(&[0]);
        mac.update(&claim.password);
        Some(mac.finalize().into_bytes().into())
    }
}
