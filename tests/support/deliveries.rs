//! Deliveries as the store hands them out, at a fixed time.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tidewatch::alert::{Episode, Fingerprint, Incident, Kind, Labels, Severity};
use tidewatch::clock::Clock;
use tidewatch::net::client::Client;
use tidewatch::notify::Deps;
use tidewatch::store::{Delivery, Subject};

/// Tonight, in UTC.
pub(crate) fn at(time: &str) -> Timestamp {
    format!("2026-11-21T{time}:00Z").parse().unwrap()
}

/// What notifiers are built with: a clock that stands at `time`, and a page behind a proxy with a path.
pub(crate) fn deps(time: &str) -> Deps {
    Deps {
        tasks: tidewatch::task::Tasks::new(&tidewatch::telemetry::Telemetry::new()),
        clock: Clock::manual(at(time)),
        client: Client::new().unwrap(),
        external_url: Some("https://ops.example/tidewatch/".parse().unwrap()),
        zone: TimeZone::UTC,
    }
}

pub(crate) fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// An agent that went silent.
pub(crate) fn episode(id: i64, agent: &str, began: &str, ended: Option<&str>) -> Episode {
    Episode {
        id,
        fingerprint: Fingerprint(0xf7a0_d990_8d5f_8530 + id.unsigned_abs()),
        severity: Severity::Critical,
        labels: labels(&[
            ("agent", agent),
            ("alertname", "AgentOffline"),
            ("cause", "agent"),
            ("instance", "alpha:9480"),
            ("severity", "critical"),
        ]),
        annotations: labels(&[
            ("summary", "Agent is offline"),
            ("description", "No heartbeat for 38 min (timeout 15 min)."),
            ("next", "Restart heretek-steward, then read its log"),
            ("runbook_url", "https://wiki.example/runbooks/agent-offline"),
        ]),
        generator_url: "http://prometheus.example/graph?g0.expr=up".into(),
        starts_at: at(began),
        ends_at: ended.map(at),
        found: false,
        reconciled: false,
    }
}

/// An incident of these members.
pub(crate) fn incident(members: Vec<Episode>) -> Incident {
    let open = members.iter().filter(|member| member.ends_at.is_none()).count() as u64;
    let resolved_at = members.iter().map(|member| member.ends_at).max().flatten().filter(|_| open == 0);
    Incident {
        id: 123,
        source: "default".into(),
        cause: "agent".into(),
        severity: Severity::Critical,
        opened_at: members.iter().map(|member| member.starts_at).min().unwrap(),
        resolved_at,
        open,
        total: members.len() as u64,
        members,
    }
}

/// The first message about it, due now.
pub(crate) fn delivery(kind: Kind, sequence: i64, incident: Incident, now: Timestamp) -> Delivery {
    Delivery {
        id: sequence,
        attempt: 1,
        channel: "ops".into(),
        subject: Subject::Incident(incident.id),
        sequence,
        kind,
        waiting_since: now,
        maybe_duplicate: false,
        incident: Some(incident),
        notice: None,
        anchor: None,
    }
}

/// One silent agent, reported now.
pub(crate) fn opened() -> Delivery {
    delivery(Kind::Opened, 1, incident(vec![episode(1, "steward", "02:11", None)]), at("02:49"))
}

/// A word of tidewatch itself.
pub(crate) fn notice() -> Delivery {
    Delivery {
        subject: Subject::Notice("intake_refused".into()),
        kind: Kind::Notice,
        incident: None,
        notice: Some("Alerts were refused from 02:05 to 02:09: the disk was full.".into()),
        ..opened()
    }
}

/// How long a test waits for what should happen at once.
pub(crate) const SOON: Duration = Duration::from_secs(20);
