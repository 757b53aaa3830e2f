//! Databases of every schema open and go on; a schema is never edited.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;
use tidewatch::alert::{Kind, Post, Quarantined};
use tidewatch::store::restore;

use super::file::file;
use super::{Bench, MINUTE, OPEN};
use crate::support::alerts::{at, firing, post, resolved};

/// The newest schema, and a file of each.
const NEWEST: usize = 3;

fn fixture(schema: usize) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/db/schema-{schema}.db"))
}

/// Writes the fixture: `cargo test --test it bless_the_database -- --ignored`. Once for each schema, then never again.
#[tokio::test]
#[ignore = "it writes the fixture"]
async fn bless_the_database() {
    let bench = Bench::new(&["slack", "mail"]);
    bench.accept(vec![firing(1, 80), firing(2, 90)]).await;
    bench.deliver("slack").await;
    bench.accept(vec![resolved(1, 80, 95)]).await;
    bench.accept(vec![firing(1, 85)]).await;
    let quarantined = vec![Quarantined { raw: b"{".to_vec(), why: "cut off".to_owned() }];
    let odd = Post { source: "paris".to_owned(), quarantined, ..post(vec![resolved(7, 80, 90)]) };
    bench.store.accept(odd, Arc::clone(&bench.policy)).await.unwrap();
    bench.store.watchdog("default").await.unwrap();
    bench.claim_one("mail").await;
    drop(std::fs::remove_file(fixture(NEWEST)));
    bench.store.backup(&fixture(NEWEST)).await.unwrap();
}

#[tokio::test]
async fn a_schema_is_never_edited() {
    const SCHEMA: &str = "SELECT group_concat(sql, ';') FROM (SELECT sql FROM sqlite_schema ORDER BY type, name)";
    let bench = Bench::new(&[]);
    let schema = |file: &Path| {
        let db = Connection::open(file).unwrap();
        db.query_row(SCHEMA, [], |row| row.get::<_, String>(0)).unwrap()
    };
    let copy = bench.path().join("copy.db");
    std::fs::copy(fixture(NEWEST), &copy).unwrap();
    assert_eq!(schema(&copy), schema(&file(bench.path())), "a change is a migration of its own");
}

#[tokio::test]
async fn a_database_of_schema_1_opens_and_goes_on() {
    goes_on(1).await;
}

#[tokio::test]
async fn a_database_of_schema_2_opens_and_goes_on() {
    goes_on(2).await;
}

#[tokio::test]
async fn a_database_of_schema_3_opens_and_goes_on() {
    goes_on(3).await;
}

/// The files of all schemas hold the same.
async fn goes_on(schema: usize) {
    let mut bench = Bench::new(&["slack", "mail"]);
    bench.store.close().await;
    restore(&fixture(schema), bench.path()).unwrap();
    bench.store = OPEN(bench.path(), &bench.clock).unwrap();
    assert_eq!(bench.tick().await, Some(130), "one is held");
    assert_eq!(bench.accept(vec![firing(2, 90)]).await.repeated, 1);
    let mail = bench.deliver("mail").await;
    assert_eq!((mail.kind, mail.attempt, mail.maybe_duplicate), (Kind::Opened, 2, true));
    bench.clock.advance(MINUTE);
    bench.tick().await;
    let incident = bench.store.incidents(true, 10).await.unwrap().remove(0);
    assert_eq!((incident.cause.as_str(), incident.open, incident.total), ("agent", 2, 2));
    assert_eq!(bench.store.condition().await.unwrap().watchdogs, [("default".to_owned(), at(100))]);
    bench.ledger().await;
}
