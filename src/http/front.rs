//! What every request passes before its route, and every answer after it: the path's prefix, who may ask, a turn, a
//! panic's end, the headers, the counters.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Redirect, Response};
use futures_util::FutureExt;
use http::{HeaderName, HeaderValue, Request, StatusCode, Uri, header};
use jiff::tz::TimeZone;
use prometheus::IntCounterVec;
use tokio::time::Instant;
use tower_service::Service;

use super::access::{Access, Denied, Principal, Rules, Scope, only_reads, rule_for};
use super::credential::{Asker, Claim};
use super::limit::{Intake, Work};
use super::passwords::Passwords;
use super::refusal::Refusal;
use super::scrape::ScrapeMeters;
use super::server::Peer;
use super::throttle::Throttle;
use crate::net::serve::Client;
use crate::task::Tasks;
use crate::telemetry::Telemetry;

/// What all listeners share: made once.
pub struct Front {
    rules: RwLock<Arc<Rules>>,
    throttle: Throttle,
    passwords: Passwords,
    said: Mutex<Option<Instant>>,
    pub(super) intake: Intake,
    zone: RwLock<TimeZone>,
    pub(super) scrapes: ScrapeMeters,
    requests: IntCounterVec,
    panics: IntCounterVec,
    failures: IntCounterVec,
}

/// At most one line about failed authentication in this time.
const QUIET: Duration = Duration::from_secs(10);

impl Front {
    /// `zone` is where people read times.
    pub fn new(access: Access, work: Work, zone: TimeZone, tasks: &Tasks, telemetry: &Telemetry) -> Self {
        let requests = telemetry.counter(
            "tidewatch_http_requests_total",
            "Requests answered, by the kind of path and the status.",
            &["path", "code"],
        );
        let panics = telemetry.counter(
            "tidewatch_http_panics_total",
            "Requests whose handler panicked, by the kind of path.",
            &["path"],
        );
        let failures = telemetry.counter(
            "tidewatch_auth_failures_total",
            "Requests refused by what they lack: credentials missing or wrong, a foreign origin or host, a scope.",
            &["reason"],
        );
        let scope = Denied::Scope(Scope::Write);
        for denied in [Denied::Missing, Denied::Wrong, Denied::Busy, Denied::Origin, Denied::Host, scope] {
            failures.with_label_values(&[reason(denied)]).reset();
        }
        Self {
            rules: RwLock::new(Arc::new(access.into())),
            throttle: Throttle::default(),
            passwords: Passwords::new(tasks.clone(), telemetry),
            said: Mutex::new(None),
            intake: Intake::new(work),
            zone: RwLock::new(zone),
            scrapes: ScrapeMeters::new(telemetry),
            requests,
            panics,
            failures,
        }
    }

    /// Takes a reloaded configuration's word on access, and on where people read times.
    pub fn replace(&self, access: Access, zone: TimeZone) {
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(access.into());
        *self.zone.write().unwrap_or_else(PoisonError::into_inner) = zone;
    }

    /// Where people read times.
    pub(super) fn zone(&self) -> TimeZone {
        self.zone.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.rules.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Answers one request.
    pub(super) async fn answer(&self, routes: Router, mut request: Request<Body>) -> Response {
        let rules = self.rules();
        if !rules.prefix().is_empty() && request.uri().path() == rules.prefix() {
            // The links of a page are relative to its folder.
            return Redirect::permanent(&format!("{}/", rules.prefix())).into_response();
        }
        if let Some(uri) = without_prefix(request.uri(), rules.prefix()) {
            *request.uri_mut() = uri;
        }
        let class = rule_for(request.uri().path()).class;
        // A length may have stood beside the chunks, by which another reader would have found another end: RFC 9112, 6.1.
        let ambiguous = request.headers().contains_key(header::TRANSFER_ENCODING);
        let mut response = match self.let_in(&rules, class, request).await {
            Ok((request, _permit)) => self.contained(routes, class, request).await,
            Err(refusal) => refusal.into_response(),
        };
        self.requests.with_label_values(&[class, response.status().as_str()]).inc();
        if ambiguous {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        dressed(response)
    }

    async fn let_in(
        &self,
        rules: &Rules,
        class: &'static str,
        mut request: Request<Body>,
    ) -> Result<(Request<Body>, Option<super::limit::Permit>), Refusal> {
        let peer = request.extensions().get::<Peer>().copied();
        let principal = if peer == Some(Peer::Local) {
            Principal::local()
        } else {
            let client = request.extensions().get::<Arc<Client>>().map(Arc::as_ref);
            match rules.admit(request.method(), request.uri(), request.headers(), client) {
                Ok(Asker::Known(principal)) => principal,
                Ok(Asker::Claimed(claim)) => self.proved(claim, peer).await?,
                Err(denied) => return Err(self.denied(denied, peer).await),
            }
        };
        // Health answers even when everything else is at its limit.
        let permit = match class {
            _ if !only_reads(request.method()) => None,
            "health" => None,
            "probe" => Some(self.intake.prober().await?),
            _ => Some(self.intake.reader().await?),
        };
        request.extensions_mut().insert(principal);
        request.extensions_mut().insert(self.intake.clone());
        Ok((request, permit))
    }

    /// Who has given a password, once it has been checked.
    async fn proved(&self, claim: Claim, peer: Option<Peer>) -> Result<Principal, Refusal> {
        if !self.passwords.remembers(&claim) {
            // Of an address: kept while a refusal waits, so that guessing on many connections is no faster.
            let own = async {
                match peer {
                    Some(Peer::Address(address)) => self.throttle.turns(address).acquire_owned().await.ok(),
                    _ => None,
                }
            };
            let Some(_own) = self.intake.in_turn(own).await else { return Err(self.denied(Denied::Busy, peer).await) };
            let right = match self.intake.in_turn(self.passwords.turn()).await.flatten() {
                Some(turn) => self.passwords.check(&claim, turn).await,
                None => None,
            };
            match right {
                Some(true) => {}
                Some(false) => return Err(self.denied(Denied::Wrong, peer).await),
                None => return Err(self.denied(Denied::Busy, peer).await),
            }
        }
        let Some(principal) = claim.principal else { return Err(self.denied(Denied::Wrong, peer).await) };
        match principal.allowed(claim.scope) {
            Ok(principal) => Ok(principal),
            Err(denied) => Err(self.denied(denied, peer).await),
        }
    }

    async fn denied(&self, denied: Denied, peer: Option<Peer>) -> Refusal {
        self.failures.with_label_values(&[reason(denied)]).inc();
        self.say(denied, peer);
        let (status, message) = match denied {
            Denied::Origin => (StatusCode::FORBIDDEN, "the page that sent this is not ours"),
            Denied::Host => {
                (StatusCode::FORBIDDEN, "without a token, ask for 127.0.0.1, localhost or the host of external_url")
            }
            Denied::Scope(Scope::Local) => {
                (StatusCode::FORBIDDEN, "only the control socket in the data folder may do that")
            }
            Denied::Scope(_) => {
                (StatusCode::FORBIDDEN, "this token was not given out for that: see `tidewatch token list`")
            }
            // Never 401: Alertmanager does not try again after that, and the password may be right.
            Denied::Busy => return Refusal::busy("passwords are being checked; one that was right is remembered"),
            Denied::Missing => (StatusCode::UNAUTHORIZED, "a token is needed: Authorization: Bearer TOKEN"),
            Denied::Wrong => (StatusCode::UNAUTHORIZED, "the token, or the name or password, is wrong"),
        };
        let refusal = Refusal::new(status, message);
        if status != StatusCode::UNAUTHORIZED {
            return refusal;
        }
        // Only who guesses: a browser's first request comes without credentials, and this answer makes it ask for them.
        if let (Denied::Wrong, Some(Peer::Address(address))) = (denied, peer) {
            tokio::time::sleep(self.throttle.failed(address)).await;
        }
        refusal
            .with(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"tidewatch\""))
            .with(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"tidewatch\", charset=\"UTF-8\""))
    }

    fn say(&self, denied: Denied, peer: Option<Peer>) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.is_none_or(|at| at.elapsed() >= QUIET) {
            *said = Some(Instant::now());
            tracing::warn!(
                reason = reason(denied),
                ?peer,
                "a request was refused; all are counted, not all are logged"
            );
        }
    }

    async fn contained(&self, mut routes: Router, class: &'static str, request: Request<Body>) -> Response {
        let answer = AssertUnwindSafe(async move { routes.call(request).await });
        match answer.catch_unwind().await {
            Ok(Ok(response)) => response,
            Err(panic) => {
                self.panics.with_label_values(&[class]).inc();
                let what = crate::task::words(panic.as_ref());
                tracing::error!(path = class, what, "a handler panicked");
                // Alertmanager tries again after any 5xx; 503 says that it should.
                if class == "webhook" {
                    Refusal::busy("this request failed here; the log says why").into_response()
                } else {
                    let status = StatusCode::INTERNAL_SERVER_ERROR;
                    Refusal::new(status, "this request failed here; the log says why").into_response()
                }
            }
        }
    }
}

fn reason(denied: Denied) -> &'static str {
    match denied {
        Denied::Origin => "origin",
        Denied::Host => "host",
        Denied::Missing => "missing",
        Denied::Wrong => "wrong",
        Denied::Busy => "busy",
        Denied::Scope(_) => "scope",
    }
}

/// The target without `external_url`'s path: some proxies leave it, some take it away, and both work.
fn without_prefix(uri: &Uri, prefix: &str) -> Option<Uri> {
    let path = uri.path().strip_prefix(prefix).filter(|rest| !prefix.is_empty() && rest.starts_with('/'))?;
    let mut parts = uri.clone().into_parts();
    let whole = uri.query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    parts.path_and_query = Some(whole.parse().ok()?);
    Uri::from_parts(parts).ok()
}

/// The headers of every answer. Pages take our style and nothing else: no script, no form, no frame.
const HEADERS: [(HeaderName, &str); 6] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::CACHE_CONTROL, "no-store"),
];

fn dressed(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::post;
    use std::net::Ipv4Addr;

    #[tokio::test]
    async fn a_panic_on_the_webhook_is_answered_503_and_elsewhere_500() {
        async fn doomed() {
            panic!("this handler is broken");
        }
        let telemetry = Telemetry::new();
        let tasks = Tasks::new(&telemetry);
        let front = Front::new(Access::default(), Work::default(), TimeZone::UTC, &tasks, &telemetry);
        let routes = Router::new().route("/webhook/alerts", post(doomed)).route("/api/x", post(doomed));
        for (path, status, class) in [("/webhook/alerts", 503, "webhook"), ("/api/x", 500, "api")] {
            let request =
                Request::post(path).header("host", "localhost").extension(Peer::Address(Ipv4Addr::LOCALHOST.into()));
            let response = front.answer(routes.clone(), request.body(Body::empty()).unwrap()).await;
            assert_eq!(response.status(), status, "{path}");
            assert_eq!(front.panics.with_label_values(&[class]).get(), 1);
        }
    }

    #[test]
    fn a_prefix_is_taken_off_whole_segments_only() {
        let strip = |path: &str| without_prefix(&path.parse().unwrap(), "/tide/watch").map(|uri| uri.to_string());
        assert_eq!(strip("/tide/watch/i/7?a=b").as_deref(), Some("/i/7?a=b"));
        assert_eq!(strip("/tide/watch/").as_deref(), Some("/"));
        assert_eq!(strip("/tide/watcher"), None);
        assert_eq!(strip("/i/7"), None);
        assert_eq!(without_prefix(&"/i/7".parse().unwrap(), ""), None);
    }
}
