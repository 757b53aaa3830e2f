//! A Docker daemon of the test's own, and images made from what Debian installed: nothing is pulled.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tempfile::TempDir;

use super::process::program;

/// A private daemon, ended with everything in it when it goes out of scope. Needs root.
pub(crate) struct Docker {
    dir: TempDir,
    socket: String,
}

impl Docker {
    pub(crate) fn start() -> Self {
        assert!(rustix::process::geteuid().is_root(), "a private Docker daemon needs root");
        program("dockerd");
        let dir = tempfile::tempdir().unwrap();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/start-dockerd");
        let output = Command::new(script).arg(dir.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let socket = String::from_utf8(output.stdout).unwrap().trim().to_owned();
        Self { dir, socket }
    }

    /// Where it listens.
    pub(crate) fn socket(&self) -> &str {
        &self.socket
    }

    /// `docker`, `docker-compose` … against this daemon.
    pub(crate) fn command(&self, name: &str) -> Command {
        let mut command = Command::new(program(name));
        // The classic builder: Debian's has no other, and both read the same file.
        command.env("DOCKER_HOST", format!("unix://{}", self.socket)).env("DOCKER_BUILDKIT", "0");
        command
    }

    /// What a command prints; it must succeed.
    pub(crate) fn run(&self, name: &str, arguments: &[&str]) -> String {
        said(self.command(name).args(arguments))
    }

    /// Makes an image whose whole content is `root`.
    pub(crate) fn import(&self, image: &str, root: &Root, changes: &[&str]) {
        let mut tar = Command::new(program("tar"))
            .args(["--create", "--directory"])
            .arg(root.0.path())
            .arg(".")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut import = self.command("docker");
        import.arg("import");
        for change in changes {
            import.args(["--change", change]);
        }
        said(import.args(["-", image]).stdin(tar.stdout.take().unwrap()));
        assert!(tar.wait().unwrap().success());
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        let pid = fs::read_to_string(self.dir.path().join("dockerd.pid")).unwrap_or_default();
        let Some(pid) = pid.trim().parse().ok().and_then(Pid::from_raw) else { return };
        // It stops its containers and gives back its mounts, so it is asked, not killed.
        if kill_process(pid, Signal::TERM).is_err() {
            return;
        }
        let start = Instant::now();
        while test_kill_process(pid).is_ok() && start.elapsed() < Duration::from_secs(30) {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// What a command prints; it must succeed.
pub(crate) fn said(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}{error}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A file system to be: the content of an image.
pub(crate) struct Root(TempDir);

impl Root {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Adds the libraries that a program loads, where it looks for them.
    pub(crate) fn libraries(mut self, of: &Path) -> Self {
        for library in libraries(of) {
            let to = library.to_str().unwrap().to_owned();
            self = self.copy(&library, &to);
        }
        self
    }

    /// Adds an empty folder of a user.
    pub(crate) fn folder(self, path: &str, user: u32) -> Self {
        let path = self.0.path().join(path.trim_start_matches('/'));
        fs::create_dir_all(&path).unwrap();
        chown(&path, Some(user), Some(user)).unwrap();
        self
    }

    /// Adds a file under a path of its own.
    pub(crate) fn copy(self, source: &Path, to: &str) -> Self {
        let to = self.0.path().join(to.trim_start_matches('/'));
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        // Follows links: the loader knows a library by the link's name.
        fs::copy(source, to).unwrap();
        self
    }
}

fn libraries(program_file: &Path) -> Vec<PathBuf> {
    let text = said(Command::new(program("ldd")).arg(program_file));
    let path = |line: &str| line.split_whitespace().find(|word| word.starts_with('/')).map(PathBuf::from);
    text.lines().filter_map(path).collect()
}
