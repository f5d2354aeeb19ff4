# SPDX-License-Identifier: MIT
"""What the tests of cuts stand on: the link that cuts where it is told, the load that sees one wrong byte,
the hosts whose cable can be pulled. And that a cut is a cut: the legacy wire does not survive it."""

import contextlib
import os
import socket
import subprocess

import pytest

from lib import netns, services
from lib.cutter import KINDS, Cutter
from lib.keyed import Keyed, Stream
from lib.procs import wait_for
from lib.services import connect, pattern, read_exactly

SHORT_SECRET = "short"  # such a one is never used on the new wire


# ---- ports ----


@pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ or os.geteuid() != 0, reason="for root, with tests that run beside it")
def test_no_port_is_another_tests():
    """Neither with those that run beside us nor with the machine, and not in what a test starts either."""
    ours, theirs = os.stat("/proc/self/ns/net").st_ino, os.stat(f"/proc/{os.getppid()}/ns/net").st_ino
    assert ours != theirs
    started = subprocess.run(["readlink", "/proc/self/ns/net"], capture_output=True, text=True, check=True)
    assert started.stdout == f"net:[{ours}]\n"


# ---- the services ----


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_closed_service_accepts_nobody_any_more(host):
    with services.Service(services.echo, host=host) as service:
        with socket.create_connection((host, service.port), services.TIMEOUT) as s:
            assert echoes(s)
    service.acceptor.join(services.TIMEOUT)
    assert not service.acceptor.is_alive()


# ---- the link ----


@pytest.fixture
def link(echo):
    with Cutter(echo.port) as link:
        yield link


def echoes(s, data=b"ping"):
    s.sendall(data)
    return read_exactly(s, len(data)) == data


def silent(s, seconds=0.3):
    s.settimeout(seconds)
    try:
        return s.recv(1) == 0
    except TimeoutError:
        return True
    finally:
        s.settimeout(services.TIMEOUT)


def test_the_link_carries(link):
    data = pattern("link", 3_000_000)
    with connect(link.port) as s:
        services.in_threads([lambda: s.sendall(data), lambda: pytest.fail("other data")
                             if read_exactly(s, len(data)) != data else None])
        s.shutdown(socket.SHUT_WR)
        assert s.recv(1) == b""
    assert link.bytes == {"up": len(data), "down": len(data)}
    wait_for("the link to be empty", lambda: link.count() == 0)


@pytest.mark.parametrize("kind,end", [("reset", ConnectionResetError), ("finish", b"")])
def test_the_link_ends_connections(link, kind, end):
    with connect(link.port) as s:
        assert echoes(s)
        link.cut(kind)
        if end == b"":
            assert s.recv(1) == b""
        else:
            with pytest.raises(end):
                s.recv(1)
    with pytest.raises(ConnectionRefusedError):
        connect(link.port)
    link.heal()
    with connect(link.port) as s:
        assert echoes(s)


@pytest.mark.parametrize("kind", ["stall", "stall-up", "stall-down"])
def test_the_link_stalls_and_goes_on(link, kind):
    with connect(link.port) as s:
        assert echoes(s)
        link.cut(kind)
        s.sendall(b"waits")
        assert silent(s)
        link.heal()
        assert read_exactly(s, 5) == b"waits"


@pytest.mark.parametrize("kind", ["forget", "vanish"])
def test_the_link_forgets_connections(link, kind):
    with connect(link.port) as s:
        assert echoes(s)
        link.cut(kind)
        s.sendall(b"never")
        assert silent(s)
        link.heal()
        assert silent(s)
        with connect(link.port) as another:
            assert echoes(another)


@pytest.mark.parametrize("side", ["up", "down"])
@pytest.mark.parametrize("n", [1, 77777, 1_000_000])
def test_the_link_cuts_at_the_byte_it_is_told(side, n):
    data = pattern("exact", 2_000_000)

    def give(s):
        with contextlib.suppress(OSError):
            s.sendall(data)

    def take(s):
        parts = []
        with contextlib.suppress(ConnectionResetError):
            while part := s.recv(1 << 16):
                parts.append(part)
        return b"".join(parts)

    def give_when_asked(s):
        s.recv(1)
        give(s)

    with services.Service(take if side == "up" else give_when_asked) as service, Cutter(service.port) as link:
        happened = link.cut_after(n, side, "reset")
        with connect(link.port) as s:
            if side == "up":
                give(s)
                got = wait_for("the service", lambda: service.results)[0]
            else:
                s.sendall(b"x")
                got = take(s)
        assert happened.wait(10) and got == data[:n]


def test_the_link_records(echo):
    with Cutter(echo.port, record=True) as link, connect(link.port) as s:
        assert echoes(s, b"recorded")
        wait_for("the record", lambda: link.all[0].recorded == {"up": b"recorded", "down": b"recorded"})


# ---- the load ----


def spoiled(data, how):
    changed = {"changed": data[:500] + bytes([data[500] ^ 1]) + data[501:], "lost": data[:500] + data[501:],
               "twice": data[:500] + data[499:], "moved": data[1:500] + data[:1] + data[500:]}
    return changed[how]


@pytest.mark.parametrize("how", ["changed", "lost", "twice", "moved"])
def test_one_wrong_byte_is_seen(how):
    data = Stream(b"key").take(20000)
    assert Stream(b"key").wrong(data) == 0
    assert Stream(b"key").wrong(spoiled(data, how)) > 0
    assert Stream(b"other").wrong(data) > 10000
    assert Stream(b"key").take(10) != Stream(b"key").take(20010)[20000:]


def test_the_load_counts_what_it_checks():
    with Keyed(20, rate=200000) as load:
        load.start(load.port)
        load.mark()
        assert load.wait_moved()[-1] < 30
        load.check()
        assert load.finish() > 20 * 2 * 1000


@pytest.mark.parametrize("how", ["changed", "lost", "twice"])
def test_the_load_sees_a_link_that_spoils(how):
    def spoil(s):
        with connect(load.port) as far:
            far.sendall(read_exactly(s, 8))
            s.sendall(spoiled(read_exactly(far, 10000), how))
            services.echo(far)

    with Keyed(1, rate=200000) as load, services.Service(spoil) as link:
        load.start(link.port)
        wait_for("the load to notice", lambda: load.bad > 0)


@pytest.mark.parametrize("kind,how", [("reset", "reset"), ("finish", "eof")])
def test_the_load_sees_how_connections_end(kind, how):
    with Keyed(5) as load, Cutter(load.port) as link:
        load.start(link.port)
        link.cut(kind)
        load.wait_ended(how)


# ---- the hosts ----


@pytest.fixture
def hosts():
    with netns.Hosts() as hosts:
        yield hosts


def join(hosts):
    """A connection from the client's host to the server's, and its port: (client's end, server's end, port)."""
    listener = hosts.server.socket()
    listener.bind(("0.0.0.0", 0))
    listener.listen()
    near = hosts.client.socket()
    near.settimeout(10)
    near.connect((hosts.server.address, listener.getsockname()[1]))
    far, _ = listener.accept()
    far.settimeout(10)
    return near, far, listener.getsockname()[1]


@pytest.mark.parametrize("kind", netns.KINDS)
def test_the_hosts_cable(hosts, kind):
    near, far, port = join(hosts)
    near.sendall(b"a")
    assert read_exactly(far, 1) == b"a"
    hosts.cut(kind, port)
    near.settimeout(0.5)
    if kind in ("rst", "kill"):
        with pytest.raises(ConnectionError):
            near.sendall(b"b")
            near.recv(1)
    elif kind == "drop-down":
        far.sendall(b"b")
        with pytest.raises(TimeoutError):
            near.recv(1)
    elif kind != "roam":
        near.sendall(b"b")
        far.settimeout(0.5)
        with pytest.raises((TimeoutError, OSError)):
            assert far.recv(1) == b"never"
    hosts.heal()
    again, _, _ = join(hosts)
    again.sendall(b"a")


def test_nothing_of_the_hosts_stays():
    with netns.Hosts() as hosts:
        names = hosts.server.name, hosts.client.name
        assert all(name in netns.sh("ip", "netns") for name in names)
    assert not any(name in netns.sh("ip", "netns") for name in names)


# ---- a cut is a cut ----


def loaded(lab, secret=SHORT_SECRET, n=5):
    """A tunnel with a link in it, and a load through it."""
    server = lab.server(secret=secret)
    link = Cutter(server.port)
    load = Keyed(n)
    client = lab.client(link.port, load.port, ca=server.ca, secret=secret)
    load.start(client.port)
    return link, load


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"stall", "stall-up", "stall-down"}))
def test_the_legacy_wire_does_not_survive_a_cut(lab, kind):
    """What the new wire is for. A stall that is over before anybody gives up is none."""
    link, load = loaded(lab)
    with link, load:
        load.check()
        link.cut(kind)
        if kind in ("forget", "vanish"):  # noticed by neither end for half a minute
            link.heal()
            load.mark()
            with pytest.raises(AssertionError, match="silent"):
                load.wait_moved(2)
        else:
            wait_for("users to lose their connections", lambda: not load.alive())
        assert load.bad == 0
