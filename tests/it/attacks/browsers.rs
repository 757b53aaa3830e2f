//! What a page of another origin can make a browser send, and links that are fetched before anybody follows them.

use tidewatch::config::Secret;
use tidewatch::http::access::Access;

use super::unharmed;
use crate::support::eventually;
use crate::support::program::{Program, SOON, alert, post};
use crate::support::site::{Setup, Site};

const EVERYTHING: &[(&str, &str)] = &[
    ("GET", "/metrics"),
    ("GET", "/probe?target=x"),
    ("GET", "/scrape?target=x"),
    ("GET", "/api/incidents"),
    ("GET", "/i/1"),
    ("POST", "/-/reload"),
    ("POST", "/webhook/alerts"),
    ("POST", "/api/outbox/1/replay"),
    ("POST", "/api/v1/agents/alpha/heartbeat"),
];

/// A form, a script, an image, a frame: a browser marks each of them, and no mark is let in.
#[tokio::test]
async fn another_sites_page_gets_nothing_done_whatever_it_uses() {
    let token = Some(Secret::new("correct horse"));
    for access in [Access::default(), Access { token, ..Access::default() }] {
        let site = Site::start(Setup { access, ..Setup::default() }).await;
        let host = format!("Host: {}", site.address);
        let own_port = format!("Origin: http://localhost:{}", site.address.port());
        let marks: &[&[&str]] = &[
            &["Origin: https://evil.example", "Content-Type: text/plain"],
            &["Origin: null", "Content-Type: application/x-www-form-urlencoded"],
            &[own_port.as_str()],
            &["Origin: https://evil.example", "Origin: http://localhost"],
            &["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"],
            &["Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: script"],
            &["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe"],
        ];
        for mark in marks {
            for (method, target) in EVERYTHING {
                let more = [*mark, &[host.as_str(), "Authorization: Bearer correct horse"]].concat();
                let reply = site.ask(method, target, &more, "{\"alerts\": []}").await;
                assert_eq!(reply.status, 403, "{mark:?} {method} {target}");
                assert!(reply.headers("access-control-allow-origin").is_empty(), "{reply:?}");
            }
            // Nor is a browser's question whether it may send more answered.
            let more = [*mark, &[host.as_str(), "Access-Control-Request-Method: POST"]].concat();
            let asked = site.ask("OPTIONS", "/-/reload", &more, "").await;
            assert!(asked.status >= 400 && asked.headers("access-control-allow-origin").is_empty(), "{asked:?}");
        }
        assert_eq!(site.control.reloads.load(std::sync::atomic::Ordering::Relaxed), 0);
        unharmed(&site).await;
    }
}

/// Mail scanners and chats fetch every link before a person does. Nothing that a message links to changes anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r24_link_prefetch_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (messages, config) = (folder.path().join("messages"), folder.path().join("tidewatch.toml"));
    let text =
        format!("external_url = 'http://127.0.0.1:1/watch/'\n[notify.file.ops]\npath = '{}'\n", messages.display());
    std::fs::write(&config, text).unwrap();
    let program = Program::start(&folder.path().join("data"), &["--config", config.to_str().unwrap()]).await;
    let body = post(&[alert(&[("alertname", "Down"), ("severity", "critical")], "2026-11-21T02:00:00Z", None)]);
    assert_eq!(program.ask("POST", "/webhook/alerts", &body).await.status, 200);
    let told = eventually("a message", SOON, async || {
        std::fs::read_to_string(&messages).ok().filter(|text| text.ends_with('\n'))
    })
    .await;
    let mut links: Vec<String> = told
        .split("http://127.0.0.1:1")
        .skip(1)
        .map(|rest| rest.split(['"', '\\', ' ', '>', '|', ')', '<']).next().unwrap().to_owned())
        .collect();
    assert!(!links.is_empty(), "{told}");
    // And whatever the pages behind them link to.
    for page in links.clone().into_iter().chain(["/".to_owned()]) {
        let reply = program.ask("GET", &page, "").await;
        let found = reply.text().split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned());
        links.extend(found.filter(|link| !link.contains("://")).map(|link| {
            if link.starts_with('/') {
                link
            } else {
                format!("/{}", link.trim_start_matches("./").trim_start_matches("../"))
            }
        }));
    }
    let settled = async || {
        let (mut incidents, outbox) = (program.json("/api/incidents").await, program.json("/api/outbox").await);
        // What tells how long ago it was changes by itself.
        for incident in incidents.as_array_mut().unwrap() {
            incident.as_object_mut().unwrap().retain(|name, _| !name.contains("age"));
        }
        (incidents, outbox, program.json("/api/ledger").await)
    };
    eventually("everything is delivered", SOON, async || {
        (program.json("/api/ledger").await["pending"] == 0).then_some(())
    })
    .await;
    let before = settled().await;
    for link in &links {
        for method in ["GET", "HEAD"] {
            let reply = program.ask(method, link, "").await;
            assert!(reply.status < 500, "{method} {link}: {}", reply.status);
        }
    }
    assert_eq!(settled().await, before, "{links:?}");
    program.stop().await;
}
