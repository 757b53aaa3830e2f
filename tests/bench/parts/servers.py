"""Servers as child processes on free loopback ports, each ended by its own pid."""

import http.client
import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
# The disk that is measured is the one that the build lies on, never a file system in memory.
WORK = Path(os.environ.get("TIDEWATCH_BENCH_DIR", os.environ.get("CARGO_TARGET_DIR", ROOT / "target")))
PARTS = "cpu diskstats filesystem loadavg meminfo netdev stat time uname".split()


def peer(variable, default):
    """A peer's program: from the environment, else Debian's."""
    found = shutil.which(os.environ.get(variable, default))
    if not found:
        raise SystemExit(f"{default} is not on PATH: install the Debian package {default}, or set {variable}")
    return found


def version(program):
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    return " ".join((told.stdout + told.stderr).split()[:3]).replace(",", "").replace(" version", "")


def folder():
    """A new folder on the disk that is measured, for a `with`."""
    WORK.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(prefix="bench-", dir=WORK)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A running server, ended when its `with` ends."""

    def __init__(self, ready, command, port, log, environment=None):
        self.address = f"127.0.0.1:{port}"
        # Of our own environment only the path: what stands in it must not configure a server.
        environment = {"PATH": os.environ["PATH"], **(environment or {})}
        self.log = log
        with open(log, "wb") as output:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment)
        self.pid = self.process.pid
        self._wait(ready, port)

    def _wait(self, path, port):
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
                connection.request("GET", path)
                if connection.getresponse().status == 200:
                    return
            except OSError:
                pass
            time.sleep(0.02)
        self.stop()
        raise SystemExit(f"{self.process.args[0]} did not start: {Path(self.log).read_text()[-2000:]}")

    def cpu(self):
        """Seconds of processor time that all its threads have had, those that ended included: its CPU clock."""
        return time.clock_gettime(((~self.pid) << 3) | 2)

    def memory(self):
        """Resident and anonymous MiB."""
        lines = Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines()
        sizes = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines if line.endswith("kB")}
        return sizes["Rss"], sizes["Anonymous"]

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def tidewatch(binary, folder, *arguments, config="", environment=None):
    port, file = free_port(), Path(folder, "tidewatch.toml")
    file.write_text(config)
    command = [binary, "--config", file, "--listen", f"127.0.0.1:{port}", "--data-dir", Path(folder, "data"), *arguments]
    return Server("/-/ready", command, port, Path(folder, "tidewatch.log"), environment)


def node_exporter(folder, *arguments):
    port, program = free_port(), peer("NODE_EXPORTER", "prometheus-node-exporter")
    parts = ["--collector.disable-defaults", *(f"--collector.{name}" for name in PARTS)]
    command = [program, f"--web.listen-address=127.0.0.1:{port}", *parts, *arguments]
    return Server("/metrics", command, port, Path(folder, "node_exporter.log"))


# The groups are those that the posts to tidewatch have; nobody is notified.
ALERTMANAGER = """
route:
  receiver: nobody
  group_by: [alertname, cluster]
receivers:
  - name: nobody
"""


def alertmanager(folder):
    port, program = free_port(), peer("ALERTMANAGER", "prometheus-alertmanager")
    file = Path(folder, "alertmanager.yml")
    file.write_text(ALERTMANAGER)
    command = [program, f"--config.file={file}", f"--storage.path={Path(folder, 'alertmanager')}",
               f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="]
    return Server("/-/ready", command, port, Path(folder, "alertmanager.log"))
