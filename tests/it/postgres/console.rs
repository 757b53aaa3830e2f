//! A real PgBouncer.

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tidewatch::collect::postgres::TargetConfig;

use super::{Config, build, run, value};
use crate::support::postgres::{Server, connect};
use crate::support::process::{Running, program};
use crate::support::{eventually, free_port};

/// It refuses to run as root.
const NOBODY: u32 = 65_534;

/// One before a server, with a pool `shop` of its database `postgres`; its port.
pub(super) async fn front(folder: &Path, server: &Server, setting: &str) -> (Running, u16) {
    let (port, file) = (free_port(), folder.join("pgbouncer.ini"));
    let text = format!(
        "[databases]\nshop = host=127.0.0.1 port={} dbname=postgres user=postgres\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
         listen_port = {port}\nauth_type = any\nadmin_users = watch\npool_mode = transaction\nunix_socket_dir =\n{setting}\n",
        server.port
    );
    std::fs::write(&file, text).unwrap();
    let mut command = Command::new(program("pgbouncer"));
    command.arg(&file);
    if rustix::process::geteuid().is_root() {
        for path in [folder, &file] {
            chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        command.uid(NOBODY).gid(NOBODY);
    }
    let running = Running::start(folder, "pgbouncer", &mut command);
    eventually("PgBouncer answers", Duration::from_mins(1), async || connect(port, "shop").await.ok()).await;
    (running, port)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pools_of_a_pgbouncer_are_told() {
    let server = Server::start(15, &[]).await;
    let folder = tempfile::tempdir().unwrap();
    let (_running, port) = front(folder.path(), &server, "").await;
    let client = connect(port, "shop").await.unwrap();
    client.batch_execute("SELECT 1").await.unwrap();

    let console = TargetConfig {
        host: Some("127.0.0.1".into()),
        port: Some(port),
        user: Some("watch".into()),
        ..TargetConfig::default()
    };
    let mut config = Config::default();
    config.pgbouncer.insert("front".into(), console.clone());
    let postgres = build(&config);
    for _ in 0..2 {
        let (text, output) = run(&postgres).await;
        assert_eq!(value(&text, "pgbouncer_up"), Some(1.0), "{text}");
        assert_eq!(output.facts.services[0].service, "pgbouncer");
        let pool =
            |family: &str| value(&text, &format!("pgbouncer_pools_{family}{{database=\"shop\",user=\"postgres\"}}"));
        assert_eq!(pool("client_active_connections"), Some(1.0), "{text}");
        assert_eq!(pool("server_idle_connections"), Some(1.0), "{text}");
        let stat = |family: &str| value(&text, &format!("pgbouncer_stats_{family}{{database=\"shop\"}}")).unwrap();
        assert!(stat("queries_pooled_total") >= 1.0 && stat("queries_duration_seconds_total") < 10.0, "{text}");
    }

    // A server behind it is not watched through it: its limits would not be the connection's.
    let mut config = Config::default();
    config.targets.insert("main".into(), TargetConfig { database: Some("shop".into()), ..console });
    let (text, output) = run(&build(&config)).await;
    assert_eq!(value(&text, "pg_up"), Some(0.0));
    assert!(output.facts.services[0].next.contains("not to PgBouncer"), "{:?}", output.facts);
}
