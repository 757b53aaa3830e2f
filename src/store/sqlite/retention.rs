//! Lets go of what is old. A reader finds it, so that the writer only deletes, a little at a time.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::params;

use super::convert::Nanos;
use super::job::Tx;
use crate::store::{StoreError, Subject};

/// Incidents with their episodes and messages, episodes without an incident, and notices.
const HISTORY: Duration = Duration::from_hours(400 * 24);

/// Groups that no post has shown any more.
const GROUPS: Duration = Duration::from_hours(30 * 24);

/// How often is looked, when the last look found no more than it could delete.
pub(super) const PAUSE: Duration = Duration::from_hours(1);

/// So many of each are deleted in one transaction.
const MOST: usize = 200;

/// Dead letters stay until somebody decides about them, and keep their incident.
const INCIDENTS: &str = "SELECT id FROM incident WHERE resolved_at < ?1 AND NOT EXISTS (SELECT 1 FROM outbox \
     WHERE subject = 'incident:' || incident.id AND state IN ('pending', 'dead')) LIMIT ?2";

const LOOSE_EPISODES: &str = "SELECT id FROM episode WHERE incident IS NULL AND ends_at < ?1 LIMIT ?2";

const NOTICES: &str = "SELECT id FROM outbox WHERE subject >= 'notice:' AND subject < 'notice;' AND settled_at < ?1 \
     AND state NOT IN ('pending', 'dead') LIMIT ?2";

/// Goes over all that is open, once an hour, where an old group is.
const OLD_GROUPS: &str = "SELECT id FROM alert_group WHERE last_seen < ?1 AND id NOT IN (SELECT alert_group \
     FROM episode INDEXED BY episode_current WHERE ends_at IS NULL AND alert_group IS NOT NULL) LIMIT ?2";

/// What an incident takes with it, in the order of the references. An incident that has re-opened meanwhile stays.
const WITH_INCIDENT: [&str; 2] = [
    "DELETE FROM episode WHERE incident = ?1 AND EXISTS (SELECT 1 FROM incident WHERE id = ?1 AND resolved_at < ?2)",
    "DELETE FROM incident WHERE id = ?1 AND resolved_at < ?2",
];
const WITH_SUBJECT: [&str; 2] = ["DELETE FROM outbox WHERE subject = ?1", "DELETE FROM thread WHERE subject = ?1"];

const EPISODE: &str = "DELETE FROM episode WHERE id = ?1";
const NOTICE: &str = "DELETE FROM outbox WHERE id = ?1";
const GROUP: &str = "DELETE FROM alert_group WHERE id = ?1 AND last_seen < ?2";

/// What has grown old.
#[derive(Debug, Default)]
pub(super) struct Old {
    incidents: Vec<i64>,
    episodes: Vec<i64>,
    notices: Vec<i64>,
    groups: Vec<i64>,
}

impl Old {
    fn kinds(&self) -> [&Vec<i64>; 4] {
        [&self.incidents, &self.episodes, &self.notices, &self.groups]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.kinds().iter().all(|ids| ids.is_empty())
    }

    /// Whether there may be more of it.
    pub(super) fn is_full(&self) -> bool {
        self.kinds().iter().any(|ids| ids.len() >= MOST)
    }
}

fn before(now: Timestamp, age: Duration) -> Nanos {
    Nanos(now.saturating_sub(age).unwrap_or(Timestamp::MIN))
}

/// Finds what has grown old.
pub(super) fn find(tx: &Tx<'_>) -> Result<Old, StoreError> {
    let ids = |sql: &str, age| -> rusqlite::Result<Vec<i64>> {
        let mut rows = tx.db.prepare_cached(sql)?;
        rows.query_map(params![before(tx.now, age), MOST.cast_signed()], |row| row.get(0))?.collect()
    };
    Ok(Old {
        incidents: ids(INCIDENTS, HISTORY)?,
        episodes: ids(LOOSE_EPISODES, HISTORY)?,
        notices: ids(NOTICES, HISTORY)?,
        groups: ids(OLD_GROUPS, GROUPS)?,
    })
}

/// Deletes it.
pub(super) fn delete(tx: &Tx<'_>, old: &Old) -> Result<(), StoreError> {
    for id in &old.incidents {
        let mut gone = 0;
        for sql in WITH_INCIDENT {
            gone = tx.db.prepare_cached(sql)?.execute(params![id, before(tx.now, HISTORY)])?;
        }
        if gone > 0 {
            for sql in WITH_SUBJECT {
                tx.db.prepare_cached(sql)?.execute([Subject::Incident(*id)])?;
            }
        }
    }
    for id in &old.episodes {
        tx.db.prepare_cached(EPISODE)?.execute([id])?;
    }
    for id in &old.notices {
        tx.db.prepare_cached(NOTICE)?.execute([id])?;
    }
    for id in &old.groups {
        tx.db.prepare_cached(GROUP)?.execute(params![id, before(tx.now, GROUPS)])?;
    }
    Ok(())
}
