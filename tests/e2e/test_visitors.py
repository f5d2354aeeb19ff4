# SPDX-License-Identifier: MIT
"""-log-visitors: a line for each connection of a user, with what a record of who used what needs."""

import contextlib
import json
import re
import signal
import socket
import struct

import pytest

from lib import wire2
from lib.procs import PROGRAM, SECRET, wait_for
from lib.services import connect, free_port, read_all, read_exactly
from lib.wire2 import OPEN, PSH, RST


def visits(server):
    return [o for o in map(json.loads, server.log().splitlines()) if o["event"] == "visit"]


def visit(server, n=1):
    """The n-th, once it is there."""
    return wait_for("the line of a visit", lambda: visits(server)[n - 1 : n])[0]


@pytest.fixture
def server(lab):
    server = lab.server(flags=("-log-visitors", "-log-format", "json"), ready=False)
    found = server.match(r'"event":"server_ready","address":"[^"]*:(\d+)"')
    server.port, server.ca, server.secret = int(found.group(1)), server.cwd / "certs/ca.crt", SECRET
    return server


def client_of(server, target):
    return (PROGRAM, "client", "-server", f"127.0.0.1:{server.port}", "-secret", SECRET, "-ca", server.ca, "-id", "nas",
            "-forward", f"web=0=127.0.0.1:{target}")


def test_who_for_how_long_and_how_much(lab, server, echo):
    client = lab.start("client", *client_of(server, echo.port))
    port = int(client.match(r"tunnel 'web': tcp://\S*:(\d+) -> ").group(1))
    with connect(port) as s:
        here = "%s:%d" % s.getsockname()
        s.sendall(b"x" * 5000)
        read_exactly(s, 5000)
        s.sendall(b"y")
        s.shutdown(socket.SHUT_WR)
        assert read_all(s) == b"y"
    v = visit(server)
    assert v["client"] == "nas" and re.fullmatch(r"127\.0\.0\.1:\d+", v["peer"]) and v["tunnel"] == "web"
    assert v["user"] == here and v["received"] == v["sent"] == 5001 and v["ended"] == "closed"
    assert 0 <= v["connected"] < 60 and v["level"] == "info"
    s = connect(port)
    s.sendall(b"ping")
    read_exactly(s, 4)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()
    assert visit(server, 2)["ended"] == "user_reset"


def test_a_target_that_refuses(lab, server):
    client = lab.start("client", *client_of(server, free_port()))
    port = int(client.match(r"tunnel 'web': tcp://\S*:(\d+) -> ").group(1))
    with contextlib.suppress(ConnectionResetError), connect(port) as s:
        s.recv(1)
    v = visit(server)
    assert v["ended"] == "target_refused" and v["received"] == v["sent"] == 0


def test_a_client_that_is_gone(lab, server):
    peer = wire2.Client(server.port, server.ca, SECRET)
    port = peer.open(window_ms=0)["port"]
    with connect(port) as s:
        sid = peer.until(OPEN).sid
        peer.send(PSH, sid, b"hello")
        assert read_exactly(s, 5) == b"hello"
        with connect(port) as other:
            peer.send(RST, peer.until(OPEN).sid, struct.pack("<I", 1))
            with pytest.raises(ConnectionResetError):
                other.recv(1)
            assert visit(server)["ended"] == "client_reset"
        peer.tls.close()
        with pytest.raises(ConnectionResetError):
            s.recv(1)
    v = visit(server, 2)
    assert v["ended"] == "session_over" and v["sent"] == 5 and v["client"] == "by-hand"


def test_off_by_default_and_on_by_a_reload(lab, echo):
    config = lab.path / "s.yaml"
    config.write_text("listen: 127.0.0.1:0\n")
    server = lab.server(listen="127.0.0.1:0", flags=("-config", config))
    client = lab.client(server, echo.port)
    with connect(client.port) as s:
        s.sendall(b"x")
        read_exactly(s, 1)
    config.write_text("listen: 127.0.0.1:0\nlog-visitors: true\n")
    server.kill(signal.SIGHUP)
    server.wait_log("reload: changed: log-visitors")
    with connect(client.port) as s:
        s.sendall(b"xyz")
        read_exactly(s, 3)
    found = server.match(r"\] tunnel 'any-1': (127\.0\.0\.1:\d+) was connected for \d+\.\d s, 3 B received, 3 B sent: closed\n")
    assert found
    assert server.log().count("was connected for") == 1
