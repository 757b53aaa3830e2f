//! What a sentinel watches.

use ::redis::{Pipeline, Value};

use super::info::{Info, part, word};
use super::link::{Down, Session};
use super::reply;
use crate::metrics::{Batch, Desc};

/// So many masters are asked about.
const MOST: usize = 200;

/// A longer answer is cut where it is a label.
const LONGEST: usize = 200;

const MASTER: &[&str] = &["master_name", "master_address"];

static STATUS: Desc = Desc::gauge(
    "redis_sentinel_master_status",
    "redis_exporter: whether the master is well; the label says how it is.",
    &["master_name", "master_address", "master_status"],
);
static SLAVES: Desc = Desc::gauge("redis_sentinel_master_slaves", "redis_exporter: replicas of the master.", MASTER);
static SENTINELS: Desc =
    Desc::gauge("redis_sentinel_master_sentinels", "redis_exporter: sentinels that watch the master.", MASTER);
static OK_SLAVES: Desc =
    Desc::gauge("redis_sentinel_master_ok_slaves", "redis_exporter: replicas that are not down.", MASTER);
static OK_SENTINELS: Desc =
    Desc::gauge("redis_sentinel_master_ok_sentinels", "redis_exporter: sentinels that are not down.", MASTER);
static QUORUM: Desc = Desc::gauge(
    "redis_sentinel_master_ckquorum_status",
    "redis_exporter: whether enough sentinels can be reached for a failover.",
    &["master_name", "message"],
);

/// Fields of `SENTINEL MASTERS`, each with its family and what its value is divided by.
static FIELDS: [(&str, Desc, f64); 6] = [
    (
        "config-epoch",
        Desc::gauge("redis_sentinel_master_config_epoch", "redis_exporter: goes up with each failover.", MASTER),
        1.0,
    ),
    (
        "last-ok-ping-reply",
        Desc::gauge(
            "redis_sentinel_master_last_ok_ping_reply_seconds",
            "redis_exporter: seconds since the master answered a ping.",
            MASTER,
        ),
        1e3,
    ),
    (
        "quorum",
        Desc::gauge("redis_sentinel_master_setting_ckquorum", "redis_exporter: sentinels that must agree.", MASTER),
        1.0,
    ),
    (
        "failover-timeout",
        Desc::gauge(
            "redis_sentinel_master_setting_failover_timeout",
            "redis_exporter: milliseconds for a failover.",
            MASTER,
        ),
        1.0,
    ),
    (
        "parallel-syncs",
        Desc::gauge(
            "redis_sentinel_master_setting_parallel_syncs",
            "redis_exporter: replicas that may be re-synchronised at once.",
            MASTER,
        ),
        1.0,
    ),
    (
        "down-after-milliseconds",
        Desc::gauge(
            "redis_sentinel_master_setting_down_after_milliseconds",
            "redis_exporter: a master that is silent for so long is down.",
            MASTER,
        ),
        1.0,
    ),
];

pub(super) fn descs() -> impl Iterator<Item = &'static Desc> {
    let own = [&STATUS, &SLAVES, &SENTINELS, &OK_SLAVES, &OK_SENTINELS, &QUORUM];
    own.into_iter().chain(FIELDS.iter().map(|(_, desc, _)| desc))
}

/// Writes what `INFO` tells: `master0:name=main,status=ok,address=10.0.0.1:6379,slaves=1,sentinels=3`.
pub(super) fn write_info(info: &Info<'_>, batch: &mut Batch) {
    for line in info.section("Sentinel").take(MOST) {
        let is_master = line.field.strip_prefix("master").is_some_and(|number| number.parse::<u32>().is_ok());
        if !is_master {
            continue;
        }
        let [name, address, status] = ["name", "address", "status"].map(|part| word(line.value, part));
        batch.push(&STATUS, &[name, address, status], f64::from(u8::from(status == "ok")));
        for (desc, field) in [(&SLAVES, "slaves"), (&SENTINELS, "sentinels")] {
            if let Some(value) = part(line.value, field) {
                batch.push(desc, &[name, address], value);
            }
        }
    }
}

/// What there is to know about one master.
pub(super) struct Master {
    name: String,
    address: String,
    numbers: Vec<(usize, f64)>,
    ok: Option<(usize, usize)>,
    quorum: Option<(bool, String)>,
}

/// Asks about each master of a reply of `SENTINEL MASTERS`.
pub(super) async fn ask(session: &mut Session, masters: &Value) -> Result<Vec<Master>, Down> {
    let mut found: Vec<Master> = reply::items(masters).iter().take(MOST).filter_map(master).collect();
    let mut commands = Pipeline::new();
    for master in &found {
        for question in ["SENTINELS", "SLAVES", "CKQUORUM"] {
            commands.cmd("SENTINEL").arg(question).arg(&master.name);
        }
    }
    let replies = session.ask(&commands).await?;
    for (master, replies) in found.iter_mut().zip(replies.chunks_exact(3)) {
        master.ok = match replies {
            [Value::Array(sentinels), Value::Array(slaves), _] => Some((well(sentinels) + 1, well(slaves))),
            _ => None,
        };
        master.quorum = match &replies[2] {
            Value::ServerError(error) => {
                Some((false, format!("{} {}", error.code(), error.details().unwrap_or_default())))
            }
            answer => reply::text(answer).map(|text| (true, text.into_owned())),
        };
    }
    Ok(found)
}

/// Writes what was learnt.
pub(super) fn write(masters: &[Master], batch: &mut Batch) {
    for (at, (_, desc, _)) in FIELDS.iter().enumerate() {
        for master in masters {
            if let Some((_, value)) = master.numbers.iter().find(|(field, _)| *field == at) {
                batch.push(desc, &[&master.name, &master.address], *value);
            }
        }
    }
    for master in masters {
        if let Some((sentinels, slaves)) = master.ok {
            batch.push(&OK_SENTINELS, &[&master.name, &master.address], sentinels as f64);
            batch.push(&OK_SLAVES, &[&master.name, &master.address], slaves as f64);
        }
        if let Some((met, message)) = &master.quorum {
            let message: String = message.chars().take(LONGEST).collect();
            batch.push(&QUORUM, &[&master.name, message.trim()], f64::from(u8::from(*met)));
        }
    }
}

fn master(value: &Value) -> Option<Master> {
    let text = |name: &str| reply::get(value, name).and_then(reply::text);
    let numbers = FIELDS
        .iter()
        .enumerate()
        .filter_map(|(at, (field, _, scale))| Some((at, reply::get(value, field).and_then(reply::number)? / scale)));
    Some(Master {
        name: text("name")?.into_owned(),
        address: format!("{}:{}", text("ip")?, text("port")?),
        numbers: numbers.collect(),
        ok: None,
        quorum: None,
    })
}

/// How many of these are not down, in nobody's eyes.
fn well(servers: &[Value]) -> usize {
    let is_well = |server: &&Value| {
        let flags = reply::get(server, "flags").and_then(reply::text);
        flags.is_some_and(|flags| !flags.contains("s_down") && !flags.contains("o_down"))
    };
    servers.iter().filter(is_well).count()
}
