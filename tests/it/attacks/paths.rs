//! Paths that mean one thing to the rules and another to the routes.

use tidewatch::config::Secret;
use tidewatch::http::access::Access;

use super::{answered, statuses, unharmed};
use crate::support::site::{Setup, Site};

/// Ways to write `/api/incidents`, or something beside an open path.
const TRICKS: &[&str] = &[
    "/api/../api/incidents",
    "/metrics/../api/incidents",
    "/metrics/..%2fapi/incidents",
    "/metrics%2f..%2fapi%2fincidents",
    "/-/healthy/../../api/incidents",
    "/./api/incidents",
    "//api/incidents",
    "///api/incidents",
    "/api//incidents",
    "/api/incidents/",
    "/api%2Fincidents",
    "/%61pi/incidents",
    "/API/incidents",
    "/api/incidents%00",
    "/api/incidents%20",
    "/api/incidents;x=/metrics",
    "/metrics;/api/incidents",
    "/api\\incidents",
    "/\\api/incidents",
    "/style.css/../api/incidents",
    "/style.css%3f/../i/1",
    "/watch//api/incidents",
    "/watch/watch/api/incidents",
    "/watch/../api/incidents",
    "/watch/metrics/../api/incidents",
    "/watch%2fapi/incidents",
    "/..%c0%af../etc/passwd",
    "/../../../etc/passwd",
    "/i/../api/incidents",
    "/i/%2e%2e/api/incidents",
];

#[tokio::test]
async fn no_spelling_of_a_path_comes_past_the_door() {
    let access = Access {
        token: Some(Secret::new("correct horse")),
        external_url: Some("https://tide.example/watch/".parse().unwrap()),
        ..Access::default()
    };
    let site = Site::start(Setup { access, ..Setup::default() }).await;
    for path in TRICKS {
        for target in [(*path).to_owned(), format!("http://tide.example{path}"), format!("{path}?x=/metrics")] {
            for method in ["GET", "HEAD", "POST"] {
                let head = format!("{method} {target} HTTP/1.1\r\nHost: tide.example\r\nConnection: close\r\n\r\n");
                let found = statuses(&answered(&site, head.as_bytes()).await);
                assert!(matches!(found[..], [400 | 401]), "{method} {target}: {found:?}");
            }
        }
    }
    // With the token they are just paths that are not there.
    for path in TRICKS {
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer correct horse\r\nConnection: close\r\n\r\n"
        );
        let text = answered(&site, head.as_bytes()).await;
        assert!(matches!(statuses(&text)[..], [400 | 404 | 200]), "{path}: {text}");
        assert!(!text.contains("root:"), "{path}: {text}");
    }
    unharmed(&site).await;
}

/// A path with much behind it is one path, and ids are numbers.
#[tokio::test]
async fn an_id_is_a_number_or_not_there() {
    let site = Site::start(Setup::default()).await;
    for id in ["0", "-1", "1e3", "9223372036854775808", "1%00", "%31", "1;2", "null", "..", "1/../2", "\u{661}"] {
        for target in [format!("/i/{id}"), format!("/api/incidents/{id}")] {
            let text = answered(&site, format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).await;
            assert!(matches!(statuses(&text)[..], [400 | 404]), "{target}: {text}");
        }
    }
    unharmed(&site).await;
}
