//! The ledger's one row. It changes in the transaction of what it counts, and the file refuses a row whose equations
//! do not hold.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, Row, params};

use super::convert::Nanos;
use super::job::Tx;
use crate::alert::Counts;
use crate::store::{Balance, Ledger, RowState};

const ALERTS: &str = "UPDATE ledger SET received = received + ?1, opened = opened + ?2, repeated = repeated + ?3, \
     closed = closed + ?4, stale = stale + ?5, held = held + ?6, quarantined = quarantined + ?7, \
     truncated = truncated + ?8";

const DUE: &str = "UPDATE ledger SET due = due + ?1, pending = pending + ?1";

const MOVED: &str = "UPDATE ledger SET pending = pending + ?1, delivered = delivered + ?2, \
     superseded = superseded + ?3, dead = dead + ?4, discarded = discarded + ?5, suppressed = suppressed + ?6";

const READ: &str = "SELECT * FROM ledger";

const SET_ALIVE: &str = "UPDATE ledger SET alive_at = ?1";

const ALIVE: &str = "SELECT alive_at FROM ledger";

const PENDING: &str = "SELECT count(*), count(CASE WHEN waiting_since < ?1 THEN 1 END) FROM outbox \
     WHERE state = 'pending'";

const DEAD: &str = "SELECT count(*) FROM outbox INDEXED BY outbox_dead WHERE state = 'dead'";

const COLUMNS: [RowState; 6] = [
    RowState::Pending,
    RowState::Delivered,
    RowState::Superseded,
    RowState::Dead,
    RowState::Discarded,
    RowState::Suppressed,
];

/// Counts what became of alerts.
pub(super) fn alerts(db: &Connection, counts: &Counts) -> rusqlite::Result<()> {
    let Counts { received, opened, repeated, closed, stale, held, quarantined, truncated } = *counts;
    let terms = [received, opened, repeated, closed, stale, held, quarantined, truncated].map(u64::cast_signed);
    db.prepare_cached(ALERTS)?.execute(terms).map(drop)
}

/// Counts a message that fell due.
pub(super) fn due(db: &Connection) -> rusqlite::Result<()> {
    db.prepare_cached(DUE)?.execute([1]).map(drop)
}

/// Counts messages that went from one state to another.
pub(super) fn moved(db: &Connection, from: RowState, to: RowState, rows: usize) -> rusqlite::Result<()> {
    let rows = rows.cast_signed() as i64;
    let change = COLUMNS.map(|column| if column == to { rows } else { 0 } - if column == from { rows } else { 0 });
    db.prepare_cached(MOVED)?.execute(change).map(drop)
}

/// Notes that the store takes writes.
pub(super) fn set_alive(db: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    db.prepare_cached(SET_ALIVE)?.execute([Nanos(now)]).map(drop)
}

/// When that was last noted.
pub(super) fn alive(db: &Connection) -> rusqlite::Result<Option<Timestamp>> {
    let at: Option<Nanos> = db.query_row(ALIVE, [], |row| row.get(0))?;
    Ok(at.map(|at| at.0))
}

/// All terms, of one moment.
pub(super) fn read(db: &Connection) -> rusqlite::Result<Ledger> {
    let ledger = |row: &Row<'_>| {
        let term = |name| row.get::<_, i64>(name).map(i64::cast_unsigned);
        Ok(Ledger {
            alerts: Counts {
                received: term("received")?,
                opened: term("opened")?,
                repeated: term("repeated")?,
                closed: term("closed")?,
                stale: term("stale")?,
                held: term("held")?,
                quarantined: term("quarantined")?,
                truncated: term("truncated")?,
            },
            due: term("due")?,
            delivered: term("delivered")?,
            superseded: term("superseded")?,
            dead: term("dead")?,
            discarded: term("discarded")?,
            suppressed: term("suppressed")?,
            pending: term("pending")?,
        })
    };
    db.prepare_cached(READ)?.query_row(params![], ledger)
}

/// The ledger, and the rows that wait or are dead: those are counted anew, over their indexes.
pub(super) fn balance(tx: &Tx<'_>, late: Duration) -> rusqlite::Result<Balance> {
    let before = Nanos(tx.now.saturating_sub(late).unwrap_or(Timestamp::MIN));
    let count = |row: &Row<'_>, place| row.get::<_, i64>(place).map(i64::cast_unsigned);
    let (pending, late) =
        tx.db.prepare_cached(PENDING)?.query_row([before], |row| Ok((count(row, 0)?, count(row, 1)?)))?;
    let dead = tx.db.prepare_cached(DEAD)?.query_row([], |row| count(row, 0))?;
    Ok(Balance { ledger: read(tx.db)?, pending, dead, late })
}
