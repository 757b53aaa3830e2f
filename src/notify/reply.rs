//! What an HTTP answer, or none, means for a message: the table that all HTTP notifiers share.

use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use jiff::Timestamp;

use crate::net::client::{Answer, ClientError};

use super::{Retry, SendError};

/// The pause where the other side says that it is too much, but not for how long.
const UNTOLD: Duration = Duration::from_secs(10);

/// There was no answer. What had been sent may have arrived.
pub(crate) fn unanswered(error: &ClientError) -> SendError {
    let (retry, reason) = if error.sent { (Retry::Ambiguous, "no_answer") } else { (Retry::Later, "unreachable") };
    SendError { retry, reason, what: error.to_string() }
}

/// There was an answer that is no success.
pub(crate) fn refused(answer: &Answer, now: Timestamp, what: &str) -> SendError {
    let (retry, reason) = match answer.status {
        StatusCode::TOO_MANY_REQUESTS => (after(&answer.headers, now), "rate_limited"),
        StatusCode::SERVICE_UNAVAILABLE if answer.headers.contains_key(header::RETRY_AFTER) => {
            (after(&answer.headers, now), "unavailable")
        }
        StatusCode::REQUEST_TIMEOUT => (Retry::Later, "timeout"),
        // A proxy's word: whoever stands behind it may have the message.
        StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => (Retry::Ambiguous, "no_answer"),
        status if status.is_server_error() => (Retry::Later, "server_error"),
        // A redirect is not followed: it would carry the message, and its credentials, where nobody configured it to.
        status if status.is_redirection() => (Retry::Never, "redirect"),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => (Retry::Never, "unauthorized"),
        StatusCode::NOT_FOUND | StatusCode::GONE => (Retry::Never, "not_found"),
        _ => (Retry::Never, "refused"),
    };
    let what = if what.is_empty() { String::new() } else { format!(" ({what})") };
    SendError { retry, reason, what: format!("answered {}{what}", answer.status.as_u16()) }
}

/// What `Retry-After` asks for: seconds, or a date.
pub(crate) fn after(headers: &HeaderMap, now: Timestamp) -> Retry {
    let value = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()).unwrap_or_default().trim();
    let seconds = value.parse().ok().map(Duration::from_secs);
    let until = || {
        let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(value).ok()?;
        Duration::try_from(date.duration_since(now)).ok()
    };
    Retry::After(seconds.or_else(until).unwrap_or(UNTOLD))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(value: &str) -> Retry {
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, value.parse().unwrap());
        after(&headers, "2015-10-21T07:27:30Z".parse().unwrap())
    }

    #[test]
    fn both_forms_of_retry_after_are_read() {
        assert_eq!(asked("30"), Retry::After(Duration::from_secs(30)));
        assert_eq!(asked("Wed, 21 Oct 2015 07:28:00 GMT"), Retry::After(Duration::from_secs(30)));
        for text in ["soon", "-1", "Wed, 21 Oct 2015 07:00:00 GMT"] {
            assert_eq!(asked(text), Retry::After(UNTOLD), "{text}");
        }
    }
}
