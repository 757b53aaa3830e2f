//! Keys in groups: by what Lua patterns capture of their names.

use std::collections::BTreeMap;

use super::{Checks, Stopped};
use crate::collect::redis::info::Info;
use crate::collect::redis::reply;
use crate::metrics::{Batch, Desc};

/// More groups of a database than this are not counted.
const MOST: usize = 100_000;

static COUNT: Desc = Desc::gauge("redis_key_group_count", "redis_exporter: keys of the group.", &["db", "key_group"]);
static MEMORY: Desc = Desc::gauge(
    "redis_key_group_memory_usage_bytes",
    "redis_exporter: memory of the group's keys.",
    &["db", "key_group"],
);
static DISTINCT: Desc =
    Desc::gauge("redis_number_of_distinct_key_groups", "redis_exporter: groups of the database.", &["db"]);

pub(super) static DESCS: [&Desc; 3] = [&COUNT, &MEMORY, &DISTINCT];

/// One page of keys, grouped on the server: the patterns are Lua's. Returns the cursor, and name, keys, bytes of each
/// group.
const SCRIPT: &str = "
local page = redis.call('SCAN', ARGV[1], 'COUNT', ARGV[2])
local sums = {}
for _, key in ipairs(page[2]) do
  local name = 'unclassified'
  for i = 3, #ARGV do
    local match = {string.find(key, ARGV[i])}
    if match[1] then
      name = table.concat(match, '', 3)
      break
    end
  end
  local sum = sums[name] or {0, 0}
  sums[name] = {sum[1] + 1, sum[2] + (redis.call('MEMORY', 'USAGE', key) or 0)}
end
local rows = {}
for name, sum in pairs(sums) do
  rows[#rows + 1] = {name, sum[1], sum[2]}
end
return {page[1], rows}";

/// Writes the groups of every database that has keys.
pub(super) async fn write(checks: &mut Checks<'_>, info: &Info<'_>, batch: &mut Batch) -> Result<bool, Stopped> {
    for line in info.section("Keyspace") {
        let Some(db) = line.field.strip_prefix("db").and_then(|number| number.parse().ok()) else { continue };
        let Some(groups) = grouped(checks, db).await? else { return Ok(false) };
        batch.push(&DISTINCT, &[line.field], groups.len() as f64);
        for (name, (count, memory)) in cut(groups, checks.config.max_distinct_key_groups) {
            batch.push(&COUNT, &[line.field, &name], count);
            batch.push(&MEMORY, &[line.field, &name], memory);
        }
    }
    Ok(true)
}

type Groups = BTreeMap<String, (f64, f64)>;

async fn grouped(checks: &mut Checks<'_>, db: u32) -> Result<Option<Groups>, Stopped> {
    let mut groups = Groups::new();
    let mut cursor = "0".to_owned();
    loop {
        let config = checks.config;
        let asked = checks.ask_in(db, |commands| {
            let command = commands.cmd("EVAL").arg(SCRIPT).arg(0).arg(&cursor).arg(config.check_keys_batch_size);
            command.arg(&config.check_key_groups);
        });
        let replies = asked.await?;
        let [next, rows] = replies.first().map(reply::items).unwrap_or_default() else { return Err(Stopped::Refused) };
        for row in reply::items(rows) {
            let [name, count, memory] = reply::items(row) else { continue };
            let Some(name) = reply::text(name) else { continue };
            let group = groups.entry(name.into_owned()).or_default();
            group.0 += reply::number(count).unwrap_or_default();
            group.1 += reply::number(memory).unwrap_or_default();
        }
        if groups.len() > MOST {
            return Ok(None);
        }
        cursor = reply::text(next).ok_or(Stopped::Refused)?.into_owned();
        if cursor == "0" {
            return Ok(Some(groups));
        }
    }
}

/// The groups with the most memory, and the rest as `overflow`.
fn cut(groups: Groups, most: usize) -> Vec<(String, (f64, f64))> {
    let mut rows: Vec<_> = groups.into_iter().collect();
    if rows.len() <= most {
        return rows;
    }
    rows.sort_by(|a, b| b.1.1.total_cmp(&a.1.1).then_with(|| a.0.cmp(&b.0)));
    let rest = rows.split_off(most);
    let sum = rest.iter().fold((0.0, 0.0), |sum, (_, (count, memory))| (sum.0 + count, sum.1 + memory));
    rows.push(("overflow".into(), sum));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_biggest_groups_stay_and_the_rest_is_summed() {
        let groups = Groups::from([("a".into(), (1.0, 10.0)), ("b".into(), (2.0, 30.0)), ("c".into(), (3.0, 10.0))]);
        assert_eq!(cut(groups.clone(), 3).len(), 3);
        let rows = cut(groups, 1);
        assert_eq!(rows, [("b".to_owned(), (2.0, 30.0)), ("overflow".to_owned(), (4.0, 20.0))]);
    }
}
