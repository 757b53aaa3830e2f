//! A webhook's body, as it arrives: in one piece or in many, it says the same, and keeps to its bounds.
#![no_main]

use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use tidewatch::alert::Post;
use tidewatch::alert::webhook::{Limits, Parser};

fuzz_target!(|data: &[u8]| {
    let Some((step, body)) = data.split_first() else { return };
    // Small, so that an input of some kilobytes meets them.
    let limits = Limits { alerts: 20, labels: 8, label: 200, annotation: 300, ..Limits::default() };
    let whole = read(limits, [body]);
    let pieces = read(limits, body.chunks(usize::from(*step).max(1)));
    assert_eq!(whole, pieces, "it depends on how the body arrives");
});

/// What the body says; `None` where it cannot be read.
fn read<'b>(limits: Limits, pieces: impl IntoIterator<Item = &'b [u8]>) -> Option<Post> {
    let mut parser = Parser::new(limits, Timestamp::UNIX_EPOCH);
    for piece in pieces {
        parser.push(piece).ok()?;
    }
    let post = parser.finish("fuzz").ok()?;
    assert!(post.alerts.len() + post.quarantined.len() <= limits.alerts, "more alerts than are taken");
    for alert in &post.alerts {
        assert!(alert.labels.len() <= limits.labels, "more labels than are taken");
        assert!(alert.labels.values().all(|value| value.len() <= limits.label), "a label is too long");
        assert!(alert.annotations.values().all(|value| value.len() <= limits.annotation), "an annotation is too long");
    }
    Some(post)
}
