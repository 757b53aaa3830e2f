//! Incidents with their members, as messages and pages show them.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::convert::{Json, Rank, time, time_or_none};
use crate::alert::{Episode, Fingerprint, Incident, MOST_MEMBERS};
use crate::store::StoreError;

/// A list's length at most.
const LONGEST: usize = 1_000;

/// A list has so many members at most in all of its incidents: a long one shows fewer of each.
const LISTED: usize = 10_000;

const ONE: &str = "SELECT incident.id, name, cause, severity, opened_at, resolved_at, \
     open_info + open_warning + open_critical AS open, total \
     FROM incident JOIN source ON source.id = incident.source WHERE incident.id = ?1";

/// Each alert once, by its newest episode; open ones first, then the worst.
const MEMBERS: &str = "SELECT id, fingerprint, severity, labels, annotations, generator_url, starts_at, ends_at, found, \
     ifnull(resolved_by = 'reconcile', 0) AS reconciled FROM episode WHERE id IN (SELECT max(id) FROM episode WHERE incident = ?1 GROUP BY fingerprint) \
     ORDER BY ends_at IS NOT NULL, severity DESC, starts_at, id LIMIT ?2";

const ALL: &str = "SELECT id FROM incident ORDER BY id DESC LIMIT ?1";

const OPEN: &str = "SELECT id FROM incident WHERE resolved_at IS NULL ORDER BY id DESC LIMIT ?1";

const BY_SEVERITY: &str = "SELECT severity, count(*) FROM incident WHERE resolved_at IS NULL GROUP BY severity \
     ORDER BY severity DESC";

/// One incident.
pub(super) fn one(db: &Connection, id: i64) -> Result<Option<Incident>, StoreError> {
    with_members(db, id, MOST_MEMBERS)
}

fn with_members(db: &Connection, id: i64, most: usize) -> Result<Option<Incident>, StoreError> {
    let Some(mut incident) = db.prepare_cached(ONE)?.query_row([id], incident).optional()? else { return Ok(None) };
    let mut members = db.prepare_cached(MEMBERS)?;
    let members = members.query_map(params![id, most.cast_signed()], episode)?;
    incident.members = members.collect::<rusqlite::Result<_>>()?;
    Ok(Some(incident))
}

/// Incidents, newest first.
pub(super) fn list(db: &Connection, open_only: bool, limit: usize) -> Result<Vec<Incident>, StoreError> {
    let limit = limit.min(LONGEST);
    let members = (LISTED / limit.max(1)).min(MOST_MEMBERS);
    let mut ids = db.prepare_cached(if open_only { OPEN } else { ALL })?;
    let ids = ids.query_map([limit.cast_signed()], |row| row.get(0))?;
    let ids: Vec<i64> = ids.collect::<rusqlite::Result<_>>()?;
    ids.into_iter().filter_map(|id| with_members(db, id, members).transpose()).collect()
}

/// How many are open, by severity's name.
pub(super) fn by_severity(db: &Connection) -> rusqlite::Result<Vec<(String, u64)>> {
    let count = |row: &Row<'_>| Ok((row.get::<_, Rank>(0)?.0.to_string(), row.get::<_, i64>(1)?.cast_unsigned()));
    db.prepare_cached(BY_SEVERITY)?.query_map([], count)?.collect()
}

fn incident(row: &Row<'_>) -> rusqlite::Result<Incident> {
    Ok(Incident {
        id: row.get("id")?,
        source: row.get("name")?,
        cause: row.get("cause")?,
        severity: row.get::<_, Rank>("severity")?.0,
        opened_at: time(row, "opened_at")?,
        resolved_at: time_or_none(row, "resolved_at")?,
        members: Vec::new(),
        open: row.get::<_, i64>("open")?.cast_unsigned(),
        total: row.get::<_, i64>("total")?.cast_unsigned(),
    })
}

fn episode(row: &Row<'_>) -> rusqlite::Result<Episode> {
    Ok(Episode {
        id: row.get("id")?,
        fingerprint: Fingerprint(row.get::<_, i64>("fingerprint")?.cast_unsigned()),
        severity: row.get::<_, Rank>("severity")?.0,
        labels: row.get::<_, Json>("labels")?.0,
        annotations: row.get::<_, Json>("annotations")?.0,
        generator_url: row.get("generator_url")?,
        starts_at: time(row, "starts_at")?,
        ends_at: time_or_none(row, "ends_at")?,
        found: row.get("found")?,
        reconciled: row.get("reconciled")?,
    })
}
