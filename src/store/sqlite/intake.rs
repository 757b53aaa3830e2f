//! What comes in beside alerts: sources, what could not be understood, Watchdogs.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::convert::{Nanos, time};
use super::job::Tx;
use crate::alert::{Fingerprint, Quarantined};
use crate::store::StoreError;

/// The quarantine holds so many pieces, and so many bytes: the newest.
const MOST_PIECES: usize = 1_000;
const MOST_BYTES: i64 = 16 << 20;

/// One piece is cut off here.
const LONGEST: usize = 64 << 10;

const SOURCE: &str = "SELECT id FROM source WHERE name = ?1";

const NEW_SOURCE: &str = "INSERT INTO source (name) VALUES (?1)";

const QUARANTINE: &str = "INSERT INTO quarantine (source, at, why, raw) VALUES (?1, ?2, ?3, ?4)";

const BOUND: &str = "DELETE FROM quarantine WHERE id IN (SELECT id FROM (SELECT id, row_number() OVER newest AS place, \
     sum(length(raw)) OVER newest AS bytes FROM quarantine WINDOW newest AS (ORDER BY id DESC)) \
     WHERE place > ?1 OR bytes > ?2)";

const WATCHDOG: &str = "INSERT INTO watchdog (source, heard_at) VALUES (?1, ?2) \
     ON CONFLICT (source) DO UPDATE SET heard_at = excluded.heard_at";

const WATCHDOGS: &str = "SELECT name, heard_at FROM watchdog JOIN source ON source.id = watchdog.source ORDER BY name";

const FIRING: &str = "SELECT starts_at FROM episode WHERE source = (SELECT id FROM source WHERE name = ?1) \
     AND fingerprint = ?2 AND ends_at IS NULL AND held_until IS NULL";

/// The number of a source, which is made where it is new. Their names are bounded by whoever tells them.
pub(super) fn source(db: &Connection, name: &str) -> rusqlite::Result<i64> {
    let found = db.prepare_cached(SOURCE)?.query_row([name], |row| row.get(0)).optional()?;
    found.map_or_else(|| db.prepare_cached(NEW_SOURCE)?.insert([name]), Ok)
}

/// Keeps pieces for a person to look at, and lets the oldest go.
pub(super) fn quarantine(tx: &Tx<'_>, source: i64, pieces: &[Quarantined]) -> rusqlite::Result<()> {
    if pieces.is_empty() {
        return Ok(());
    }
    for piece in pieces.iter().rev().take(MOST_PIECES).rev() {
        let raw = piece.raw.get(..LONGEST).unwrap_or(&piece.raw);
        tx.db.prepare_cached(QUARANTINE)?.execute(params![source, Nanos(tx.now), piece.why, raw])?;
    }
    tx.db.prepare_cached(BOUND)?.execute(params![MOST_PIECES.cast_signed(), MOST_BYTES]).map(drop)
}

/// A Watchdog was heard.
pub(super) fn watchdog(tx: &Tx<'_>, source: i64) -> rusqlite::Result<()> {
    tx.db.prepare_cached(WATCHDOG)?.execute(params![source, Nanos(tx.now)]).map(drop)
}

/// When each source's Watchdog was last heard.
pub(super) fn watchdogs(db: &Connection) -> rusqlite::Result<Vec<(String, Timestamp)>> {
    let heard = |row: &Row<'_>| Ok((row.get("name")?, time(row, "heard_at")?));
    db.prepare_cached(WATCHDOGS)?.query_map([], heard)?.collect()
}

/// Since when an alert fires.
pub(super) fn firing_since(db: &Connection, source: &str, alert: Fingerprint) -> Result<Option<Timestamp>, StoreError> {
    let key = params![source, alert.0.cast_signed()];
    let since: Option<Nanos> = db.prepare_cached(FIRING)?.query_row(key, |row| row.get(0)).optional()?;
    Ok(since.map(|at| at.0))
}
