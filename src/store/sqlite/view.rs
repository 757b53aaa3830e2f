//! What decisions ask, answered within the transaction.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::convert::{Nanos, Rank, Word};
use crate::alert::changes::{self, Thread, Unsent};
use crate::alert::episode::{Current, Known, Last};
use crate::alert::incident::{Key, Standing};
use crate::alert::{Fingerprint, Kind, Severity};
use crate::store::Subject;

const CURRENT: &str = "SELECT id, incident, severity, starts_at, held_until IS NOT NULL AS held, \
     absent_since IS NOT NULL AS absent FROM episode WHERE source = ?1 AND fingerprint = ?2 AND ends_at IS NULL";

const LAST: &str = "SELECT incident, ends_at, flaps FROM episode \
     WHERE source = ?1 AND fingerprint = ?2 AND ends_at IS NOT NULL ORDER BY id DESC LIMIT 1";

const STANDING: &str = "SELECT opened_at, resolved_at, last_end, worst, open_info, open_warning, open_critical, total \
     FROM incident WHERE id = ?1";

const OPEN_INCIDENT: &str = "SELECT opened_at, resolved_at, last_end, worst, open_info, open_warning, open_critical, \
     total, id FROM incident WHERE source = ?1 AND cause = ?2 AND resolved_at IS NULL";

const HAS_HOST: &str = "SELECT EXISTS (SELECT 1 FROM episode WHERE incident = ?1 AND host = ?2 AND ends_at IS NULL)";

/// The newest row of each thread, unless it is in a worker's hands.
const THREADS: &str = "SELECT thread.channel, thread.last_due, outbox.id, outbox.kind, outbox.due_at, \
     outbox.lease_attempt FROM thread LEFT JOIN outbox ON outbox.subject = thread.subject \
     AND outbox.channel = thread.channel AND outbox.sequence = thread.sequence AND outbox.state = 'pending' \
     AND ifnull(outbox.lease_until, 0) <= ?2 WHERE thread.subject = ?1";

/// Answers for one source.
pub(super) struct View<'c> {
    pub(super) db: &'c Connection,
    pub(super) source: i64,
    pub(super) now: jiff::Timestamp,
}

impl changes::View for View<'_> {
    type Error = rusqlite::Error;

    fn alert(&mut self, fingerprint: Fingerprint) -> rusqlite::Result<Known> {
        let key = params![self.source, fingerprint.0.cast_signed()];
        let current = self.db.prepare_cached(CURRENT)?.query_row(key, current).optional()?;
        // Only one that is held is measured against the last end; an open one goes on regardless.
        let last = if current.as_ref().is_none_or(|current| current.held) {
            self.db.prepare_cached(LAST)?.query_row(key, last).optional()?
        } else {
            None
        };
        Ok(Known { current, last })
    }

    fn standing(&mut self, incident: i64) -> rusqlite::Result<Option<Standing>> {
        self.db.prepare_cached(STANDING)?.query_row([incident], standing).optional()
    }

    fn open_incident(&mut self, key: &Key) -> rusqlite::Result<Option<(i64, Standing)>> {
        let key = params![self.source, key.cause];
        self.db.prepare_cached(OPEN_INCIDENT)?.query_row(key, |row| Ok((row.get(8)?, standing(row)?))).optional()
    }

    fn has_host(&mut self, incident: i64, host: &str) -> rusqlite::Result<bool> {
        self.db.prepare_cached(HAS_HOST)?.query_row(params![incident, host], |row| row.get(0))
    }

    fn threads(&mut self, incident: i64) -> rusqlite::Result<Vec<Thread>> {
        let key = params![Subject::Incident(incident), Nanos(self.now)];
        self.db.prepare_cached(THREADS)?.query_map(key, thread)?.collect()
    }
}

// By place: to look a column up by its name takes as long as to read it, and this is done for each alert.

fn current(row: &Row<'_>) -> rusqlite::Result<Current> {
    Ok(Current {
        id: row.get(0)?,
        incident: row.get(1)?,
        severity: row.get::<_, Rank>(2)?.0,
        starts_at: row.get::<_, Nanos>(3)?.0,
        held: row.get(4)?,
        absent: row.get(5)?,
    })
}

fn last(row: &Row<'_>) -> rusqlite::Result<Last> {
    Ok(Last { incident: row.get(0)?, ends_at: row.get::<_, Nanos>(1)?.0, flaps: row.get(2)? })
}

fn standing(row: &Row<'_>) -> rusqlite::Result<Standing> {
    let count = |place| row.get::<_, i64>(place).map(i64::cast_unsigned);
    let mut open = [0; 4];
    for (severity, place) in [(Severity::Info, 4), (Severity::Warning, 5), (Severity::Critical, 6)] {
        open[severity as usize] = count(place)?;
    }
    Ok(Standing {
        opened_at: row.get::<_, Nanos>(0)?.0,
        resolved_at: row.get::<_, Option<Nanos>>(1)?.map(|at| at.0),
        last_end: row.get::<_, Option<Nanos>>(2)?.map(|at| at.0),
        worst: row.get::<_, Rank>(3)?.0,
        open,
        total: count(7)?,
    })
}

fn thread(row: &Row<'_>) -> rusqlite::Result<Thread> {
    let unsent = match row.get(2)? {
        Some(id) => Some(Unsent {
            id,
            kind: row.get::<_, Word<Kind>>(3)?.0,
            due_at: row.get::<_, Nanos>(4)?.0,
            tried: row.get::<_, i64>(5)? > 0,
        }),
        None => None,
    };
    Ok(Thread { channel: row.get(0)?, last_due: row.get::<_, Nanos>(1)?.0, unsent })
}
