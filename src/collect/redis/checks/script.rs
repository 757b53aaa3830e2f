//! Scripts of the operator, which return pairs of a name and a number.

use std::path::Path;

use tokio::io::AsyncReadExt;

use super::{Checks, Stopped};
use crate::collect::redis::reply;
use crate::metrics::{Batch, Desc};

/// No script is longer.
const MOST: u64 = 1 << 20;

/// So many values of a script are written.
const VALUES: usize = 1_000;

static VALUE: Desc = Desc::gauge("redis_script_values", "redis_exporter: a value of the script.", &["key", "filename"]);
static RESULT: Desc =
    Desc::gauge("redis_script_result", "redis_exporter: whether the script ran and gave numbers.", &["filename"]);

pub(super) static DESCS: [&Desc; 2] = [&VALUE, &RESULT];

/// Runs each script, and writes what it returns.
pub(super) async fn write(checks: &mut Checks<'_>, batch: &mut Batch) -> Result<bool, Stopped> {
    let mut whole = true;
    for path in &checks.config.script {
        let ran = run(checks, path, batch).await?;
        batch.push(&RESULT, &[&path.display().to_string()], f64::from(u8::from(ran)));
        whole &= ran;
    }
    Ok(whole)
}

async fn run(checks: &mut Checks<'_>, path: &Path, batch: &mut Batch) -> Result<bool, Stopped> {
    let Ok(script) = read(path).await else { return Ok(false) };
    let mut commands = ::redis::Pipeline::new();
    commands.cmd("EVAL").arg(script).arg(0);
    let replies = checks.ask(&commands).await?;
    let pairs = replies.first().map(reply::pairs).unwrap_or_default();
    let numbers: Option<Vec<_>> =
        pairs.iter().take(VALUES).map(|(name, value)| Some((name, reply::number(value)?))).collect();
    let Some(numbers) = numbers.filter(|_| !matches!(replies.first(), Some(::redis::Value::ServerError(_)))) else {
        return Ok(false);
    };
    for (name, value) in numbers {
        batch.push(&VALUE, &[name, &path.display().to_string()], value);
    }
    Ok(true)
}

async fn read(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    tokio::fs::File::open(path).await?.take(MOST).read_to_string(&mut text).await?;
    Ok(text)
}
