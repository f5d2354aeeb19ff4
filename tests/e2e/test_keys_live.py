# SPDX-License-Identifier: MIT
"""Clients with keys of their own whose rights change while they are there."""

import datetime
import signal

import pytest

from lib import services
from lib.procs import PROGRAM, wait_for
from lib.services import connect, free_port, read_all, read_exactly

pytestmark = pytest.mark.patient

REVOKED = "session ended: its key was revoked"


def answer(port):
    try:
        with connect(port) as s:
            return read_all(s).decode()
    except OSError:
        return None


class Site:
    """A server without a shared secret, and its clients."""

    def __init__(self, lab, *flags):
        self.lab = lab
        (lab.path / "clients").mkdir(mode=0o700)
        self.server = lab.server(secret=None, flags=flags)
        self.reads = 1

    def clients(self, *words):
        done = self.lab.run("clients", *words, "-state", self.lab.path)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def add(self, name, *flags):
        """A client that the server knows: its join string's file."""
        self.clients("add", name, "-public", f"127.0.0.1:{self.server.port}", *flags)
        self.reload()
        return self.lab.path / f"{name}.join"

    def reload(self):
        self.reads += 1
        self.server.kill(signal.SIGHUP)
        self.server.wait_count("clients with a key in", self.reads)

    def join(self, file, *words):
        return self.lab.start("client", PROGRAM, "join", *words, "-join-file", file)


@pytest.fixture
def site(lab):
    return Site(lab)


def opened(client, name=None):
    """Its public port; of several tunnels the one called name."""
    return int(client.match(rf"tunnel '{name}': tcp://\S*:(\d+) -> " if name else r"public address: tcp://\S*:(\d+) -> ").group(1))


def test_a_port_that_is_taken_away_is_closed_alone(site):
    """Its users may finish, its sisters' notice nothing, and it opens again when it is given back."""
    red, blue = free_port(), free_port()
    file = site.add("shop", "-ports", f"{red},{blue}")
    words = f"public port {red}: this client may not have it: 'gotunnel clients set NAME -ports ...' at the server allows it"
    with services.Service(services.echo) as echo:
        client = site.join(file, f"red={echo.port}@{red}", f"blue={echo.port}@{blue}")
        assert opened(client, "red") == red and opened(client, "blue") == blue
        with connect(blue) as sister, connect(red) as user:
            for s in sister, user:
                s.sendall(b"a")
                assert read_exactly(s, 1) == b"a"
            site.clients("set", "shop", "-ports", str(blue))
            site.reload()
            site.server.wait_count(f"tunnel 'red' is ended: {words}", 1)
            client.wait_log("tunnel 'red' was closed by the server: this client may not have it: 'gotunnel clients set NAME -ports ...' at the server allows it")
            wait_for("the port to be closed", lambda: answer_refused(red))
            for s in sister, user:
                s.sendall(b"b")
                assert read_exactly(s, 1) == b"b"
        assert services.works(blue)
        site.clients("set", "shop", "-ports", f"{red},{blue}")
        site.reload()
        wait_for("the port to be open again", lambda: not answer_refused(red))
        assert services.works(red)
    assert REVOKED not in site.server.log()


def answer_refused(port):
    try:
        connect(port).close()
        return False
    except ConnectionRefusedError:
        return True


def test_limits_hold_for_who_is_there(site):
    file = site.add("shop", "-ports", "0-65535", "-connections", "3")
    with services.Service(services.echo) as echo:
        client = site.join(file, f"a={echo.port}", f"b={echo.port}")
        port = opened(client, "a")
        opened(client, "b")
        site.clients("set", "shop", "-connections", "1", "-tunnels", "1")
        site.reload()
        first = connect(port)
        first.sendall(b"x")
        assert read_exactly(first, 1) == b"x"
        second = connect(port)
        second.sendall(b"y")
        second.settimeout(1)
        with pytest.raises(TimeoutError):
            second.recv(1)  # it waits for the first
        first.close()
        second.settimeout(60)
        assert second.recv(1) == b"y"
        second.close()
        assert services.works(opened(client, "b"))  # fewer tunnels are for what comes


def test_who_may_not_be_there_any_more_is_ended(site):
    """disabled, from, and the very second of expires without a reload; each its own client alone."""
    names = ("off", "from", "over", "stays")
    files = {name: site.add(name, "-ports", "0-65535") for name in names}
    with services.Service(lambda s: s.sendall(b"red")) as red:
        clients = {name: site.join(files[name], str(red.port)) for name in names}
        ports = {name: opened(c) for name, c in clients.items()}
        assert all(answer(port) == "red" for port in ports.values())
        soon = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=4)
        site.clients("set", "off", "-disabled")
        site.clients("set", "from", "-from", "192.0.2.0/24")
        site.clients("set", "over", "-expires", soon.strftime("%Y-%m-%dT%H:%M:%SZ"))
        site.reload()
        for name in "off", "from", "over":
            clients[name].wait_log(f"the server does not take the key of client {name} (any more)")
            wait_for("the port to be closed", lambda name=name: answer_refused(ports[name]))
        site.server.wait_count(REVOKED, 3)
        assert answer(ports["stays"]) == "red"


def test_both_keys_are_live_until_the_grace_is_over(site):
    """Then the session of the old one ends; that of the new one does not."""
    file = site.add("nas", "-ports", "0-65535")
    old = site.lab.path / "old.join"
    file.rename(old)
    with services.Service(lambda s: s.sendall(b"red")) as red:
        first = site.join(old, f"{red.port}", "-id", "nas.a")
        port = opened(first)
        site.clients("rotate", "nas", "-grace", "1h", "-public", f"127.0.0.1:{site.server.port}")
        site.reload()
        second = site.join(file, f"{red.port}", "-id", "nas.b")
        third = site.join(old, f"{red.port}", "-id", "nas.c")
        assert answer(opened(second)) == answer(opened(third)) == answer(port) == "red"
        newer = site.lab.path / "newer.join"
        file.rename(newer)
        site.clients("rotate", "nas", "-grace", "0", "-public", f"127.0.0.1:{site.server.port}")
        site.reload()
        for client in first, second, third:  # -grace 0 ends the keys of earlier rotations, too
            client.wait_log("the server does not take the key of client nas (any more)")
        assert "former" not in site.clients("show", "nas")
        assert answer(opened(site.join(file, f"{red.port}"))) == "red"
