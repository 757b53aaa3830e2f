//! What is open, for a comparison with an Alertmanager's list, and what follows from it.

use rusqlite::{Connection, Row};

use super::apply::apply;
use super::convert::Nanos;
use super::intake;
use super::job::Tx;
use super::view::View;
use crate::alert::decide;
use crate::alert::policy::Policy;
use crate::alert::reconcile::{Differences, Heard, Open};
use crate::alert::{Counts, Fingerprint};
use crate::store::StoreError;

const OPEN: &str = "SELECT fingerprint, starts_at, held_until IS NOT NULL, absent_since IS NOT NULL, \
     alert_group.last_seen FROM source JOIN episode INDEXED BY episode_current ON episode.source = source.id \
     LEFT JOIN alert_group ON alert_group.id = episode.alert_group WHERE source.name = ?1 AND ends_at IS NULL";

const RECEIVERS: &str = "SELECT DISTINCT receiver FROM alert_group JOIN source ON source.id = alert_group.source \
     WHERE source.name = ?1 LIMIT 1000";

/// What is open of a source, and who posted for it.
pub(super) fn heard(db: &Connection, source: &str) -> rusqlite::Result<Heard> {
    let open = |row: &Row<'_>| {
        Ok(Open {
            fingerprint: Fingerprint(row.get::<_, i64>(0)?.cast_unsigned()),
            starts_at: row.get::<_, Nanos>(1)?.0,
            held: row.get(2)?,
            absent: row.get(3)?,
            heard_at: row.get::<_, Option<Nanos>>(4)?.map(|at| at.0),
        })
    };
    let open = db.prepare_cached(OPEN)?.query_map([source], open)?.collect::<rusqlite::Result<_>>()?;
    let receivers = db.prepare_cached(RECEIVERS)?.query_map([source], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(Heard { open, receivers })
}

/// Decides and keeps what a comparison says.
pub(super) fn settle(
    tx: &Tx<'_>,
    source: &str,
    differences: &Differences,
    policy: &Policy,
) -> Result<Counts, StoreError> {
    let id = intake::source(tx.db, source)?;
    let mut view = View { db: tx.db, source: id, now: tx.now };
    let changes = decide::settle(&mut view, source, differences, policy, tx.now)?;
    apply(tx, id, None, &changes)?;
    tx.count(changes.counts);
    Ok(changes.counts)
}
