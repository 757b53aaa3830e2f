//! `test-notify`: a marked message, past the outbox.

use jiff::Timestamp;

use super::{Channel, SendError};
use crate::alert::Kind;
use crate::store::{Delivery, Subject};

/// Sends a message that says of itself that it is a test. It goes straight to the notifier: nothing is kept, counted or
/// tried again.
///
/// # Errors
/// What the other side answered.
pub async fn test(channel: &Channel, now: Timestamp) -> Result<(), SendError> {
    let text =
        format!("This is a test of the channel `{}`. Nothing is wrong, and nothing needs to be done.", channel.name);
    let delivery = Delivery {
        id: 0,
        attempt: 1,
        channel: channel.name.clone(),
        subject: Subject::Notice("test".into()),
        // Each test is a message of its own, so that no mail program takes the second for a copy of the first.
        sequence: now.as_millisecond(),
        kind: Kind::Notice,
        waiting_since: now,
        maybe_duplicate: false,
        incident: None,
        notice: Some(text),
        anchor: None,
    };
    channel.notifier.send(&delivery).await.map(|_anchor| ())
}
