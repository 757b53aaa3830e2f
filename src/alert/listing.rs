//! What an Alertmanager answers at `GET /api/v2/alerts`: what fires there, whether it tells anybody, and whom.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::webhook::{Limits, Raw, kept};
use super::{Alert, Fingerprint};

/// What an Alertmanager does with an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It tells its receivers.
    Active,
    /// It is silenced, inhibited or muted: nobody is told, of its end neither.
    Suppressed,
    /// It has just come in.
    #[serde(other)]
    Unprocessed,
}

/// One alert of the list.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// As a post would have it.
    pub alert: Alert,
    /// What is done with it.
    pub state: State,
    /// The receivers that its routes lead to.
    pub receivers: Vec<String>,
}

/// All that fires at one Alertmanager.
#[derive(Clone, Debug, PartialEq)]
pub struct Listing {
    /// When it started: what began before, it may have forgotten.
    pub started_at: Timestamp,
    /// By fingerprint.
    pub alerts: BTreeMap<Fingerprint, Listed>,
}

#[derive(Deserialize)]
struct Extra {
    status: Status,
    #[serde(default)]
    receivers: Vec<Receiver>,
}

#[derive(Deserialize)]
struct Status {
    state: State,
}

#[derive(Deserialize)]
struct Receiver {
    name: String,
}

/// What matters of `GET /api/v2/status`.
#[derive(Deserialize)]
struct Uptime {
    /// The moment of the start, whatever the name says.
    uptime: Timestamp,
}

impl Listing {
    /// Reads the bodies of both answers.
    ///
    /// # Errors
    /// They are not an Alertmanager's, or hold more than is taken: a part of a list says nothing of what it lacks.
    pub fn read(status: &[u8], alerts: &[u8], limits: &Limits, now: Timestamp) -> Result<Self, String> {
        let Uptime { uptime } = serde_json::from_slice(status).map_err(|_| "its status has no `uptime`")?;
        let raw: Vec<&RawValue> = serde_json::from_slice(alerts).map_err(|_| "its alerts are no list")?;
        if raw.len() > limits.alerts {
            return Err(format!("it lists {} alerts, above {}", raw.len(), limits.alerts));
        }
        let mut alerts = BTreeMap::new();
        for raw in raw {
            let whole = raw.get();
            let Extra { status, receivers } = serde_json::from_str(whole).map_err(|_| "an alert has no `status`")?;
            let raw: Raw<'_, IgnoredAny> = serde_json::from_str(whole).map_err(|_| "an alert is none")?;
            let alert = kept(true, raw, limits, now)?;
            let receivers = receivers.into_iter().map(|receiver| receiver.name).collect();
            alerts.insert(alert.fingerprint, Listed { alert, state: status.state, receivers });
        }
        Ok(Self { started_at: uptime, alerts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &[u8] = br#"{"cluster":{"status":"disabled"},"config":{"original":"x"},"uptime":"2026-11-21T02:00:00.5Z","versionInfo":{}}"#;

    fn read(alerts: &str) -> Result<Listing, String> {
        Listing::read(STATUS, alerts.as_bytes(), &Limits { alerts: 2, ..Limits::default() }, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn the_answers_of_a_real_alertmanager_are_read() {
        let listing = read(
            r#"[{"annotations":{"summary":"s"},"endsAt":"2026-11-21T02:53:00.000Z","fingerprint":"c56287de57787568",
            "receivers":[{"name":"team.ops-a"}],"startsAt":"2026-11-21T02:49:00.000Z",
            "status":{"inhibitedBy":[],"silencedBy":["5"],"state":"suppressed"},"updatedAt":"2026-11-21T02:49:00.001Z",
            "generatorURL":"javascript:x","labels":{"agent_id":"alpha","alertname":"AgentOffline","instance":"alpha",
            "severity":"critical"}}]"#,
        );
        let listing = listing.unwrap();
        assert_eq!(listing.started_at, "2026-11-21T02:00:00.5Z".parse().unwrap());
        let listed = &listing.alerts[&Fingerprint(0xc562_87de_5778_7568)];
        assert_eq!((listed.state, &listed.receivers[..]), (State::Suppressed, &["team.ops-a".to_owned()][..]));
        assert!(listed.alert.firing && listed.alert.ends_at.is_none(), "the end is when it expires, not when it ended");
        assert_eq!(listed.alert.starts_at, "2026-11-21T02:49:00Z".parse().unwrap());
        assert_eq!(listed.alert.generator_url, "");
    }

    #[test]
    fn a_list_that_is_not_whole_is_none() {
        let one = |name: &str| format!(r#"{{"labels":{{"a":"{name}"}},"status":{{"state":"new word"}}}}"#);
        let list = |names: &[&str]| format!("[{}]", names.iter().map(|name| one(name)).collect::<Vec<_>>().join(","));
        assert_eq!(read(&list(&["x", "y"])).unwrap().alerts.len(), 2);
        assert!(read(&list(&["x", "y", "z"])).unwrap_err().contains("above 2"));
        for broken in ["", "{}", "[3]", r#"[{"labels":{},"status":{"state":"active"}}]"#, r#"[{"labels":{"a":"b"}}]"#] {
            assert!(read(broken).is_err(), "{broken}");
        }
        let cut = list(&["x", "y"]);
        assert!(read(cut.strip_suffix(']').unwrap()).is_err());
        assert!(Listing::read(b"{}", b"[]", &Limits::default(), Timestamp::UNIX_EPOCH).is_err());
    }
}
