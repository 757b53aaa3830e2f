//! What Slack's answers mean for a message. The Web API answers 200 to failures too: its body says.

use http::StatusCode;
use jiff::Timestamp;

use crate::net::client::Answer;

use super::super::{Retry, SendError, reply};
use super::{CallError, Reply};

/// What an incoming webhook answered: `ok`, or a word in the body.
pub(super) fn webhook(answer: &Answer, now: Timestamp) -> Result<(), SendError> {
    let body = String::from_utf8_lossy(&answer.body);
    if !answer.status.is_success() {
        return Err(reply::refused(answer, now, &word(&body)));
    }
    // Services that take Slack's format answer `ok` too, or JSON that says so. A page of a proxy says neither.
    let said = serde_json::from_str::<Reply>(&body).is_ok_and(|reply| reply.ok);
    let nothing_to_say = answer.status == StatusCode::NO_CONTENT;
    if body.trim() == "ok" || said || nothing_to_say {
        return Ok(());
    }
    let what = "answered something else than `ok`".into();
    Err(SendError { retry: Retry::Ambiguous, reason: "unexpected", what })
}

/// What the Web API answered.
pub(super) fn api(answer: &Answer, now: Timestamp) -> Result<Reply, CallError> {
    let parsed = serde_json::from_slice::<Reply>(&answer.body);
    if !answer.status.is_success() {
        let what = parsed.map(|reply| word(&reply.error)).unwrap_or_default();
        return Err(CallError::Failed(reply::refused(answer, now, &what)));
    }
    match parsed {
        Ok(reply) if reply.ok => Ok(reply),
        Ok(reply) => Err(of_word(&reply.error, answer, now)),
        Err(_) => Err(CallError::Failed(SendError {
            retry: Retry::Ambiguous,
            reason: "unexpected",
            what: "answered 200 with something that is not Slack's".into(),
        })),
    }
}

/// An edit that was not answered can be repeated: nobody sees two of them.
pub(super) fn of_edit(error: SendError) -> SendError {
    match error.retry {
        Retry::Ambiguous => SendError { retry: Retry::Later, ..error },
        _ => error,
    }
}

fn of_word(error: &str, answer: &Answer, now: Timestamp) -> CallError {
    let error = word(error);
    let (retry, reason) = match error.as_str() {
        "message_not_found" | "cant_update_message" | "edit_window_closed" => return CallError::Gone,
        "ratelimited" | "rate_limited" | "message_limit_exceeded" => {
            (reply::after(&answer.headers, now), "rate_limited")
        }
        "invalid_auth"
        | "not_authed"
        | "account_inactive"
        | "token_revoked"
        | "token_expired"
        | "missing_scope"
        | "no_permission"
        | "org_login_required"
        | "ekm_access_denied"
        | "access_denied"
        | "team_access_not_granted" => (Retry::Never, "unauthorized"),
        "channel_not_found" | "not_in_channel" | "is_archived" => (Retry::Never, "not_found"),
        "invalid_blocks"
        | "invalid_blocks_format"
        | "msg_too_long"
        | "msg_blocks_too_long"
        | "no_text"
        | "invalid_arguments"
        | "too_many_attachments" => (Retry::Never, "refused"),
        restricted if restricted.starts_with("restricted_action") => (Retry::Never, "unauthorized"),
        // "It's possible some aspect of the operation succeeded before the error was raised."
        "internal_error" | "fatal_error" => (Retry::Ambiguous, "server_error"),
        "service_unavailable" | "request_timeout" => (Retry::Later, "server_error"),
        // A word that Slack has added since: nothing is given up for not knowing it.
        _ => (Retry::Later, "unexpected"),
    };
    CallError::Failed(SendError { retry, reason, what: format!("answered {}: {error}", StatusCode::OK.as_u16()) })
}

/// Slack's errors are words; anything else in their place may repeat what we sent, so it is not shown.
fn word(text: &str) -> String {
    let text = text.trim();
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let is_word = !text.is_empty() && text.len() <= 50 && text.chars().all(plain);
    if is_word { text.to_owned() } else { "no known error word".to_owned() }
}
