//! `redis_up` tells the truth, in time, and names no secret.

use std::time::{Duration, Instant};

use super::{built, has, once, run, target, value};
use crate::support::eventually;
use crate::support::redis::{Kind, Server};
use tidewatch::facts::State;

/// The reason that is written beside `redis_up 0`.
fn why(text: &str) -> &str {
    assert_eq!(value(text, "redis_up"), Some(0.0), "{text}");
    let line = text.lines().find_map(|line| line.strip_prefix("redis_exporter_last_scrape_error{err=\"")).unwrap();
    line.strip_suffix("\"} 1").unwrap()
}

#[tokio::test]
async fn a_wrong_password_is_a_reason_that_does_not_repeat_it() {
    let server = Server::launch(Kind::Valkey, "requirepass right-one", &[], &["-a", "right-one"]);
    server.ready();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, "hunter2\n").unwrap();
    let redis = built(&target(&server.address(), &format!("password_file = \"{}\"", file.display())));
    let (text, services) = run(&redis).await;
    assert_eq!(why(&text), "the server refuses the credentials (AUTH)");
    assert!(!format!("{text}{services:?}").contains("hunter2"));
    // A password that was changed is read anew.
    std::fs::write(&file, "right-one\n").unwrap();
    assert_eq!(value(&run(&redis).await.0, "redis_up"), Some(1.0));
    let text = once(&target(&server.address(), "")).await;
    assert_eq!(why(&text), "the server refuses the credentials (NOAUTH)");
    std::fs::remove_file(&file).unwrap();
    let text = once(&target(&server.address(), &format!("password_file = \"{}\"", file.display()))).await;
    assert!(why(&text).contains("No such file"), "{text}");
}

#[tokio::test]
async fn a_server_that_repeats_the_password_in_its_error_is_not_quoted() {
    let server = Server::start(Kind::Redis, "rename-command AUTH \"\"");
    let echoed = server.try_cli(&["auth", "hunter2"]);
    assert!(echoed.contains("hunter2"), "{echoed}");
    let (text, services) = run(&built(&target(&server.address(), "password = \"hunter2\""))).await;
    assert_eq!(value(&text, "redis_up"), Some(0.0), "{text}");
    assert!(!format!("{text}{services:?}").contains("hunter2"), "{text}");
}

#[tokio::test]
async fn a_server_that_hangs_is_down_within_its_time_and_comes_back() {
    let (hanging, well) = (Server::start(Kind::Redis, ""), Server::start(Kind::Redis, ""));
    let text = format!(
        "[targets.hanging]\naddress = \"{}\"\ntimeout = \"300ms\"\n[targets.well]\naddress = \"{}\"\n",
        hanging.address(),
        well.address()
    );
    let redis = built(&text);
    let up = |text: &str| ["hanging", "well"].map(|name| value(text, &format!("redis_up{{instance=\"{name}\"}}")));
    assert_eq!(up(&run(&redis).await.0), [Some(1.0), Some(1.0)]);
    hanging.signal("-STOP");
    // Once over the kept connection, once over a new one, which the system takes for the stopped process.
    for _ in 0..2 {
        let began = Instant::now();
        let (text, services) = run(&redis).await;
        assert_eq!(up(&text), [Some(0.0), Some(1.0)], "{text}");
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        assert_eq!(services[0].why, "hanging: no answer within 300ms");
    }
    hanging.signal("-CONT");
    hanging.ready();
    assert_eq!(up(&run(&redis).await.0), [Some(1.0), Some(1.0)]);
}

#[tokio::test]
async fn a_blocked_server_is_down() {
    let server = Server::start(Kind::Valkey, "enable-debug-command yes\nbusy-reply-threshold 100");
    let redis = built(&target(&server.address(), "timeout = \"1s\""));
    assert_eq!(value(&run(&redis).await.0, "redis_up"), Some(1.0));
    let sleeping = server.begin(&["debug", "sleep", "3"]);
    let text = eventually("blocked", Duration::from_secs(2), async || {
        let (text, _) = run(&redis).await;
        (value(&text, "redis_up") == Some(0.0)).then_some(text)
    })
    .await;
    assert_eq!(why(&text), "no answer within 1s");
    server.until(&["ping"], "PONG");
    drop(sleeping);
    let script = server.begin(&["eval", "while true do end", "0"]);
    server.until(&["ping"], "BUSY");
    assert_eq!(why(&run(&redis).await.0), "the server answers with an error (BUSY)");
    server.cli(&["script", "kill"]);
    assert_eq!(value(&run(&redis).await.0, "redis_up"), Some(1.0));
    drop(script);
}

#[tokio::test]
async fn a_server_that_loads_its_data_is_up_and_says_so() {
    let mut server = Server::start(Kind::Redis, "enable-debug-command yes\ndbfilename data.rdb");
    server.cli(&["debug", "populate", "20000"]);
    server.cli(&["save"]);
    let data = std::fs::read(server.folder.path().join("data.rdb")).unwrap();
    server.running.kill();
    let source = tempfile::tempdir().unwrap();
    let file = source.path().join("data.rdb");
    std::fs::write(&file, data).unwrap();
    let settings = format!(
        "dir {}\ndbfilename data.rdb\nkey-load-delay 1000\nloading-process-events-interval-bytes 1024",
        source.path().display()
    );
    let loading = Server::launch(Kind::Redis, &settings, &[], &[]);
    loading.until(&["ping"], "LOADING");
    let (text, services) = run(&built(&target(&loading.address(), ""))).await;
    assert_eq!(value(&text, "redis_up"), Some(1.0), "{text}");
    assert_eq!(value(&text, "redis_loading_dump_file"), Some(1.0));
    assert_eq!((services[0].state, services[0].why.as_str()), (State::Warning, "main is loading its data"));
}

#[tokio::test]
async fn what_is_no_redis_is_down() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let serve = async {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            drop(tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").await);
        }
    };
    let text = target(&address, "timeout = \"1s\"");
    tokio::select! {
        () = serve => {}
        text = once(&text) => assert!(!why(&text).is_empty() && !has(&text, "redis_instance_info")),
    }
}
