//! What a mail says, and how it belongs to those before it. No protocol here.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::alert::{Severity, text};
use crate::store::{Delivery, Subject};

use super::super::render::Message;
use super::super::templates::Templates;

/// A subject's first mail: what later ones refer to. Its subject line is kept too, without the state before it, because
/// some mail programs put mails into one thread by that line. They leave out what stands in brackets there (RFC 5256,
/// 2.1; Gmail does the same), so each mail can say its own state: a tired reader must not take the end, or a rise, for
/// the warning that it began with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Root {
    pub(super) message_id: String,
    pub(super) subject: String,
}

/// A mail, before it is put into a protocol's form.
pub struct Letter {
    /// Its own id, the same for each attempt.
    pub message_id: String,
    /// The mail that began the thread; `None` for that one itself.
    pub(super) root: Option<Root>,
    /// Its subject line.
    pub subject: String,
    /// What of that line stays the same in its thread.
    stable: String,
    /// The body as text.
    pub text: String,
    /// The body as HTML.
    pub html: String,
}

/// Longer subjects are cut by mail programs, and lines of more than 998 characters by servers.
const SUBJECT: usize = 200;

#[derive(Serialize)]
struct Context<'a> {
    #[serde(flatten)]
    message: &'a Message,
    colour: &'static str,
    zone: Option<&'a str>,
}

impl Letter {
    pub(super) fn of(
        delivery: &Delivery,
        message: &Message,
        templates: &Templates,
        zone: Option<&str>,
        domain: &str,
    ) -> Self {
        let root: Option<Root> = delivery
            .anchor
            .as_deref()
            .filter(|_| delivery.incident.is_some())
            .and_then(|anchor| serde_json::from_str(anchor).ok());
        let context = Context { message, colour: colour(message), zone };
        let own = || match &message.number {
            Some(number) => format!("{} ({number})", message.title),
            None => message.title.clone(),
        };
        let stable = text::line(&root.as_ref().map_or_else(own, |root| root.subject.clone()), SUBJECT);
        Self {
            message_id: message_id(delivery, domain),
            subject: format!("[{}] {stable}", message.state),
            stable,
            root,
            text: templates.render("mail.txt", &context).unwrap_or_else(|| message.head()),
            html: templates.render("mail.html", &context).unwrap_or_else(|| plain_html(message)),
        }
    }

    /// What to keep when this was the first mail.
    pub(super) fn as_root(&self) -> Root {
        Root { message_id: self.message_id.clone(), subject: self.stable.clone() }
    }
}

/// The same for each attempt at one message, so that a second copy is recognised. The time of the beginning is in it
/// because numbers begin anew with a new database, and servers drop a mail whose id they have seen.
fn message_id(delivery: &Delivery, domain: &str) -> String {
    let begun = |at: Timestamp| at.as_second();
    match (&delivery.subject, &delivery.incident) {
        (Subject::Incident(id), incident) => {
            let at = incident.as_ref().map_or(delivery.waiting_since, |incident| incident.opened_at);
            format!("<inc-{id}.{}.{}@{domain}>", delivery.sequence, begun(at))
        }
        (Subject::Notice(kind), _) => {
            let kind: String = kind.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')).collect();
            format!("<notice-{kind}.{}.{}@{domain}>", delivery.sequence, begun(delivery.waiting_since))
        }
    }
}

fn colour(message: &Message) -> &'static str {
    match message.severity {
        _ if message.ended.is_some() => "#2e7d32",
        Some(Severity::Critical) => "#c62828",
        Some(Severity::Warning) => "#b26a00",
        _ => "#24507a",
    }
}

/// What is sent when the template fails.
fn plain_html(message: &Message) -> String {
    let head = message.head().replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    format!("<!DOCTYPE html><html><body><p>{head}</p></body></html>")
}
