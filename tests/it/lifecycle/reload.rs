//! A reload builds everything and then swaps it: all, or nothing.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::process::Signal;
use tempfile::TempDir;

use super::one;
use crate::support::eventually;
use crate::support::program::{Program, SOON, ask, tidewatch};

const SUCCESSFUL: &str = "tidewatch_config_last_reload_successful";

struct Reloading {
    server: Program,
    config: PathBuf,
    folder: TempDir,
}

impl Reloading {
    async fn start(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("tidewatch.toml");
        std::fs::write(&config, text.replace("DIR", folder.path().to_str().unwrap())).unwrap();
        let server = Program::start(&folder.path().join("data"), &["--config", config.to_str().unwrap()]).await;
        Self { server, config, folder }
    }

    fn write(&self, text: &str) {
        std::fs::write(&self.config, text.replace("DIR", self.folder.path().to_str().unwrap())).unwrap();
    }

    /// By the route; its status and words.
    async fn reload(&self, text: &str) -> (u16, String) {
        self.write(text);
        let reply = self.server.ask("POST", "/-/reload", "").await;
        (reply.status, reply.text().to_owned())
    }

    /// The lines of a channel of the kind `file`, once there are so many.
    async fn lines(&self, channel: &str, most: usize) -> Vec<String> {
        let file = self.folder.path().join(channel);
        eventually(channel, SOON, async || {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            let lines: Vec<String> = text.lines().map(str::to_owned).collect();
            (lines.len() >= most).then_some(lines)
        })
        .await
    }
}

#[tokio::test]
async fn a_bad_file_changes_nothing_and_a_good_one_everything() {
    let old = "[log]\nlevel = 'off'\n[notify.file.old]\npath = 'DIR/old'\n";
    let site = Reloading::start(old).await;
    assert_eq!(site.server.sample(SUCCESSFUL).await, Some(1.0));
    assert!(site.server.sample("node_load1").await.is_some());

    // Each is wrong in another part, and right in what comes before.
    let new = "[log]\nlevel = 'info'\n[collectors.host]\nschedule = { enabled = false }\n\
               [notify.file.new]\npath = 'DIR/new'\n[[routes]]\nmatchers = ['alertname=\"B\"']\nchannels = ['new']\n";
    for (bad, word) in [
        (format!("{new}[no_such_section]\n"), "no_such_section"),
        (new.replace("'info'", "'loud=quiet'"), "log.level"),
        (format!("{new}[[routes]]\nchannels = ['nobody']\n"), "nobody"),
        (format!("{new}[notify.webhook.signed]\nurl_file = 'DIR/missing'\n"), "missing"),
    ] {
        let (status, said) = site.reload(&bad).await;
        assert_eq!(status, 500, "{said}");
        assert!(said.starts_with("nothing has changed:\n") && said.contains(word), "{said}");
        assert_eq!(site.server.sample(SUCCESSFUL).await, Some(0.0), "{word}");
        assert!(site.server.sample("node_load1").await.is_some(), "{word}: the collectors are the old ones");
        let tested = site.server.command(&["test-notify", "new"]);
        assert_eq!(tested.code, Some(1), "{word}: {tested:?}");
    }
    assert_eq!(site.server.ask("POST", "/webhook/alerts", &one("A")).await.status, 200);
    assert!(site.lines("old", 1).await[0].contains("\"A\""), "routes and channels are the old ones");
    assert_eq!(site.server.ask("POST", "/webhook/alerts", "no JSON").await.status, 400);

    let (status, said) = site.reload(new).await;
    assert_eq!((status, said.as_str()), (200, "the configuration is reloaded\n"));
    assert_eq!(site.server.sample(SUCCESSFUL).await, Some(1.0));
    assert_eq!(site.server.sample("node_load1").await, None, "collectors");
    let tested = site.server.command(&["test-notify", "new"]);
    assert_eq!(tested.code, Some(0), "{tested:?}");
    assert_eq!(site.server.ask("POST", "/webhook/alerts", &one("B")).await.status, 200);
    assert!(site.lines("new", 2).await[1].contains("\"B\""), "channels and routes");
    assert_eq!(site.lines("old", 1).await.len(), 1, "the old channel is gone");
    assert_eq!(site.server.ask("POST", "/webhook/alerts", "no JSON").await.status, 400);
    let warned = || site.server.running.output().matches("it is in quarantine").count();
    eventually("the log's level is the new one", SOON, async || (warned() > 0).then_some(())).await;
    assert_eq!(warned(), 1, "the log's level was the old one");
    site.server.stop().await;
}

#[tokio::test]
async fn pages_show_times_in_the_new_zone() {
    let site = Reloading::start("timezone = 'UTC'\n").await;
    assert_eq!(site.server.ask("POST", "/webhook/alerts", &one("A")).await.status, 200);
    for (zone, since) in [("UTC", "2026-11-21 02:00 UTC"), ("Asia/Tokyo", "2026-11-21 11:00 JST")] {
        assert_eq!(site.reload(&format!("timezone = '{zone}'\n")).await.0, 200);
        let page = site.server.ask("GET", "/i/1", "").await;
        assert!(page.text().contains(since), "{zone}: {}", page.text());
    }
    site.server.stop().await;
}

#[tokio::test]
async fn what_needs_a_restart_stays_as_it_was_and_is_named() {
    let site = Reloading::start("").await;
    let (status, said) = site.reload("role = 'exporter'\n").await;
    assert_eq!(status, 200, "{said}");
    assert_eq!(site.server.ask("POST", "/webhook/alerts", &one("A")).await.status, 200);
    let delivered = "tidewatch_outbox_pending{channel=\"console\"}";
    eventually("it is told", SOON, async || (site.server.sample(delivered).await? < 0.5).then_some(())).await;
    let output = site.server.running.output();
    assert!(output.contains("needs a restart") && output.contains("key=\"role\""), "{output}");
    site.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reloads_by_signal_lose_no_post_and_no_message() {
    let texts = ["[notify.file.told]\npath = 'DIR/told'\n", "[notify.file.told]\npath = 'DIR/told'\nkeep = 3\n"];
    let site = Reloading::start(texts[0]).await;
    let at = "tidewatch_config_last_reload_success_timestamp_seconds";
    let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let posts: Vec<_> = (0..4)
        .map(|line| {
            let (port, stop, sent) = (site.server.port, Arc::clone(&stop), Arc::clone(&sent));
            tokio::spawn(async move {
                let mut number = 0;
                while !stop.load(Ordering::Relaxed) {
                    let reply = ask(port, "POST", "/webhook/alerts", &one(&format!("Line{line}N{number}"))).await;
                    assert_eq!(reply.expect("an answer").status, 200);
                    number += 1;
                    sent.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let (port, stopped) = (site.server.port, Arc::clone(&stop));
    let scrapes = tokio::spawn(async move {
        while !stopped.load(Ordering::Relaxed) {
            let reply = ask(port, "GET", "/metrics", "").await.expect("an answer");
            assert!(reply.status == 200 && reply.text().contains("\nnode_load1 "), "{}", reply.text());
        }
    });
    for round in 1..=6 {
        let before = site.server.sample(at).await.unwrap();
        site.write(texts[round % 2]);
        site.server.signal(Signal::HUP);
        eventually("the reload", SOON, async || (site.server.sample(at).await? > before).then_some(())).await;
    }
    stop.store(true, Ordering::Relaxed);
    for work in posts.into_iter().chain([scrapes]) {
        work.await.unwrap();
    }
    let sent = sent.load(Ordering::Relaxed);
    assert!(sent > 0);
    let lines = site.lines("told", usize::try_from(sent).unwrap()).await;
    assert_eq!(lines.len() as u64, sent, "each once");
    let ledger = site.server.json("/api/ledger").await;
    assert_eq!(ledger["alerts"]["opened"], sent, "{ledger}");
    assert_eq!(site.server.sample(SUCCESSFUL).await, Some(1.0));
    site.server.stop().await;
}

#[tokio::test]
async fn a_token_counts_from_the_reload_on_and_what_is_open_to_others_keeps_one() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("tidewatch.toml");
    let token = "[access]\ntoken = 'abcdefghijklmnop'\n";
    std::fs::write(&config, format!("listen = '0.0.0.0:0'\n{token}")).unwrap();
    let mut command = tidewatch(&["serve", "--config"]);
    let server = Program::spawn(&folder.path().join("data"), command.arg(&config)).await;
    assert_eq!(server.ask("GET", "/api/incidents", "").await.status, 401);
    // The listener stays where it is until the restart, so what protects it stays too.
    std::fs::write(&config, "listen = '127.0.0.1:0'\n").unwrap();
    server.signal(Signal::HUP);
    eventually("it is refused", SOON, async || (server.sample(SUCCESSFUL).await == Some(0.0)).then_some(())).await;
    assert!(server.running.output().contains("no token is configured"), "{}", server.running.output());
    assert_eq!(server.ask("GET", "/api/incidents", "").await.status, 401);
    let another = token.replace("abcd", "wxyz");
    std::fs::write(&config, format!("listen = '0.0.0.0:0'\n{another}")).unwrap();
    server.signal(Signal::HUP);
    eventually("it is read", SOON, async || (server.sample(SUCCESSFUL).await == Some(1.0)).then_some(())).await;
    let target = "/api/incidents HTTP/1.1\r\nAuthorization: Bearer ";
    for (token, status) in [("wxyzefghijklmnop", 200), ("abcdefghijklmnop", 401)] {
        assert_eq!(server.ask("GET", &format!("{target}{token}\r\nX: "), "").await.status, status, "{token}");
    }
    server.stop().await;
}
