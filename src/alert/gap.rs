//! What Prometheus says fired while nobody listened: the series `ALERTS` over that time.

use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;

use super::webhook::{Limits, kept_labels};
use super::{Alert, Fingerprint, Labels};

/// The time in which nobody listened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Its begin.
    pub from: Timestamp,
    /// Its end.
    pub to: Timestamp,
}

/// So many stretches are taken; more in one gap are a storm that somebody has seen otherwise.
const MOST: usize = 1_000;

/// The shortest step, and how many of them there are at most: Prometheus answers no more than 11 000 points a series.
const STEP: Duration = Duration::from_secs(15);
const MOST_STEPS: u64 = 1_000;

#[derive(Deserialize)]
struct Answer {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    result: Vec<Series>,
}

#[derive(Deserialize)]
struct Series {
    metric: Labels,
    /// Seconds, and a value that does not matter: 1.
    values: Vec<(f64, serde::de::IgnoredAny)>,
}

impl Gap {
    /// How far two points that are asked for lie apart.
    pub fn step(&self) -> Duration {
        let length = Duration::try_from(self.to.duration_since(self.from)).unwrap_or_default();
        STEP.max(Duration::from_secs(length.as_secs().div_ceil(MOST_STEPS)))
    }

    /// The alerts that began and ended in the gap, from the body of `/api/v1/query_range`. One that fired before it is
    /// known, and of one that still fires Alertmanager knows.
    ///
    /// # Errors
    /// The body is not a matrix.
    pub fn missed(&self, body: &[u8], limits: &Limits) -> Result<Vec<Alert>, String> {
        let answer: Answer = serde_json::from_slice(body).map_err(|_| "its answer is no range of ALERTS")?;
        let (mut missed, step) = (Vec::new(), self.step().as_secs_f64());
        let (from, to) = (self.from.as_duration().as_secs_f64(), self.to.as_duration().as_secs_f64());
        for Series { metric, values } in answer.data.result {
            let points: Vec<f64> = values.into_iter().map(|(at, _)| at).collect();
            let mut labels = metric;
            for own in ["__name__", "alertstate"] {
                labels.remove(own);
            }
            for stretch in points.chunk_by(|before, after| after - before < 1.5 * step) {
                let (Some(begin), Some(end)) = (stretch.first(), stretch.last()) else { continue };
                // At either edge it goes on beyond.
                let whole = *begin >= from + step && *end <= to - 1.5 * step;
                let at = |seconds: f64| Timestamp::from_millisecond((seconds * 1e3) as i64).ok();
                if !whole || missed.len() >= MOST {
                    continue;
                }
                let (Some(starts_at), Some(ends_at)) = (at(*begin), at(end + step)) else { continue };
                missed.push(Alert {
                    fingerprint: Fingerprint::of(&labels),
                    firing: false,
                    labels: kept_labels(labels.clone(), limits),
                    annotations: Labels::new(),
                    starts_at,
                    ends_at: Some(ends_at),
                    generator_url: String::new(),
                });
            }
        }
        missed.sort_by_key(|alert| alert.starts_at);
        Ok(missed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn gap() -> Gap {
        Gap { from: at(1_000), to: at(1_600) }
    }

    fn body(series: &[(&str, std::ops::RangeInclusive<i64>)]) -> String {
        let series = series.iter().map(|(name, seconds)| {
            let values: Vec<String> = seconds.clone().step_by(15).map(|second| format!("[{second},\"1\"]")).collect();
            format!(
                r#"{{"metric":{{"__name__":"ALERTS","alertname":"{name}","alertstate":"firing"}},"values":[{}]}}"#,
                values.join(",")
            )
        });
        let series: Vec<String> = series.collect();
        format!(r#"{{"status":"success","data":{{"resultType":"matrix","result":[{}]}}}}"#, series.join(","))
    }

    #[test]
    fn only_what_began_and_ended_in_the_gap_was_missed() {
        let body = body(&[
            ("Short", 1_105..=1_195),
            ("FromBefore", 1_000..=1_150),
            ("FiresYet", 1_210..=1_600),
            ("Once", 1_300..=1_300),
        ]);
        let missed = gap().missed(body.as_bytes(), &Limits::default()).unwrap();
        let told: Vec<_> = missed.iter().map(|it| (it.name(), it.starts_at, it.ends_at)).collect();
        assert_eq!(told, [("Short", at(1_105), Some(at(1_210))), ("Once", at(1_300), Some(at(1_315)))]);
        assert!(missed.iter().all(|it| !it.firing && !it.labels.contains_key("alertstate")));
        assert!(gap().missed(b"{\"status\":\"error\"}", &Limits::default()).is_err());
    }

    #[test]
    fn two_stretches_of_one_alert_are_two() {
        let one = body(&[("Flaps", 1_105..=1_135)]);
        let two = one.replace("]]}", "],[1300,\"1\"],[1315,\"1\"]]}");
        assert_eq!(gap().missed(two.as_bytes(), &Limits::default()).unwrap().len(), 2);
    }

    #[test]
    fn a_long_gap_is_asked_in_longer_steps() {
        assert_eq!(gap().step(), STEP);
        assert_eq!(Gap { from: at(0), to: at(86_400) }.step(), Duration::from_secs(87));
    }
}
