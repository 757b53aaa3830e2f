//! Keeps what was decided.

use rusqlite::{Connection, params};

use super::convert::{Nanos, Rank, json};
use super::job::Tx;
use super::outbox;
use crate::alert::changes::{Changes, EpisodeChange, IncidentChange, Message, Phase};
use crate::alert::episode::storable;
use crate::alert::incident::{Standing, host};
use crate::alert::{Alert, Severity};
use crate::store::{StoreError, Subject};

const NEW_INCIDENT: &str = "INSERT INTO incident (source, cause, severity, worst, opened_at, resolved_at, last_end, \
     open_info, open_warning, open_critical, total) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";

/// Of one that is open and stays so: what an index holds of it is not touched.
const STAYS: &str = "UPDATE incident SET severity = ?2, worst = ?3, opened_at = ?4, last_end = ?6, open_info = ?7, \
     open_warning = ?8, open_critical = ?9, total = ?10 WHERE id = ?1 AND resolved_at IS NULL AND ?5 IS NULL";

const STANDS: &str = "UPDATE incident SET severity = ?2, worst = ?3, opened_at = ?4, resolved_at = ?5, last_end = ?6, \
     open_info = ?7, open_warning = ?8, open_critical = ?9, total = ?10, \
     resolved_by = CASE WHEN ?5 IS NULL THEN NULL ELSE ?11 END WHERE id = ?1";

const NEW_EPISODE: &str = "INSERT INTO episode (source, fingerprint, incident, alert_group, severity, starts_at, \
     ends_at, held_until, flaps, host, labels, annotations, generator_url, found) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)";

const TOUCHED: &str = "UPDATE episode SET starts_at = ?2, absent_since = NULL WHERE id = ?1";

const ADMITTED: &str =
    "UPDATE episode SET starts_at = ?2, incident = ?3, severity = ?4, held_until = NULL WHERE id = ?1";

const CLOSED: &str = "UPDATE episode SET ends_at = ?2, annotations = ?3, absent_since = NULL, resolved_by = 'alert' \
     WHERE id = ?1";

const GONE: &str = "UPDATE episode SET ends_at = ?2, resolved_by = 'reconcile' WHERE id = ?1";

const DROPPED: &str = "DELETE FROM episode WHERE id = ?1";

const TIMER: &str = "INSERT INTO timer (subject, kind, due_at) VALUES (?1, 'held', ?2)";

const NO_TIMER: &str = "DELETE FROM timer WHERE subject = ?1 AND kind = 'held'";

/// Writes all changes of one decision; new episodes belong to `group`.
pub(super) fn apply(tx: &Tx<'_>, source: i64, group: Option<i64>, changes: &Changes<'_>) -> Result<(), StoreError> {
    let mut incidents = Vec::with_capacity(changes.incidents.len());
    for change in &changes.incidents {
        let id = incident(tx.db, source, change, changes.by_list)?;
        incidents.push(id);
        for message in &change.messages {
            match message {
                Message::New { channel, kind, due_at } => {
                    outbox::add(tx, &Subject::Incident(id), channel, *kind, *due_at, None)?;
                }
                Message::Hasten { id, due_at } => outbox::hasten(tx, *id, *due_at)?,
            }
        }
    }
    let number = |place: Option<usize>| place.and_then(|place| incidents.get(place).copied());
    for change in &changes.episodes {
        match change {
            EpisodeChange::New { alert, severity, flaps, phase } => {
                let incident = if let Phase::Open { incident } = phase { number(*incident) } else { None };
                begin(tx, (source, group, incident), alert, (*severity, *flaps), (*phase, changes.by_list))?;
            }
            EpisodeChange::Touched { id, starts_at } => {
                tx.db.prepare_cached(TOUCHED)?.execute(params![id, Nanos(*starts_at)])?;
            }
            EpisodeChange::Admitted { id, severity, starts_at, incident } => {
                let row = params![id, Nanos(*starts_at), number(*incident), Rank(*severity)];
                tx.db.prepare_cached(ADMITTED)?.execute(row)?;
                tx.db.prepare_cached(NO_TIMER)?.execute([timer(*id)])?;
            }
            EpisodeChange::Closed { id, alert, ends_at } => {
                let row = params![id, Nanos(*ends_at), json(&alert.annotations)?];
                tx.db.prepare_cached(CLOSED)?.execute(row)?;
            }
            EpisodeChange::Gone { id, ends_at } => {
                tx.db.prepare_cached(GONE)?.execute(params![id, Nanos(*ends_at)])?;
            }
            EpisodeChange::Dropped { id } => {
                tx.db.prepare_cached(DROPPED)?.execute([id])?;
                tx.db.prepare_cached(NO_TIMER)?.execute([timer(*id)])?;
            }
        }
    }
    Ok(())
}

fn incident(db: &Connection, source: i64, change: &IncidentChange, by_list: bool) -> rusqlite::Result<i64> {
    let Standing { opened_at, resolved_at, last_end, worst, open, total } = &change.standing;
    let (severity, worst) = (Rank(change.standing.severity()), Rank(*worst));
    let (opened_at, resolved_at, last_end) = (Nanos(*opened_at), resolved_at.map(Nanos), last_end.map(Nanos));
    let open = |severity: Severity| open[severity as usize].cast_signed();
    let (info, warning, critical) = (open(Severity::Info), open(Severity::Warning), open(Severity::Critical));
    let total = total.cast_signed();
    if let Some(id) = change.id {
        let row = params![id, severity, worst, opened_at, resolved_at, last_end, info, warning, critical, total];
        if db.prepare_cached(STAYS)?.execute(row)? == 0 {
            let by = if by_list { "reconcile" } else { "alert" };
            let row =
                params![id, severity, worst, opened_at, resolved_at, last_end, info, warning, critical, total, by];
            db.prepare_cached(STANDS)?.execute(row)?;
        }
        return Ok(id);
    }
    let cause = &change.key.cause;
    let row = params![source, cause, severity, worst, opened_at, resolved_at, last_end, info, warning, critical, total];
    db.prepare_cached(NEW_INCIDENT)?.insert(row)
}

fn begin(
    tx: &Tx<'_>,
    (source, group, incident): (i64, Option<i64>, Option<i64>),
    alert: &Alert,
    (severity, flaps): (Severity, u32),
    (phase, found): (Phase, bool),
) -> Result<(), StoreError> {
    let (ends_at, held_until) = match phase {
        Phase::Open { .. } => (None, None),
        Phase::Held { until } => (None, Some(until)),
        Phase::Ended { ends_at } => (Some(ends_at), None),
    };
    let (labels, annotations) = (json(&alert.labels)?, json(&alert.annotations)?);
    let row = params![
        source,
        alert.fingerprint.0.cast_signed(),
        incident,
        group,
        Rank(severity),
        Nanos(storable(alert.starts_at)),
        ends_at.map(Nanos),
        held_until.map(Nanos),
        flaps,
        host(&alert.labels),
        labels,
        annotations,
        alert.generator_url,
        found,
    ];
    let id = tx.db.prepare_cached(NEW_EPISODE)?.insert(row)?;
    if let Some(until) = held_until {
        tx.db.prepare_cached(TIMER)?.execute(params![timer(id), Nanos(until)])?;
        tx.ring();
    }
    Ok(())
}

/// The subject of an episode's timer.
fn timer(episode: i64) -> String {
    format!("episode:{episode}")
}
