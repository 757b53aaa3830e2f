//! The body that Alertmanager posts, version "4": <https://prometheus.io/docs/alerting/latest/configuration/#webhook_config>.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Deserialize;

use super::bounds::{MOST_NAME, bounded, cut, shorten};
use super::identity;
use super::splitter::{Broken, Element, Splitter};
use super::{Alert, Fingerprint, Labels, Post, Quarantined};

pub use super::bounds::Limits;

/// How much of a piece that could not be understood is kept, and of how many pieces of one post.
const KEPT: usize = 64 << 10;
const KEPT_PIECES: usize = 100;
/// How much is kept, in bytes, of why a piece could not be understood: serde's words repeat what it found.
const MOST_WHY: usize = 300;
/// What an alert, and each of its labels and annotations, takes beside its text: 16 bytes on the wire may be 300 here.
const ALERT_BYTES: usize = 1 << 10;
const PAIR_BYTES: usize = 128;
/// The times that an alert may have: others are somebody's broken clock, or a zero value.
const TIMES: (i64, i64) = (0, 7_258_118_400);

/// What stands around the alerts. Unknown fields are ignored: additive fields do not change the version.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    /// What the splitter left of it: `[]`, or `null` as it came.
    #[serde(deserialize_with = "Option::deserialize")]
    #[expect(dead_code, reason = "only its presence matters")]
    alerts: Option<[(); 0]>,
    #[serde(borrow, default)]
    receiver: Option<Cow<'a, str>>,
    #[serde(default)]
    group_key: Option<Cow<'a, str>>,
    #[serde(default, rename = "externalURL")]
    external_url: Option<Cow<'a, str>>,
    #[serde(default)]
    truncated_alerts: Option<u64>,
    #[serde(default, rename = "notification_reason")]
    reason: Option<Cow<'a, str>>,
}

/// An alert as it comes. `S` is what its status is: a word here, more in Alertmanager's own list.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Raw<'a, S> {
    status: S,
    labels: Option<Labels>,
    annotations: Option<Labels>,
    #[serde(borrow)]
    starts_at: Option<Cow<'a, str>>,
    ends_at: Option<Cow<'a, str>>,
    #[serde(rename = "generatorURL")]
    generator_url: Option<Cow<'a, str>>,
    fingerprint: Option<Cow<'a, str>>,
}

/// Reads a body while it arrives.
pub struct Parser {
    splitter: Splitter,
    limits: Limits,
    now: Timestamp,
    alerts: Vec<Alert>,
    quarantined: Vec<Quarantined>,
    /// Pieces that could not be understood and are not kept.
    unkept: u64,
    truncated: u64,
    memory: usize,
}

impl Parser {
    /// A body that begins to arrive at `now`.
    pub fn new(limits: Limits, now: Timestamp) -> Self {
        let (splitter, alerts, quarantined) = <(Splitter, Vec<Alert>, Vec<Quarantined>)>::default();
        Self { splitter, limits, now, alerts, quarantined, unkept: 0, truncated: 0, memory: 0 }
    }

    /// Takes the next piece of the body.
    ///
    /// # Errors
    /// The body cannot be a webhook's.
    pub fn push(&mut self, chunk: &[u8]) -> Result<(), Broken> {
        let Self { splitter, limits, now, alerts, quarantined, unkept, truncated, memory } = self;
        splitter.push(chunk, |element| {
            if alerts.len() + quarantined.len() >= limits.alerts || *memory >= limits.memory {
                *truncated += 1;
                return;
            }
            let (raw, why) = match element {
                Element::Refused(why, raw) => (raw, why.to_owned()),
                Element::Json(raw) => match alert(raw, limits, *now) {
                    Ok(alert) => {
                        *memory += ALERT_BYTES + PAIR_BYTES * (alert.labels.len() + alert.annotations.len());
                        return alerts.push(alert);
                    }
                    Err(why) => (raw, why),
                },
            };
            if quarantined.len() < KEPT_PIECES {
                let raw = raw.get(..KEPT).unwrap_or(raw).to_vec();
                quarantined.push(Quarantined { raw, why: cut(&why, MOST_WHY).into_owned() });
            } else {
                *unkept += 1;
            }
        })
    }

    /// What the alerts take beside the text that came: about as many bytes of memory.
    pub fn memory(&self) -> usize {
        self.memory
    }

    /// The rest of the body will not come: what was read counts, and what is missing is counted as one truncated alert,
    /// because nobody knows how many there were.
    pub fn cut(&mut self) {
        self.splitter = Splitter::ended();
        self.truncated += 1;
    }

    /// The whole post.
    ///
    /// # Errors
    /// The body ended too early, is not JSON, or has no `alerts`.
    pub fn finish(self, source: &str) -> Result<Post, Broken> {
        let envelope = self.splitter.finish()?;
        let envelope: Envelope<'_> = serde_json::from_slice(&envelope).map_err(|error| {
            let custom =
                "the body has no array `alerts`: a custom `payload` in webhook_configs cannot be read, take it out";
            Broken(if error.is_data() { custom } else { "the body is not JSON" })
        })?;
        let text = |field: Option<Cow<'_, str>>, most: usize| field.map(|text| cut(&text, most).into_owned());
        Ok(Post {
            source: source.to_owned(),
            receiver: unquote(&text(envelope.receiver, MOST_NAME).unwrap_or_default()),
            group: identity::hash(envelope.group_key.as_deref().unwrap_or_default()),
            external_url: text(envelope.external_url, self.limits.label).filter(|url| is_http(url)),
            truncated: self.truncated.saturating_add(envelope.truncated_alerts.unwrap_or(0)),
            reason: text(envelope.reason, MOST_NAME),
            alerts: self.alerts,
            quarantined: self.quarantined,
            unkept: self.unkept,
        })
    }
}

impl Post {
    /// Takes the Watchdog's alerts out: they say that the pipeline lives, and open no incident. Whether one fires.
    pub fn take_watchdogs(&mut self, is_watchdog: impl Fn(&Alert) -> bool) -> bool {
        let (watchdogs, others): (Vec<_>, Vec<_>) = std::mem::take(&mut self.alerts).into_iter().partition(is_watchdog);
        self.alerts = others;
        watchdogs.iter().any(|watchdog| watchdog.firing)
    }
}

fn alert(raw: &[u8], limits: &Limits, now: Timestamp) -> Result<Alert, String> {
    let raw: Raw<'_, Cow<'_, str>> = serde_json::from_slice(raw).map_err(|error| error.to_string())?;
    let firing = match raw.status.as_ref() {
        "firing" => true,
        "resolved" => false,
        other => return Err(format!("status `{}` is neither firing nor resolved", cut(other, 40))),
    };
    kept(firing, raw, limits, now)
}

/// What is kept of an alert, within all limits.
pub(super) fn kept<S>(firing: bool, raw: Raw<'_, S>, limits: &Limits, now: Timestamp) -> Result<Alert, String> {
    let mut labels = raw.labels.unwrap_or_default();
    labels.retain(|_, value| !value.is_empty());
    if labels.is_empty() {
        return Err("an alert without labels has no identity".into());
    }
    let fingerprint =
        raw.fingerprint.and_then(|text| Fingerprint::parse(&text)).unwrap_or_else(|| Fingerprint::of(&labels));
    let starts_at = time(raw.starts_at.as_deref(), "startsAt")?.unwrap_or(now);
    let ends_at = if firing { None } else { Some(time(raw.ends_at.as_deref(), "endsAt")?.unwrap_or(now)) };
    let generator_url = raw
        .generator_url
        .filter(|url| is_http(url))
        .map_or_else(String::new, |url| cut(&url, limits.label).into_owned());
    let annotations = raw.annotations.unwrap_or_default();
    Ok(Alert {
        fingerprint,
        firing,
        labels: kept_labels(labels, limits),
        annotations: bounded(annotations, limits.labels, limits.annotation, |text, most| cut(text, most).into_owned()),
        starts_at,
        ends_at,
        generator_url,
    })
}

/// What is kept of labels.
pub(super) fn kept_labels(labels: Labels, limits: &Limits) -> Labels {
    bounded(labels, limits.labels, limits.label, shorten)
}

/// A time on the wire; `None` for Go's zero time and for none at all.
fn time(text: Option<&str>, field: &str) -> Result<Option<Timestamp>, String> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    let time: Timestamp = text.parse().map_err(|_| format!("{field} `{}` is no time", cut(text, 40)))?;
    Ok((TIMES.0..TIMES.1).contains(&time.as_second()).then_some(time))
}

fn is_http(url: &str) -> bool {
    url.starts_with("http://") || url.starts_with("https://")
}

/// Undoes Go's `regexp.QuoteMeta`, which Alertmanager applies to the receiver's name.
fn unquote(name: &str) -> String {
    let mut plain = String::with_capacity(name.len());
    let mut letters = name.chars().peekable();
    while let Some(letter) = letters.next() {
        match letters.peek() {
            Some(next) if letter == '\\' && r"\.+*?()|[]{}^$".contains(*next) => {}
            _ => {
                plain.push(letter);
                continue;
            }
        }
        plain.extend(letters.next());
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-11-21T03:00:00Z".parse().unwrap()
    }

    fn parse(body: &str) -> Result<Post, Broken> {
        parse_with(Limits::default(), body)
    }

    fn parse_with(limits: Limits, body: &str) -> Result<Post, Broken> {
        let mut parser = Parser::new(limits, now());
        parser.push(body.as_bytes())?;
        parser.finish("default")
    }

    #[test]
    fn real_bodies_of_both_releases_are_read() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/alertmanager");
        let mut seen = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let post = parse(&std::fs::read_to_string(&path).unwrap()).unwrap();
            assert_eq!(post.receiver, "team.ops-a", "{path:?}");
            assert!(post.quarantined.is_empty() && !post.alerts.is_empty(), "{path:?}");
            for alert in &post.alerts {
                assert_eq!(alert.fingerprint, Fingerprint::of(&alert.labels), "{path:?}");
                assert_eq!(alert.firing, alert.ends_at.is_none(), "{path:?}");
            }
            let newer = path.to_string_lossy().contains("/0.34.0-");
            assert_eq!(post.reason.is_some(), newer, "{path:?}");
            seen += 1;
        }
        assert_eq!(seen, 11);
    }

    #[test]
    fn truncation_is_counted_from_both_sides() {
        let body = r#"{"alerts":[{"status":"firing","labels":{"a":"1"}},{"status":"firing","labels":{"a":"2"}}],"truncatedAlerts":3}"#;
        let post = parse_with(Limits { alerts: 1, ..Limits::default() }, body).unwrap();
        assert_eq!((post.alerts.len(), post.truncated), (1, 4));
        // A number that somebody made up does not overflow.
        let absurd = body.replace(":3}", &format!(":{}}}", u64::MAX));
        assert_eq!(parse_with(Limits { alerts: 1, ..Limits::default() }, &absurd).unwrap().truncated, u64::MAX);
    }

    #[test]
    fn the_memory_of_a_post_is_counted_and_bounded() {
        let alert = r#"{"status":"firing","labels":{"a":"1","b":"2"}},"#;
        let body = format!(r#"{{"alerts":[{}null]}}"#, alert.repeat(100));
        let mut parser =
            Parser::new(Limits { memory: 50 * (ALERT_BYTES + 2 * PAIR_BYTES), ..Limits::default() }, now());
        parser.push(body.as_bytes()).unwrap();
        assert_eq!(parser.memory(), 50 * (ALERT_BYTES + 2 * PAIR_BYTES));
        let post = parser.finish("default").unwrap();
        assert_eq!((post.alerts.len(), post.truncated), (50, 51));
    }

    #[test]
    fn what_is_kept_of_pieces_that_make_no_sense_is_bounded() {
        let long = format!("\"{}\"", "ü".repeat(1 << 20));
        let body = format!(r#"{{"alerts":[{}3]}}"#, format!("{long},").repeat(2) + &"4,".repeat(500));
        let post = parse(&body).unwrap();
        assert_eq!((post.quarantined.len(), post.unkept), (KEPT_PIECES, 403));
        for piece in &post.quarantined {
            assert!((1..=300).contains(&piece.why.len()) && piece.raw.len() <= KEPT, "{} bytes", piece.why.len());
        }
    }

    #[test]
    fn the_requirements_minimal_body_is_enough() {
        let body = r#"{"status":"firing","alerts":[{"status":"firing","labels":{"alertname":"X"},"annotations":{"summary":"s"}},
            {"status":"resolved","labels":{"alertname":"Y"}}]}"#;
        let post = parse(body).unwrap();
        assert_eq!(post.alerts[0].fingerprint, Fingerprint::of(&post.alerts[0].labels));
        assert_eq!((post.alerts[0].starts_at, post.alerts[0].ends_at), (now(), None));
        assert_eq!(post.alerts[1].ends_at, Some(now()));
    }

    #[test]
    fn null_and_empty_alerts_are_valid_and_a_missing_key_is_not() {
        for body in [r#"{"alerts":null}"#, r#"{"alerts":[]}"#, r#"{"alerts": [ ] }"#] {
            assert!(parse(body).unwrap().alerts.is_empty(), "{body}");
        }
        for body in ["{}", "", "null", "[]", "3", r#"{"text":"custom"}"#, r#"{"alerts":"x"}"#, r#"{"alerts":{}}"#] {
            assert!(parse(body).is_err(), "{body}");
        }
    }

    #[test]
    fn bad_alerts_are_quarantined_and_good_ones_kept() {
        let body = r#"{"alerts":[null, 3, {"status":"firing","labels":{"a":1}}, {"status":"odd","labels":{"a":"b"}},
            {"status":"firing","labels":{}}, {"status":"firing","labels":{"a":"b"},"startsAt":"yesterday"},
            {"status":"firing","labels":{"alertname":"Good"}}]}"#;
        let post = parse(body).unwrap();
        assert_eq!((post.alerts.len(), post.quarantined.len()), (1, 6));
        assert_eq!(post.alerts[0].name(), "Good");
        assert!(post.quarantined.iter().all(|piece| !piece.why.is_empty() && !piece.raw.is_empty()));
    }

    #[test]
    fn go_s_zero_time_and_absurd_years_are_no_times() {
        let body = r#"{"alerts":[{"status":"firing","labels":{"a":"b"},"startsAt":"0001-01-01T00:00:00Z","endsAt":"0001-01-01T00:00:00Z"},
            {"status":"resolved","labels":{"a":"b"},"startsAt":"2026-11-21T04:00:00.123456789+02:00","endsAt":"9999-01-01T00:00:00Z"}]}"#;
        let post = parse(body).unwrap();
        assert_eq!((post.alerts[0].starts_at, post.alerts[0].ends_at), (now(), None));
        assert_eq!(post.alerts[1].starts_at, "2026-11-21T02:00:00.123456789Z".parse().unwrap());
        assert_eq!(post.alerts[1].ends_at, Some(now()));
    }

    #[test]
    fn everything_that_is_kept_is_bounded() {
        let labels: Vec<String> = (0..500).map(|n| format!(r#""l{n:03}":"v""#)).collect();
        let long = "ü".repeat(1 << 20);
        let body = format!(
            r#"{{"alerts":[{{"status":"firing","labels":{{"zz":"{long}","alertname":"{long}",{}}},"annotations":{{"summary":"{long}"}},"generatorURL":"javascript:alert(1)"}}]}}"#,
            labels.join(",")
        );
        let alert = parse(&body).unwrap().alerts.remove(0);
        assert_eq!(alert.labels.len(), 128);
        assert!(alert.name().len() <= 4096 && alert.name().contains("…#"));
        assert!(alert.annotations["summary"].len() <= 16 << 10);
        assert_eq!(alert.generator_url, "");
    }

    #[test]
    fn receivers_are_unquoted() {
        assert_eq!(unquote(r"team\.ops-a"), "team.ops-a");
        assert_eq!(unquote(r"a\\b\|c\d"), r"a\b|c\d");
    }

    #[test]
    fn watchdogs_are_taken_out() {
        let body = r#"{"alerts":[{"status":"firing","labels":{"alertname":"Watchdog"}},{"status":"firing","labels":{"alertname":"X"}}]}"#;
        let mut post = parse(body).unwrap();
        let is_watchdog = |alert: &Alert| alert.name() == "Watchdog";
        assert_eq!((post.take_watchdogs(is_watchdog), post.alerts.len()), (true, 1));
        assert_eq!((post.take_watchdogs(is_watchdog), post.alerts.len()), (false, 1));
    }
}
