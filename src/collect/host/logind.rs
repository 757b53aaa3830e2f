//! `logind`: who is logged in, as its manager tells over D-Bus (org.freedesktop.login1(5)).

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use zbus::OwnedObjectPath;

use super::dbus::{Bus, Question, Value};
use super::{Listed, Part, Run, Site};
use crate::collect::CollectError;
use crate::metrics::Desc;

const NAME: &str = "org.freedesktop.login1";
const PATH: &str = "/org/freedesktop/login1";
const MANAGER: &str = "org.freedesktop.login1.Manager";
const SESSION: &str = "org.freedesktop.login1.Session";

/// After this the bus is given up: three questions a session, and a host has few.
const LIMIT: Duration = Duration::from_secs(1);

/// More sessions than this are not asked about.
const MOST: usize = 10_000;

const REMOTE: [&str; 2] = ["true", "false"];
const TYPES: [&str; 7] = ["other", "unspecified", "tty", "x11", "wayland", "mir", "web"];
const CLASSES: [&str; 5] = ["other", "user", "greeter", "lock-screen", "background"];

static SESSIONS: Desc = Desc::gauge(
    "node_logind_sessions",
    "Number of sessions registered in logind.",
    &["seat", "remote", "type", "class"],
);

pub(super) struct Logins {
    bus: Bus,
}

/// A session: its name, the user's number and name, the seat, the object.
type Listing = (String, u32, String, String, OwnedObjectPath);

/// Seat, remote, type and class: what sessions are counted by.
type Key = (String, &'static str, &'static str, &'static str);

impl Listed for Logins {
    fn descs() -> Vec<&'static Desc> {
        vec![&SESSIONS]
    }

    fn new(site: &Site<'_>) -> Self {
        Self { bus: Bus::new(&site.roots, LIMIT) }
    }
}

#[async_trait]
impl Part for Logins {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        let batch = &mut run.batch;
        self.bus
            .ask(NAME, async |service| {
                let seats: Vec<(String, OwnedObjectPath)> = service.call(PATH, MANAGER, "ListSeats").await?;
                let mut sessions: Vec<Listing> = service.call(PATH, MANAGER, "ListSessions").await?;
                sessions.truncate(MOST);
                let question = |path: &OwnedObjectPath, property| Question {
                    path: path.to_string(),
                    interface: SESSION,
                    property,
                };
                let questions = sessions.iter();
                let questions =
                    questions.flat_map(|session| ["Remote", "Type", "Class"].map(|name| question(&session.4, name)));
                let questions: Vec<_> = questions.collect();
                let answers = service.get_all(&questions).await;
                let mut counts: BTreeMap<Key, u32> = BTreeMap::new();
                for (session, answers) in sessions.iter().zip(answers.chunks(3)) {
                    if let Some(key) = key(&session.3, answers) {
                        *counts.entry(key).or_default() += 1;
                    }
                }
                // A session over the network has no seat.
                let seats = seats.into_iter().map(|(seat, _)| seat).chain([String::new()]);
                for key in seats.flat_map(every) {
                    let count = counts.get(&key).copied().unwrap_or_default();
                    batch.push(&SESSIONS, &[&key.0, key.1, key.2, key.3], f64::from(count));
                }
                Ok(())
            })
            .await
    }
}

/// What a session is counted by; nothing where it ended since it was listed.
fn key(seat: &str, answers: &[Option<Value>]) -> Option<Key> {
    let [Some(remote), Some(kind), Some(class)] = answers else { return None };
    let known = |value: &Value, known: &[&'static str], other| {
        let text = value.clone().text();
        known.iter().copied().find(|word| *word == text).unwrap_or(other)
    };
    let remote = known(remote, &REMOTE, "false");
    Some((seat.to_owned(), remote, known(kind, &TYPES, "other"), known(class, &CLASSES, "other")))
}

/// Every key of a seat: each has a series, also where it has no session.
fn every(seat: String) -> impl Iterator<Item = Key> {
    let kinds = REMOTE.into_iter().flat_map(|remote| TYPES.map(|kind| (remote, kind)));
    let all = kinds.flat_map(|(remote, kind)| CLASSES.map(|class| (remote, kind, class)));
    all.map(move |(remote, kind, class)| (seat.clone(), remote, kind, class))
}
