//! `GET /metrics`.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{Extension, RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderMap, StatusCode, header};
use prometheus::{Histogram, IntCounterVec};
use tokio::time::Instant;

use super::buffers::{Buffer, Buffers};
use super::front::Front;
use super::{Api, Listener, ScrapeRequest, TargetRequest, Told};
use crate::metrics::expose::{self, Format, Gzip};
use crate::telemetry::Telemetry;

/// So many names may be asked for, each at most so long.
const NAMES: (usize, usize) = (128, 128);

/// A smaller exposition is not worth compressing.
const WORTH_GZIP: usize = 1_024;

/// A scraper that announces more has a typing error, not patience.
const LONGEST: Duration = Duration::from_hours(1);

pub(super) struct ScrapeMeters {
    scrapes: IntCounterVec,
    refused: IntCounterVec,
    seconds: Histogram,
    buffers: Buffers,
    /// Between two scrapes. Of several at once, one finds it here.
    gzip: Mutex<Option<Gzip>>,
}

impl ScrapeMeters {
    pub(super) fn new(telemetry: &Telemetry) -> Self {
        let scrapes =
            telemetry.counter("tidewatch_scrapes_total", "Scrapes answered, by the format of the answer.", &["format"]);
        for format in [Format::Text, Format::OpenMetrics] {
            scrapes.with_label_values(&[name(format)]).reset();
        }
        let refused =
            telemetry.counter("tidewatch_scrapes_refused_total", "Scrapes that asked for an unknown name.", &[]);
        refused.with_label_values::<&str>(&[]).reset();
        let seconds = telemetry.histogram(
            "tidewatch_scrape_duration_seconds",
            "Time from a scrape's head to its whole answer, the writing and the compressing included.",
            &[],
            &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0],
        );
        let seconds = seconds.with_label_values::<&str>(&[]);
        Self { scrapes, refused, seconds, buffers: Buffers::default(), gzip: Mutex::default() }
    }

    fn gzip(&self) -> Gzip {
        self.gzip.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default()
    }

    fn keep(&self, gzip: Gzip) {
        *self.gzip.lock().unwrap_or_else(PoisonError::into_inner) = Some(gzip);
    }
}

fn name(format: Format) -> &'static str {
    match format {
        Format::Text => "text",
        Format::OpenMetrics => "openmetrics",
    }
}

pub(super) fn routes() -> Router<Arc<Api>> {
    let target =
        |path| get(move |api, front, listener, query, headers| target(path, api, front, listener, query, headers));
    Router::new().route("/metrics", get(metrics)).route("/probe", target("/probe")).route("/scrape", target("/scrape"))
}

async fn metrics(
    State(api): State<Arc<Api>>,
    Extension(front): Extension<Arc<Front>>,
    Extension(listener): Extension<Arc<Listener>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let began = Instant::now();
    let meters = &front.scrapes;
    let refuse = |why: String| {
        meters.refused.with_label_values::<&str>(&[]).inc();
        (StatusCode::BAD_REQUEST, format!("{why}\n")).into_response()
    };
    let request = match asked(query.as_deref().unwrap_or_default(), &headers, &listener) {
        Ok(request) => request,
        Err(why) => return refuse(why),
    };
    let format = Format::negotiate(&joined(&headers, &header::ACCEPT));
    let mut plain = meters.buffers.take();
    if let Err(why) = api.scraper.scrape(request, format, &mut plain.bytes).await {
        return refuse(why);
    }
    let response = packed(meters, &headers, format.content_type(), plain);
    meters.scrapes.with_label_values(&[name(format)]).inc();
    meters.seconds.observe(began.elapsed().as_secs_f64());
    response
}

/// `GET /probe?target=…` and `GET /scrape?target=…`.
async fn target(
    path: &'static str,
    State(api): State<Arc<Api>>,
    Extension(front): Extension<Arc<Front>>,
    Extension(listener): Extension<Arc<Listener>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let meters = &front.scrapes;
    let format = Format::negotiate(&joined(&headers, &header::ACCEPT));
    let query: Vec<_> = url::form_urlencoded::parse(query.as_deref().unwrap_or_default().as_bytes())
        .map(|(key, value)| (key.into_owned(), value.into_owned()))
        .take(NAMES.0)
        .collect();
    let (bound, timeout) = (listener.collectors.clone(), patience(&headers));
    let mut plain = meters.buffers.take();
    let request = TargetRequest { path, query, bound, timeout };
    match api.scraper.target(request, format, &mut plain.bytes).await {
        Ok(Told::Samples) => packed(meters, &headers, format.content_type(), plain),
        Ok(Told::Text) => packed(meters, &headers, "text/plain; charset=utf-8", plain),
        Err((status, why)) => (status, format!("{why}\n")).into_response(),
    }
}

/// The answer, compressed where the scraper takes that and it is worth it.
fn packed(meters: &ScrapeMeters, headers: &HeaderMap, content_type: &'static str, plain: Buffer) -> Response {
    let mut answered = HeaderMap::new();
    answered.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    answered.insert(header::VARY, header::HeaderValue::from_static("accept, accept-encoding"));
    let body = if plain.bytes.len() > WORTH_GZIP && expose::accepts_gzip(&joined(headers, &header::ACCEPT_ENCODING)) {
        let mut compressed = meters.buffers.take();
        let mut gzip = meters.gzip();
        gzip.pack(&plain.bytes, &mut compressed.bytes);
        meters.keep(gzip);
        answered.insert(header::CONTENT_ENCODING, header::HeaderValue::from_static("gzip"));
        compressed
    } else {
        plain
    };
    (answered, body.into_bytes()).into_response()
}

/// What the scraper asks for; text for it where that makes no sense.
fn asked(query: &str, headers: &HeaderMap, listener: &Listener) -> Result<ScrapeRequest, String> {
    let mut request = ScrapeRequest { bound: listener.collectors.clone(), ..ScrapeRequest::default() };
    for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let names = match key.as_ref() {
            "collect[]" => &mut request.collect,
            "exclude[]" => &mut request.exclude,
            _ => continue,
        };
        if names.len() >= NAMES.0 || value.len() > NAMES.1 {
            return Err(format!("at most {} names, each of at most {} bytes", NAMES.0, NAMES.1));
        }
        names.push(value.into_owned());
    }
    request.timeout = patience(headers);
    Ok(request)
}

fn patience(headers: &HeaderMap) -> Option<Duration> {
    headers.get("x-prometheus-scrape-timeout-seconds").and_then(|value| seconds(value.to_str().ok()?))
}

/// A header that makes no sense is no reason to fail a scrape: the configured deadline holds.
fn seconds(text: &str) -> Option<Duration> {
    let seconds: f64 = text.trim().parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok().filter(|it| !it.is_zero()).map(|it| it.min(LONGEST))
}

/// All lines of a list-like header as one.
fn joined(headers: &HeaderMap, name: &header::HeaderName) -> String {
    let lines: Vec<&str> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    lines.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_positive_finite_and_bounded() {
        assert_eq!(seconds("9.5"), Some(Duration::from_millis(9_500)));
        assert_eq!(seconds("1e9"), Some(LONGEST));
        for text in ["", "0", "-1", "nan", "inf", "ten", "1e400"] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }

    #[test]
    fn names_are_read_from_the_query_and_bounded() {
        let listener = Listener { collectors: vec!["host".into()] };
        let ask = |query: &str| asked(query, &HeaderMap::new(), &listener);
        let request = ask("collect[]=cpu&collect%5B%5D=a%26b&exclude[]=netdev&other=1").unwrap();
        assert_eq!((request.collect, request.exclude), (vec!["cpu".into(), "a&b".into()], vec!["netdev".into()]));
        assert_eq!(request.bound, ["host"]);
        assert!(ask(&"collect[]=x&".repeat(129)).is_err());
        assert!(ask(&format!("collect[]={}", "x".repeat(129))).is_err());
    }
}
