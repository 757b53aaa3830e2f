//! Alerts and posts as short as a test needs them, and a store in a folder.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use tidewatch::alert::policy::Policy;
use tidewatch::alert::route::Routes;
use tidewatch::alert::{Alert, Fingerprint, Labels, Post};
use tidewatch::clock::Clock;
use tidewatch::store::{SqliteStore, Store, StoreError};
use tidewatch::task::Tasks;
use tidewatch::telemetry::Telemetry;

/// A moment so many seconds after the tests' beginning of time.
pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

pub(crate) fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// A warning about one agent, of the cause `agent`.
pub(crate) fn firing(number: u64, starts: i64) -> Alert {
    let agent = format!("agent-{number}");
    let pairs = [("alertname", "AgentHeartbeatLate"), ("severity", "warning"), ("cause", "agent")];
    let mut labels = labels(&pairs);
    labels.insert("agent_id".to_owned(), agent);
    Alert {
        fingerprint: Fingerprint(number),
        firing: true,
        labels,
        annotations: self::labels(&[("summary", "late")]),
        starts_at: at(starts),
        ends_at: None,
        generator_url: "http://prometheus/graph".to_owned(),
    }
}

pub(crate) fn resolved(number: u64, starts: i64, ends: i64) -> Alert {
    Alert { firing: false, ends_at: Some(at(ends)), ..firing(number, starts) }
}

pub(crate) fn labelled(mut alert: Alert, name: &str, value: &str) -> Alert {
    alert.labels.insert(name.to_owned(), value.to_owned());
    alert
}

pub(crate) fn post(alerts: Vec<Alert>) -> Post {
    Post {
        source: "default".to_owned(),
        receiver: "tidewatch".to_owned(),
        group: 1,
        external_url: None,
        truncated: 0,
        reason: None,
        alerts,
        quarantined: Vec::new(),
        unkept: 0,
    }
}

/// Everything to all of `channels`, with the times that are usual.
pub(crate) fn policy(channels: &[&str]) -> Arc<Policy> {
    let routes = Routes::everything(channels.iter().map(ToString::to_string).collect());
    Arc::new(Policy { routes, ..Policy::default() })
}

/// Opens the store of a folder as a process does that starts.
pub(crate) fn open(folder: &Path, clock: &Clock) -> Result<Arc<dyn Store>, StoreError> {
    let telemetry = Telemetry::new();
    let tasks = Tasks::new(&telemetry);
    Ok(Arc::new(SqliteStore::open(folder, clock.clone(), &tasks, &telemetry)?))
}
