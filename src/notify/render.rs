//! What a message says, before any channel's markup: what, where, since when, the value, what to do next.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::alert::{Episode, Incident, Kind, Labels, Severity, text};
use crate::clock::Clock;
use crate::config::HttpUrl;
use crate::store::{Delivery, Subject};

use super::Deps;

/// A message, ready to be put into a channel's markup. Every text in it is one line, bounded and free of control
/// characters, but still hostile: each channel escapes what its own markup knows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Message {
    /// Why it is sent.
    pub kind: Kind,
    /// How bad it is; `None` for tidewatch's own notices.
    pub severity: Option<Severity>,
    /// `CRITICAL`, `RESOLVED` …: the first word of everything.
    pub state: &'static str,
    /// What and where: `AgentOffline steward`.
    pub title: String,
    /// Since when, and for how long: `since 02:11, 38 min`, `after 29 min, 02:11 to 02:40`.
    pub when: String,
    /// When it began.
    pub began: Option<Moment>,
    /// When it ended.
    pub ended: Option<Moment>,
    /// How long it has lasted, or lasted.
    pub lasted: String,
    /// What is new against the message before, if this is not the first: `3 of 11 still firing`.
    pub news: Option<String>,
    /// The value: the description, else the summary; cut so that the head stays within 300 characters.
    pub value: String,
    /// The same at length, where it was cut.
    pub detail: Option<String>,
    /// What to do, in words.
    pub next: Option<String>,
    /// Where it is written down.
    pub runbook: Option<String>,
    /// `delayed 58 min: fired 02:11, resolved 02:40`.
    pub delayed: Option<String>,
    /// How long it waited, where that is worth a word.
    pub waited: Option<String>,
    /// Set when an earlier copy may have arrived.
    pub duplicate: bool,
    /// The members, open ones first; empty for a single one, which the head describes.
    pub members: Vec<Member>,
    /// How many there are beside them.
    pub more: u64,
    /// The labels of a single member; several are listed instead.
    pub labels: Vec<(String, String)>,
    /// Incident and message: `#123.4`. A person sees by it which message came twice.
    pub reference: String,
    /// The incident alone: `#123`.
    pub number: Option<String>,
    /// Where it came from.
    pub source: Option<String>,
    /// The incident's page.
    pub link: Option<String>,
}

/// A point in time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Moment {
    /// Seconds since 1970, for channels that show it in each reader's own zone.
    pub unix: i64,
    /// The time of day in the configured zone; with the date when it was another day.
    pub text: String,
    /// Whether it was another day.
    pub dated: bool,
}

/// One alert of an incident.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Member {
    /// What and where.
    pub title: String,
    /// Whether it fires.
    pub firing: bool,
    /// Since when, or after how long.
    pub when: String,
    /// How long it has lasted, or lasted.
    pub lasted: String,
}

impl Message {
    /// Whether people are called, not only told.
    pub(crate) fn calls(&self) -> bool {
        self.severity == Some(Severity::Critical)
            && self.ended.is_none()
            && matches!(self.kind, Kind::Opened | Kind::Risen | Kind::Reopened)
    }

    /// All that matters, on one line without any markup: what a phone shows before anything is opened, and what is
    /// sent when a template fails.
    pub fn head(&self) -> String {
        let mut out = String::new();
        if let Some(delayed) = &self.delayed {
            out.push_str(delayed);
            out.push_str(" · ");
        }
        out.push_str(self.state);
        for (before, part) in [(" ", Some(&self.title)), (", ", Some(&self.when)), (", ", self.news.as_ref())] {
            out.extend(part.into_iter().flat_map(|part| [before, part.as_str()]));
        }
        if !self.value.is_empty() {
            // The last text of an alert that is over says how it was, not how it is.
            out.push_str(if self.ended.is_some() { ". Was: " } else { ". " });
            out.push_str(&self.value);
        }
        if let Some(next) = &self.next {
            out.push_str(" Next: ");
            out.push_str(next);
        }
        out.push_str(" (");
        out.push_str(&self.reference);
        out.push(')');
        out
    }
}

/// Turns deliveries into messages. Clones share nothing that changes.
#[derive(Clone)]
pub struct Renderer {
    clock: Clock,
    zone: TimeZone,
    external_url: Option<HttpUrl>,
}

/// A message that waited longer than this says so.
const DELAYED: i64 = 120;
/// What comes before the details has at most so many characters: one look at a phone.
const HEAD: usize = 300;
/// The bound of the next step in the head; the value gets what is left.
const NEXT: usize = 80;
/// The bound of tidewatch's own words beside an incident.
const WORDS: usize = 100;
/// The description at length, below the head.
const DETAIL: usize = 1_000;
/// A message lists so many members at most; the page has the rest.
const MEMBERS: usize = 20;
const LABELS: usize = 30;
/// What no post told, in words.
const FOUND: &str = "found at Alertmanager, no post told of it";
const RECONCILED: &str = "Alertmanager has it no more, no post told of its end";

impl Renderer {
    /// With the clock, the zone and the address that `deps` hold.
    pub fn new(deps: &Deps) -> Self {
        Self { clock: deps.clock.clone(), zone: deps.zone.clone(), external_url: deps.external_url.clone() }
    }

    /// The clock that the messages' ages come from.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The page of an incident: below the external address, whose path prefix is kept; `None` without one.
    pub fn link(&self, incident: i64) -> Option<String> {
        let base = self.external_url.as_ref()?.expose();
        let mut url = base.clone();
        url.set_query(None);
        url.set_fragment(None);
        let prefix = base.path().trim_end_matches('/');
        url.set_path(&format!("{prefix}/i/{incident}"));
        // A link travels through other people's servers: it carries no password. Only `http` and `https` come here,
        // and for those both setters always succeed.
        url.set_username("").and_then(|()| url.set_password(None)).ok()?;
        text::link(url.as_str())
    }

    /// What a delivery says now.
    pub fn message(&self, delivery: &Delivery) -> Message {
        let now = self.now();
        match &delivery.incident {
            Some(incident) => self.about(incident, delivery, now),
            None => self.notice(delivery, now),
        }
    }

    fn about(&self, incident: &Incident, delivery: &Delivery, now: Timestamp) -> Message {
        let first = incident.members.first();
        let open = incident.resolved_at.is_none();
        let annotation = |name: &str| first.and_then(|member| said(&member.annotations, name));
        let waited = text::seconds(delivery.waiting_since, now);
        let delayed = (waited > DELAYED).then(|| {
            let ended = incident.resolved_at.map(|at| format!(", resolved {}", text::time(at, now, &self.zone)));
            let began = text::time(incident.opened_at, now, &self.zone);
            format!("delayed {}: fired {began}{}", text::length(waited), ended.unwrap_or_default())
        });
        let listed = if incident.total > 1 { incident.members.len().min(MEMBERS) } else { 0 };
        let members: Vec<Member> = incident.members.iter().take(listed).map(|each| self.member(each, now)).collect();
        let mut message = Message {
            kind: delivery.kind,
            severity: Some(incident.severity),
            state: state(incident.severity, open),
            title: incident.title(),
            when: self.when(incident.opened_at, incident.resolved_at, now),
            began: Some(self.moment(incident.opened_at, now)),
            ended: incident.resolved_at.map(|at| self.moment(at, now)),
            lasted: text::length(text::seconds(incident.opened_at, incident.resolved_at.unwrap_or(now))),
            news: news(incident, delivery),
            value: String::new(),
            detail: None,
            next: annotation("next").filter(|_| open).map(|next| text::line(next, NEXT)),
            runbook: annotation("runbook_url").filter(|_| open).and_then(text::link),
            delayed,
            waited: (waited > DELAYED).then(|| text::length(waited)),
            duplicate: delivery.maybe_duplicate,
            more: if members.is_empty() { 0 } else { incident.total.saturating_sub(members.len() as u64) },
            members,
            labels: first.filter(|_| listed == 0).map(|member| labels(&member.labels)).unwrap_or_default(),
            reference: format!("#{}.{}", incident.id, delivery.sequence),
            number: Some(format!("#{}", incident.id)),
            source: Some(text::line(&incident.source, 60)),
            link: self.link(incident.id),
        };
        let value = annotation("description").or_else(|| annotation("summary")).unwrap_or_default();
        let left = HEAD.saturating_sub(message.head().chars().count() + 7);
        message.value = text::line(value, left);
        message.detail = Some(text::line(value, DETAIL)).filter(|detail| *detail != message.value);
        message
    }

    fn notice(&self, delivery: &Delivery, now: Timestamp) -> Message {
        let name = match &delivery.subject {
            Subject::Notice(kind) => text::line(kind, 60),
            Subject::Incident(id) => format!("incident {id}"),
        };
        let waited = text::seconds(delivery.waiting_since, now);
        Message {
            kind: delivery.kind,
            severity: None,
            state: "NOTICE",
            title: format!("tidewatch: {}", name.replace('_', " ")),
            when: format!("at {}", text::time(delivery.waiting_since, now, &self.zone)),
            began: None,
            ended: None,
            lasted: String::new(),
            news: None,
            value: text::line(delivery.notice.as_deref().unwrap_or_default(), DETAIL),
            detail: None,
            next: None,
            runbook: None,
            delayed: (waited > DELAYED).then(|| format!("delayed {}", text::length(waited))),
            waited: (waited > DELAYED).then(|| text::length(waited)),
            duplicate: delivery.maybe_duplicate,
            members: Vec::new(),
            more: 0,
            labels: Vec::new(),
            reference: format!("{name}.{}", delivery.sequence),
            number: None,
            source: None,
            link: None,
        }
    }

    fn member(&self, episode: &Episode, now: Timestamp) -> Member {
        Member {
            title: episode.title(),
            firing: episode.ends_at.is_none(),
            when: self.when(episode.starts_at, episode.ends_at, now),
            lasted: text::length(text::seconds(episode.starts_at, episode.ends_at.unwrap_or(now))),
        }
    }

    fn moment(&self, at: Timestamp, now: Timestamp) -> Moment {
        let text = text::time(at, now, &self.zone);
        Moment { unix: at.as_second(), dated: text.contains(' '), text }
    }

    fn when(&self, began: Timestamp, ended: Option<Timestamp>, now: Timestamp) -> String {
        let time = |at| text::time(at, now, &self.zone);
        match ended {
            Some(ended) => {
                let lasted = text::length(text::seconds(began, ended));
                format!("after {lasted}, {} to {}", time(began), time(ended))
            }
            None => format!("since {}, {}", time(began), text::length(text::seconds(began, now))),
        }
    }
}

/// The first word: how bad it is, or that it is over.
fn state(severity: Severity, open: bool) -> &'static str {
    match (open, severity) {
        (false, _) => "RESOLVED",
        (true, Severity::Critical) => "CRITICAL",
        (true, Severity::Warning) => "WARNING",
        (true, Severity::Info) => "INFO",
        (true, Severity::None) => "ALERT",
    }
}

/// What changed since the message before, and why it comes to a channel that is not its own.
fn news(incident: &Incident, delivery: &Delivery) -> Option<String> {
    let count = || match (incident.open, incident.total) {
        (open, total) if open == total => format!("{total} firing"),
        (open, total) => format!("{open} of {total} still firing"),
    };
    let news = match delivery.kind {
        Kind::Risen => Some(format!("severity rose to {}", incident.severity)),
        Kind::Reopened => Some("fired again soon after its end".into()),
        Kind::Opened if incident.members.iter().all(|member| member.found) => Some(FOUND.into()),
        Kind::Resolved if incident.members.iter().any(|member| member.reconciled) => Some(RECONCILED.into()),
        Kind::Opened | Kind::Changed if incident.total > 1 => Some(count()),
        Kind::Opened | Kind::Changed | Kind::Resolved | Kind::Notice => None,
    };
    let why_here = delivery.notice.as_deref().map(|words| text::line(words, WORDS));
    match (news, why_here) {
        (Some(news), Some(why_here)) => Some(format!("{news}, {why_here}")),
        (news, why_here) => news.or(why_here),
    }
}

/// An annotation that is not empty.
fn said<'a>(annotations: &'a Labels, name: &str) -> Option<&'a str> {
    annotations.get(name).map(|text| text.trim()).filter(|text| !text.is_empty())
}

fn labels(labels: &Labels) -> Vec<(String, String)> {
    labels.iter().take(LABELS).map(|(name, value)| (text::line(name, 60), text::line(value, 120))).collect()
}
