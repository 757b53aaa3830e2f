//! The families of redis_exporter 1.88, and of 1.45 where Redis 7.0 still offers them.

use crate::redis::{once, target};
use crate::support::compat::{Exceptions, compare, compare_series, reference};
use crate::support::redis::{Kind, Server, cluster};

/// Labels that name a client, a command, a key, an address: other servers have others.
const OWN: [&str; 8] = ["cmd", "err", "event_name", "le", "slave_port", "master_port", "master_address", "key"];

/// Families whose label sets are the same on every server.
fn shared(name: &str) -> bool {
    [
        "redis_db_",
        "redis_config_client",
        "redis_latency_percentiles",
        "redis_connected_slave_",
        "redis_sentinel_",
        "redis_master_",
    ]
    .iter()
    .any(|start| name.starts_with(start))
}

fn agrees(name: &str, ours: &str) {
    let (reference, exceptions) = (reference(name), Exceptions::of(name));
    let mut found = compare(&reference, ours, &exceptions);
    found.extend(compare_series(&reference, ours, &exceptions, &OWN, shared));
    assert_eq!(found, Vec::<String>::new(), "{name}");
}

/// What the references' servers had been through: keys in two databases, some with a time to live, errors, latencies.
fn load(server: &Server) {
    for db in ["0", "3"] {
        let script = "for i = 1, 300 do redis.call('set', 'k' .. ARGV[1] .. ':' .. i, 'v', 'ex', 3600) end redis.call('hset', 'h', 'a', '1')";
        server.cli(&["-n", db, "eval", script, "0", db]);
    }
    server.cli(&["get", "k0:1"]);
    server.try_cli(&["hget", "k0:1", "field"]);
    server.try_cli(&["config", "set", "latency-monitor-threshold", "1"]);
    server.try_cli(&["debug", "sleep", "0.01"]);
}

const LATENT: &str = "enable-debug-command yes\nslowlog-log-slower-than 0";

/// A primary with a replica that has caught up.
fn pair(kind: Kind, settings: &str) -> (Server, Server) {
    let primary = Server::start(kind, settings);
    let replica = Server::start(kind, &format!("replicaof 127.0.0.1 {}", primary.port));
    replica.until(&["info", "replication"], "master_link_status:up");
    primary.until(&["info", "replication"], "state=online");
    load(&primary);
    (primary, replica)
}

#[tokio::test]
async fn redis_7() {
    let server = Server::start(Kind::Redis, "");
    load(&server);
    let ours = once(&target(&server.address(), "")).await;
    agrees("redis_exporter-1.88.0-redis7", &ours);
}

#[tokio::test]
async fn valkey_9_and_its_replica() {
    let (primary, replica) = pair(Kind::Valkey, &format!("{LATENT}\nappendonly yes"));
    agrees("redis_exporter-1.88.0-valkey9", &once(&target(&primary.address(), "")).await);
    agrees("redis_exporter-1.88.0-valkey9-replica", &once(&target(&replica.address(), "")).await);
}

#[tokio::test]
async fn valkey_9_with_every_option() {
    let (primary, _replica) = pair(Kind::Valkey, &format!("{LATENT}\nappendonly yes"));
    primary.cli(&["xadd", "events", "*", "a", "1"]);
    primary.cli(&["xgroup", "create", "events", "g1", "0"]);
    primary.cli(&["xreadgroup", "group", "g1", "c1", "streams", "events", ">"]);
    let options = "append_instance_role_label = true\ninclude_system_metrics = true\ninclude_config_metrics = true\n\
        include_modules_metrics = true\ninclude_rdb_file_size_metric = true\nexport_client_list = true\n\
        check_keys = [\"k0:*\"]\ncount_keys = [\"k0:*\"]\ncheck_streams = [\"events\"]";
    agrees("redis_exporter-1.88.0-valkey9-extra", &once(&target(&primary.address(), options)).await);
}

#[tokio::test]
async fn a_node_of_a_cluster() {
    let nodes = cluster(Kind::Valkey);
    agrees("redis_exporter-1.88.0-valkey9-cluster", &once(&target(&nodes[0].address(), "")).await);
}

#[tokio::test]
async fn a_sentinel() {
    let (primary, _replica) = pair(Kind::Valkey, LATENT);
    let settings = format!("sentinel monitor mymaster 127.0.0.1 {} 1", primary.port);
    let sentinel = Server::launch(Kind::Valkey, &settings, &["--sentinel"], &[]);
    sentinel.ready();
    sentinel.until(&["info", "sentinel"], "slaves=1");
    sentinel.until(&["sentinel", "ckquorum", "mymaster"], "OK");
    agrees("redis_exporter-1.88.0-valkey9-sentinel", &once(&target(&sentinel.address(), "")).await);
}

#[tokio::test]
async fn the_older_release() {
    let (primary, replica) = pair(Kind::Redis, LATENT);
    let older = |server: &Server, options: &str| format!("names = [\"1.45\"]\n{}", target(&server.address(), options));
    agrees("redis_exporter-1.45.0", &once(&older(&primary, "")).await);
    agrees("redis_exporter-1.45.0-replica", &once(&older(&replica, "")).await);
    let options = "include_system_metrics = true\nexport_client_list = true\ncheck_keys = [\"k0:*\", \"db3=k3:*\"]\ncheck_single_keys = [\"mylist\"]";
    agrees("redis_exporter-1.45.0-extra", &once(&older(&primary, options)).await);
}
