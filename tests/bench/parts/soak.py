"""(soak) scrapes, targets that are broken, and hostile clients for some minutes: memory stays as it was."""

import random
import socket
import threading
import time
from contextlib import ExitStack
from pathlib import Path

from . import exporters, servers
from .report import Figure, Report, table

# One that refuses, one that takes a connection and says nothing, one that says nonsense; and the real ones beside them.
CONFIG = """
[collectors.postgres.targets.real]
url = "{database}"
[collectors.postgres.targets.refuses]
url = "postgresql://nobody@127.0.0.1:1/none?sslmode=disable"
[collectors.postgres.targets.silent]
url = "postgresql://nobody@{silent}/none?sslmode=disable"
[collectors.redis.targets.real]
address = "{keys}"
[collectors.redis.targets.silent]
address = "{silent}"
[collectors.redis.targets.nonsense]
address = "{nonsense}"
[[collectors.probes.targets]]
target = "http://{peer}/-/healthy"
module = "http_2xx"
[[collectors.probes.targets]]
target = "http://{silent}/"
module = "http_2xx"
[[collectors.probes.targets]]
target = "http://{nonsense}/"
module = "http_2xx"
"""


class Stub:
    """A listener that never answers, or answers nonsense without end."""

    def __init__(self, says):
        self.says, self.held = says, []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection, _ = self.socket.accept()
                if self.says:
                    connection.sendall(self.says * 1000)
                    connection.close()
                else:
                    # The last few only: the other side gives up, and so do we.
                    self.held = [*self.held[-50:], connection]
            except OSError:
                if self.socket.fileno() < 0:
                    return

    def close(self):
        self.socket.close()


def hostile(address, stop):
    """What strangers send: halves of heads, bodies that do not come, absurd headers, nonsense."""
    host, port = address.split(":")
    attacks = [
        b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-Slow: ",
        b"POST /webhook/alerts HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n{\"alerts\": [",
        b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n" + b"X-Many: y\r\n" * 2000 + b"\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"POST /webhook/alerts HTTP/1.1\r\nHost: localhost\r\nContent-Length: 7\r\n\r\n{\"a\": [",
        b"POST /api/v1/heartbeats HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello",
        b"GET /probe?target=http://169.254.169.254/&module=http_2xx HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /metrics?collect[]=" + b"x" * 5000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        bytes(range(256)) * 10,
    ]
    held = []
    while not stop.wait(0.05):
        try:
            connection = socket.create_connection((host, int(port)), timeout=5)
            connection.sendall(random.choice(attacks))
            # Some stay open until the server ends them.
            held = [*held[-100:], connection]
        except OSError:
            pass


def steady(bench, minutes):
    """Resident and anonymous memory at the start, in the middle and at the end."""
    rows, sizes = [], []
    with ExitStack() as stack:
        folder, other = (stack.enter_context(servers.folder()) for _ in range(2))
        database, keys = stack.enter_context(exporters.postgres(folder)), stack.enter_context(exporters.redis(folder))
        silent, nonsense = Stub(b""), Stub(b"-nonsense \xff\x00\r\n")
        stack.callback(silent.close)
        stack.callback(nonsense.close)
        peer = stack.enter_context(servers.alertmanager(other)).address
        config = CONFIG.format(database=database, keys=keys, silent=silent.address, nonsense=nonsense.address, peer=peer)
        ours = stack.enter_context(servers.tidewatch(bench.tidewatch, folder, config=config, environment={"MALLOC_ARENA_MAX": "1"}))
        stop = threading.Event()
        attacker = threading.Thread(target=hostile, args=(ours.address, stop), daemon=True)
        attacker.start()
        scrapes, begun, length = 0, time.monotonic(), minutes * 60
        # The first tenth fills buffers, caches and the store's pages.
        for name, share in [("start", 0.1), ("middle", 0.55), ("end", 1.0)]:
            while time.monotonic() - begun < length * share:
                bench.load("scrape", 1, f"{ours.address}/metrics")
                scrapes += 1
            resident, anonymous = ours.memory()
            sizes.append((resident, anonymous))
            rows.append([name, scrapes, resident, anonymous, len(list(Path(f"/proc/{ours.pid}/fd").iterdir()))])
        stop.set()
        attacker.join()
    first, last = sizes[0], sizes[-1]
    figures = [Figure(f"{what}, end / start", last[at] / first[at], "<=", 1.1) for at, what in enumerate(["resident", "anonymous"])]
    head = [f"{minutes:g} minutes", "scrapes so far", "resident MiB", "anonymous MiB", "open files"]
    return Report(figures, [table(head, rows)])
