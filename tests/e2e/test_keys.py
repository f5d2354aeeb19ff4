# SPDX-License-Identifier: MIT
"""Clients with keys of their own: made by `gotunnel clients add`, used by `gotunnel join`, ended by `revoke` and a reload."""

import signal

import pytest

from lib import services
from lib.procs import PROGRAM, wait_for
from lib.services import answer, connect, free_port

pytestmark = pytest.mark.patient


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


def test_a_client_has_the_ports_of_its_rights_and_no_other(lab, site):
    """With one tunnel, and with several; so many tunnels, and so many sessions."""
    server, add = site
    allowed, other = free_port(), free_port()
    text = add("shop", "-ports", str(allowed), "-tunnels", "1", "-sessions", "1")
    words = "this client may not have it: 'gotunnel clients set NAME -ports ...' at the server allows it"
    with services.Service(lambda s: s.sendall(b"red")) as red:
        done = lab.run("join", text, f"{red.port}@{other}", "-once")
        assert done.returncode == 77 and words in done.stderr, done.stderr
        server.wait_log(f"is refused: public port {other}: {words}")
        client = lab.start("client", PROGRAM, "join", text, f"yes={red.port}@{allowed}", f"no={red.port}@{other}", "-id", "shop.a")
        assert opened(client, "yes") == allowed and answer(allowed) == "red"
        for end in client, server:
            end.wait_log(f"tunnel 'no' is refused: public port {other}: {words}")
        assert answer(other) is None
        done = lab.run("join", text, f"{red.port}@{allowed}", "-once", "-id", "shop.b")
        assert done.returncode == 69, done.stderr  # there is a session of this key


def test_a_client_with_so_many_tunnels(lab, site):
    server, add = site
    text = add("shop", "-ports", "0-65535", "-tunnels", "2", "-connections", "3")
    with services.Service(services.echo) as echo:
        client = lab.start("client", PROGRAM, "join", text, *(f"t{i}={echo.port}" for i in range(3)))
        ports = [opened(client, f"t{i}") for i in range(2)]
        client.wait_log("tunnel 't2' is refused: public port 0: the server has no room for more tunnels of this client")
        users = [connect(ports[0]) for _ in range(4)]
        for s in users[:3]:
            s.sendall(b"x")
            assert s.recv(1) == b"x"
        users[3].sendall(b"x")  # waits in the kernel's queue
        users[3].settimeout(1)
        with pytest.raises(TimeoutError):
            users[3].recv(1)
        users[0].close()
        users[3].settimeout(60)
        assert users[3].recv(1) == b"x"
        for s in users[1:]:
            s.close()


def test_a_folder_that_was_not_there_at_the_start_waits_for_the_next(lab):
    """All else is reloaded."""
    server = lab.server()
    done = lab.run("clients", "add", "late", "-state", lab.path, "-public", f"127.0.0.1:{server.port}")
    assert done.returncode == 0, done.stderr
    server.kill(signal.SIGHUP)
    server.wait_log("reload: 'clients' takes effect at the next start")
    server.wait_log("reload: there is no configuration file")
    assert "cannot" not in server.log()
