//! A daemon's stand-in that counts what it is asked, hangs, goes away and comes back.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use serde_json::json;
use tidewatch::collect::Declare;
use tidewatch::facts::State;

use super::*;
use crate::support::docker_stub::DockerStub;
use crate::support::eventually;

fn inspect(pid: u32, health: Option<&str>) -> String {
    let health = health.map(|status| json!({"Status": status}));
    let state = json!({"Running": true, "Pid": pid, "StartedAt": "2026-11-21T06:00:00Z", "Health": health});
    let config = json!({"Image": "busybox", "Labels": {"com.docker.compose.service": "a\"b\\c\nd"}});
    json!({"Name": "/web", "State": state, "Config": config, "RestartCount": 4, "HostConfig": {}}).to_string()
}

fn listed(ids: &[&str], status: &str) -> String {
    let state = if status.contains("Paused") { "paused" } else { "running" };
    let row = |id: &&str| json!({"Id": id, "Names": [format!("/{id}")], "Image": "busybox", "State": state, "Status": status});
    json!(ids.iter().map(row).collect::<Vec<_>>()).to_string()
}

const STATS: &str =
    r#"{"memory_stats": {"usage": 77, "stats": {"anon": 7}}, "cpu_stats": {"cpu_usage": {"total_usage": 5}}}"#;

/// A collector whose host shows nothing, so that every container is asked about.
fn blind(stub: &DockerStub) -> Containers {
    let mut config = config(Path::new("/nowhere"), &stub.socket());
    config.call_timeout = "300ms".parse().unwrap();
    Containers::build(&config, &deps())
}

#[tokio::test]
async fn a_scrape_asks_nothing_while_nothing_changes_and_one_call_for_each_change() {
    let root = fixture();
    let stub = DockerStub::recorded(&root.join("docker"));
    let containers = Containers::with_statvfs(&config(&root, &stub.socket()), &deps(), told(&root));
    run(&containers).await;
    let first = stub.asked();
    assert_eq!(
        first.iter().filter(|path| path.ends_with("/json")).count(),
        1 + 11,
        "the list, and each once: {first:?}"
    );
    for _ in 0..5 {
        run(&containers).await;
    }
    assert_eq!(stub.asked(), first, "nothing changed");
    stub.answer("/containers/new/json", &inspect(0, None));
    stub.tell("start", "new", &json!({"name": "web", "image": "busybox"}));
    eventually("the new container's details", Duration::from_secs(10), async || {
        (run(&containers).await.1.of("web", "container_restarts_total") == Some(4.0)).then_some(())
    })
    .await;
    assert_eq!(
        stub.asked()[first.len()..],
        ["/containers/new/json", "/containers/new/stats"][..stub.asked().len() - first.len()]
    );
    stub.tell("die", "new", &json!({"exitCode": "9"}));
    eventually("its end", Duration::from_secs(10), async || {
        (run(&containers).await.1.of("web", "container_exit_code") == Some(9.0)).then_some(())
    })
    .await;
    stub.tell("destroy", "new", &json!({}));
    eventually("that it is gone", Duration::from_secs(10), async || {
        run(&containers).await.1.of("web", "container_exit_code").is_none().then_some(())
    })
    .await;
    assert_eq!(stub.asked().iter().filter(|path| *path == "/containers/new/json").count(), 1);
}

#[tokio::test]
async fn hostile_labels_are_escaped_and_bounded() {
    let stub = DockerStub::start();
    stub.answer("/containers/json", &listed(&["web"], "Up 2 minutes"));
    stub.answer("/containers/web/json", &inspect(7, Some("healthy")).replace("busybox", &"x".repeat(100_000)));
    stub.answer("/containers/web/stats", STATS);
    let (text, ours, _) = run(&blind(&stub)).await;
    assert_eq!(ours.of("web", "container_memory_usage_bytes"), Some(77.0));
    assert!(text.contains(r#"container_label_com_docker_compose_service="a\"b\\c\nd""#), "{text}");
    assert!(text.lines().all(|line| line.len() < 2_000));
}

#[tokio::test]
async fn a_container_that_hangs_costs_only_what_it_alone_tells() {
    let stub = DockerStub::start();
    stub.answer("/containers/json", &listed(&["good", "stuck"], "Up 2 minutes (Paused)"));
    for id in ["good", "stuck"] {
        stub.answer(&format!("/containers/{id}/json"), &inspect(7, None).replace("/web", id));
        stub.answer(&format!("/containers/{id}/stats"), STATS);
    }
    stub.hang("/containers/stuck/");
    let containers = blind(&stub);
    let begun = Instant::now();
    let (_, ours, output) = run(&containers).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(ours.of("good", "container_memory_usage_bytes"), Some(77.0));
    assert_eq!(ours.of("stuck", "container_memory_usage_bytes"), None);
    assert_eq!(ours.value("container_scrape_error", &[]), Some(0.0));
    assert_eq!(output.facts.services[0].state, State::Ok);
    stub.heal();
    stub.tell("unpause", "stuck", &json!({}));
    eventually("the container that is well again", Duration::from_secs(10), async || {
        run(&containers).await.1.of("stuck", "container_restarts_total")
    })
    .await;
}

#[tokio::test]
async fn a_daemon_that_hangs_does_not_hang_a_scrape() {
    let stub = DockerStub::start();
    stub.hang("/info");
    let containers = blind(&stub);
    let begun = Instant::now();
    let (_, ours, _) = run(&containers).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert!(ours.value("machine_scrape_error", &[]).is_some(), "the rest is there");
    let why = eventually("its silence", Duration::from_secs(20), async || {
        let (_, ours, output) = run(&containers).await;
        let service = output.facts.services[0].clone();
        (ours.value("container_scrape_error", &[]) == Some(1.0)).then_some(service)
    })
    .await;
    assert_eq!((why.state, why.why.as_str()), (State::Critical, "the Docker daemon did not answer within 5s"));
    assert!(why.next.contains("docker ps"), "{}", why.next);
    stub.heal();
    eventually("its answer", Duration::from_secs(20), async || {
        (run(&containers).await.2.facts.services[0].state == State::Ok).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_daemon_that_is_not_there_is_said_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(Path::new("/nowhere"), &folder.path().join("docker.sock"));
    let containers = Containers::build(&config, &deps());
    let (_, ours, output) = run(&containers).await;
    assert_eq!(ours.value("container_scrape_error", &[]), Some(1.0));
    let service = &output.facts.services[0];
    assert_eq!((service.service.as_str(), service.state), ("docker", State::Critical));
    assert!(service.why.contains("cannot connect to") && service.why.contains("docker.sock"), "{}", service.why);
    assert!(service.next.contains("systemctl start docker"), "{}", service.next);
    config.socket = None;
    config.rootfs = folder.path().to_owned();
    let usual = Path::new("/var/run/docker.sock").exists();
    assert_eq!(Containers::watches(&config).is_some(), usual, "not built without a socket");
    std::fs::create_dir(folder.path().join("run")).unwrap();
    std::fs::write(folder.path().join("run/docker.sock"), "").unwrap();
    assert!(Containers::watches(&config).is_some(), "the host's root has one");
}

#[tokio::test]
async fn a_container_that_came_and_went_between_scrapes_leaves_its_kills() {
    let stub = DockerStub::start();
    let containers = blind(&stub);
    run(&containers).await;
    let about = json!({"name": "burst", "image": "busybox", "exitCode": "137"});
    for action in ["create", "start", "oom", "die", "destroy"] {
        stub.tell(action, "c1", &about);
    }
    let kills = eventually("its kills", Duration::from_secs(10), async || {
        run(&containers).await.1.of("burst", "container_oom_events_total")
    })
    .await;
    assert_eq!(kills.to_string(), "1");
    // The same again, without the group.
    let mut config = config(Path::new("/nowhere"), &stub.socket());
    config.disable_metrics = vec!["oom_event".into()];
    let others = Containers::build(&config, &deps());
    run(&others).await;
    for action in ["create", "start", "oom", "die", "destroy"] {
        stub.tell(action, "c2", &json!({"name": "quiet", "image": "busybox", "exitCode": "137"}));
    }
    stub.answer("/containers/c3/json", &inspect(0, None));
    stub.tell("start", "c3", &json!({}));
    eventually("the next one", Duration::from_secs(10), async || {
        run(&others).await.1.of("web", "container_restarts_total")
    })
    .await;
    assert_eq!(run(&others).await.1.of("quiet", "container_oom_events_total"), None);
}

#[tokio::test]
async fn an_answer_that_is_older_than_an_event_is_asked_for_again() {
    let stub = DockerStub::start();
    let mut config = config(Path::new("/nowhere"), &stub.socket());
    config.call_timeout = "9s".parse().unwrap();
    let containers = Containers::build(&config, &deps());
    run(&containers).await;
    stub.answer("/containers/c1/json", &inspect(7, None));
    stub.hold("/containers/c1/json");
    stub.tell("start", "c1", &json!({"name": "web", "image": "busybox"}));
    let asked = || stub.asked().iter().filter(|path| *path == "/containers/c1/json").count();
    eventually("the question", Duration::from_secs(10), async || (asked() == 1).then_some(())).await;
    stub.tell("die", "c1", &json!({"exitCode": "3"}));
    eventually("its end", Duration::from_secs(10), async || {
        (run(&containers).await.1.of("web", "container_exit_code") == Some(3.0)).then_some(())
    })
    .await;
    let state = json!({"Running": false, "ExitCode": 3, "FinishedAt": "2026-11-21T06:00:01Z"});
    stub.answer("/containers/c1/json", &json!({"Name": "/web", "State": state, "RestartCount": 5}).to_string());
    stub.release();
    let restarts = eventually("the details", Duration::from_secs(10), async || {
        run(&containers).await.1.of("web", "container_restarts_total")
    })
    .await;
    assert_eq!((restarts.to_string(), asked()), ("5".to_owned(), 2));
    assert_eq!(run(&containers).await.1.of("web", "container_exit_code"), Some(3.0));
}

#[tokio::test]
async fn kills_are_counted_once_over_a_stream_that_broke() {
    let stub = DockerStub::start();
    let containers = blind(&stub);
    run(&containers).await;
    let about = json!({"name": "burst", "image": "busybox", "exitCode": "137"});
    for action in ["create", "start", "oom"] {
        stub.tell(action, "c1", &about);
    }
    let kills = async |name| run(&containers).await.1.of(name, "container_oom_events_total");
    eventually("the first", Duration::from_secs(10), async || kills("burst").await.filter(|kills| *kills > 0.5)).await;
    stub.cut();
    for action in ["oom", "die", "destroy"] {
        stub.tell(action, "c1", &about);
    }
    for action in ["create", "start", "oom", "die", "destroy"] {
        stub.tell(action, "c2", &json!({"name": "short", "image": "busybox"}));
    }
    let short = eventually("what nobody listened to", Duration::from_secs(10), async || kills("short").await).await;
    assert_eq!(
        (kills("burst").await.map(|kills| kills.to_string()), short.to_string()),
        (Some("2".into()), "1".into())
    );
}

#[tokio::test]
async fn a_file_system_that_hangs_holds_one_thread() {
    let root = fixture();
    let (release, held) = mpsc::channel::<()>();
    let (calls, held) = (Arc::new(AtomicUsize::new(0)), Mutex::new(held));
    let (counted, spaces) = (Arc::clone(&calls), told(&root));
    let statvfs: Statvfs = Arc::new(move |path| {
        counted.fetch_add(1, Ordering::Relaxed);
        // Until nobody holds the other end any more.
        held.lock().unwrap().recv().unwrap_err();
        spaces(path)
    });
    let nowhere = tempfile::tempdir().unwrap();
    let containers = Containers::with_statvfs(&config(&root, &nowhere.path().join("sock")), &deps(), statvfs);
    let mut output = Output::default();
    let cut_off = tokio::time::timeout(Duration::from_secs(1), containers.collect(&mut output)).await;
    assert!(cut_off.is_err() && calls.load(Ordering::Relaxed) == 1);
    let failed = tokio::time::timeout(Duration::from_secs(10), containers.collect(&mut output)).await.unwrap();
    assert!(failed.unwrap_err().to_string().contains("the last one has not returned"));
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    drop(release);
    let (_, ours, _) = run(&containers).await;
    assert!(ours.value("machine_scrape_error", &[]).is_some());
}
