//! Requests in which two readers see different ends: whatever stands behind the first is not answered.

use super::{answered, statuses, unharmed};
use crate::support::site::{Setup, Site};

/// What a smuggler wants to be taken for a request of its own.
const HIDDEN: &str = "POST /-/reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n";

/// The heads of a post whose body's length is not clear, after the first two lines.
const UNCLEAR: &[&str] = &[
    "Content-Length: 0\r\nContent-Length: 5\r\n",
    "Content-Length: 0, 5\r\n",
    "Content-Length: +0\r\n",
    "Content-Length: -1\r\n",
    "Content-Length: 0x0\r\n",
    "Content-Length: 0 0\r\n",
    "Content-Length: \r\n",
    "Content-Length: 99999999999999999999999\r\n",
    "Content-Length : 0\r\n",
    " Content-Length: 0\r\n",
    "X: y\r\n Content-Length: 0\r\n",
    "X: y\r\n\tz\r\n",
    "Transfer-Encoding: gzip\r\n",
    "Transfer-Encoding: chunked, identity\r\n",
    "Transfer-Encoding: xchunked\r\n",
    "Transfer-Encoding: chunked;q=1\r\n",
    "Transfer-Encoding: \"chunked\"\r\n",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
    "Transfer-Encoding\r\n: chunked\r\n",
    "Transfer-Encoding: chunked\0\r\n",
    "X: a\rTransfer-Encoding: chunked\r\n",
];

#[tokio::test]
async fn a_body_without_a_clear_length_is_refused_and_ends_the_connection() {
    let site = Site::start(Setup::default()).await;
    for unclear in UNCLEAR {
        let head = format!("POST /api/outbox/1/replay HTTP/1.1\r\nHost: localhost\r\n{unclear}\r\n");
        let text = answered(&site, format!("{head}0\r\n\r\n{HIDDEN}").as_bytes()).await;
        assert_eq!(statuses(&text), [400], "{unclear:?}: {text}");
    }
    assert_eq!(site.control.reloads.load(std::sync::atomic::Ordering::Relaxed), 0);
    unharmed(&site).await;
}

/// The chunks count, as RFC 9112 has it; and because another reader may have counted the length, nothing follows.
#[tokio::test]
async fn beside_chunks_a_length_counts_for_nothing_and_nothing_follows() {
    let site = Site::start(Setup::default()).await;
    let (length, chunked) = (format!("Content-Length: {}\r\n", 5 + HIDDEN.len()), "Transfer-Encoding: chunked\r\n");
    for both in [[length.as_str(), chunked], [chunked, length.as_str()], [chunked, ""]] {
        let head = format!("POST /api/outbox/1/replay HTTP/1.1\r\nHost: localhost\r\n{}\r\n", both.concat());
        let text = answered(&site, format!("{head}0\r\n\r\n{HIDDEN}").as_bytes()).await;
        assert_eq!(statuses(&text), [404], "{both:?}: {text}");
        assert!(text.contains("connection: close"), "{text}");
    }
    assert_eq!(site.control.reloads.load(std::sync::atomic::Ordering::Relaxed), 0);
    unharmed(&site).await;
}

#[tokio::test]
async fn chunks_that_lie_about_their_length_end_the_connection() {
    let site = Site::start(Setup::default()).await;
    for chunks in [
        "-1\r\n\r\n",
        "0x3\r\nabc\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nabc\r\n0\r\n\r\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "3 3\r\nabc\r\n0\r\n\r\n",
        "\r\n3\r\nabc\r\n0\r\n\r\n",
        "3;x=\"\r\n\"\r\nabc\r\n0\r\n\r\n",
        "g\r\n\r\n",
    ] {
        let head = "POST /api/outbox/1/replay HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
        let text = answered(&site, format!("{head}{chunks}{HIDDEN}").as_bytes()).await;
        assert_eq!(statuses(&text), [400], "{chunks:?}: {text}");
    }
    assert_eq!(site.control.reloads.load(std::sync::atomic::Ordering::Relaxed), 0);
    unharmed(&site).await;
}

/// A refusal before the body was read: what of the body lies in the line is no request.
#[tokio::test]
async fn the_body_of_a_refused_request_is_not_taken_for_a_request() {
    let site = Site::start(Setup::default()).await;
    for (target, host, status) in
        [("/api/outbox/1/replay", "evil.example", 403), ("/nothing", "localhost", 404), ("/metrics", "localhost", 405)]
    {
        let length = HIDDEN.len();
        let head = format!("POST {target} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n\r\n");
        let text = answered(&site, format!("{head}{HIDDEN}").as_bytes()).await;
        assert_eq!(statuses(&text), [status], "{target}: {text}");
    }
    // The same without waiting for the body: `Expect` is answered by the one status only.
    let head = "POST /nothing HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    let text = answered(&site, head.as_bytes()).await;
    assert!(!text.contains("100 Continue") && statuses(&text) == [404], "{text}");
    assert_eq!(site.control.reloads.load(std::sync::atomic::Ordering::Relaxed), 0);
    unharmed(&site).await;
}
