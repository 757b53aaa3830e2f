//! The estimates of bloat against what `pgstattuple` finds when it reads everything.

use super::{Config, exposition, target, value};
use crate::support::postgres::Server;

/// Tables as they grow and shrink; each with a B-tree.
const TABLES: &str = "CREATE EXTENSION pgstattuple; \
    CREATE TABLE packed (a int PRIMARY KEY, b text); CREATE TABLE holes (LIKE packed INCLUDING ALL); \
    CREATE TABLE loose (LIKE packed INCLUDING ALL) WITH (fillfactor = 60); \
    CREATE TABLE sparse (a int PRIMARY KEY, b text, c int, d bigint); \
    INSERT INTO packed SELECT n, repeat('x', 100) FROM generate_series(1, 20000) AS n; \
    INSERT INTO holes SELECT * FROM packed; INSERT INTO loose SELECT * FROM packed; \
    INSERT INTO sparse SELECT n, CASE WHEN n % 2 = 0 THEN repeat('y', 60) END, n, NULL FROM generate_series(1, 20000) AS n; \
    DELETE FROM holes WHERE a % 4 > 0";

/// The share of a table that is free beyond what its fill factor leaves free on purpose.
fn free(table: &str, fill: f64) -> String {
    format!(
        "SELECT greatest(0, (free_space + dead_tuple_len) / table_len::float - (1 - {fill})) FROM pgstattuple('{table}')"
    )
}

/// The share of an index's leaves that is free beyond the tenth that is left free on purpose.
fn loose(index: &str) -> String {
    format!("SELECT greatest(0, 1 - avg_leaf_density / 90) FROM pgstatindex('{index}')")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_estimates_are_near_what_reading_everything_finds() {
    let server = Server::start(15, &["autovacuum = off"]).await;
    server.sql("postgres", TABLES).await;
    server.sql("postgres", "VACUUM ANALYZE").await;
    let measured = async |sql: String| server.value("postgres", &sql).await.unwrap().parse::<f64>().unwrap();
    let told = async || {
        let mut config = target(Config::default(), "main", &server, "postgres");
        config.parts.include = vec!["bloat_tables".into(), "bloat_indexes".into()];
        let text = exposition(config).await;
        move |kind: &str, labels: &str| {
            let of = |family: &str| {
                let series = format!("pg_bloat_{kind}{family}{{datname=\"postgres\",schemaname=\"public\",{labels}}}");
                value(&text, &series).unwrap_or_else(|| panic!("{series}: {text}"))
            };
            of("_bytes") / of("_size_bytes")
        }
    };
    let share = told().await;
    for (table, fill) in [("packed", 1.0), ("holes", 1.0), ("loose", 0.6), ("sparse", 1.0)] {
        let (estimate, truth) = (share("table", &format!("relname=\"{table}\"")), measured(free(table, fill)).await);
        assert!((estimate - truth).abs() < 0.06, "{table}: estimated {estimate:.3}, measured {truth:.3}");
        let index = format!("{table}_pkey");
        let (estimate, truth) =
            (share("index", &format!("relname=\"{table}\",indexrelname=\"{index}\"")), measured(loose(&index)).await);
        assert!((estimate - truth).abs() < 0.06, "{index}: estimated {estimate:.3}, measured {truth:.3}");
    }
    assert!(share("table", "relname=\"holes\"") > 0.7, "three of four rows are gone, their room is not");
    assert!(share("index", "relname=\"holes\",indexrelname=\"holes_pkey\"") > 0.6);

    server.sql("postgres", "VACUUM FULL holes").await;
    server.sql("postgres", "ANALYZE holes").await;
    let share = told().await;
    for share in [share("table", "relname=\"holes\""), share("index", "relname=\"holes\",indexrelname=\"holes_pkey\"")]
    {
        assert!(share < 0.1, "the room is given back: {share:.3}");
    }
}
