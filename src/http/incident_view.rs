//! What the page of an incident shows. Pure.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::alert::text::{length, seconds};
use crate::alert::{Episode, Incident, Severity};

/// The longest value that a page shows, in characters.
const VALUE: usize = 1_000;

/// So many labels and annotations of one alert are shown.
const PAIRS: usize = 60;

/// So many bytes of labels and annotations are shown on one page, whatever came in.
const PAGE: usize = 512 << 10;

#[derive(Debug, Serialize)]
pub(super) struct View {
    id: i64,
    title: String,
    source: String,
    state: &'static str,
    tone: &'static str,
    severity: String,
    since: String,
    now: String,
    open: u64,
    total: u64,
    members: Vec<Member>,
    hidden: u64,
}

#[derive(Debug, Serialize)]
struct Member {
    name: String,
    state: &'static str,
    tone: &'static str,
    severity: String,
    since: String,
    pairs: Vec<Pair>,
    left_out: usize,
}

#[derive(Debug, Serialize)]
struct Pair {
    name: String,
    value: String,
}

impl View {
    pub(super) fn of(incident: &Incident, now: Timestamp, zone: &TimeZone) -> Self {
        let mut budget = PAGE;
        let firing = incident.resolved_at.is_none();
        let members: Vec<Member> =
            incident.members.iter().map(|episode| Member::of(episode, now, zone, &mut budget)).collect();
        Self {
            id: incident.id,
            title: incident.title(),
            source: visible(&incident.source, 200),
            state: if firing { "firing" } else { "resolved" },
            tone: tone(firing, incident.severity),
            severity: incident.severity.to_string(),
            since: since(incident.opened_at, incident.resolved_at, now, zone),
            now: at(now, zone),
            open: incident.open,
            total: incident.total,
            hidden: incident.total.saturating_sub(members.len() as u64),
            members,
        }
    }
}

impl Member {
    fn of(episode: &Episode, now: Timestamp, zone: &TimeZone, budget: &mut usize) -> Self {
        let firing = episode.ends_at.is_none();
        let links = [("generatorURL", &episode.generator_url)];
        // Annotations first: they are written for people.
        let annotations = episode.annotations.iter().map(|(name, value)| (name.as_str(), value));
        let labels = episode.labels.iter().map(|(name, value)| (name.as_str(), value));
        let told = [
            ("begin", episode.found.then_some("found at Alertmanager: no post told of it")),
            ("end", episode.reconciled.then_some("Alertmanager has it no more: no post told of its end")),
        ];
        let told = told.map(|(name, words)| (name, words.unwrap_or_default().to_owned()));
        let told = told.iter().map(|(name, words)| (*name, words));
        let all = told.chain(annotations).chain(labels).chain(links).filter(|(_, value)| !value.is_empty());
        let (mut pairs, mut left_out) = (Vec::new(), 0);
        for (name, value) in all {
            if pairs.len() == PAIRS || *budget == 0 {
                left_out += 1;
                continue;
            }
            let pair = Pair { name: visible(name, 100), value: visible(value, VALUE) };
            *budget = budget.saturating_sub(pair.name.len() + pair.value.len());
            pairs.push(pair);
        }
        Self {
            name: episode.title(),
            state: if firing { "firing" } else { "resolved" },
            tone: tone(firing, episode.severity),
            severity: episode.severity.to_string(),
            since: since(episode.starts_at, episode.ends_at, now, zone),
            pairs,
            left_out,
        }
    }
}

/// The class of the style.
pub(super) fn tone(firing: bool, severity: Severity) -> &'static str {
    match (firing, severity) {
        (false, _) => "resolved",
        (true, Severity::Critical) => "critical",
        (true, Severity::Warning) => "warning",
        (true, _) => "quiet",
    }
}

/// Text as it is, without what changes how the rest is read (control and direction characters), up to `most` characters.
pub(super) fn visible(text: &str, most: usize) -> String {
    let shown = |c: char| match c {
        '\n' | '\t' => c,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{061c}' | '\u{feff}' => {
            '\u{fffd}'
        }
        c if c.is_control() => '\u{fffd}',
        c => c,
    };
    let mut out: String = text.chars().take(most).map(shown).collect();
    if text.chars().nth(most).is_some() {
        out.push('…');
    }
    out
}

/// `since 2026-11-21 02:11 UTC, 38 min`, and once it is over `from … to …, 38 min`.
pub(super) fn since(began: Timestamp, ended: Option<Timestamp>, now: Timestamp, zone: &TimeZone) -> String {
    match ended {
        None => format!("since {}, {}", at(began, zone), length(seconds(began, now))),
        Some(ended) => format!("from {} to {}, {}", at(began, zone), at(ended, zone), length(seconds(began, ended))),
    }
}

fn at(time: Timestamp, zone: &TimeZone) -> String {
    time.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M %Z").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_in_the_zone_with_their_age() {
        let zone = TimeZone::fixed(jiff::tz::offset(1));
        let (began, now): (Timestamp, Timestamp) =
            ("2026-11-21T02:11:00Z".parse().unwrap(), "2026-11-21T02:49:30Z".parse().unwrap());
        assert_eq!(since(began, None, now, &zone), "since 2026-11-21 03:11 +01, 38 min");
        assert_eq!(
            since(began, Some(now), now, &TimeZone::UTC),
            "from 2026-11-21 02:11 UTC to 2026-11-21 02:49 UTC, 38 min"
        );
    }

    #[test]
    fn characters_that_change_the_rest_are_shown_as_unknown() {
        assert_eq!(
            visible("a\u{202e}b\u{0}c\u{1b}[31m\r\n\u{2066}d", 100),
            "a\u{fffd}b\u{fffd}c\u{fffd}[31m\u{fffd}\n\u{fffd}d"
        );
        assert_eq!(visible("äöü", 2), "äö…");
        assert_eq!(visible("äöü", 3), "äöü");
    }
}
