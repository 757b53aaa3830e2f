//! Keys, streams and scripts: what is written, and that it is bounded.

use std::time::{Duration, Instant};

use super::{built, has, once, run, target, value};
use crate::support::redis::{Kind, Server};

#[tokio::test]
async fn keys_are_sized_valued_and_counted() {
    let server = Server::start(Kind::Valkey, "");
    for command in [
        &["set", "number", "42.5"][..],
        &["set", "text", "two words"],
        &["rpush", "list", "a", "b", "c"],
        &["pfadd", "sketch", "a", "b"],
        &["-n", "3", "set", "s:1", "1"],
        &["-n", "3", "set", "s:2", "x"],
    ] {
        server.cli(command);
    }
    let options = "check_single_keys = [\"number\", \"text\", \"list\", \"sketch\", \"missing\"]\ncheck_keys = [\"db3=s:*\"]\ncount_keys = [\"*\", \"db3=s:*\"]";
    let redis = built(&target(&server.address(), options));
    run(&redis).await;
    let (text, _) = run(&redis).await;
    for (series, expected) in [
        ("redis_key_size{db=\"db0\",key=\"list\"}", Some(3.0)),
        ("redis_key_size{db=\"db0\",key=\"sketch\"}", Some(2.0)),
        ("redis_key_size{db=\"db0\",key=\"missing\"}", Some(0.0)),
        ("redis_key_value{db=\"db0\",key=\"number\"}", Some(42.5)),
        ("redis_key_value_as_string{db=\"db0\",key=\"text\",val=\"two words\"}", Some(1.0)),
        ("redis_key_size{db=\"db3\",key=\"s:2\"}", Some(1.0)),
        ("redis_keys_count{db=\"db0\",key=\"*\"}", Some(4.0)),
        ("redis_keys_count{db=\"db3\",key=\"s:*\"}", Some(2.0)),
        ("tidewatch_redis_check_complete{check=\"check-keys\"}", Some(1.0)),
        ("redis_total_error_replies", Some(0.0)),
    ] {
        assert_eq!(value(&text, series), expected, "{series}\n{text}");
    }
    assert!(has(&text, "redis_key_memory_usage_bytes{db=\"db0\",key=\"list\"} "));
    let text = once(&target(&server.address(), &format!("{options}\ndisable_exporting_key_values = true"))).await;
    assert!(!text.contains("two words"));
}

#[tokio::test]
async fn streams_are_told_with_groups_and_consumers() {
    for kind in [Kind::Redis, Kind::Valkey] {
        let server = Server::start(kind, "");
        for command in [
            &["xadd", "events", "1700000000000-0", "a", "1"][..],
            &["xadd", "events", "1700000000500-0", "a", "2"],
            &["xgroup", "create", "events", "g", "0"],
            &["xreadgroup", "group", "g", "c", "count", "1", "streams", "events", ">"],
        ] {
            server.cli(command);
        }
        let text = once(&target(&server.address(), "check_streams = [\"ev*\"]")).await;
        for (series, expected) in [
            ("redis_stream_length{db=\"db0\",stream=\"events\"}", 2.0),
            ("redis_stream_last_entry_id{db=\"db0\",stream=\"events\"}", 1_700_000_000_500.0),
            ("redis_stream_group_lag{db=\"db0\",stream=\"events\",group=\"g\"}", 1.0),
            (
                "redis_stream_group_consumer_messages_pending{db=\"db0\",stream=\"events\",group=\"g\",consumer=\"c\"}",
                1.0,
            ),
        ] {
            assert_eq!(value(&text, series), Some(expected), "{kind:?} {series}\n{text}");
        }
    }
}

#[tokio::test]
async fn what_does_not_fit_is_left_out_whole_and_said() {
    let server = Server::start(Kind::Redis, "enable-debug-command yes");
    server.cli(&["debug", "populate", "300000", "big"]);
    server.cli(&["set", "small:1", "1"]);
    let began = Instant::now();
    let options = "check_keys = [\"small:*\", \"big:*\"]\nmax_keys = 100\ncheck_keys_batch_size = 10000";
    let redis = built(&target(&server.address(), options));
    let (text, _) = run(&redis).await;
    assert_eq!(value(&text, "redis_up"), Some(1.0));
    assert_eq!(value(&text, "redis_key_size{db=\"db0\",key=\"small:1\"}"), Some(1.0), "{text}");
    assert!(!text.contains("key=\"big:"), "{text}");
    assert_eq!(value(&text, "tidewatch_redis_check_complete{check=\"check-keys\"}"), Some(0.0));
    // A search of steps so small that its time cannot suffice.
    let options = "count_keys = [\"nothing:*\"]\ncheck_keys_batch_size = 1\nkeys_timeout = \"200ms\"";
    let redis = built(&target(&server.address(), options));
    for _ in 0..2 {
        let (text, _) = run(&redis).await;
        assert_eq!(value(&text, "redis_up"), Some(1.0));
        assert_eq!(value(&text, "tidewatch_redis_check_complete{check=\"count-keys\"}"), Some(0.0), "{text}");
        assert!(!has(&text, "redis_keys_count"), "half a count is none");
    }
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[tokio::test]
async fn scripts_and_groups_of_keys_are_told() {
    let server = Server::start(Kind::Valkey, "");
    for key in ["user:1", "user:2", "job:1", "other"] {
        server.cli(&["set", key, "v"]);
    }
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let good = path("good.lua", "return {'answer', '42', 'keys', tostring(redis.call('dbsize'))}");
    let bad = path("bad.lua", "return nonsense(");
    let options = format!(
        "script = [\"{good}\", \"{bad}\"]\ncheck_key_groups = [\"^(user):\", \"^(job):\"]\nmax_distinct_key_groups = 2"
    );
    let text = once(&target(&server.address(), &options)).await;
    for (series, expected) in [
        (format!("redis_script_values{{key=\"answer\",filename=\"{good}\"}}"), 42.0),
        (format!("redis_script_values{{key=\"keys\",filename=\"{good}\"}}"), 4.0),
        (format!("redis_script_result{{filename=\"{good}\"}}"), 1.0),
        (format!("redis_script_result{{filename=\"{bad}\"}}"), 0.0),
        ("redis_key_group_count{db=\"db0\",key_group=\"user\"}".into(), 2.0),
        ("redis_number_of_distinct_key_groups{db=\"db0\"}".into(), 3.0),
        ("redis_key_group_count{db=\"db0\",key_group=\"overflow\"}".into(), 1.0),
    ] {
        assert_eq!(value(&text, &series), Some(expected), "{series}\n{text}");
    }
}
