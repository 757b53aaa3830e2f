//! A real daemon, with containers that work, are killed, restart, are paused and vanish.

use std::time::Duration;

use tidewatch::collect::Declare;

use super::*;
use crate::support::docker::{Docker, Root};
use crate::support::eventually;
use crate::support::process::program;

/// A daemon with an image of busybox.
fn docker() -> Docker {
    let docker = Docker::start();
    let busybox = program("busybox");
    let root = Root::new().copy(&busybox, "/bin/sh").copy(&busybox, "/bin/busybox").folder("/tmp", 0);
    docker.import("busybox:test", &root, &[]);
    docker
}

fn containers(docker: &Docker) -> Containers {
    let config = ContainersConfig { socket: Some(docker.socket().into()), ..ContainersConfig::default() };
    Containers::build(&config, &deps())
}

async fn until(containers: &Containers, what: &str, found: impl Fn(&Samples) -> bool) -> Samples {
    eventually(what, Duration::from_mins(1), async || {
        let (_, samples, _) = run(containers).await;
        found(&samples).then_some(samples)
    })
    .await
}

#[tokio::test]
async fn containers_of_a_real_daemon_are_followed_through_their_lives() {
    let docker = docker();
    let collector = containers(&docker);
    let start = |name: &str, options: &[&str], script: &str| {
        let mut arguments = vec!["run", "--detach", "--name", name];
        arguments.extend(options);
        arguments.extend(["busybox:test", "/bin/sh", "-c", script]);
        docker.run("docker", &arguments);
    };
    run(&collector).await;
    start("burner", &["--cpus", "0.5", "--label", "com.docker.compose.service=burn"], "while :; do :; done");
    start(
        "holder",
        &["--memory", "64m"],
        "held=$(busybox dd if=/dev/zero bs=1M count=8 | busybox tr '\\0' a); while :; do busybox sleep 1; done",
    );
    start("ended", &[], "exit 3");
    let samples = until(&collector, "work in the containers", |samples| {
        samples.of("burner", "container_cpu_user_seconds_total").is_some_and(|seconds| seconds > 0.3)
            && samples.of("burner", "container_cpu_cfs_periods_total").is_some_and(|count| count > 0.0)
            && samples.of("holder", "container_memory_rss").is_some_and(|bytes| bytes > 8e6)
            && samples.of("ended", "container_exit_code") == Some(3.0)
    })
    .await;
    let labelled = [("container_name", "burner"), ("container_label_com_docker_compose_service", "burn")];
    assert_eq!(samples.value("container_spec_cpu_quota", &labelled), Some(50_000.0));
    assert!(samples.of("burner", "container_cpu_cfs_throttled_periods_total").is_some());
    assert_eq!(samples.of("holder", "container_cpu_cfs_throttled_periods_total"), None, "it has no quota");
    assert_eq!(samples.of("holder", "container_spec_memory_limit_bytes"), Some(f64::from(64 << 20)));
    assert_eq!(samples.of("burner", "container_spec_memory_limit_bytes"), Some(0.0), "no limit");
    let eth0 = [("name", "burner"), ("interface", "eth0")];
    assert!(samples.value("container_network_receive_packets_total", &eth0).is_some());
    docker.run("docker", &["rm", "--force", "burner"]);
    until(&collector, "that one is gone", |samples| samples.of("burner", "container_last_seen").is_none()).await;
}
