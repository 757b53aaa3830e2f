//! What the journal keeps, whenever the power goes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use tidewatch::agents::Settings;
use tidewatch::clock::Clock;
use tidewatch::metrics::Batch;
use tidewatch::metrics::expose::{Format, write};
use tidewatch::store::heartbeats::FILE;

use super::Node;
use crate::support::eventually;

const LIMIT: Duration = Duration::from_secs(20);

async fn start(folder: &Path) -> Node {
    Node::start(folder, Settings::default()).await
}

/// One of the journal's own counters.
fn meter(node: &Node, name: &str) -> f64 {
    let (mut batch, mut text) = (Batch::new(), Vec::new());
    node.site.telemetry.collect(&mut batch);
    write(&[&batch], Format::Text, &mut text);
    let text = String::from_utf8(text).unwrap();
    let prefix = format!("tidewatch_heartbeat_journal_{name} ");
    let line = text.lines().find_map(|line| line.strip_prefix(&prefix));
    line.unwrap_or_else(|| panic!("no {prefix}in {text}")).parse().unwrap()
}

/// Moves the clock by a second, until the journal has written.
async fn written(node: &Node, writes: f64) {
    eventually("the journal has written", LIMIT, async || {
        node.clock().advance(Duration::from_secs(1));
        (meter(node, "writes_total") >= writes).then_some(())
    })
    .await;
}

/// Moves a node's clock to where another stands.
fn catch_up(node: &Node, clock: &Clock) {
    node.clock().advance(Duration::try_from(clock.now().duration_since(node.clock().now())).unwrap());
}

#[tokio::test]
async fn what_was_accepted_is_there_a_second_later_without_a_clean_stop() {
    let folder = tempfile::tempdir().unwrap();
    let node = start(folder.path()).await;
    assert!((meter(&node, "failures_total") + meter(&node, "corrupt_lines_total")).abs() < 1e-9, "from 0 at the start");
    for messages in [10, 20, 5] {
        node.beat("steward", &format!(r#"{{"messages_processed":{messages},"role":"lead"}}"#)).await;
    }
    written(&node, 1.0).await;
    assert!((meter(&node, "lines_total") - 1.0).abs() < 1e-9, "three heartbeats of one agent are one line");
    let before = node.views();

    // The first one neither stops nor flushes: it is simply not asked again.
    let next = start(folder.path()).await;
    catch_up(&next, node.clock());
    let after = next.views();
    assert_eq!(after["steward"].messages, Some(25));
    assert_eq!(after, before);
    next.clock().advance(Duration::from_hours(1));
    assert!(!next.views()["steward"].online, "the age goes on");
}

/// Who may read the file.
fn mode(folder: &Path) -> u32 {
    fs::metadata(folder.join(FILE)).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn only_its_owner_may_read_it() {
    let folder = tempfile::tempdir().unwrap();
    let _node = start(folder.path()).await;
    assert_eq!(mode(folder.path()), 0o600);
}

#[tokio::test]
async fn a_clean_stop_keeps_everything() {
    let folder = tempfile::tempdir().unwrap();
    let node = start(folder.path()).await;
    for n in 0..100 {
        node.beat(&format!("agent-{n}"), "").await;
    }
    node.stop().await;
    assert_eq!(start(folder.path()).await.views().len(), 100);
}

#[tokio::test]
async fn a_file_cut_at_any_byte_is_read_and_written_on() {
    let folder = tempfile::tempdir().unwrap();
    let node = start(folder.path()).await;
    for agent in ["alpha", "beta"] {
        node.beat(agent, r#"{"messages_processed":7}"#).await;
    }
    node.stop().await;
    let whole = fs::read(folder.path().join(FILE)).unwrap();
    let ends: Vec<usize> = (0..whole.len()).filter(|at| whole[*at] == b'\n').collect();
    assert_eq!(ends.len(), 2);

    // Many at a time: each waits for the disk.
    let check = async |cut: usize| {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE), &whole[..cut]).unwrap();
        let node = start(folder.path()).await;
        // A row is whole without its end, too.
        let rows = ends.iter().filter(|end| **end <= cut).count();
        assert_eq!(node.views().len(), rows, "cut at {cut}");
        node.beat("new", "").await;
        node.stop().await;
        let node = start(folder.path()).await;
        assert_eq!(node.views().len(), rows + 1, "written on after {cut}");
        assert!(meter(&node, "corrupt_lines_total") < 1.0, "cut at {cut}");
    };
    let cuts: Vec<usize> = (0..=whole.len()).collect();
    for cuts in cuts.chunks(32) {
        futures_util::future::join_all(cuts.iter().map(|cut| check(*cut))).await;
    }
}

#[tokio::test]
async fn corrupt_lines_are_skipped_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let node = start(folder.path()).await;
    node.beat("alpha", "").await;
    node.stop().await;
    let path = folder.path().join(FILE);
    let good = fs::read(&path).unwrap();
    let mut text = Vec::new();
    for bad in [&b"not json"[..], b"{\"id\":\"a b\"}", b"\0\0\0\0", b"{}", b"", &b"x".repeat(300_000)] {
        text.extend_from_slice(bad);
        text.push(b'\n');
    }
    text.extend_from_slice(&good);
    text.extend_from_slice(&b"y".repeat(200_000));
    fs::write(&path, &text).unwrap();
    let node = start(folder.path()).await;
    assert_eq!(node.views().keys().collect::<Vec<_>>(), ["alpha"]);
    assert!((meter(&node, "corrupt_lines_total") - 5.0).abs() < 1e-9, "{}", meter(&node, "corrupt_lines_total"));
    node.beat("beta", "").await;
    node.stop().await;
    assert_eq!(start(folder.path()).await.views().len(), 2);
}

#[tokio::test]
async fn a_file_that_grew_is_written_anew() {
    let folder = tempfile::tempdir().unwrap();
    let node = start(folder.path()).await;
    // What a crash amid an earlier rewriting left.
    fs::write(folder.path().join("heartbeats.jsonl.new"), b"{\"id\":\"half").unwrap();
    let role = "r".repeat(128);
    let batch: Vec<_> =
        (0..4_000).map(|n| serde_json::json!({"agent_id": format!("agent-{n}"), "role": role})).collect();
    let batch = serde_json::to_string(&batch).unwrap();
    let (mut first, mut largest) = (0.0_f64, 0.0_f64);
    for _ in 0..12 {
        let writes = meter(&node, "writes_total");
        assert_eq!(node.post("/api/v1/heartbeats", batch.clone()).await.0, 202);
        written(&node, writes + 1.0).await;
        largest = largest.max(meter(&node, "size_bytes"));
        first = if first > 0.0 { first } else { largest };
    }
    assert!(meter(&node, "compactions_total") >= 2.0);
    assert_eq!(mode(folder.path()), 0o600);
    assert!(largest < 7.0 * first, "a file of {first} grew to {largest}");
    assert!(!folder.path().join("heartbeats.jsonl.new").exists());
    let (before, next) = (node.views(), node.clock().clone());
    node.stop().await;
    let node = start(folder.path()).await;
    let size = fs::metadata(folder.path().join(FILE)).unwrap().len();
    assert!((meter(&node, "size_bytes") - size as f64).abs() < 1e-9);
    catch_up(&node, &next);
    assert_eq!(node.views(), before);
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    let node = start(folder.path()).await;
    let opened = tidewatch::store::heartbeats::Journal::open(
        &missing,
        std::sync::Arc::default(),
        node.clock(),
        &node.site.tasks,
        &node.site.telemetry,
    );
    let Err(error) = opened else { panic!("there is no folder") };
    assert!(error.to_string().contains("missing") && error.to_string().contains("check the folder"), "{error}");
}
