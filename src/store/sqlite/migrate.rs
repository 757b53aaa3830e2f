//! The schema's version and the steps from one to the next: numbered files, each run once, all in one transaction.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, TransactionBehavior};

use super::super::StoreError;
use super::connect;

/// Step N brings schema N to N + 1.
pub(super) const MIGRATIONS: &[&str] = &[
    include_str!("../migrations/0001_init.sql"),
    include_str!("../migrations/0002_long_tables.sql"),
    include_str!("../migrations/0003_account.sql"),
];

/// The newest schema that this program knows.
pub(super) const KNOWN: i64 = MIGRATIONS.len().cast_signed() as i64;

/// Marks the file as ours: "tide".
pub(super) const APPLICATION: u32 = 0x7469_6465;

/// The schema of an open database.
pub(super) fn version(db: &Connection) -> Result<i64, StoreError> {
    Ok(db.query_row("PRAGMA user_version", [], |row| row.get(0))?)
}

/// Runs the steps that are missing, after a copy was made of what is there.
pub(super) fn migrate(db: &mut Connection, file: &Path, steps: &[&str]) -> Result<(), StoreError> {
    let found = version(db)?;
    let done = usize::try_from(found).map_err(|_| StoreError::Damaged(format!("schema {found}")))?;
    if done >= steps.len() {
        return Ok(());
    }
    if found > 0 {
        let copy = copy_before(file, found);
        drop(std::fs::remove_file(&copy));
        tracing::info!(from = found, to = steps.len(), copy = %copy.display(), "the schema is brought up to date");
        backup(db, &copy)?;
    }
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for step in steps.iter().skip(done) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", steps.len().cast_signed())?;
    transaction.commit()?;
    Ok(())
}

/// Where the copy of an older schema lies.
fn copy_before(file: &Path, schema: i64) -> PathBuf {
    file.with_file_name(format!("tidewatch.schema-{schema}.db"))
}

/// Writes a consistent copy to a new file that only its owner reads, durably.
pub(in super::super) fn backup(db: &Connection, to: &Path) -> Result<(), StoreError> {
    let failed = |error: &dyn std::fmt::Display| StoreError::Unavailable(format!("{}: {error}", to.display()));
    let folder = to.parent().unwrap_or(Path::new(""));
    connect::create(folder, to).map_err(|error| failed(&error))?;
    let name = to.to_str().ok_or_else(|| failed(&"its name is not UTF-8"))?;
    let copied = db
        .execute("VACUUM INTO ?1", [name])
        .map_err(|error| failed(&error))
        .and_then(|_| std::fs::File::open(to).and_then(|file| file.sync_all()).map_err(|error| failed(&error)));
    if copied.is_err() {
        // Half a copy must not look like one.
        drop(std::fs::remove_file(to));
    }
    copied
}

/// Checks a whole database: that it is ours, and that its pages, indexes and references fit together.
pub(in super::super) fn check(db: &Connection, file: &Path) -> Result<(), StoreError> {
    let damaged = |what: &str| StoreError::Damaged(format!("{}: {what}", file.display()));
    let found = version(db)?;
    if found > KNOWN {
        return Err(StoreError::Newer { file: file.to_owned(), found, known: KNOWN });
    }
    let id: u32 = db.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    if found < 1 || id != APPLICATION {
        return Err(damaged("it is not a database of tidewatch"));
    }
    let verdict: String = db.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if verdict != "ok" {
        return Err(damaged(&verdict));
    }
    if db.prepare("PRAGMA foreign_key_check")?.exists([])? {
        return Err(damaged("a row refers to one that is not there"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_schema_is_copied_before_it_is_changed() {
        let folder = tempfile::tempdir().unwrap();
        let file = connect::file(folder.path());
        let mut db = connect::prepare(folder.path()).unwrap();
        db.execute("INSERT INTO source (name) VALUES ('kept')", []).unwrap();
        let steps = [MIGRATIONS, &["ALTER TABLE source ADD COLUMN colour TEXT"]].concat();
        migrate(&mut db, &file, &steps).unwrap();
        assert_eq!(version(&db).unwrap(), KNOWN + 1);
        db.execute("UPDATE source SET colour = 'blue'", []).unwrap();

        let copy = connect::reader(&copy_before(&file, KNOWN)).unwrap();
        assert_eq!(version(&copy).unwrap(), KNOWN);
        let name: String = copy.query_row("SELECT name FROM source", [], |row| row.get(0)).unwrap();
        assert_eq!(name, "kept");
        let id: u32 = copy.query_row("PRAGMA application_id", [], |row| row.get(0)).unwrap();
        assert_eq!(id, APPLICATION);
    }

    #[test]
    fn a_step_that_fails_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = connect::file(folder.path());
        let mut db = connect::prepare(folder.path()).unwrap();
        let steps = [MIGRATIONS, &["ALTER TABLE source ADD COLUMN colour TEXT", "SELECT * FROM nowhere"]].concat();
        assert!(migrate(&mut db, &file, &steps).is_err());
        assert_eq!(version(&db).unwrap(), KNOWN);
        assert!(db.prepare("SELECT colour FROM source").is_err());
    }
}
