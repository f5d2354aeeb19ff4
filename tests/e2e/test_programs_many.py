# SPDX-License-Identifier: MIT
"""Programs of daily life through the 64 tunnels of one client, all at once, while the tunnel's link is cut."""

import asyncio
import contextlib
import re
import threading
import time

import pytest
import websockets  # the package python3-websockets

from lib import programs
from lib.cutter import Cutter
from lib.keyed import Keyed
from lib.procs import wait_for
from lib.programs import run, tool
from lib.services import connect, in_threads, pattern
from lib.site import Site, opened

# Whoever comes more than 2 s after the tunnel broke is refused: the cuts are short, and nothing else runs meanwhile.
pytestmark = pytest.mark.serial
CUT_SECONDS = 0.3
TUNNELS = 64
RESOURCES = 40  # of a page
AT_ONCE = 6  # connections of a browser to one place


@contextlib.contextmanager
def websocket_service():
    """Says everything again; in a thread of its own. Its port."""
    ready, end = threading.Event(), {}

    async def again(ws, *_):
        async for message in ws:
            await ws.send(message)

    async def serve():
        end["loop"], end["stop"] = asyncio.get_running_loop(), asyncio.Event()
        async with websockets.serve(again, "127.0.0.1", 0) as server:
            end["port"] = server.sockets[0].getsockname()[1]
            ready.set()
            await end["stop"].wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert ready.wait(30)
    yield end["port"]
    end["loop"].call_soon_threadsafe(end["stop"].set)
    thread.join(30)


class Services:
    """Seven kinds of them, and which tunnel leads to which: {kind: [public port, ...]}."""

    def __init__(self, lab, stack, size):
        self.lab, self.size = lab, size
        self.files = {f"r{i}": pattern(f"resource {i}", 100 + i * 997) for i in range(RESOURCES)}
        self.files["big"] = pattern("big", size)
        self.ca = lab.path / "web.crt"
        run(tool("openssl", "openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-keyout", lab.path / "web.key", "-out", self.ca, "-subj", "/CN=web", "-addext", "subjectAltName=DNS:web.test")
        self.sshd, self.db = programs.Sshd(lab), programs.Postgres(lab)
        stack.callback(self.db.close)
        self.load = stack.enter_context(Keyed(8, rate=10000))
        self.targets = {
            "http": programs.nginx(lab, self.files),
            "https": programs.nginx(lab, self.files, "tls", (self.ca, lab.path / "web.key")),
            "ssh": self.sshd.port, "sql": self.db.port, "redis": programs.redis(lab), "load": self.load.port,
            "socket": stack.enter_context(websocket_service()),
        }
        self.kinds = list(self.targets)

    def tunnels(self):
        return {f"t{i}": (0, self.targets[self.kinds[i % len(self.kinds)]]) for i in range(TUNNELS)}

    def find(self, client):
        self.ports = {kind: [] for kind in self.kinds}
        for i in range(TUNNELS):
            self.ports[self.kinds[i % len(self.kinds)]].append(opened(client, f"t{i}"))

    # ---- what users do; each until it is done, or the test fails ----

    def curl(self):
        """Downloads at once through all tunnels to the web server, each connection kept for several files."""
        for kind, url in (("http", "http://127.0.0.1:{}/"), ("https", "https://web.test:{}/")):
            where = [w for port in self.ports[kind] for w in ("--resolve", f"web.test:{port}:127.0.0.1")]
            wanted = [(port, name) for port in self.ports[kind] for name in ("big", "r7", "r8")]
            outs = [w for port, name in wanted for w in (
                "-o", self.lab.path / f"{kind}-{port}-{name}", url.format(port) + name)]
            run(tool("curl", "curl"), "-sSf", "--max-time", 200, "--parallel", "--parallel-max", 100, "--cacert", self.ca,
                *where, *outs, timeout=240)
            for port, name in wanted:
                assert (self.lab.path / f"{kind}-{port}-{name}").read_bytes() == self.files[name]

    def wrk(self):
        report = run(tool("wrk", "wrk"), "-t1", "-c20", "-d8s", "--timeout", "60s",
                     f"http://127.0.0.1:{self.ports['http'][0]}/r1").decode()
        assert "Socket errors" not in report and "Non-2xx" not in report, report
        assert int(re.search(r"(\d+) requests in", report).group(1)) > 20, report

    def ssh(self):
        def session(port):
            ssh = [tool("ssh", "openssh-client"), *self.sshd.options(port), self.sshd.login]
            got = run(*ssh, "for i in 1 2 3 4 5 6; do echo line $i; sleep 1; done; wc -c", input=bytes(500000))
            assert got.split()[-1] == b"500000" and got.count(b"line") == 6

        in_threads([lambda port=port: session(port) for port in self.ports["ssh"][:2]])

    def scp(self):
        (self.lab.path / "a").write_bytes(self.files["big"])
        port = self.ports["ssh"][2]
        scp = [tool("scp", "openssh-client"), "-q", *self.sshd.options(port)]
        run(*scp, self.lab.path / "a", f"{self.sshd.login}:{self.lab.path}/b")
        run(*scp, f"{self.sshd.login}:{self.lab.path}/b", self.lab.path / "c")
        assert (self.lab.path / "c").read_bytes() == self.files["big"]

    def sql(self):
        """A bank by pgbench, whose sums must agree, and one long answer."""
        first, other = self.ports["sql"][:2]
        bench = [tool("pgbench", "postgresql"), "-h", "127.0.0.1", "-U", "postgres", "-p"]
        run(*bench, first, "-i", "-q", "postgres")
        report = run(*bench, other, "-n", "-c", 4, "-T", 8, "postgres").decode()
        assert "number of failed transactions: 0" in report and "aborted" not in report, report
        sums = run(*self.db.psql(first), "-c", "SELECT (SELECT sum(delta) FROM pgbench_history) = sum(abalance) FROM "
                   "pgbench_accounts", "postgres")
        assert sums == b"t\n", sums
        rows = run(*self.db.psql(other), "-c", "SELECT i, md5(i::text) FROM generate_series(1, 50000) i", "postgres")
        assert rows.count(b"\n") == 50000 and rows.endswith(b"50000|1017bfd4673955ffee4641ad3d481b1c\n")

    def redis(self):
        cli = [tool("redis-cli", "redis-tools"), "-h", "127.0.0.1", "-p", self.ports["redis"][0]]
        commands = b"".join(b"SET key%d %s\r\n" % (i, b"v" * (i % 97 + 1)) for i in range(20000))
        assert b"errors: 0, replies: 20000" in run(*cli, "--pipe", input=commands)
        assert run(*cli, "DBSIZE") == b"20000\n"

    def browser(self):
        """Pages of many files over a few connections that are kept, beside a WebSocket that is."""
        asyncio.run(self.surf())

    async def surf(self):
        async with websockets.connect(f"ws://127.0.0.1:{self.ports['socket'][0]}/", ping_interval=None) as ws:
            for i in range(8):
                names = [f"r{n}" for n in range(RESOURCES)]
                await asyncio.gather(*(self.fetch(names[k::AT_ONCE]) for k in range(AT_ONCE)))
                message = pattern(f"message {i}", 5000 * i + 1)
                await ws.send(message)
                assert await asyncio.wait_for(ws.recv(), 120) == message
                await asyncio.sleep(1)

    async def fetch(self, names):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.ports["http"][1])
        for name in names:
            writer.write(f"GET /{name} HTTP/1.1\r\nHost: web\r\nConnection: keep-alive\r\n\r\n".encode())
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 120)
            assert head.startswith(b"HTTP/1.1 200 "), head
            n = int(re.search(rb"Content-Length: (\d+)", head).group(1))
            assert await asyncio.wait_for(reader.readexactly(n), 120) == self.files[name]
        writer.close()
        await writer.wait_closed()


def cut_and_heal(link, cuts, done):
    """In a thread: a cut every three seconds, of another kind each time, while there are users."""
    for i in range(cuts):
        if done.wait(3):
            return
        link.cut(("reset", "finish", "stall", "vanish")[i % 4])
        time.sleep(CUT_SECONDS)
        link.heal()


@pytest.mark.parametrize("size, cuts, rounds", [
    (1_000_000, 2, 1), pytest.param(20_000_000, 60, 5, marks=pytest.mark.long)])
def test_all_at_once_across_cuts(lab, size, cuts, rounds):
    with contextlib.ExitStack() as stack:
        site, services = Site(lab), Services(lab, stack, size)
        link = stack.enter_context(Cutter(site.server.port))
        client = site.client(services.tunnels(), port=link.port)
        services.find(client)
        services.load.start(services.ports["load"][0])
        done = threading.Event()
        knife = threading.Thread(target=cut_and_heal, args=(link, cuts, done), daemon=True)
        knife.start()
        try:
            for _ in range(rounds):
                in_threads([services.curl, services.wrk, services.ssh, services.scp, services.sql, services.redis,
                            services.browser])
        finally:
            done.set()
            knife.join(60)
        assert link.cuts > 0
        services.load.check()
        services.load.finish()
        for i in range(TUNNELS):  # nothing was asked for again
            assert client.log().count(f"tunnel 't{i}': tcp://") == 1
        assert client.stop() == []
        wait_for("the ports to be free", lambda: not any(is_open(p) for ps in services.ports.values() for p in ps))


def is_open(port):
    try:
        with connect(port, 5):
            return True
    except OSError:
        return False
