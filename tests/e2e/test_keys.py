# SPDX-License-Identifier: MIT
"""Clients with keys of their own: made by `gotunnel clients add`, used by `gotunnel join`, ended by `revoke` and a reload."""

import signal

import pytest

from lib import services
from lib.procs import PROGRAM, wait_for
from lib.services import connect, read_all

pytestmark = pytest.mark.patient


def answer(port):
    try:
        with connect(port) as s:
            return read_all(s).decode()
    except OSError:
        return None


def reload(server, n):
    """Asks for one, and waits until the clients have been read for the n-th time."""
    server.kill(signal.SIGHUP)
    server.wait_count("clients with a key in", n)


@pytest.fixture
def site(lab):
    """A server whose folder of clients is beside its certificates, and a way to make a client."""
    (lab.path / "clients").mkdir(mode=0o700)
    server = lab.server()

    def add(name, *flags):
        done = lab.run("clients", "add", name, "-state", lab.path, "-public", f"127.0.0.1:{server.port}", *flags)
        assert done.returncode == 0, done.stderr
        reload(server, 2)
        text = (lab.path / f"{name}.join").read_text().strip()
        assert text.startswith("gt1_")
        return text

    return server, add


def opened(client, name):
    return int(client.match(rf"tunnel '{name}': tcp://\S*:(\d+) -> ").group(1))


def test_a_client_joins_with_several_tunnels_and_is_revoked(lab, site):
    server, add = site
    text = add("laptop", "-ports", "0-65535")
    with services.Service(lambda s: s.sendall(b"red")) as red, services.Service(lambda s: s.sendall(b"blue")) as blue:
        client = lab.start("client", PROGRAM, "join", text, f"red={red.port}", f"blue={blue.port}")
        ports = {name: opened(client, name) for name in ("red", "blue")}
        assert {name: answer(port) for name, port in ports.items()} == {"red": "red", "blue": "blue"}
        assert text not in client.log() + server.log()
        done = lab.run("clients", "revoke", "laptop", "-state", lab.path)
        assert done.returncode == 0, done.stderr
        reload(server, 3)
        client.wait_log("the server does not take the key of client laptop (any more)")
        wait_for("the ports to be closed", lambda: not any(answer(p) for p in ports.values()))


def test_one_tunnel_and_the_last_line_says_where_it_is(lab, site):
    server, add = site
    text = add("nas", "-ports", "0-65535")
    server.wait_count("clients with a key in", 2)
    with services.Service(lambda s: s.sendall(b"red")) as red:
        client = lab.start("client", PROGRAM, "join", text, str(red.port))
        port = int(client.match(rf"public address: tcp://127.0.0.1:(\d+) -> 127.0.0.1:{red.port}\n").group(1))
        assert answer(port) == "red"
        assert client.log().splitlines()[-1].endswith(f"-> 127.0.0.1:{red.port}")
