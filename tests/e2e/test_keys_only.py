# SPDX-License-Identifier: MIT
"""A server without a shared secret: clients with keys of their own are let in, and nobody else."""

import signal

import pytest

from lib import services, wire, wire2
from lib.procs import wait_for
from lib.services import connect, read_all

pytestmark = pytest.mark.patient

TOLD = "there is no shared secret: only clients with a key of their own are let in"


def make(lab, name, port, *flags):
    """A client's join string."""
    done = lab.run("clients", "add", name, "-state", lab.path, "-public", f"127.0.0.1:{port}", *flags)
    assert done.returncode == 0, done.stderr
    return (lab.path / f"{name}.join").read_text().strip()


def served(client):
    """What its one tunnel says."""
    port = int(client.match(r"public address: tcp://127.0.0.1:(\d+) -> ").group(1))
    with connect(port) as s:
        return read_all(s)


def test_without_a_shared_secret(lab):
    """Flags first, then a file, which is reloaded; the folder is beside the certificates."""
    (lab.path / "clients").mkdir(mode=0o700)
    first = lab.server(secret=None)
    first.wait_log(TOLD)
    wait_for("what to do", lambda: "./gotunnel clients add" in first.stdout())
    assert "secret" not in first.stdout().lower()
    text = make(lab, "laptop", first.port, "-ports", "0-65535")
    assert first.stop() == []
    file = lab.path / "server.yaml"
    file.write_text(f"listen: 127.0.0.1:{first.port}\nlegacy: never\n")
    server = lab.start("server", lab.program("c"), "server", "-config", file)
    server.wait_log(TOLD)
    with services.Service(lambda s: s.sendall(b"red")) as red:
        client = lab.start("client", lab.program("c"), "join", text, str(red.port))
        assert served(client) == b"red"
        server.kill(signal.SIGHUP)
        server.wait_count("clients with a key in", 2)
        assert "cannot reload" not in server.log()
        assert served(client) == b"red"


def test_a_secret_opens_nothing_there(lab):
    """On neither wire, and all of it counts as guesses."""
    (lab.path / "clients").mkdir(mode=0o700)
    server = lab.server(secret=None)
    server.secret = "a-secret-that-is-long-enough"
    for said in (b"\n", b"what stands for none\n", server.secret.encode() + b"\n"):
        with wire.dial(server.port, server.ca) as w:
            w.send(said)
            assert w.line() == b"ERROR: Invalid Secret\n"
            w.wait_closed()
    peer = wire2.Client(server.port, server.ca, server.secret)
    assert peer.open()["error"] == "auth"
    server.wait_count("wrong secret", 4)
    client = lab.client(server, 9, flags=("-once",), ready=False)
    client.expect_exit = False
    assert client.wait() == 77
    client.wait_log("wrong secret")


def test_without_clients_too_it_does_not_start(lab):
    """The words of the original, as ever; and those of a file."""
    done = lab.run("server", "-listen", "127.0.0.1:0")
    assert done.returncode == 1 and " error: [server mode] the flag -secret is required" in done.stderr.splitlines()[-1], done.stderr
    file = lab.path / "server.yaml"
    file.write_text("listen: 127.0.0.1:0\n")
    done = lab.run("server", "-config", file)
    assert done.returncode == 2 and "server.yaml: the secret is missing: " in done.stderr
    assert not (lab.path / "certs").exists()


def test_the_secret_is_taken_out_at_the_next_start(lab):
    """A reload names it, and the rest of the file counts; the program that runs goes on taking it. Without clients it is refused."""
    clients, file = lab.path / "clients", lab.path / "server.yaml"
    text = "listen: 127.0.0.1:0\n"
    file.write_text(text + "secret: what-is-long-enough-1\n")
    file.chmod(0o600)
    server = lab.start("server", lab.program("c"), "server", "-config", file)
    server.port, server.ca = int(server.match(r"listens on \S*:(\d+)\n").group(1)), lab.path / "certs/ca.crt"
    file.write_text(text + "drain: 5s\n")
    server.kill(signal.SIGHUP)
    server.wait_log(f"reload: {file}: the secret is missing")
    clients.mkdir(mode=0o700)
    server.kill(signal.SIGHUP)
    server.wait_log("'secret' takes effect at the next start")
    server.wait_log("changed: drain")
    assert wire2.Client(server.port, server.ca, "what-is-long-enough-1").open()["ok"]
    server.kill(signal.SIGTERM)
    assert server.wait() == 0
    lab.start("server", lab.program("c"), "server", "-config", file).wait_log(TOLD)


def test_both_go_on_beside_each_other(lab, echo):
    (lab.path / "clients").mkdir(mode=0o700)
    server = lab.server()
    make(lab, "laptop", server.port, "-ports", "0-65535")
    server.kill(signal.SIGHUP)
    server.wait_count("clients with a key in", 2)
    shared = lab.client(server, echo.port)
    own = lab.start("client", lab.program("c"), "join", f"{echo.port}", "-join-file", lab.path / "laptop.join")
    own.wait_log("public address: ")
    assert services.works(shared.port)
    assert TOLD not in server.log()
