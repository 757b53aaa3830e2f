//! Slack: what its words mean, and what people see in the channel.

use std::time::Duration;

use tidewatch::alert::{Kind, Severity};
use tidewatch::notify::Retry;
use tidewatch::store::Delivery;

use super::{channel, next};
use crate::support::deliveries::{deps, opened};
use crate::support::http_stub::Reply;
use crate::support::slack_stub::SlackStub;

#[tokio::test]
async fn r5_ok_false() {
    let never = [
        "invalid_auth",
        "account_inactive",
        "token_revoked",
        "not_in_channel",
        "channel_not_found",
        "is_archived",
        "invalid_blocks",
        "msg_too_long",
        "msg_blocks_too_long",
        "restricted_action",
        "restricted_action_read_only_channel",
        "missing_scope",
    ];
    let ambiguous = ["internal_error", "fatal_error"];
    let later = ["service_unavailable", "request_timeout", "a_word_of_tomorrow"];
    let after = ["ratelimited", "rate_limited", "message_limit_exceeded"];
    let slack = SlackStub::start().await;
    let channel = channel(&format!("[slack.ops]\n{}", slack.bot()), &deps("02:49"));
    let expected = never.iter().map(|word| (word, Retry::Never));
    let expected = expected.chain(ambiguous.iter().map(|word| (word, Retry::Ambiguous)));
    let expected = expected.chain(later.iter().map(|word| (word, Retry::Later)));
    for (word, retry) in expected.chain(after.iter().map(|word| (word, Retry::After(Duration::from_secs(10))))) {
        slack.error("chat.postMessage", word);
        let error = channel.notifier.send(&opened()).await.unwrap_err();
        assert_eq!(error.retry, retry, "{word}");
        assert!(error.what.contains(word), "{error}");
    }
    assert!(slack.shown().is_empty());
    let hook = super::channel(&format!("[slack.ops]\n{}", slack.webhook()), &deps("02:49"));
    for (status, word) in [
        (400, "invalid_payload"),
        (400, "no_text"),
        (400, "user_not_found"),
        (400, "too_many_attachments"),
        (403, "action_prohibited"),
        (403, "invalid_token"),
        (403, "posting_to_general_channel_denied"),
        (404, "channel_not_found"),
        (404, "no_service"),
        (404, "no_active_hooks"),
        (410, "channel_is_archived"),
    ] {
        slack.fault("canaryhook", Reply::status(status, word));
        let error = hook.notifier.send(&opened()).await.unwrap_err();
        assert_eq!((error.retry, error.what.contains(word)), (Retry::Never, true), "{error}");
    }
    let limited = r#"{"retry_after":1,"ok":false,"error":"rate_limited"}"#;
    slack.fault("canaryhook", Reply::status(429, limited).with("retry-after", "7"));
    assert_eq!(hook.notifier.send(&opened()).await.unwrap_err().retry, Retry::After(Duration::from_secs(7)));
    let limited = r#"{"ok":false,"error":"ratelimited"}"#;
    slack.fault("chat.postMessage", Reply::status(200, limited).with("retry-after", "9"));
    assert_eq!(channel.notifier.send(&opened()).await.unwrap_err().retry, Retry::After(Duration::from_secs(9)));
    slack.fault("canaryhook", Reply::status(500, "rollup_error"));
    assert_eq!(hook.notifier.send(&opened()).await.unwrap_err().retry, Retry::Later);
    slack.fault("canaryhook", Reply::status(200, "<html>log in to the proxy</html>"));
    assert_eq!(hook.notifier.send(&opened()).await.unwrap_err().retry, Retry::Ambiguous);
}

#[tokio::test]
async fn a_bot_edits_its_message_and_answers_in_its_thread() {
    let slack = SlackStub::start().await;
    let section = format!("[slack.ops]\n{}mentions = ['<!here>']\n", slack.bot());
    let channel = channel(&section, &deps("02:49"));
    let send = async |delivery: &Delivery| channel.notifier.send(delivery).await.unwrap();
    let mut first = opened();
    first.incident.as_mut().unwrap().severity = Severity::Warning;
    let anchor = send(&first).await.unwrap();
    // Severity rises: the message changes in place, and an answer in its thread tells the channel.
    let anchor = send(&next(Kind::Risen, 2, Some(anchor))).await.unwrap();
    // An edit tells nobody, and needs to tell nobody.
    let anchor = send(&next(Kind::Changed, 3, Some(anchor))).await.unwrap();
    let anchor = send(&next(Kind::Resolved, 4, Some(anchor))).await.unwrap();
    let shown = slack.shown();
    assert_eq!(shown.len(), 2, "{shown:#?}");
    assert_eq!((shown[0].edits, shown[0].thread_ts.clone()), (3, None));
    assert!(shown[0].text.starts_with("RESOLVED AgentOffline steward"), "{}", shown[0].text);
    assert_eq!((shown[1].thread_ts.as_ref(), shown[1].broadcast), (Some(&shown[0].ts), true));
    assert!(shown[1].blocks.to_string().contains("<!here>"), "a rise calls people");
    assert!(!shown[0].blocks.to_string().contains("<!here>"), "an end does not");
    // It fires again.
    let anchor = send(&next(Kind::Reopened, 5, Some(anchor))).await.unwrap();
    assert_eq!(slack.shown().len(), 3);
    // Somebody deletes the message: the next state is a new one, and later ones edit that.
    slack.delete(&shown[0].ts);
    let anchor = send(&next(Kind::Changed, 6, Some(anchor))).await.unwrap();
    send(&next(Kind::Resolved, 7, Some(anchor))).await.unwrap();
    let shown = slack.shown();
    assert_eq!((shown.len(), shown[2].edits, shown[2].thread_ts.clone()), (3, 1, None), "{shown:#?}");
    assert!(shown[2].text.starts_with("RESOLVED"));
}

#[tokio::test]
async fn a_rise_that_was_never_sent_is_told_with_the_next_state() {
    let slack = SlackStub::start().await;
    let channel = channel(&format!("[slack.ops]\n{}", slack.bot()), &deps("02:49"));
    let mut first = opened();
    first.incident.as_mut().unwrap().severity = Severity::Warning;
    let anchor = channel.notifier.send(&first).await.unwrap();
    channel.notifier.send(&next(Kind::Changed, 3, anchor)).await.unwrap();
    assert!(slack.shown()[1].broadcast);
}

#[tokio::test]
async fn an_uneditable_message_is_posted_anew() {
    for word in ["message_not_found", "cant_update_message", "edit_window_closed"] {
        let slack = SlackStub::start().await;
        let channel = channel(&format!("[slack.ops]\n{}", slack.bot()), &deps("02:49"));
        let anchor = channel.notifier.send(&opened()).await.unwrap();
        slack.error("chat.update", word);
        let moved = channel.notifier.send(&next(Kind::Resolved, 2, anchor.clone())).await.unwrap();
        assert_ne!(anchor, moved, "{word}");
        assert_eq!(slack.shown().len(), 2, "{word}");
    }
}

#[tokio::test]
async fn an_edit_without_an_answer_can_be_repeated() {
    let slack = SlackStub::start().await;
    let channel = channel(&format!("[slack.ops]\n{}", slack.bot()), &deps("02:49"));
    let anchor = channel.notifier.send(&opened()).await.unwrap();
    slack.fault("chat.update", Reply::Drop);
    let error = channel.notifier.send(&next(Kind::Changed, 2, anchor)).await.unwrap_err();
    assert_eq!(error.retry, Retry::Later, "{error}");
}

#[tokio::test]
async fn a_webhook_into_slack_posts_each_state() {
    let slack = SlackStub::start().await;
    let channel = channel(&format!("[slack.ops]\n{}", slack.webhook()), &deps("02:49"));
    assert_eq!(channel.notifier.send(&opened()).await.unwrap(), None);
    assert_eq!(channel.notifier.send(&next(Kind::Resolved, 2, None)).await.unwrap(), None);
    assert_eq!(slack.shown().len(), 2);
    assert_eq!(channel.limits.pace, Duration::from_secs(1));
}
