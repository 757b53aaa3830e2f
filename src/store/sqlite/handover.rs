//! Incidents whose channel does not deliver, told on another.

use jiff::Timestamp;
use rusqlite::{Row, params};

use super::convert::{Nanos, kind, time};
use super::job::Tx;
use super::outbox;
use crate::alert::Kind;
use crate::store::{Handover, StoreError, Subject};

/// So many in one transaction; the next call takes those after them.
const MOST: i64 = 200;

/// Incidents that wait on a channel, without those that one of the channels of `?3` was told of: it hears the rest of
/// the story by itself.
const WAITING: &str = "SELECT subject, kind, min(waiting_since) AS waiting_since, max(sequence) \
     FROM outbox AS waiting INDEXED BY outbox_pending WHERE state = 'pending' AND channel = ?1 AND waiting_since <= ?2 \
     AND subject >= 'incident:' AND subject < 'incident;' AND NOT EXISTS (SELECT 1 FROM thread \
     WHERE thread.subject = waiting.subject AND thread.channel IN (SELECT value FROM json_each(?3))) \
     GROUP BY subject ORDER BY waiting_since, subject LIMIT ?4";

/// The incident of one row, whatever became of that, in the same way.
const OF_ROW: &str = "SELECT subject, kind, waiting_since FROM outbox AS waiting WHERE id = ?1 \
     AND subject >= 'incident:' AND subject < 'incident;' AND NOT EXISTS (SELECT 1 FROM thread \
     WHERE thread.subject = waiting.subject AND thread.channel IN (SELECT value FROM json_each(?2)))";

/// It waits since it fell due where it should have gone.
const SINCE: &str = "UPDATE outbox SET waiting_since = min(waiting_since, ?3) \
     WHERE subject = ?1 AND channel = ?2 AND state = 'pending'";

/// Makes them due on the first of the channels. Returns how many.
pub(super) fn hand_over(tx: &Tx<'_>, handover: &Handover) -> Result<u64, StoreError> {
    let Some(to) = handover.to.first() else { return Ok(0) };
    let told = serde_json::Value::from(handover.to.clone()).to_string();
    let unheard = |row: &Row<'_>| Ok((row.get("subject")?, kind(row, "kind")?, time(row, "waiting_since")?));
    let rows: rusqlite::Result<Vec<(Subject, Kind, Timestamp)>> = if let Some(row) = handover.row {
        tx.db.prepare_cached(OF_ROW)?.query_map(params![row, told], unheard)?.collect()
    } else {
        let waiting = params![handover.from, Nanos(tx.now), told, MOST];
        tx.db.prepare_cached(WAITING)?.query_map(waiting, unheard)?.collect()
    };
    let rows = rows?;
    for (subject, kind, since) in &rows {
        // For that channel it begins with this.
        let kind = if *kind == Kind::Resolved { Kind::Resolved } else { Kind::Opened };
        outbox::add(tx, subject, to, kind, tx.now, Some(&handover.words))?;
        tx.db.prepare_cached(SINCE)?.execute(params![subject, to, Nanos(*since)])?;
    }
    Ok(rows.len() as u64)
}
