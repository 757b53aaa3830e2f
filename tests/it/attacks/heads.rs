//! Heads that no client sends.

use super::{answered, statuses, unharmed};
use crate::support::site::{Setup, Site};

#[tokio::test]
async fn an_absurd_head_is_refused_with_one_answer() {
    let site = Site::start(Setup::default()).await;
    let many = "X-Many: y\r\n".repeat(200);
    let heads: Vec<(String, &[u16])> = vec![
        ("GET / HTTP/1.1\r\n\r\n".into(), &[403]),
        ("GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n".into(), &[403]),
        ("GET / HTTP/1.1\r\nHost: local host\r\n\r\n".into(), &[403]),
        ("GET / HTTP/1.1\r\nHost: \u{1f980}\r\n\r\n".into(), &[403]),
        ("GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n".into(), &[403]),
        ("GET http://localhost@evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n".into(), &[400, 403]),
        (format!("GET / HTTP/1.1\r\nHost: localhost\r\n{many}\r\n"), &[431]),
        (format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "a".repeat(100_000)), &[414, 431]),
        (format!("GET / HTTP/1.1\r\n{}: y\r\n\r\n", "n".repeat(100_000)), &[431]),
        ("GET / HTTP/9.9\r\nHost: localhost\r\n\r\n".into(), &[400]),
        ("GET / HTTP/2.0\r\nHost: localhost\r\n\r\n".into(), &[400]),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(), &[400]),
        ("GET /\r\n\r\n".into(), &[400]),
        ("G\u{0}T / HTTP/1.1\r\nHost: localhost\r\n\r\n".into(), &[400]),
        ("GET / HTTP/1.1\r\nHost: localhost\r\nX: \u{0}\r\n\r\n".into(), &[400]),
        ("GET / HTTP/1.1\r\nHost: localhost\r\n: empty\r\n\r\n".into(), &[400]),
        ("CONNECT localhost:22 HTTP/1.1\r\nHost: localhost\r\n\r\n".into(), &[403, 404, 405]),
        ("TRACE / HTTP/1.1\r\nHost: localhost\r\n\r\n".into(), &[405]),
        ("OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n".into(), &[403, 404, 405]),
        ("BREW /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n".into(), &[405]),
        ("get /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n".into(), &[405]),
        (format!("{} / HTTP/1.1\r\nHost: localhost\r\n\r\n", "M".repeat(5_000)), &[403, 405]),
        ("\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}\u{1}\u{fc}\u{3}\u{3}".into(), &[400]),
        ("\r\n".repeat(200), &[400]),
        ("{\"alerts\": []}\r\n\r\n".into(), &[400]),
    ];
    for (head, expected) in heads {
        let text = answered(&site, head.as_bytes()).await;
        let found = statuses(&text);
        let shown: String = head.chars().take(80).collect();
        // Nothing at all is an answer too, where there was no request.
        let fits = found.len() == 1 && found.iter().all(|status| expected.contains(status));
        assert!(fits || (found.is_empty() && !head.contains("HTTP/1.1")), "{shown:?}: {found:?} {text}");
        assert!(!text.contains("panicked"), "{text}");
    }
    // What kind of path and which status: nothing of what was sent becomes a label.
    assert!(site.text().lines().filter(|line| line.starts_with("tidewatch_http_requests_total{")).count() < 30);
    unharmed(&site).await;
}

#[tokio::test]
async fn what_comes_back_holds_nothing_of_a_header() {
    let site = Site::start(Setup::default()).await;
    let evil = "<script>alert(1)</script>";
    for target in
        ["/", "/nothing", "/i/1", "/metrics?collect[]=%3Cscript%3E", "/api/outbox?state=%0d%0aX-Injected:%201"]
    {
        let (agent, referer) = (format!("User-Agent: {evil}"), format!("Referer: http://{evil}/"));
        let reply = site.ask("GET", target, &[&agent, &referer, "X-Forwarded-Host: evil.example"], "").await;
        assert!(reply.header("x-injected").is_none(), "{target}");
        let html = reply.header("content-type").is_some_and(|kind| kind.starts_with("text/html"));
        assert!(!html || !reply.text().contains("<script"), "{target}: {}", reply.text());
        assert!(!reply.text().contains("evil.example"), "{target}: {}", reply.text());
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{target}");
        let policy = reply.header("content-security-policy").unwrap_or_default();
        assert!(policy.starts_with("default-src 'none'"), "{target}: {policy}");
    }
}
