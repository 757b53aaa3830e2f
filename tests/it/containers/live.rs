//! A real daemon, with containers that work, are killed, restart, are paused and vanish.

use std::time::{Duration, Instant};

use tidewatch::collect::Declare;
use tidewatch::facts::State;

use super::*;
use crate::compat;
use crate::support::docker::{Docker, Root};
use crate::support::eventually;
use crate::support::process::program;

/// A daemon with an image of busybox.
fn docker() -> Docker {
    let docker = Docker::start();
    let busybox = program("busybox");
    let root = Root::new().copy(&busybox, "/bin/sh").copy(&busybox, "/bin/busybox").folder("/tmp", 0);
    docker.import("busybox:test", &root, &["ENV PATH=/bin"]);
    docker
}

fn containers(docker: &Docker) -> Containers {
    let config = ContainersConfig { socket: Some(docker.socket().into()), ..ContainersConfig::default() };
    Containers::build(&config, &deps())
}

fn start(docker: &Docker, name: &str, options: &[&str], script: &str) {
    let mut arguments = vec!["run", "--detach", "--name", name];
    arguments.extend(options);
    arguments.extend(["busybox:test", "sh", "-c", script]);
    docker.run("docker", &arguments);
}

async fn until(containers: &Containers, what: &str, found: impl Fn(&Samples) -> bool) -> (String, Samples) {
    eventually(what, Duration::from_mins(2), async || {
        let (text, samples, _) = run(containers).await;
        found(&samples).then_some((text, samples))
    })
    .await
}

/// One test, because a daemon takes seconds to start, and two of them share a bridge.
#[tokio::test]
async fn containers_of_a_real_daemon_are_followed_through_their_lives() {
    let docker = docker();
    let collector = containers(&docker);
    run(&collector).await;
    work(&docker, &collector).await;
    kills(&docker, &collector).await;
    paused(&docker).await;
    vanishing(&docker, &collector).await;
    drop(docker);
    until(&collector, "that the daemon is gone", |samples| samples.value("container_scrape_error", &[]) == Some(1.0))
        .await;
    let (_, _, output) = run(&collector).await;
    assert_eq!(output.facts.services[0].state, State::Critical);
}

async fn work(docker: &Docker, collector: &Containers) {
    start(docker, "burner", &["--cpus", "0.5", "--label", "com.docker.compose.service=burn"], "while :; do :; done");
    let hold = "held=$(busybox dd if=/dev/zero bs=1M count=8 | busybox tr '\\0' a)\n\
        busybox dd if=/dev/zero of=/written bs=1M count=3; while :; do busybox sleep 1; done";
    start(docker, "holder", &["--memory", "64m", "--health-cmd", "true", "--health-interval", "1s"], hold);
    start(docker, "ended", &[], "exit 3");
    let (text, samples) = until(collector, "work in the containers", |samples| {
        samples.of("burner", "container_cpu_user_seconds_total").is_some_and(|seconds| seconds > 0.3)
            && samples.of("burner", "container_cpu_cfs_periods_total").is_some_and(|count| count > 0.0)
            && samples.of("holder", "container_memory_rss").is_some_and(|bytes| bytes > 8e6)
            && samples.of("holder", "container_health_state") == Some(1.0)
            && samples.of("ended", "container_exit_code") == Some(3.0)
    })
    .await;
    assert_eq!(compat::containers::missing(&text), Vec::<String>::new());
    let labelled = [("container_name", "burner"), ("container_label_com_docker_compose_service", "burn")];
    assert_eq!(samples.value("container_spec_cpu_quota", &labelled), Some(50_000.0));
    assert!(samples.of("burner", "container_cpu_cfs_throttled_periods_total").is_some());
    assert_eq!(samples.of("holder", "container_cpu_cfs_throttled_periods_total"), None, "it has no quota");
    assert_eq!(samples.of("holder", "container_spec_memory_limit_bytes"), Some(f64::from(64 << 20)));
    assert_eq!(samples.of("burner", "container_spec_memory_limit_bytes"), Some(0.0), "no limit");
    let eth0 = [("name", "burner"), ("interface", "eth0")];
    assert!(samples.value("container_network_receive_packets_total", &eth0).is_some());
}

async fn kills(docker: &Docker, collector: &Containers) {
    // A child takes all memory, and its shell lives on; the whole container does, and is started again twice.
    let greedy = "while :; do busybox tail /dev/zero; busybox sleep 600; done";
    start(docker, "greedy", &["--memory", "16m"], greedy);
    start(docker, "doomed", &["--memory", "16m", "--restart", "on-failure:2"], "exec busybox tail /dev/zero");
    let (_, samples) = until(collector, "kills for lack of memory", |samples| {
        samples.of("greedy", "container_oom_events_total").is_some_and(|kills| kills >= 1.0)
            && samples.of("doomed", "container_exit_code") == Some(137.0)
            && samples.of("doomed", "container_restarts_total") == Some(2.0)
            && samples.of("doomed", "container_oom_events_total").is_some_and(|kills| kills >= 3.0)
    })
    .await;
    assert!(samples.of("greedy", "container_memory_usage_bytes").is_some(), "it lives on");
    assert_eq!(samples.of("doomed", "container_memory_usage_bytes"), None);
}

/// With a health check, the daemon's answers about a container that is paused may hang.
async fn paused(docker: &Docker) {
    docker.run("docker", &["pause", "holder"]);
    // One that comes later knows it from the list and the files only.
    let collector = containers(docker);
    let begun = Instant::now();
    let (_, samples, output) = run(&collector).await;
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    assert!(samples.of("holder", "container_memory_usage_bytes").is_some_and(|bytes| bytes > 8e6));
    assert_eq!(output.facts.services[0].state, State::Ok, "{:?}", output.facts.services);
    until(&collector, "what it takes on disk", |samples| {
        samples.of("holder", "container_fs_usage_bytes").is_some_and(|bytes| bytes > 3e6)
    })
    .await;
    docker.run("docker", &["unpause", "holder"]);
}

async fn vanishing(docker: &Docker, collector: &Containers) {
    let names: Vec<String> = (0..6).map(|number| format!("short{number}")).collect();
    for name in &names {
        start(docker, name, &["--rm", "--network", "none"], "busybox sleep 600");
    }
    let there =
        |samples: &Samples| names.iter().filter(|name| samples.of(name, "container_last_seen").is_some()).count();
    until(collector, "the containers", |samples| there(samples) == names.len()).await;
    let mut remove = docker.command("docker");
    remove.args(["rm", "--force"]).args(&names).stdout(std::process::Stdio::null());
    let mut removing = remove.spawn().unwrap();
    // Scrapes all the while: some fall between the end of a cgroup and the daemon's word of it.
    while removing.try_wait().unwrap().is_none() {
        let (_, samples, _) = run(collector).await;
        assert_eq!(samples.value("container_scrape_error", &[]), Some(0.0));
        assert!(samples.of("burner", "container_cpu_user_seconds_total").is_some(), "the others are all there");
    }
    until(collector, "that they are gone", |samples| there(samples) == 0).await;
}
