# SPDX-License-Identifier: MIT
"""Programs of daily life while the tunnel's link is cut for some seconds. They must not notice more than a wait.
Names as in test_cut.py."""

import asyncio
import hashlib
import os
import pty
import select
import subprocess
import threading
import time

import pytest
import websockets  # the package python3-websockets

from lib import cuts, programs
from lib.cutter import Cutter
from lib.procs import PROGRAM, ROOT, wait_for
from lib.programs import tool
from lib.services import pattern

CUT_SECONDS = 3
pytestmark = pytest.mark.patient


@pytest.fixture(params=["reset", pytest.param("vanish", marks=pytest.mark.long)])
def kind(request):
    return request.param


class Path:
    """A tunnel to a service, whose link can be cut."""

    def __init__(self, lab, target):
        self.server = lab.server()
        self.link = Cutter(self.server.port)
        self.port = cuts.free_port()
        self.client = lab.client(self.link.port, target, ca=self.server.ca, secret=self.server.secret,
                                 remote_port=self.port, flags=("-id", cuts.fresh_id()))

    def cut(self, kind, seconds=CUT_SECONDS):
        self.link.cut(kind)
        time.sleep(seconds)
        self.link.heal()

    def cut_after(self, n, side, kind, seconds=CUT_SECONDS):
        """In a thread: cuts once n more bytes have passed, and heals later."""
        happened = self.link.cut_after(n, side, kind)

        def heal():
            happened.wait(120)
            time.sleep(seconds)
            self.link.heal()

        threading.Thread(target=heal, daemon=True).start()
        return happened

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.link.close()


def test_p4_r2_a_download_with_curl(lab, kind):
    data = pattern("download", 40_000_000)
    with Path(lab, programs.nginx(lab, {"file": data})) as path:
        happened = path.cut_after(10_000_000, "up", kind)  # the client sends what is downloaded up the link
        url = f"http://127.0.0.1:{path.port}/file"
        programs.run(tool("curl", "curl"), "-sSf", "--max-time", 120, "-o", lab.path / "got", url)
        assert happened.is_set()
        assert hashlib.sha256((lab.path / "got").read_bytes()).digest() == hashlib.sha256(data).digest()


@pytest.mark.parametrize("direction", ["up", "down"])
def test_p4_r2_scp_of_a_large_file(lab, kind, direction):
    sshd = programs.Sshd(lab)
    data = pattern("scp", 30_000_000)
    (lab.path / "a").write_bytes(data)
    with Path(lab, sshd.port) as path:
        scp = [tool("scp", "openssh-client"), "-q", *sshd.options(path.port)]
        there = f"{sshd.login}:{lab.path}"
        # What goes to the service comes down the link: the client is there.
        happened = path.cut_after(8_000_000, "down" if direction == "up" else "up", kind)
        programs.run(*scp, *((lab.path / "a", f"{there}/b") if direction == "up" else (f"{there}/a", lab.path / "b")))
        assert happened.is_set()
        assert hashlib.sha256((lab.path / "b").read_bytes()).digest() == hashlib.sha256(data).digest()


class Terminal:
    """A program at a terminal, and somebody who types."""

    def __init__(self, *command):
        self.master, slave = pty.openpty()
        self.popen = subprocess.Popen([str(c) for c in command], stdin=slave, stdout=slave, stderr=slave,
                                      start_new_session=True, env={**os.environ, "TERM": "dumb"})
        os.close(slave)
        self.seen = b""

    def type(self, text):
        os.write(self.master, text)

    def _read(self, seconds):
        if select.select([self.master], [], [], seconds)[0]:
            try:
                self.seen += os.read(self.master, 65536)
            except OSError:  # it has ended
                time.sleep(seconds)

    def expect(self, text, timeout=60):
        end = time.monotonic() + timeout
        while text not in self.seen:
            assert time.monotonic() < end, f"{text!r} does not come: {self.seen[-500:]!r}"
            self._read(0.1)

    def close(self):
        self.popen.kill()
        self.popen.wait()
        os.close(self.master)


def test_p4_r2_an_interactive_ssh_session(lab, kind):
    sshd = programs.Sshd(lab)
    with Path(lab, sshd.port) as path:
        at = Terminal(tool("ssh", "openssh-client"), "-tt", *sshd.options(path.port), sshd.login, "sh")
        try:
            at.type(b"stty -echo; x=4711; echo ready-$((x + 1))\n")
            at.expect(b"ready-4712")
            path.link.cut(kind)
            at.type(b"echo typed-during-$((x + 2))\n")  # the keys wait
            time.sleep(CUT_SECONDS)
            assert b"typed-during-4713" not in at.seen
            path.link.heal()
            at.expect(b"typed-during-4713")
            at.type(b"x=$((x * 2)); echo after-$x; exit 7\n")  # the same shell, with its memory
            at.expect(b"after-9422")
            assert at.popen.wait(60) == 7
        finally:
            at.close()


def test_p4_r2_a_postgresql_transaction(lab, kind):
    db = programs.Postgres(lab)
    try:
        with Path(lab, db.port) as path:
            script = ("CREATE TABLE t (i int, s text); BEGIN;\n"
                      "INSERT INTO t SELECT i, repeat(md5(i::text), 10) FROM generate_series(1, 20000) i;\n"
                      "SELECT 'in it'; SELECT pg_sleep(1.5);\n"
                      "SELECT i, s FROM t ORDER BY i;\n"
                      "INSERT INTO t SELECT i, 'late' FROM generate_series(20001, 20100) i; COMMIT;\n"
                      "SELECT 'rows', count(*), pg_backend_pid() > 0 FROM t;\n")
            out = open(lab.path / "psql.out", "wb+")
            p = subprocess.Popen(db.psql(path.port), stdin=subprocess.PIPE, stdout=out, stderr=subprocess.STDOUT)
            p.stdin.write(script.encode())
            p.stdin.close()
            wait_for("the transaction to run", lambda: b"in it" in (lab.path / "psql.out").read_bytes()
                     or p.poll() is not None)
            path.cut(kind)
            assert p.wait(120) == 0, (lab.path / "psql.out").read_bytes()[-1000:]
            lines = (lab.path / "psql.out").read_text().splitlines()
            assert lines[-1] == "rows|20100|t"
            rows = [line.split("|") for line in lines if "|" in line][:-1]
            assert rows == [[str(i), hashlib.md5(str(i).encode()).hexdigest() * 10] for i in range(1, 20001)]
    finally:
        db.close()


def test_p4_r2_a_websocket(lab, kind):
    async def echo(ws, *_):
        async for message in ws:
            await ws.send(message)

    async def exchange(path):
        async with websockets.connect(f"ws://127.0.0.1:{path.port}/", ping_interval=1, ping_timeout=30) as ws:
            cut = None
            for i in range(200):
                message = pattern(f"message {i}", i * 37 + 1)
                await ws.send(message)
                if i == 50:
                    cut = asyncio.create_task(asyncio.to_thread(path.cut, kind))
                assert await asyncio.wait_for(ws.recv(), 60) == message
            assert cut.done()

    async def talk():
        server = await websockets.serve(echo, "127.0.0.1", 0, ping_interval=1, ping_timeout=30)
        with await asyncio.to_thread(Path, lab, server.sockets[0].getsockname()[1]) as path:
            await exchange(path)
            server.close()
            await server.wait_closed()

    asyncio.run(talk())


def test_p4_the_demonstration(lab):
    """`make demo-cut`, with a shorter cut."""
    done = subprocess.run([ROOT / "tools/demo-cut", PROGRAM, "3"], capture_output=True, text=True, timeout=120,
                          cwd=lab.path, env={**os.environ, "LC_ALL": "C.UTF-8"})
    assert done.returncode == 0, done.stdout + done.stderr
    sums = dict(line.split(": ", 1) for line in done.stdout.splitlines() if line.startswith(("The file", "Through")))
    assert sums["The file itself"].strip() == sums["Through gotunnel"].strip()
    assert "broken after" in sums["Through ssh -R"]
    assert "Everything is stopped and removed." in done.stdout
