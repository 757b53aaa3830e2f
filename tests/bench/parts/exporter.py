"""(a) exposition, (b) a host's scrape, (c) memory and size."""

import os
import re
import subprocess

from . import servers
from .report import Figure, Report, median, table


def exposition(bench):
    """100 000 series beside the `prometheus` crate, and gzip beside Go's."""
    told = subprocess.run([bench.exposition], capture_output=True, text=True, check=True).stdout
    rows = re.findall(r"^(.+?)  +([\d.]+|-)  \((.+)\)$", told, re.MULTILINE)
    values = {name: float(value) for name, value, _ in rows if value != "-"}
    targets = {"text / prometheus crate": 0.1, "OpenMetrics / prometheus crate": 0.1, "gzip / rendering": 3, "bytes / Go's gzip": 1.15}
    figures = [Figure(name, values[name], "<=", target) for name, target in targets.items() if name in values]
    return Report(figures, [table([told.splitlines()[0], "ratio", "times or bytes"], rows)])


BATCHES, ROUNDS = 9, 300


def scrape(bench):
    """The same nine collectors of node_exporter and of ours, scraped in turn as Prometheus does."""
    host, whole = "the nine collectors alone", "with each program's own metrics"
    rows, ratios = [], {}
    with servers.folder() as one, servers.folder() as two:
        nine = f"[collectors.host]\nparts = {{ defaults = false, enable = {servers.PARTS} }}\n".replace("'", '"')
        with servers.tidewatch(bench.tidewatch, one, "--role", "exporter", config=nine) as ours, \
                servers.node_exporter(one, "--web.disable-exporter-metrics") as bare, \
                servers.node_exporter(two) as theirs:
            for name, path, peer in [(host, "metrics?collect[]=host", bare), (whole, "metrics", theirs)]:
                pair = [(ours, f"{ours.address}/{path}"), (peer, f"{peer.address}/metrics")]
                bench.load("scrape", 50, *(target for _, target in pair))
                batches = [batch(bench, pair) for _ in range(BATCHES)]
                ratios[name] = {key: median(a[key] / b[key] for a, b in batches) for key in ("cpu", "p50_us", "p99_us")}
                for at, program in enumerate(["tidewatch", "node_exporter"]):
                    middle = {key: median(found[at][key] for found in batches) for key in batches[0][at]}
                    rows.append([f"{program}, {name}", middle["cpu"] * 1e6, middle["p50_us"], middle["p99_us"], middle["bytes"]])
    figures = [Figure(f"{what}, {name}", ratios[name][key], "<=", 0.2)
               for name in (host, whole) for key, what in [("cpu", "processor time"), ("p50_us", "latency p50")]]
    head = [f"{BATCHES} batches of {ROUNDS} scrapes", "processor µs a scrape", "p50 µs", "p99 µs", "bytes, gzip"]
    return Report(figures, [table(head, rows)])


def batch(bench, pair):
    before = [server.cpu() for server, _ in pair]
    found = bench.load("scrape", ROUNDS, *(target for _, target in pair))
    for (server, _), begun, one in zip(pair, before, found):
        one["cpu"] = (server.cpu() - begun) / ROUNDS
    return found


def memory(bench):
    """Resident memory after 200 scrapes, and the binary."""
    rows, ours = [], None
    size = os.path.getsize(bench.tidewatch) / 1e6
    with servers.folder() as folder, servers.folder() as other:
        started = [
            ("tidewatch", servers.tidewatch(bench.tidewatch, folder), size),
            ("tidewatch, MALLOC_ARENA_MAX=1", servers.tidewatch(bench.tidewatch, other, environment={"MALLOC_ARENA_MAX": "1"}), size),
            ("node_exporter", servers.node_exporter(folder), os.path.getsize(servers.peer("NODE_EXPORTER", "prometheus-node-exporter")) / 1e6),
            ("Alertmanager", servers.alertmanager(folder), os.path.getsize(servers.peer("ALERTMANAGER", "prometheus-alertmanager")) / 1e6),
        ]
        try:
            for name, server, file in started:
                bench.load("scrape", 200, f"{server.address}/metrics")
                resident, anonymous = server.memory()
                ours = ours or (resident, anonymous)
                rows.append([name, resident, anonymous, file])
        finally:
            for _, server, _ in started:
                server.stop()
    resident, anonymous = ours
    both = rows[2][1] + rows[3][1]
    rows.append(["node_exporter + Alertmanager", both, rows[2][2] + rows[3][2], rows[2][3] + rows[3][3]])
    figures = [
        Figure("resident / (node_exporter + Alertmanager)", resident / both, "<=", 1),
        Figure("resident", resident, "<=", 20, "MiB"),
        Figure("of it anonymous", anonymous, "<=", 6, "MiB"),
        Figure("binary", size, "<=", 20, "MB"),
    ]
    return Report(figures, [table(["after 200 scrapes", "resident MiB", "anonymous MiB", "binary MB"], rows)])
