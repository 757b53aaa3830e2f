//! How long sessions have been idle, as a histogram.

use crate::collect::postgres::part::{Constant, Part, Scope, Work};
use crate::collect::postgres::rows::Rows;
use crate::metrics::{Batch, Desc, Histogram};

pub(in crate::collect::postgres) static PROCESS_IDLE: Part =
    Part { name: "process_idle", default: false, scope: Scope::Server, work: Work::ProcessIdle };

pub(in crate::collect::postgres) static IDLE: Desc =
    Desc::histogram("pg_process_idle_seconds", "Idle time of server processes", &["state", "application_name"]);

/// The original's bounds, in seconds; the columns `le_N` of the query.
const BOUNDS: [u16; 9] = [1, 2, 5, 15, 30, 60, 90, 120, 300];

pub(in crate::collect::postgres) const SQL: &str = "SELECT state, application_name, count(*) AS all_, \
    sum(age) AS sum, count(*) FILTER (WHERE age <= 1) AS le_1, count(*) FILTER (WHERE age <= 2) AS le_2, \
    count(*) FILTER (WHERE age <= 5) AS le_5, count(*) FILTER (WHERE age <= 15) AS le_15, \
    count(*) FILTER (WHERE age <= 30) AS le_30, count(*) FILTER (WHERE age <= 60) AS le_60, \
    count(*) FILTER (WHERE age <= 90) AS le_90, count(*) FILTER (WHERE age <= 120) AS le_120, \
    count(*) FILTER (WHERE age <= 300) AS le_300 \
    FROM (SELECT state, coalesce(application_name, '') AS application_name, \
    extract(epoch FROM clock_timestamp() - state_change) AS age \
    FROM pg_stat_activity WHERE state LIKE 'idle%') AS idle GROUP BY 1, 2";

/// Writes a histogram for each state and application.
pub(in crate::collect::postgres) fn write(rows: &Rows, constant: &Constant, batch: &mut Batch) {
    let labels = IDLE.labels.iter().map(|name| rows.index(name)).collect::<Vec<_>>();
    let (Some(all), Some(sum)) = (rows.index("all_"), rows.index("sum")) else { return };
    let buckets: Vec<_> = BOUNDS.iter().filter_map(|bound| rows.index(&format!("le_{bound}"))).collect();
    for row in rows.iter() {
        let count = |index: usize| row.number(index).unwrap_or(0.0) as u64;
        let histogram = Histogram {
            bounds: BOUNDS.iter().map(|bound| f64::from(*bound)).collect(),
            cumulative: buckets.iter().chain([&all]).map(|index| count(*index)).collect(),
            sum: row.number(sum).unwrap_or(0.0),
        };
        let text = |index: &Option<usize>| index.and_then(|index| row.text(index)).unwrap_or_default();
        let mut pairs: Vec<_> = IDLE.labels.iter().copied().zip(labels.iter().map(text)).collect();
        pairs.extend(constant.missing(&IDLE.labels));
        batch.push_histogram_labelled(&IDLE, &pairs, histogram);
    }
}
