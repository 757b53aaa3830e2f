"""(exporters) the originals and tidewatch beside each other; (growth) what more of each kind costs."""

import os
import shutil
import signal
import subprocess
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

from . import servers
from .report import Figure, Report, median, table

ROUNDS, BATCHES, CONTAINERS = 40, 7, 5
# A usual interval between scrapes, in seconds: what a program does in it by itself counts as well as its scrape.
INTERVAL = 15
# The originals: a variable that names another binary, and Debian's name.
PEERS = {
    "node_exporter": ("NODE_EXPORTER", "prometheus-node-exporter"),
    "postgres_exporter": ("POSTGRES_EXPORTER", "prometheus-postgres-exporter"),
    "redis_exporter": ("REDIS_EXPORTER", "prometheus-redis-exporter"),
    "blackbox_exporter": ("BLACKBOX_EXPORTER", "prometheus-blackbox-exporter"),
}
PROBES = """
[[collectors.probes.targets]]
target = "{target}"
module = "http_2xx"
"""
BLACKBOX = """
modules:
  http_2xx:
    prober: http
"""


@contextmanager
def postgres(folder):
    """Debian's Postgres with its superuser over TCP; not as root, which it refuses."""
    binaries = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    data, port = Path(folder, "postgres"), servers.free_port()
    data.mkdir()
    os.chmod(folder, 0o755)
    user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
    if user:
        shutil.chown(data, "postgres")
    subprocess.run([*user, binaries / "initdb", "-D", data, "-U", "postgres", "--auth=trust", "--no-sync"], check=True, stdout=subprocess.DEVNULL)
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c shared_preload_libraries=pg_stat_statements"
    control = [*user, binaries / "pg_ctl", "-D", data, "-w", "-o", options, "-l", data / "log"]
    subprocess.run([*control, "start"], check=True, stdout=subprocess.DEVNULL)
    try:
        yield f"postgresql://postgres@127.0.0.1:{port}/postgres?sslmode=disable"
    finally:
        subprocess.run([*user, binaries / "pg_ctl", "-D", data, "-m", "immediate", "stop"], check=True, stdout=subprocess.DEVNULL)


@contextmanager
def redis(folder):
    """Debian's Redis with some keys."""
    port = servers.free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        client = ["redis-cli", "-p", str(port)]
        deadline = time.monotonic() + 20
        while subprocess.run([*client, "ping"], capture_output=True, check=False).returncode:
            if time.monotonic() > deadline:
                raise SystemExit("redis-server did not start")
            time.sleep(0.05)
        subprocess.run([*client, "debug", "populate", "1000"], capture_output=True, check=False)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


@contextmanager
def docker(folder):
    """A private Docker daemon with some containers of busybox; its socket. Needs root, and Debian's docker.io, iptables and busybox-static."""
    # Its own folder: a bridge's address and the containers' layers go with it.
    home = Path(folder, "docker")
    environment = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}

    def run(*command):
        return subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()

    socket = run(servers.ROOT / "tests/support/start-dockerd", home)
    environment["DOCKER_HOST"] = f"unix://{socket}"
    try:
        root = Path(folder, "busybox")
        root.mkdir()
        shutil.copy(shutil.which("busybox"), root)
        run("sh", "-c", f"tar --create --directory '{root}' . | docker import - busybox:bench")
        for at in range(CONTAINERS):
            run("docker", "run", "--detach", "--name", f"bench{at}", "busybox:bench", "/busybox", "sleep", "100000")
        yield socket
    finally:
        subprocess.run("docker ps --quiet | xargs --no-run-if-empty docker kill", shell=True, env=environment, stdout=subprocess.DEVNULL, check=False)
        daemon = int(Path(home, "dockerd.pid").read_text())
        os.kill(daemon, signal.SIGTERM)
        deadline = time.monotonic() + 30
        while Path(f"/proc/{daemon}").exists() and time.monotonic() < deadline:
            time.sleep(0.1)


def started(stack, name, folder, *arguments, environment=None, ready="/metrics"):
    port, program = servers.free_port(), servers.peer(*PEERS[name])
    command = [program, f"--web.listen-address=127.0.0.1:{port}", *arguments]
    return stack.enter_context(servers.Server(ready, command, port, Path(folder, f"{name}.log"), environment))


def originals(stack, folder, database, keys, target, containers):
    """Each with the path of one scrape."""
    blackbox = Path(folder, "blackbox.yml")
    blackbox.write_text(BLACKBOX)
    redis_port, redis_program = servers.free_port(), servers.peer(*PEERS["redis_exporter"])
    redis_command = [redis_program, f"-web.listen-address=127.0.0.1:{redis_port}", f"-redis.addr=redis://{keys}"]
    found = {
        "node_exporter": (started(stack, "node_exporter", folder), "metrics"),
        "postgres_exporter": (started(stack, "postgres_exporter", folder, environment={"DATA_SOURCE_NAME": database}), "metrics"),
        "redis_exporter": (stack.enter_context(servers.Server("/metrics", redis_command, redis_port, Path(folder, "redis.log"))), "metrics"),
        "blackbox_exporter": (started(stack, "blackbox_exporter", folder, f"--config.file={blackbox}"), f"probe?target={target}&module=http_2xx"),
    }
    if containers:
        port = servers.free_port()
        command = [servers.peer("CADVISOR", "cadvisor"), f"--port={port}", "--listen_ip=127.0.0.1", f"--docker=unix://{containers}"]
        found["cAdvisor"] = (stack.enter_context(servers.Server("/metrics", command, port, Path(folder, "cadvisor.log"))), "metrics")
    return found


def beside(bench):
    """All of them running, each scraped once a round, with and without compression."""
    rows, ratios, scrape = [], {}, {}
    with ExitStack() as stack:
        one, two = (stack.enter_context(servers.folder()) for _ in range(2))
        database, keys = stack.enter_context(postgres(one)), stack.enter_context(redis(one))
        target = f"http://{stack.enter_context(servers.alertmanager(two)).address}/-/healthy"
        containers = stack.enter_context(docker(two)) if "CADVISOR" in os.environ else None
        peers = originals(stack, two, database, keys, target, containers)
        socket = f'[collectors.containers]\nsocket = "{containers}"\n' if containers else ""
        ours = stack.enter_context(servers.tidewatch(
            bench.tidewatch, one, config=PROBES.format(target=target) + socket,
            environment={"MALLOC_ARENA_MAX": "1", "DATA_SOURCE_NAME": database, "REDIS_ADDR": keys}))
        everything = {"tidewatch": (ours, "metrics"), **peers}
        paths = [f"{server.address}/{path}" for server, path in everything.values()]
        # Memory as it is after 200 scrapes of each, the figures' own among them.
        bench.load("scrape", 50, *paths)
        for form, command in [("gzip", "scrape"), ("identity", "scrape-plain")]:
            batches = [batch(bench, command, everything, paths) for _ in range(BATCHES)]
            sums = [{key: sum(found[key] for found in list(one.values())[1:]) for key in ("cpu", "bytes")} for one in batches]
            ratios[form] = {
                "processor time of a scrape of each": median(one["tidewatch"]["cpu"] / both["cpu"] for one, both in zip(batches, sums)),
                "latency of the slowest": median(
                    one["tidewatch"]["p50_us"] / max(found["p50_us"] for name, found in one.items() if name != "tidewatch") for one in batches),
                "bytes": median(one["tidewatch"]["bytes"] / both["bytes"] for one, both in zip(batches, sums)),
            }
            scrape[form] = {name: median(one[name]["cpu"] for one in batches) for name in everything}
            for name in everything:
                middle = {key: median(one[name][key] for one in batches) for key in batches[0][name]}
                rows.append([f"{name}, {form}", middle["cpu"] * 1e6, middle["p50_us"], middle["p99_us"], middle["bytes"]])
        memory = {name: server.memory() for name, (server, _) in everything.items()}
        rest = at_rest(everything)
    resident = sum(size for name, (size, _) in memory.items() if name != "tidewatch")
    figures = [Figure("resident / the sum", memory["tidewatch"][0] / resident, "<=", 0.2 if "CADVISOR" in os.environ else 0.25)]
    target = 1 / 8 if "CADVISOR" in os.environ else 0.2
    for form, found in ratios.items():
        figures.append(Figure(f"processor time of a scrape / the sum, {form}", found["processor time of a scrape of each"], "<=", target))
        costs = {name: seconds + scrape[form][name] for name, seconds in rest.items()}
        others = sum(seconds for name, seconds in costs.items() if name != "tidewatch")
        figures.append(Figure(f"processor time of {INTERVAL} s with one scrape / the sum, {form}", costs["tidewatch"] / others, "<=", target))
        figures.append(Figure(f"latency p50 / the slowest's, {form}", found["latency of the slowest"], "<=", 1))
    sizes = [[name, *size, rest[name] * 1e3] for name, size in memory.items()]
    head = [f"{BATCHES} batches of {ROUNDS} scrapes", "processor µs a scrape", "p50 µs", "p99 µs", "bytes"]
    return Report(figures, [table(head, rows), table(["after the scrapes", "resident MiB", "anonymous MiB", f"processor ms in {INTERVAL} s at rest"], sizes)])


def at_rest(everything):
    """Seconds of processor time that each takes between two scrapes."""
    before = {name: server.cpu() for name, (server, _) in everything.items()}
    time.sleep(INTERVAL)
    return {name: server.cpu() - before[name] for name, (server, _) in everything.items()}


def batch(bench, command, everything, paths):
    before = [server.cpu() for server, _ in everything.values()]
    found = bench.load(command, ROUNDS, *paths)
    for (server, _), begun, one in zip(everything.values(), before, found):
        one["cpu"] = (server.cpu() - begun) / ROUNDS
    return dict(zip(everything, found))


# How many of a kind.
DATABASES, SERVERS, PROBED = (1, 5, 20), (1, 5, 20), (1, 10, 100, 1000)


def growth(bench):
    """One scrape of the collector alone, with more and more to collect."""
    rows = []
    with ExitStack() as stack:
        folder = stack.enter_context(servers.folder())
        database, keys = stack.enter_context(postgres(folder)), stack.enter_context(redis(folder))
        target = f"http://{stack.enter_context(servers.alertmanager(folder)).address}/-/healthy"
        for count in DATABASES:
            # Each a target of its own: that is a connection each.
            config = "".join(f'[collectors.postgres.targets.d{at}]\nurl = "{database}"\n' for at in range(count))
            rows.append([f"{count} databases", *grown(bench, folder, "postgres", config)])
        for count in SERVERS:
            config = "".join(f'[collectors.redis.targets.r{at}]\naddress = "{keys}"\n' for at in range(count))
            rows.append([f"{count} Redis", *grown(bench, folder, "redis", config)])
        for count in PROBED:
            config = "".join(f'[[collectors.probes.targets]]\ntarget = "{target}"\nmodule = "http_2xx"\ninstance = "p{at}"\n' for at in range(count))
            rows.append([f"{count} probes", *grown(bench, folder, "probes", config)])
    head = ["a scrape of the collector alone", "processor µs", "p50 µs", "bytes, gzip", "resident MiB", "open files"]
    return Report([], [table(head, rows)])


def grown(bench, folder, collector, config):
    with servers.tidewatch(bench.tidewatch, folder, "--role", "exporter", config=config, environment={"MALLOC_ARENA_MAX": "1"}) as ours:
        path = f"{ours.address}/metrics?collect[]={collector}"
        bench.load("scrape", 5, path)
        before = ours.cpu()
        [found] = bench.load("scrape", 20, path)
        files = len(os.listdir(f"/proc/{ours.pid}/fd"))
        return [(ours.cpu() - before) / 20 * 1e6, found["p50_us"], found["bytes"], ours.memory()[0], files]
