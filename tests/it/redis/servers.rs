//! What servers of each kind tell.

use super::{has, once, run, target, value};
use crate::support::certificates::Certificates;
use crate::support::redis::{Kind, Server};
use tidewatch::facts::State;

#[tokio::test]
async fn both_servers_tell_what_they_do() {
    for kind in [Kind::Redis, Kind::Valkey] {
        let server = Server::start(kind, "maxmemory 100mb");
        for key in 0..20 {
            server.cli(&["set", &format!("key:{key}"), "value"]);
        }
        server.try_cli(&["hget", "key:1", "field"]);
        let text = once(&target(&server.address(), "")).await;
        for (series, expected) in [
            ("redis_up", 1.0),
            ("redis_db_keys{db=\"db0\"}", 20.0),
            ("redis_db_keys{db=\"db15\"}", 0.0),
            ("redis_memory_max_bytes", 104_857_600.0),
            ("redis_commands_total{cmd=\"set\"}", 20.0),
            ("redis_commands_failed_calls_total{cmd=\"hget\"}", 1.0),
            ("redis_errors_total{err=\"WRONGTYPE\"}", 1.0),
            ("redis_config_maxmemory", 104_857_600.0),
            ("redis_exporter_last_scrape_error{err=\"\"}", 0.0),
            ("redis_exporter_scrapes_total", 1.0),
        ] {
            assert_eq!(value(&text, series), Some(expected), "{kind:?} {series}\n{text}");
        }
        assert!(
            has(&text, "redis_ops_sec ") && has(&text, "redis_latency_percentiles_usec{cmd=\"set\",quantile=\"99.9\"}")
        );
        assert!(has(&text, "redis_commands_latencies_usec_bucket{cmd=\"set\",le=\"+Inf\"} 20"), "{text}");
        assert!(!text.contains("instance="), "one server carries no instance");
    }
}

#[tokio::test]
async fn a_kept_connection_is_used_again_and_a_broken_one_is_replaced() {
    let server = Server::start(Kind::Valkey, "");
    let redis = super::built(&target(&server.address(), "export_client_list = true"));
    let connections = |text: &str| value(text, "redis_connections_received_total").unwrap();
    let first = connections(&run(&redis).await.0);
    let (second, _) = run(&redis).await;
    assert!((connections(&second) - first).abs() < f64::EPSILON, "no new connection");
    assert!(has(&second, "redis_connected_client_info{host=\"127.0.0.1\"") && second.contains("name=\"tidewatch\""));
    server.cli(&["client", "kill", "type", "normal", "skipme", "yes"]);
    let (third, _) = run(&redis).await;
    assert_eq!(value(&third, "redis_up"), Some(1.0), "{third}");
    let errors = value(&third, "redis_total_error_replies");
    assert_eq!(errors, Some(0.0), "a monitor leaves no errors behind");
}

#[tokio::test]
async fn several_servers_carry_their_names_and_one_that_is_down_costs_its_own_series() {
    let (one, two) = (Server::start(Kind::Redis, ""), Server::start(Kind::Valkey, ""));
    let dead = crate::support::free_port();
    let text = format!(
        "[targets.one]\naddress = \"{}\"\n[targets.two]\naddress = \"{}\"\n[targets.three]\naddress = \"127.0.0.1:{dead}\"\n",
        one.address(),
        two.address()
    );
    let (text, services) = run(&super::built(&text)).await;
    for (name, up) in [("one", 1.0), ("two", 1.0), ("three", 0.0)] {
        assert_eq!(value(&text, &format!("redis_up{{instance=\"{name}\"}}")), Some(up), "{text}");
    }
    let shared = |line: &&str| line.starts_with("redis_") && !line.contains("instance=\"");
    let without: Vec<&str> = text.lines().filter(shared).collect();
    assert_eq!(without, ["redis_target_scrape_request_errors_total 0"]);
    assert_eq!((services.len(), services[0].state), (1, State::Critical));
    assert!(services[0].why.starts_with("three: no connection") && services[0].next.contains(&dead.to_string()));
}

#[tokio::test]
async fn a_thousand_databases_are_told() {
    let server = Server::start(Kind::Redis, "databases 1000");
    let script = "for i = 0, 999 do redis.call('select', i) redis.call('set', 'a', i) end";
    server.cli(&["eval", script, "0"]);
    let text = once(&target(&server.address(), "")).await;
    assert_eq!(text.lines().filter(|line| line.starts_with("redis_db_keys{")).count(), 1_000);
    assert_eq!(value(&text, "redis_db_keys{db=\"db999\"}"), Some(1.0));
}

#[tokio::test]
async fn a_user_with_few_rights_and_renamed_commands_cost_only_what_they_hide() {
    let server =
        Server::start(Kind::Redis, "rename-command CONFIG TUNE\nuser tide on >s3cret +info +client|setname +slowlog");
    let options = "user = \"tide\"\npassword = \"s3cret\"";
    let redis = super::built(&target(&server.address(), options));
    run(&redis).await;
    let (text, _) = run(&redis).await;
    assert_eq!(value(&text, "redis_up"), Some(1.0), "{text}");
    assert!(has(&text, "redis_slowlog_length ") && !has(&text, "redis_config_maxmemory "), "{text}");
    let refused = value(&text, "redis_commands_rejected_calls_total{cmd=\"latency|latest\"}");
    assert_eq!(refused, Some(1.0), "what is refused is not asked again and again");
    let text = once(&target(&server.address(), "config_command = \"TUNE\"")).await;
    assert!(has(&text, "redis_config_maxmemory "), "{text}");
}

#[tokio::test]
async fn tls_is_spoken_and_checked() {
    let folder = tempfile::tempdir().unwrap();
    let made = Certificates::make(folder.path());
    let [authority, certificate, key] =
        [&made.authority, &made.certificate, &made.key].map(|path| path.display().to_string());
    let port = crate::support::free_port();
    let settings = format!(
        "tls-port {port}\ntls-cert-file {certificate}\ntls-key-file {key}\ntls-ca-cert-file {authority}\ntls-auth-clients yes"
    );
    let server = Server::start(Kind::Redis, &settings);
    let address = format!("rediss://localhost:{port}");
    let trust = format!("tls_ca_cert_file = \"{authority}\"");
    let identity = format!("tls_client_cert_file = \"{certificate}\"\ntls_client_key_file = \"{key}\"");
    let text = once(&target(&address, &format!("{trust}\n{identity}"))).await;
    assert_eq!(value(&text, "redis_up"), Some(1.0), "{text}\n{}", server.running.output());
    for (options, why) in
        [(identity.clone(), "TLS: "), (format!("{trust}\n{identity}\ntls_server_name = \"other.example\""), "TLS: ")]
    {
        let text = once(&target(&address, &options)).await;
        assert_eq!(value(&text, "redis_up"), Some(0.0), "{text}");
        assert!(has(&text, &format!("redis_exporter_last_scrape_error{{err=\"{why}")), "{text}");
    }
    let text = once(&target(&address, &format!("{identity}\nskip_tls_verification = true"))).await;
    assert_eq!(value(&text, "redis_up"), Some(1.0), "{text}");
}
