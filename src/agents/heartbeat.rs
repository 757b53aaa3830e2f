//! The body of a heartbeat: JSON, every field optional, unknown ones ignored, an empty body is a heartbeat too.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::text::Text;

/// What an agent tells about itself. Everything is bounded once it is read.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Heartbeat {
    pub(super) status: Option<Text>,
    /// When it was sent, where that can be read; counts only where it is older than the receipt.
    #[serde(deserialize_with = "timestamp")]
    pub timestamp: Option<Timestamp>,
    /// How often it reports.
    #[serde(deserialize_with = "interval")]
    pub interval_seconds: Option<f64>,
    pub(super) role: Option<Text>,
    pub(super) model: Option<Text>,
    /// Its own opinion, 0 to 1.
    #[serde(deserialize_with = "score")]
    pub health_score: Option<f64>,
    /// Messages processed since it started.
    #[serde(deserialize_with = "count")]
    pub messages_processed: Option<u64>,
    /// Deliberations since it started.
    #[serde(deserialize_with = "count")]
    pub deliberations: Option<u64>,
    /// Tasks since it started.
    pub tasks: Option<Tasks>,
    /// Tasks at this moment.
    #[serde(deserialize_with = "count")]
    pub active_tasks: Option<u64>,
    /// Tokens since it started.
    pub tokens: Option<Tokens>,
    /// US dollars since it started.
    #[serde(deserialize_with = "money")]
    pub cost_usd: Option<f64>,
}

/// Tasks by their outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Tasks {
    /// Completed.
    #[serde(deserialize_with = "count")]
    pub completed: Option<u64>,
    /// Failed.
    #[serde(deserialize_with = "count")]
    pub failed: Option<u64>,
}

/// Tokens by their direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Tokens {
    /// Read by the model.
    #[serde(deserialize_with = "count")]
    pub input: Option<u64>,
    /// Written by the model.
    #[serde(deserialize_with = "count")]
    pub output: Option<u64>,
}

/// Counts above 2⁵³ are refused: neither JSON's numbers nor a sample hold them exactly.
const MOST: u64 = 1 << 53;
/// No agent spends more than this: 10¹² dollars.
const RICHEST: f64 = 1e12;
/// An interval is at most a week.
const SLOWEST: f64 = 7.0 * 86_400.0;
/// What is wrong is told in at most so many characters.
const LONGEST_ERROR: usize = 300;

impl Heartbeat {
    /// Reads a body.
    ///
    /// # Errors
    /// What is wrong with which field, for the person who wrote the sender.
    pub fn parse(body: &[u8]) -> Result<Self, String> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self::default());
        }
        // serde would read an array as the fields in their order.
        if body.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
            return Err("a heartbeat is a JSON object, or nothing at all".into());
        }
        // The error repeats what it found, which may be long.
        let wrong = |error: serde_json::Error| format!("no heartbeat: {error}").chars().take(LONGEST_ERROR).collect();
        serde_json::from_slice(body).map_err(wrong)
    }
}

/// A number within bounds, or `null`.
fn number<'de, D: Deserializer<'de>>(deserializer: D, what: &str, most: f64) -> Result<Option<f64>, D::Error> {
    let Some(value) = Option::<f64>::deserialize(deserializer)? else { return Ok(None) };
    if (0.0..=most).contains(&value) {
        return Ok(Some(value));
    }
    Err(D::Error::custom(format_args!("{what} must be from 0 to {most}, not {value}")))
}

fn score<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    number(deserializer, "`health_score`", 1.0)
}

fn money<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    number(deserializer, "`cost_usd`", RICHEST)
}

/// 0 means that the agent does not know.
fn interval<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    Ok(number(deserializer, "`interval_seconds`", SLOWEST)?.filter(|seconds| *seconds > 0.0))
}

/// A whole number; some languages write it as 12.0.
fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    struct Whole;
    impl<'de> Visitor<'de> for Whole {
        type Value = Option<u64>;
        fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(out, "a whole number from 0 to {MOST}")
        }
        fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
            if value <= MOST { Ok(Some(value)) } else { Err(E::custom(format_args!("a count above {MOST}"))) }
        }
        fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
            if value.fract() == 0.0 && (0.0..=MOST as f64).contains(&value) {
                return Ok(Some(value as u64));
            }
            Err(E::invalid_value(serde::de::Unexpected::Float(value), &self))
        }
        fn visit_none<E: Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
        fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
            deserializer.deserialize_any(self)
        }
    }
    deserializer.deserialize_option(Whole)
}

/// A time as RFC 3339, as a date and time without a zone (read as UTC), or as seconds or milliseconds since 1970. What
/// is none of these is as good as no timestamp: a sign of life is not refused for its clock.
fn timestamp<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    struct Time;
    impl<'de> Visitor<'de> for Time {
        type Value = Option<Timestamp>;
        fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            out.write_str("a time")
        }
        fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
            let text = text.trim();
            let as_utc = || text.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
            Ok(text.parse::<Timestamp>().ok().or_else(as_utc))
        }
        fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
            // 10¹¹ seconds are the year 5138, as milliseconds 1973.
            let millis = if value.abs() < 1e11 { value * 1_000.0 } else { value };
            Ok(Timestamp::from_millisecond(millis as i64).ok())
        }
        fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
            self.visit_f64(value as f64)
        }
        fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
            self.visit_f64(value as f64)
        }
        fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
            Ok(None)
        }
        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            Ok(None)
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            Ok(None)
        }
    }
    deserializer.deserialize_any(Time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_body_is_read() {
        let body = br#"{"status":"alive","timestamp":"2026-09-01T12:00:00Z","interval_seconds":30,"role":"steward",
            "model":"m","health_score":0.9,"messages_processed":12,"deliberations":3.0,"tasks":{"completed":5,"failed":1},
            "active_tasks":2,"tokens":{"input":100,"output":50},"cost_usd":0.25,"agent":"steward","more":{"x":[1]}}"#;
        let beat = Heartbeat::parse(body).unwrap();
        assert_eq!(beat.status, Some(Text::new("alive")));
        assert_eq!(beat.timestamp, Some("2026-09-01T12:00:00Z".parse().unwrap()));
        assert_eq!((beat.interval_seconds, beat.health_score, beat.cost_usd), (Some(30.0), Some(0.9), Some(0.25)));
        assert_eq!((beat.messages_processed, beat.deliberations, beat.active_tasks), (Some(12), Some(3), Some(2)));
        assert_eq!(beat.tasks, Some(Tasks { completed: Some(5), failed: Some(1) }));
        assert_eq!(beat.tokens, Some(Tokens { input: Some(100), output: Some(50) }));
    }

    #[test]
    fn nothing_is_a_heartbeat() {
        for body in ["", " \n", "{}", r#"{"status":null,"timestamp":null,"tasks":null,"messages_processed":null}"#] {
            assert_eq!(Heartbeat::parse(body.as_bytes()), Ok(Heartbeat::default()), "{body:?}");
        }
    }

    #[test]
    fn times_are_read_in_the_forms_that_agents_send() {
        let expected: Timestamp = "2026-09-01T12:00:00Z".parse().unwrap();
        for time in [
            r#""2026-09-01T12:00:00Z""#,
            r#""2026-09-01T14:00:00+02:00""#,
            r#""2026-09-01T12:00:00""#,
            "1788264000",
            "1788264000.0",
            "1788264000000",
        ] {
            let body = format!(r#"{{"timestamp":{time}}}"#);
            assert_eq!(Heartbeat::parse(body.as_bytes()).unwrap().timestamp, Some(expected), "{time}");
        }
        for time in [r#""yesterday""#, "1e300", "-1e300", "true", "{\"a\":1}", "[1]", "\"\""] {
            let body = format!(r#"{{"timestamp":{time}}}"#);
            let read = Heartbeat::parse(body.as_bytes()).unwrap().timestamp;
            assert!(read.is_none_or(|at| at != expected), "{time}: {read:?}");
        }
    }

    #[test]
    fn what_is_out_of_bounds_is_refused_with_its_name_or_value() {
        for (body, needle) in [
            ("[]", "JSON object"),
            ("{", "EOF"),
            (r#"{"health_score":90}"#, "health_score"),
            (r#"{"cost_usd":-1}"#, "cost_usd"),
            (r#"{"interval_seconds":1e9}"#, "interval_seconds"),
            (r#"{"messages_processed":-1}"#, "-1"),
            (r#"{"messages_processed":1.5}"#, "whole number"),
            (r#"{"messages_processed":"12"}"#, "whole number"),
            (r#"{"active_tasks":9007199254740993}"#, "9007199254740992"),
            (r#"{"role":7}"#, "string"),
        ] {
            let error = Heartbeat::parse(body.as_bytes()).unwrap_err();
            assert!(error.contains(needle), "{body}: {error}");
        }
    }
}
