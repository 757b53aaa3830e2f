//! A connection as it is kept from run to run.

use std::borrow::Cow;

use tokio::time::Instant;

use super::learned::Learned;
use super::rows::Rows;
use super::session::{Limits, Session};
use super::trouble::Failure;

/// A session, and what is known of it.
pub(super) struct Connection {
    pub(super) session: Session,
    pub(super) learned: Learned,
}

impl Connection {
    pub(super) fn new(session: Session) -> Self {
        Self { session, learned: Learned::default() }
    }

    /// Asks one question that no part asks.
    pub(super) async fn ask(
        &mut self,
        name: &'static str,
        sql: &'static str,
        limits: &Limits,
        deadline: Instant,
    ) -> Result<Rows, Failure> {
        let questions = [Cow::Borrowed(sql)];
        loop {
            let words = self.learned.words(name, &questions);
            match self.session.query(&words, limits, deadline).await {
                Ok(mut answers) => {
                    self.learned.worked(name, &questions);
                    return Ok(answers.pop().unwrap_or_default());
                }
                Err(Failure::Refused { code, .. }) if self.learned.refused(name, &code) => {}
                Err(failure) => return Err(failure),
            }
        }
    }
}
