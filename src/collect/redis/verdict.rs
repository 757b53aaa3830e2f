//! How Redis is, in one line for a person.

use jiff::Timestamp;

use super::info::Info;
use crate::facts::{ServiceState, State};

/// The service's name in `health`.
const SERVICE: &str = "redis";

/// From this share of `maxmemory` somebody should look.
const FULL: f64 = 0.9;

/// What of a server that answers somebody should look at.
pub(super) fn findings(info: &str) -> Vec<String> {
    let info = Info::parse(info);
    let mut found = Vec::new();
    let mut note = |bad: bool, what: String| {
        if bad {
            found.push(what);
        }
    };
    note(info.get("loading") == "1", "is loading its data".into());
    note(info.get("rdb_last_bgsave_status") == "err", "its last snapshot failed".into());
    note(info.get("aof_last_write_status") == "err", "its last write to the append-only file failed".into());
    note(info.get("role") == "slave" && info.get("master_link_status") == "down", "has lost its master".into());
    note(info.get("cluster_state") == "fail", "its cluster takes no queries".into());
    if let (Some(used), Some(most)) = (info.number("used_memory"), info.number("maxmemory").filter(|most| *most > 0.0))
    {
        let share = used / most;
        note(share >= FULL, format!("uses {:.0} % of its memory", share * 100.0));
    }
    found
}

/// One server's result, in words.
pub(super) struct Result<'r> {
    pub(super) name: &'r str,
    /// What to type to ask it.
    pub(super) cli: String,
    pub(super) down: Option<String>,
    pub(super) findings: &'r [String],
}

/// The state of all servers together: the worst of them.
pub(super) fn of(results: &[Result<'_>], now: Timestamp) -> ServiceState {
    let down: Vec<_> = results.iter().filter(|result| result.down.is_some()).collect();
    let odd: Vec<_> = results.iter().filter(|result| !result.findings.is_empty()).collect();
    let (state, why, next) = if let Some(first) = down.first() {
        let words: Vec<_> =
            down.iter().map(|it| format!("{}: {}", it.name, it.down.as_deref().unwrap_or_default())).collect();
        (State::Critical, words.join("; "), format!("{} ping", first.cli))
    } else if let Some(first) = odd.first() {
        let words: Vec<_> = odd.iter().map(|it| format!("{} {}", it.name, it.findings.join(", "))).collect();
        (State::Warning, words.join("; "), format!("{} info", first.cli))
    } else {
        (State::Ok, format!("{} of {} answer", results.len(), results.len()), String::new())
    };
    ServiceState { service: SERVICE.into(), state, since: now, why, next }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_server_is_told_with_the_next_command() {
        let full = findings("used_memory:95\nmaxmemory:100\nrole:slave\nmaster_link_status:down\n");
        assert_eq!(full, ["has lost its master", "uses 95 % of its memory"]);
        let none = findings("used_memory:95\nmaxmemory:0\nrole:master\nrdb_last_bgsave_status:ok\n");
        let result = |name, down: Option<&str>, findings| Result {
            name,
            cli: "redis-cli -h h".into(),
            down: down.map(str::to_owned),
            findings,
        };
        let now = Timestamp::UNIX_EPOCH;
        let state = of(&[result("a", None, &none)], now);
        assert_eq!((state.state, state.why.as_str(), state.next.as_str()), (State::Ok, "1 of 1 answer", ""));
        let state = of(&[result("a", None, &full), result("b", None, &none)], now);
        assert_eq!((state.state, state.next.as_str()), (State::Warning, "redis-cli -h h info"));
        let state = of(&[result("a", None, &full), result("b", Some("no answer"), &none)], now);
        assert_eq!((state.state, state.why.as_str()), (State::Critical, "b: no answer"));
    }
}
