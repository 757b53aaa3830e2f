//! A post, or a chunk of one, and what was held and is due: decided and kept in one transaction.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::apply::apply;
use super::convert::{Json, Nanos, time};
use super::intake;
use super::job::Tx;
use super::view::View;
use crate::alert::decide::{decide, release};
use crate::alert::policy::Policy;
use crate::alert::{Alert, Counts, Fingerprint, Post};
use crate::store::StoreError;

/// A post is committed in chunks of so many alerts, and others get their turn between them.
pub(super) const CHUNK: usize = 2_000;

/// A post says how many alerts it lacks, and nothing proves it: the ledger must not overflow by it.
const MOST_TRUNCATED: u64 = 1_000_000;

/// So many timers are worked off in one transaction.
const MOST_TIMERS: i64 = 500;

/// A group's last post is known to the minute, so that a repeat of it writes nothing.
const SEEN_WITHIN: Duration = Duration::from_mins(1);

const GROUP: &str = "SELECT id, receiver = ?3 AND external_url IS ?4 AND last_seen BETWEEN ?6 AND ?5 AND complete = ?7 \
     FROM alert_group WHERE source = ?1 AND hash = ?2";

const NEW_GROUP: &str = "INSERT INTO alert_group (source, hash, receiver, external_url, last_seen, complete) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

const SEEN: &str =
    "UPDATE alert_group SET receiver = ?2, external_url = ?3, last_seen = ?4, complete = ?5 WHERE id = ?1";

const PRESENT: &str = "SELECT id, fingerprint FROM episode INDEXED BY episode_present \
     WHERE alert_group = ?1 AND ends_at IS NULL AND absent_since IS NULL AND held_until IS NULL";

const ABSENT: &str = "UPDATE episode SET absent_since = ?2 WHERE id = ?1";

const DUE: &str = "SELECT subject, kind FROM timer WHERE due_at <= ?1 ORDER BY due_at, id LIMIT ?2";

const TIMER_DONE: &str = "DELETE FROM timer WHERE subject = ?1 AND kind = ?2";

const NEXT: &str = "SELECT min(due_at) FROM timer";

const HELD: &str = "SELECT source.id AS source_id, source.name, fingerprint, starts_at, labels, annotations, \
     generator_url FROM episode JOIN source ON source.id = episode.source WHERE episode.id = ?1";

/// Takes the alerts of `range`. What belongs to the post as a whole goes with its first and its last chunk.
pub(super) fn chunk(tx: &Tx<'_>, post: &Post, range: Range<usize>, policy: &Policy) -> Result<Counts, StoreError> {
    let (first, last) = (range.start == 0, range.end >= post.alerts.len());
    let source = intake::source(tx.db, &post.source)?;
    let group = seen(tx, source, post)?;
    let alerts = post.alerts.get(range).unwrap_or_default();
    let mut view = View { db: tx.db, source, now: tx.now };
    let changes = decide(&mut view, &post.source, alerts, policy, tx.now)?;
    apply(tx, source, Some(group.id), &changes)?;
    let mut counts = changes.counts;
    if first {
        let quarantined = post.quarantined.len() as u64 + post.unkept;
        let truncated = post.truncated.min(MOST_TRUNCATED);
        counts.truncated += truncated;
        counts.quarantined += quarantined;
        counts.received += truncated + quarantined;
        intake::quarantine(tx, source, &post.quarantined)?;
    }
    if last && complete(post) && !group.new {
        mark_absent(tx, group.id, post)?;
    }
    tx.count(counts);
    Ok(counts)
}

/// Whether the post shows its group whole: what it lacks is then gone, silenced or inhibited.
fn complete(post: &Post) -> bool {
    post.truncated == 0 && post.quarantined.is_empty()
}

/// The group of a post.
struct Group {
    id: i64,
    /// No post showed it before, so there is nothing that it could lack.
    new: bool,
}

fn seen(tx: &Tx<'_>, source: i64, post: &Post) -> rusqlite::Result<Group> {
    let (hash, now) = (post.group.cast_signed(), Nanos(tx.now));
    let lately = Nanos(tx.now.saturating_sub(SEEN_WITHIN).unwrap_or(Timestamp::MIN));
    let (receiver, url, complete) = (&post.receiver, &post.external_url, complete(post));
    let asked = params![source, hash, receiver, url, now, lately, complete];
    let known = |row: &Row<'_>| Ok((row.get(0)?, row.get::<_, bool>(1)?));
    let known = tx.db.prepare_cached(GROUP)?.query_row(asked, known).optional()?;
    let Some((id, unchanged)) = known else {
        let row = params![source, hash, receiver, url, now, complete];
        return Ok(Group { id: tx.db.prepare_cached(NEW_GROUP)?.insert(row)?, new: true });
    };
    if !unchanged {
        tx.db.prepare_cached(SEEN)?.execute(params![id, receiver, url, now, complete])?;
    }
    Ok(Group { id, new: false })
}

fn mark_absent(tx: &Tx<'_>, group: i64, post: &Post) -> rusqlite::Result<()> {
    let posted: BTreeSet<i64> = post.alerts.iter().map(|alert| alert.fingerprint.0.cast_signed()).collect();
    let mut present = tx.db.prepare_cached(PRESENT)?;
    let present = present.query_map([group], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let present: Vec<(i64, i64)> = present.collect::<rusqlite::Result<_>>()?;
    for (id, _) in present.iter().filter(|(_, fingerprint)| !posted.contains(fingerprint)) {
        tx.db.prepare_cached(ABSENT)?.execute(params![id, Nanos(tx.now)])?;
    }
    Ok(())
}

/// Does what has fallen due. Returns when the next timer does: in the past, if there was too much for one transaction.
pub(super) fn tick(tx: &Tx<'_>, policy: &Policy) -> Result<Option<Timestamp>, StoreError> {
    let mut due = tx.db.prepare_cached(DUE)?;
    let due = due.query_map(params![Nanos(tx.now), MOST_TIMERS], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let due: Vec<(String, String)> = due.collect::<rusqlite::Result<_>>()?;
    for (subject, kind) in due {
        tx.db.prepare_cached(TIMER_DONE)?.execute([&subject, &kind])?;
        let episode = subject.strip_prefix("episode:").and_then(|id| id.parse().ok());
        if let Some(episode) = episode {
            released(tx, episode, policy)?;
        }
    }
    next_timer(tx.db)
}

/// When the next timer falls due.
pub(super) fn next_timer(db: &Connection) -> Result<Option<Timestamp>, StoreError> {
    let next: Option<Nanos> = db.prepare_cached(NEXT)?.query_row([], |row| row.get(0))?;
    Ok(next.map(|at| at.0))
}

fn released(tx: &Tx<'_>, episode: i64, policy: &Policy) -> Result<(), StoreError> {
    let Some((source, name, alert)) = held(tx.db, episode)? else { return Ok(()) };
    let mut view = View { db: tx.db, source, now: tx.now };
    let changes = release(&mut view, &name, &alert, policy, tx.now)?;
    apply(tx, source, None, &changes)
}

fn held(db: &Connection, episode: i64) -> rusqlite::Result<Option<(i64, String, Alert)>> {
    let read = |row: &Row<'_>| {
        let alert = Alert {
            fingerprint: Fingerprint(row.get::<_, i64>("fingerprint")?.cast_unsigned()),
            firing: true,
            labels: row.get::<_, Json>("labels")?.0,
            annotations: row.get::<_, Json>("annotations")?.0,
            starts_at: time(row, "starts_at")?,
            ends_at: None,
            generator_url: row.get("generator_url")?,
        };
        Ok((row.get("source_id")?, row.get("name")?, alert))
    };
    db.prepare_cached(HELD)?.query_row([episode], read).optional()
}
