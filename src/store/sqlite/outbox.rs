//! The outbox: due messages, their leases and their ends.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::convert::{Nanos, Word, kind, time};
use super::job::Tx;
use super::ledger;
use crate::alert::Kind;
use crate::alert::incident::stands_for;
use crate::clock::later;
use crate::store::{Change, Delivery, RowState, Settlement, StoreError, Subject};

const NEXT_SEQUENCE: &str = "INSERT INTO thread (subject, channel, sequence, last_due) VALUES (?1, ?2, 1, ?3) \
     ON CONFLICT (subject, channel) DO UPDATE SET sequence = sequence + 1, last_due = excluded.last_due \
     RETURNING sequence";

const ADD: &str = "INSERT INTO outbox (subject, channel, sequence, kind, state, created_at, waiting_since, due_at, text) \
     VALUES (?1, ?2, ?3, ?4, 'pending', ?5, ?6, ?6, ?7)";

const HASTEN: &str = "UPDATE outbox SET due_at = ?2, waiting_since = min(waiting_since, ?2) \
     WHERE id = ?1 AND state = 'pending' RETURNING subject, channel";

/// The next cooldown counts from when the message really falls due.
const DUE_SOONER: &str = "UPDATE thread SET last_due = ?3 WHERE subject = ?1 AND channel = ?2";

/// Subjects with a due message, none of whose messages is in a worker's hands, in the index's order: whoever takes a few
/// pays for a few, however many wait. A message is never due before it waits.
const CLAIMABLE: &str = "SELECT subject FROM outbox AS due INDEXED BY outbox_pending WHERE state = 'pending' \
     AND channel = ?1 AND waiting_since <= ?2 AND due_at <= ?2 \
     AND NOT EXISTS (SELECT 1 FROM outbox AS leased WHERE leased.subject = due.subject AND leased.channel = ?1 \
     AND leased.state = 'pending' AND leased.lease_until > ?2) ORDER BY waiting_since, id";

/// All unsent messages of one subject on one channel that nobody holds, newest first. A lease that has run out without
/// a settlement leaves its question open.
const UNSENT: &str = "SELECT id, sequence, kind, waiting_since, lease_attempt, text, \
     ambiguous OR lease_until IS NOT NULL AS ambiguous FROM outbox \
     WHERE subject = ?1 AND channel = ?2 AND state = 'pending' AND ifnull(lease_until, 0) <= ?3 ORDER BY sequence DESC";

const SUPERSEDE: &str = "UPDATE outbox SET state = 'superseded', superseded_by = ?2, settled_at = ?3, \
     lease_until = NULL WHERE id = ?1";

const STAND_FOR: &str = "UPDATE outbox SET kind = ?2, waiting_since = ?3, ambiguous = ?4 WHERE id = ?1";

const LEASE: &str = "UPDATE outbox SET lease_owner = ?2, lease_attempt = lease_attempt + 1, lease_until = ?3 \
     WHERE id = ?1 RETURNING lease_attempt";

const GIVE_BACK: &str =
    "UPDATE outbox SET lease_until = NULL WHERE id = ?1 AND lease_attempt = ?2 AND state = 'pending'";

const ANCHOR: &str = "SELECT anchor FROM thread WHERE subject = ?1 AND channel = ?2";

/// Only the attempt that holds the lease ends it.
const DELIVERED: &str = "UPDATE outbox SET state = 'delivered', settled_at = ?3, lease_until = NULL, error = NULL \
     WHERE id = ?1 AND lease_attempt = ?2 AND state = 'pending' AND lease_until IS NOT NULL";

const RETRY: &str = "UPDATE outbox SET due_at = ?3, error = ?4, ambiguous = ambiguous OR ?5, lease_until = NULL \
     WHERE id = ?1 AND lease_attempt = ?2 AND state = 'pending' AND lease_until IS NOT NULL";

const DEAD: &str = "UPDATE outbox SET state = 'dead', settled_at = ?3, error = ?4, lease_until = NULL \
     WHERE id = ?1 AND lease_attempt = ?2 AND state = 'pending' AND lease_until IS NOT NULL";

const KEEP_ANCHOR: &str = "UPDATE thread SET anchor = ?3 WHERE subject = ?1 AND channel = ?2";

/// Leases of a process that is gone: what it sent, nobody knows.
const EXPIRE: &str = "UPDATE outbox SET lease_until = NULL, ambiguous = 1 \
     WHERE state = 'pending' AND lease_until IS NOT NULL AND lease_owner IS NOT ?1";

/// A step through the index: as many as there are channels.
const NEXT_CHANNEL: &str = "SELECT min(channel) FROM outbox WHERE state = 'pending' AND channel > ?1";

/// What a worker of the channel still holds, it may still settle.
const RETIRE: &str = "UPDATE outbox SET state = 'dead', settled_at = ?2, error = 'the channel is no longer configured', \
     ambiguous = ambiguous OR lease_until IS NOT NULL, lease_until = NULL \
     WHERE channel = ?1 AND state = 'pending' AND ifnull(lease_until, 0) <= ?2";

/// When each subject's first message may go: not before it is due, nor while one is in a worker's hands.
const NEXT_DUE: &str = "SELECT min(at) FROM (SELECT max(min(due_at), max(ifnull(lease_until, 0))) AS at \
     FROM outbox WHERE channel = ?1 AND state = 'pending' GROUP BY subject)";

/// Adds a message, which supersedes what nobody has sent yet of the same subject on the same channel. One that cools
/// down does not count as waiting until it is due.
pub(super) fn add(
    tx: &Tx<'_>,
    subject: &Subject,
    channel: &str,
    kind: Kind,
    due_at: Timestamp,
    text: Option<&str>,
) -> Result<(), StoreError> {
    let sequence: i64 =
        tx.db.prepare_cached(NEXT_SEQUENCE)?.query_row(params![subject, channel, Nanos(due_at)], |row| row.get(0))?;
    let row = params![subject, channel, sequence, Word(kind), Nanos(tx.now), Nanos(due_at), text];
    tx.db.prepare_cached(ADD)?.execute(row)?;
    ledger::due(tx.db)?;
    newest(tx, subject, channel)?;
    tx.ring();
    Ok(())
}

/// Makes a message due sooner.
pub(super) fn hasten(tx: &Tx<'_>, id: i64, due_at: Timestamp) -> Result<(), StoreError> {
    let thread = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let thread: Option<(Subject, String)> =
        tx.db.prepare_cached(HASTEN)?.query_row(params![id, Nanos(due_at)], thread).optional()?;
    if let Some((subject, channel)) = thread {
        tx.db.prepare_cached(DUE_SOONER)?.execute(params![subject, channel, Nanos(due_at)])?;
    }
    tx.ring();
    Ok(())
}

struct Unsent {
    id: i64,
    sequence: i64,
    kind: Kind,
    waiting_since: Timestamp,
    ambiguous: bool,
    text: Option<String>,
}

/// The newest unsent message of a subject on a channel; the older ones are superseded, and it stands for them.
fn newest(tx: &Tx<'_>, subject: &Subject, channel: &str) -> Result<Option<Unsent>, StoreError> {
    let mut unsent = tx.db.prepare_cached(UNSENT)?;
    let mut unsent = unsent.query_map(params![subject, channel, Nanos(tx.now)], unsent_row)?;
    let Some(newest) = unsent.next() else { return Ok(None) };
    let mut newest = newest?;
    let older = unsent.collect::<rusqlite::Result<Vec<_>>>()?;
    for old in &older {
        tx.db.prepare_cached(SUPERSEDE)?.execute(params![old.id, newest.id, Nanos(tx.now)])?;
        newest.waiting_since = newest.waiting_since.min(old.waiting_since);
        newest.ambiguous |= old.ambiguous;
        if stands_for(old.kind, newest.kind) {
            newest.kind = old.kind;
        }
    }
    if !older.is_empty() {
        ledger::moved(tx.db, RowState::Pending, RowState::Superseded, older.len())?;
    }
    if !older.is_empty() || newest.ambiguous {
        let row = params![newest.id, Word(newest.kind), Nanos(newest.waiting_since), newest.ambiguous];
        tx.db.prepare_cached(STAND_FOR)?.execute(row)?;
    }
    Ok(Some(newest))
}

fn unsent_row(row: &Row<'_>) -> rusqlite::Result<Unsent> {
    Ok(Unsent {
        id: row.get("id")?,
        sequence: row.get("sequence")?,
        kind: kind(row, "kind")?,
        waiting_since: time(row, "waiting_since")?,
        ambiguous: row.get("ambiguous")?,
        text: row.get("text")?,
    })
}

/// The first subjects with a due message, each once.
fn claimable(tx: &Tx<'_>, channel: &str, most: usize) -> rusqlite::Result<Vec<Subject>> {
    let mut rows = tx.db.prepare_cached(CLAIMABLE)?;
    let mut rows = rows.query(params![channel, Nanos(tx.now)])?;
    let mut subjects = Vec::new();
    while subjects.len() < most
        && let Some(row) = rows.next()?
    {
        let subject = row.get(0)?;
        if !subjects.contains(&subject) {
            subjects.push(subject);
        }
    }
    Ok(subjects)
}

/// Leases due messages. Their incidents are read afterwards, off the writer.
pub(super) fn claim(
    tx: &Tx<'_>,
    owner: &str,
    channel: &str,
    most: usize,
    lease: Duration,
) -> Result<Vec<Delivery>, StoreError> {
    let until = later(tx.now, lease);
    let mut deliveries = Vec::new();
    for subject in claimable(tx, channel, most)? {
        let Some(newest) = newest(tx, &subject, channel)? else { continue };
        let lease = params![newest.id, owner, Nanos(until)];
        let attempt = tx.db.prepare_cached(LEASE)?.query_row(lease, |row| row.get(0))?;
        let anchor = tx.db.prepare_cached(ANCHOR)?.query_row(params![subject, channel], |row| row.get(0)).optional()?;
        deliveries.push(Delivery {
            id: newest.id,
            attempt,
            channel: channel.to_owned(),
            subject,
            sequence: newest.sequence,
            kind: newest.kind,
            waiting_since: newest.waiting_since,
            maybe_duplicate: newest.ambiguous,
            incident: None,
            notice: newest.text,
            anchor: anchor.flatten(),
        });
    }
    Ok(deliveries)
}

/// Ends leases under which nothing was sent. Rings nobody: whoever claimed them tries again in its own time.
pub(super) fn give_back(tx: &Tx<'_>, leases: &[(i64, u32)]) -> Result<(), StoreError> {
    for (id, attempt) in leases {
        tx.db.prepare_cached(GIVE_BACK)?.execute(params![id, attempt])?;
    }
    Ok(())
}

/// Ends a lease.
pub(super) fn settle(tx: &Tx<'_>, delivery: &Delivery, how: &Settlement) -> Result<Change, StoreError> {
    let (id, attempt, now) = (delivery.id, delivery.attempt, Nanos(tx.now));
    let (rows, to) = match how {
        Settlement::Delivered { .. } => {
            (tx.db.prepare_cached(DELIVERED)?.execute(params![id, attempt, now])?, RowState::Delivered)
        }
        Settlement::Retry { at, error, ambiguous } => {
            let row = params![id, attempt, Nanos(*at), error, ambiguous];
            (tx.db.prepare_cached(RETRY)?.execute(row)?, RowState::Pending)
        }
        Settlement::Dead { error } => {
            (tx.db.prepare_cached(DEAD)?.execute(params![id, attempt, now, error])?, RowState::Dead)
        }
    };
    if rows == 0 {
        return Ok(Change::Nothing);
    }
    ledger::moved(tx.db, RowState::Pending, to, rows)?;
    if let Settlement::Delivered { anchor: Some(anchor) } = how {
        tx.db.prepare_cached(KEEP_ANCHOR)?.execute(params![delivery.subject, delivery.channel, anchor])?;
    }
    // The next message of the subject may go now.
    tx.ring();
    Ok(Change::Done)
}

/// Ends the leases of other owners, which are gone.
pub(super) fn expire(tx: &Tx<'_>, owner: &str) -> Result<(), StoreError> {
    tx.db.prepare_cached(EXPIRE)?.execute([owner])?;
    Ok(())
}

/// The channels that have unsent messages and are none of `configured`.
pub(super) fn orphans(db: &Connection, configured: &[String]) -> Result<Vec<String>, StoreError> {
    let mut next = db.prepare_cached(NEXT_CHANNEL)?;
    let (mut orphans, mut last) = (Vec::new(), String::new());
    while let Some(channel) = next.query_row([&last], |row| row.get::<_, Option<String>>(0))? {
        if !configured.contains(&channel) {
            orphans.push(channel.clone());
        }
        last = channel;
    }
    Ok(orphans)
}

/// Makes the unsent messages of a channel dead, where a person sees and replays them. Returns how many.
pub(super) fn retire(tx: &Tx<'_>, channel: &str) -> Result<usize, StoreError> {
    let rows = tx.db.prepare_cached(RETIRE)?.execute(params![channel, Nanos(tx.now)])?;
    ledger::moved(tx.db, RowState::Pending, RowState::Dead, rows)?;
    Ok(rows)
}

/// When the next message of a channel may be claimed.
pub(super) fn next_due(db: &Connection, channel: &str) -> Result<Option<Timestamp>, StoreError> {
    let next: Option<Nanos> = db.prepare_cached(NEXT_DUE)?.query_row([channel], |row| row.get(0))?;
    Ok(next.map(|at| at.0))
}
