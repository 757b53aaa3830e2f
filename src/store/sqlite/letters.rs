//! The outbox as a person sees and corrects it.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};

use super::convert::{Nanos, Word, kind, state, time, time_or_none};
use super::job::Tx;
use super::ledger;
use crate::store::{Change, OutboxFilter, OutboxRow, Queue, Revised, RowState, StoreError, Subject, Verdict};

/// A list's length when none is asked for, and at most.
const USUAL: usize = 100;
const LONGEST: usize = 1_000;

const ROW: &str = "SELECT id, subject, channel, sequence, kind, state, lease_attempt, created_at, due_at, settled_at, \
     error, coalesce(note, 'superseded by ' || superseded_by) AS note FROM outbox";

const REPLAY: &str = "UPDATE outbox SET state = 'pending', due_at = ?2, waiting_since = ?2, settled_at = NULL, \
     note = ?3 WHERE id = ?1";

const DISCARD: &str = "UPDATE outbox SET state = 'discarded', settled_at = ?2, lease_until = NULL, note = ?3 \
     WHERE id = ?1";

const NEWER: &str = "SELECT newer.id FROM outbox AS newer, outbox AS dead WHERE dead.id = ?1 \
     AND newer.subject = dead.subject AND newer.channel = dead.channel AND newer.sequence > dead.sequence \
     AND newer.state = 'delivered' ORDER BY newer.sequence DESC LIMIT 1";

const SKIP: &str =
    "UPDATE outbox SET state = 'superseded', superseded_by = ?2, settled_at = ?3, note = ?4 WHERE id = ?1";

const STATE: &str = "SELECT state FROM outbox WHERE id = ?1";

const AUDIT: &str = "INSERT INTO audit (at, actor, actor_kind, action, subject, note) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

const QUEUES: &str = "SELECT channel, sum(state = 'pending') AS pending, sum(state = 'dead') AS dead, \
     min(CASE WHEN state = 'pending' AND waiting_since <= ?1 THEN waiting_since END) AS oldest FROM outbox \
     WHERE state = 'pending' OR state = 'dead' GROUP BY channel ORDER BY channel";

/// Rows, newest first.
pub(super) fn list(db: &Connection, filter: &OutboxFilter) -> Result<Vec<OutboxRow>, StoreError> {
    let (found, values) = found(filter)?;
    let mut rows = db.prepare_cached(&format!("{ROW} WHERE {found} ORDER BY id DESC LIMIT ?"))?;
    let rows = rows.query_map(params_from_iter(values), read)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The condition of a filter, and its values with the limit as the last.
fn found(filter: &OutboxFilter) -> Result<(String, Vec<Value>), StoreError> {
    let mut sql = "1".to_owned();
    let mut values = Vec::new();
    if let Some(state) = filter.state {
        sql.push_str(" AND state = ?");
        values.push(Value::Text(Word(state).text()?));
    }
    if let Some(channel) = &filter.channel {
        sql.push_str(" AND channel = ?");
        values.push(Value::Text(channel.clone()));
    }
    if let Some(incident) = filter.incident {
        sql.push_str(" AND subject = ?");
        values.push(Value::Text(Subject::Incident(incident).to_string()));
    }
    values.push(Value::Integer(filter.limit.unwrap_or(USUAL).min(LONGEST).cast_signed() as i64));
    Ok((sql, values))
}

/// One row.
pub(super) fn row(db: &Connection, id: i64) -> Result<Option<OutboxRow>, StoreError> {
    Ok(db.prepare_cached(&format!("{ROW} WHERE id = ?1"))?.query_row([id], read).optional()?)
}

fn read(row: &Row<'_>) -> rusqlite::Result<OutboxRow> {
    Ok(OutboxRow {
        id: row.get("id")?,
        subject: row.get("subject")?,
        channel: row.get("channel")?,
        sequence: row.get("sequence")?,
        kind: kind(row, "kind")?,
        state: state(row, "state")?,
        attempts: row.get("lease_attempt")?,
        created_at: time(row, "created_at")?,
        due_at: time(row, "due_at")?,
        settled_at: time_or_none(row, "settled_at")?,
        error: row.get("error")?,
        note: row.get("note")?,
    })
}

/// Makes a dead row pending again, waiting from now on.
pub(super) fn replay(tx: &Tx<'_>, id: i64, actor: &str, note: &str) -> Result<Change, StoreError> {
    match current(tx.db, id)? {
        None => Ok(Change::Missing),
        Some(RowState::Dead) => {
            tx.db.prepare_cached(REPLAY)?.execute(params![id, Nanos(tx.now), note])?;
            ledger::moved(tx.db, RowState::Dead, RowState::Pending, 1)?;
            audit(tx, actor, "replay", id, note)?;
            tx.ring();
            Ok(Change::Done)
        }
        Some(_) => Ok(Change::Nothing),
    }
}

/// Gives a dead or pending row up. A worker that holds it is too late to settle it.
pub(super) fn discard(tx: &Tx<'_>, id: i64, actor: &str, note: &str) -> Result<Change, StoreError> {
    match current(tx.db, id)? {
        None => Ok(Change::Missing),
        Some(from @ (RowState::Dead | RowState::Pending)) => {
            tx.db.prepare_cached(DISCARD)?.execute(params![id, Nanos(tx.now), note])?;
            ledger::moved(tx.db, from, RowState::Discarded, 1)?;
            audit(tx, actor, "discard", id, note)?;
            Ok(Change::Done)
        }
        Some(_) => Ok(Change::Nothing),
    }
}

/// The verdict for all dead rows of a filter, oldest first. One whose story has gone on since is not sent again.
pub(super) fn revise(
    tx: &Tx<'_>,
    filter: &OutboxFilter,
    verdict: Verdict,
    actor: &str,
    note: &str,
) -> Result<Revised, StoreError> {
    let filter = OutboxFilter { state: Some(RowState::Dead), ..filter.clone() };
    let (found, values) = found(&filter)?;
    let mut ids = tx.db.prepare_cached(&format!("SELECT id FROM outbox WHERE {found} ORDER BY id LIMIT ?"))?;
    let ids: Vec<i64> = ids.query_map(params_from_iter(values), |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let mut revised = Revised::default();
    for id in ids {
        if verdict == Verdict::Discard {
            discard(tx, id, actor, note)?;
            revised.done.push(id);
            continue;
        }
        let newer: Option<i64> = tx.db.prepare_cached(NEWER)?.query_row([id], |row| row.get(0)).optional()?;
        if let Some(newer) = newer {
            let why = format!("skipped: {newer}, which is newer, was delivered");
            tx.db.prepare_cached(SKIP)?.execute(params![id, newer, Nanos(tx.now), why])?;
            ledger::moved(tx.db, RowState::Dead, RowState::Superseded, 1)?;
            audit(tx, actor, "skip", id, note)?;
            revised.skipped.push(id);
        } else {
            replay(tx, id, actor, note)?;
            revised.done.push(id);
        }
    }
    Ok(revised)
}

fn current(db: &Connection, id: i64) -> rusqlite::Result<Option<RowState>> {
    db.prepare_cached(STATE)?.query_row([id], |row| state(row, "state")).optional()
}

fn audit(tx: &Tx<'_>, actor: &str, action: &str, id: i64, note: &str) -> rusqlite::Result<()> {
    let row = params![Nanos(tx.now), actor, "human", action, format!("outbox:{id}"), note];
    tx.db.prepare_cached(AUDIT)?.execute(row).map(drop)
}

/// Each channel's queue, where there is anything in it.
pub(super) fn queues(tx: &Tx<'_>) -> rusqlite::Result<Vec<Queue>> {
    let queue = |row: &Row<'_>| {
        Ok(Queue {
            channel: row.get("channel")?,
            pending: row.get::<_, i64>("pending")?.cast_unsigned(),
            dead: row.get::<_, i64>("dead")?.cast_unsigned(),
            oldest: time_or_none(row, "oldest")?,
        })
    };
    tx.db.prepare_cached(QUEUES)?.query_map([Nanos(tx.now)], queue)?.collect()
}
