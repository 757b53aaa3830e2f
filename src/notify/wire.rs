//! A message as JSON, for programs: the body of `webhook` and the lines of `file`. Documented in `docs/notify.md`;
//! fields may be added within a version, never changed or taken away.

use jiff::Timestamp;
use serde::Serialize;

use crate::alert::{Episode, Incident, Kind, Labels, Severity, text};
use crate::store::Delivery;

use super::render::Renderer;

/// One message.
#[derive(Serialize)]
pub(crate) struct Event {
    version: u8,
    /// The same for each attempt at one message: what a receiver drops duplicates by.
    pub(crate) id: String,
    kind: Kind,
    sequence: i64,
    attempt: u32,
    maybe_duplicate: bool,
    sent_at: Timestamp,
    waiting_since: Timestamp,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    notice: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    incident: Option<About>,
}

#[derive(Serialize)]
struct About {
    id: i64,
    source: String,
    cause: String,
    severity: Severity,
    status: &'static str,
    opened_at: Timestamp,
    resolved_at: Option<Timestamp>,
    firing: u64,
    total: u64,
    url: Option<String>,
    alerts: Vec<Alert>,
}

#[derive(Serialize)]
struct Alert {
    fingerprint: String,
    status: &'static str,
    severity: Severity,
    labels: Labels,
    annotations: Labels,
    starts_at: Timestamp,
    ends_at: Option<Timestamp>,
}

/// Bounds of the texts: an annotation may be 16 KiB, a reader of lines wants less.
const TEXT: usize = 2_000;

impl Event {
    /// What a delivery says now.
    pub(crate) fn of(delivery: &Delivery, renderer: &Renderer) -> Self {
        let message = renderer.message(delivery);
        Self {
            version: 1,
            id: message.reference.trim_start_matches('#').to_owned(),
            kind: delivery.kind,
            sequence: delivery.sequence,
            attempt: delivery.attempt,
            maybe_duplicate: delivery.maybe_duplicate,
            sent_at: renderer.now(),
            waiting_since: delivery.waiting_since,
            text: message.head(),
            notice: delivery.notice.as_deref().map(|notice| text::line(notice, TEXT)),
            incident: delivery.incident.as_ref().map(|incident| About::of(incident, renderer)),
        }
    }
}

impl About {
    fn of(incident: &Incident, renderer: &Renderer) -> Self {
        Self {
            id: incident.id,
            source: text::line(&incident.source, TEXT),
            cause: text::line(&incident.cause, TEXT),
            severity: incident.severity,
            status: status(incident.resolved_at),
            opened_at: incident.opened_at,
            resolved_at: incident.resolved_at,
            firing: incident.open,
            total: incident.total,
            url: renderer.link(incident.id),
            alerts: incident.members.iter().map(Alert::of).collect(),
        }
    }
}

impl Alert {
    fn of(episode: &Episode) -> Self {
        Self {
            fingerprint: episode.fingerprint.to_string(),
            status: status(episode.ends_at),
            severity: episode.severity,
            labels: clean(&episode.labels),
            annotations: clean(&episode.annotations),
            starts_at: episode.starts_at,
            ends_at: episode.ends_at,
        }
    }
}

fn status(ended: Option<Timestamp>) -> &'static str {
    if ended.is_some() { "resolved" } else { "firing" }
}

/// JSON escapes the C0 controls only; what reads a line on a terminal must not meet the others.
fn clean(pairs: &Labels) -> Labels {
    pairs.iter().map(|(name, value)| (text::line(name, TEXT), text::line(value, TEXT))).collect()
}
