"""(d) alerts accepted, (e) heartbeats taken."""

from . import servers
from .report import Figure, Report, median, table

ROUNDS, SECONDS = 5, 1
CONNECTIONS = (1, 8, 64)
# A message is due for each incident, and goes to a file, as it does to people.
CHANNEL = "[notify.file.bench]\npath = \"{}/messages\"\n"


def tidewatch(bench, folder):
    return servers.tidewatch(bench.tidewatch, folder, config=CHANNEL.format(folder))


def post(bench, to, size, connections, kind):
    """Posts to a server that was just started, so that none suffers from what came before."""
    with servers.folder() as folder:
        start = servers.alertmanager(folder) if to == "alertmanager" else tidewatch(bench, folder)
        with start as server:
            return bench.load("post", to, server.address, connections, size, kind, SECONDS)


def alerts(bench):
    """Alerts durably accepted, beside Alertmanager, which keeps the same in memory."""
    mixes = [(size, kind, connections) for size in (1, 100) for kind in ("new", "repeat") for connections in CONNECTIONS]
    found, syncs = {mix: [] for mix in mixes}, []
    with servers.folder() as folder:
        for turn in range(ROUNDS):
            syncs.append(bench.load("disk", folder, 1000)["p50_us"])
            for mix in mixes:
                size, kind, connections = mix
                order = ("tidewatch", "alertmanager") if turn % 2 == 0 else ("alertmanager", "tidewatch")
                found[mix].append({to: post(bench, to, size, connections, kind) for to in order})
    sync = median(syncs)
    figures, rows = [], []
    for mix in mixes:
        size, kind, connections = mix
        ratio = median(turn["tidewatch"]["per_second"] / turn["alertmanager"]["per_second"] for turn in found[mix])
        name = f"posts of {size}, {kind}, {connections} connection{'s' * (connections > 1)}"
        target = 1.0 if size == 100 else {8: 0.8, 64: 1.5}.get(connections)
        if target:
            figures.append(Figure(name, ratio, ">=", target))
        middle = {to: {key: median(turn[to][key] for turn in found[mix]) for key in ("per_second", "p50_us", "p99_us")}
                  for to in ("tidewatch", "alertmanager")}
        ours, theirs = middle["tidewatch"], middle["alertmanager"]
        rows.append([name, ratio, ours["per_second"], theirs["per_second"], ours["p50_us"], theirs["p50_us"], ours["p99_us"], theirs["p99_us"]])
        if size == 1 and connections == 1:
            beyond = median((turn["tidewatch"]["p50_us"] - turn["alertmanager"]["p50_us"]) / sync for turn in found[mix])
            figures.append(Figure(f"{name}: p50 beyond Alertmanager's, in syncs of the disk", beyond, "<=", 1.5))
    head = [f"medians of {ROUNDS} rounds of {SECONDS} s", "ratio", "tidewatch alerts/s", "Alertmanager alerts/s",
            "tidewatch p50 µs", "Alertmanager p50 µs", "tidewatch p99 µs", "Alertmanager p99 µs"]
    disk = table(["the disk itself", "µs", "a second"], [["write 4 KiB and fdatasync, p50", sync, 1e6 / sync]])
    return Report(figures, [table(head, rows), disk])


def heartbeats(bench):
    """Heartbeats taken: counted, and on disk within a second."""
    mixes = [(10_000, 1), (10_000, 2), (100, 8), (1, 1), (1, 8), (1, 64)]
    rows, figures = [], []
    for size, connections in mixes:
        turns = []
        for _ in range(ROUNDS):
            with servers.folder() as folder, tidewatch(bench, folder) as server:
                turns.append(bench.load("beat", server.address, connections, size, SECONDS))
        middle = {key: median(turn[key] for turn in turns) for key in ("per_second", "p50_us", "p99_us")}
        name = f"{'batches of ' + format(size, '_').replace('_', ' ') if size > 1 else 'one by one'}, {connections} connection{'s' * (connections > 1)}"
        rows.append([name, middle["per_second"], middle["p50_us"], middle["p99_us"]])
        if size == 10_000:
            figures.append(Figure(name, middle["per_second"], ">=", 50_000, "a second"))
    return Report(figures, [table([f"medians of {ROUNDS} rounds of {SECONDS} s", "heartbeats/s", "p50 µs a request", "p99 µs"], rows)])
