//! What decisions ask, answered within the transaction.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::convert::{Nanos, Rank, kind, time, time_or_none};
use crate::alert::changes::{self, Thread, Unsent};
use crate::alert::episode::{Current, Known, Last};
use crate::alert::incident::{Key, Standing};
use crate::alert::{Fingerprint, Severity};
use crate::store::Subject;

const CURRENT: &str = "SELECT id, incident, severity, starts_at, held_until IS NOT NULL AS held, \
     absent_since IS NOT NULL AS absent FROM episode WHERE source = ?1 AND fingerprint = ?2 AND ends_at IS NULL";

const LAST: &str = "SELECT incident, ends_at, flaps FROM episode \
     WHERE source = ?1 AND fingerprint = ?2 AND ends_at IS NOT NULL ORDER BY id DESC LIMIT 1";

const STANDING: &str = "SELECT opened_at, resolved_at, last_end, worst, open_info, open_warning, open_critical, total \
     FROM incident WHERE id = ?1";

const OPEN_INCIDENT: &str = "SELECT id FROM incident WHERE source = ?1 AND cause = ?2 AND resolved_at IS NULL";

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

    fn open_incident(&mut self, key: &Key) -> rusqlite::Result<Option<i64>> {
        let key = params![self.source, key.cause];
        self.db.prepare_cached(OPEN_INCIDENT)?.query_row(key, |row| row.get(0)).optional()
    }

    fn has_host(&mut self, incident: i64, host: &str) -> rusqlite::Result<bool> {
        self.db.prepare_cached(HAS_HOST)?.query_row(params![incident, host], |row| row.get(0))
    }

    fn threads(&mut self, incident: i64) -> rusqlite::Result<Vec<Thread>> {
        let key = params![Subject::Incident(incident), Nanos(self.now)];
        self.db.prepare_cached(THREADS)?.query_map(key, thread)?.collect()
    }
}

fn current(row: &Row<'_>) -> rusqlite::Result<Current> {
    Ok(Current {
        id: row.get("id")?,
        incident: row.get("incident")?,
        severity: row.get::<_, Rank>("severity")?.0,
        starts_at: time(row, "starts_at")?,
        held: row.get("held")?,
        absent: row.get("absent")?,
    })
}

fn last(row: &Row<'_>) -> rusqlite::Result<Last> {
    Ok(Last { incident: row.get("incident")?, ends_at: time(row, "ends_at")?, flaps: row.get("flaps")? })
}

fn standing(row: &Row<'_>) -> rusqlite::Result<Standing> {
    let mut open = [0; 4];
    for (severity, column) in
        [(Severity::Info, "open_info"), (Severity::Warning, "open_warning"), (Severity::Critical, "open_critical")]
    {
        open[severity as usize] = row.get::<_, i64>(column)?.cast_unsigned();
    }
    Ok(Standing {
        opened_at: time(row, "opened_at")?,
        resolved_at: time_or_none(row, "resolved_at")?,
        last_end: time_or_none(row, "last_end")?,
        worst: row.get::<_, Rank>("worst")?.0,
        open,
        total: row.get::<_, i64>("total")?.cast_unsigned(),
    })
}

fn thread(row: &Row<'_>) -> rusqlite::Result<Thread> {
    let unsent = match row.get::<_, Option<i64>>("id")? {
        Some(id) => Some(Unsent {
            id,
            kind: kind(row, "kind")?,
            due_at: time(row, "due_at")?,
            tried: row.get::<_, i64>("lease_attempt")? > 0,
        }),
        None => None,
    };
    Ok(Thread { channel: row.get("channel")?, last_due: time(row, "last_due")?, unsent })
}
