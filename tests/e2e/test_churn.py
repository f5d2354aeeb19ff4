# SPDX-License-Identifier: MIT
"""Tunnels that come and go, and reloads, for hours' worth at once: under checked connections, which notice nothing, and
without a descriptor, a port or memory that is left behind."""

import contextlib
import json
import signal
import struct
import subprocess

import pytest

from lib import programs
from lib.cuts import accepts, fresh_id
from lib.keyed import Keyed
from lib.procs import SANITIZED, SECRET, wait_for
from lib.services import Service, connect, free_port, read_all
from lib.site import Site, opened, put
from lib.wire2 import ACK, PSH, UPD, WINDOW, Client

pytestmark = pytest.mark.patient
GROWTH_KIB = 4096  # of a process that has come to rest in its ways


def sizes(short, long):
    """The short version of a test, and the long one."""
    return [short, pytest.param(*([long] if not isinstance(long, tuple) else long), marks=pytest.mark.long)]


class Standing:
    """What a process holds before, and that it is no more afterwards."""

    def __init__(self, process):
        self.process, self.fds, self.kib = process, process.fds(), process.status("VmRSS")

    def check(self):
        wait_for(f"no more than {self.fds} descriptors", lambda: self.process.fds() <= self.fds)
        grown = self.process.status("VmRSS") - self.kib
        print(f"\n{self.process.name}: {self.fds} descriptors as before, {grown} KiB more than {self.kib}")
        assert SANITIZED or grown <= GROWTH_KIB, grown


class ByHand(Client):
    """A client that speaks of services, one line after the other."""

    def __init__(self, server):
        super().__init__(server.port, server.ca, SECRET, id=fresh_id())
        assert "services" in self.open(port=None, caps=["services"])["caps"]
        self.text, self.read = b"", 0

    def say(self, **fields):
        self.send(PSH, 1, json.dumps(fields).encode() + b"\n")

    def line(self):
        while b"\n" not in self.text:
            part = self.until(PSH, 1).data
            self.text += part
            self.read += len(part)
            self.send(UPD, 1, struct.pack("<II", self.read, WINDOW))
            self.send(ACK, 0, struct.pack("<Q", self.rx))
        line, self.text = self.text.split(b"\n", 1)
        return json.loads(line)


def open_and_close(peer, svc, port):
    """A service that is opened, has a visitor, and is closed. Its port listens just so long."""
    peer.say(op="open", svc=svc, name="churn", kind="tcp", port=port, bind="", ready=True)
    line = peer.line()
    assert (line["op"], line["svc"], line["port"]) == ("opened", svc, port), line
    with connect(port):
        pass
    peer.say(op="close", svc=svc, drain_ms=0)
    line = peer.line()
    assert (line["op"], line["svc"]) == ("closed", svc) and not line.get("error"), line
    assert not accepts(port)


def come_and_go(site, ports, target):
    """A client joins with a tunnel for each port, and leaves."""
    client = site.client({f"t{i}": (port, target) for i, port in enumerate(ports)}, "id: churn\n")
    for i, port in enumerate(ports):
        assert opened(client, f"t{i}") == port
    assert client.stop() == []
    wait_for("the ports to be free", lambda: not any(accepts(port) for port in ports))


@pytest.fixture
def busy(lab):
    """A site whose one client has four tunnels, with connections in them that are checked to the byte."""
    with contextlib.ExitStack() as stack:
        site = Site(lab)
        loads = [stack.enter_context(Keyed(5, rate=5000)) for _ in range(4)]
        client = site.client({f"load{i}": (0, load.port) for i, load in enumerate(loads)})
        for i, load in enumerate(loads):
            load.start(opened(client, f"load{i}"))
        yield site, loads
        for load in loads:
            load.check()
            load.finish()
        assert "reconnect" not in client.log()


@pytest.mark.parametrize("times", sizes(200, 1000))
def test_services_are_opened_and_closed_under_load(busy, times):
    """By one session: each has its port at once, and gives it back."""
    site, _ = busy
    peer, port = ByHand(site.server), free_port()
    for svc in range(1, 50):
        open_and_close(peer, svc, port)
    before = Standing(site.server)
    for svc in range(50, 50 + times):
        open_and_close(peer, svc, port)
    before.check()
    peer.drop()


@pytest.mark.parametrize("times", sizes(20, 1000))
def test_clients_come_and_go_under_load(busy, times):
    """Three tunnels each time, at the same ports."""
    site, _ = busy
    ports = [free_port() for _ in range(3)]
    with Service(lambda s: s.sendall(b"x")) as service:
        for _ in range(10):
            come_and_go(site, ports, service.port)
        before = Standing(site.server)
        for _ in range(times):
            come_and_go(site, ports, service.port)
        before.check()


def change_all(site, i, ports, guest):
    """Other ports that are allowed, another certificate, another client, other rights: what came of it."""
    site.rewrite(allow_ports=f"{','.join(map(str, ports))},{33000 + i % 1000}", drain=f"{10 + i % 2}s")
    for name in ("server.crt", "server.key"):
        (site.folder / "certs" / name).unlink()
    file = site.folder / "clients/guest.yaml"
    if i % 2:
        file.write_text(guest)
        file.chmod(0o600)
    else:
        file.unlink()
    site.clients("set", "laptop", "-connections", str(300 + i % 2))
    told = site.reload()
    for word in ("allow-ports", "drain", "certificates", "clients"):
        assert word in told, told


@pytest.mark.parametrize("times", sizes(50, 1000))
def test_reloads_of_both_ends_under_200_connections(lab, times):
    """Each changes ports, certificates, clients and rights of the server, and the target of a client."""
    with contextlib.ExitStack() as stack:
        loads = [stack.enter_context(Keyed(40, rate=3000)) for _ in range(5)]
        ports = [free_port() for _ in range(5)]
        other = stack.enter_context(Service(lambda s: s.sendall(b"other")))
        site = Site(lab, allow_ports=",".join(map(str, ports)))
        text = site.add("laptop", "-ports", ",".join(map(str, ports[:4])))
        site.add("guest", "-ports", "0")
        guest = (site.folder / "clients/guest.yaml").read_text()
        laptop = site.join(text, *(f"t{i}={load.port}@{ports[i]}" for i, load in enumerate(loads[:4])))
        shop = site.client({"shop": (ports[4], loads[4].port)})
        for port in ports:
            wait_for("the port to be open", lambda port=port: accepts(port))
        for port, load in zip(ports, loads):
            load.start(port)
        for i in range(2, 2 + times):
            if i == 12:
                before = [Standing(p) for p in (site.server, laptop, shop)]
            change_all(site, i, ports, guest)
            target = (other, loads[4])[i % 2].port
            assert "changed: tunnels" in site.reload_client(shop, {"shop": (ports[4], target)})
            if i % 10 == 0:
                with connect(ports[4]) as s:
                    assert read_all(s) == b"other"
        for b in before:
            b.check()
        for load in loads:
            load.check()
            assert load.finish() > 0
        assert all("reconnect" not in p.log() and "is refused" not in p.log() for p in (laptop, shop))


# ---- each kind of change, across programs that run ----


SERVER_KEYS = {"allow_ports": "0-65535", "client_rate": "100000/s", "drain": "7s", "handshakes": "500,200", "legacy": "never",
               "log_level": "debug", "resume_window": "30s", "trusted_proxy": "192.0.2.1"}
CLIENT_KEYS = {"drain": "7s", "log-level": "debug", "max-retry-interval": "9s", "resume-window": "30s"}


def change_server(site, turn):
    """One thing after the other; turn() is taken behind each."""
    for key, value in SERVER_KEYS.items():
        site.rewrite(**{key: value})
        assert f'{key.replace("_", "-")}' in site.reload()
        turn()
    for name in ("server.crt", "server.key"):
        (site.folder / "certs" / name).unlink()
    assert "certificates" in site.reload()
    turn()
    site.add("another", "-ports", "0")
    turn()
    for command, *flags in (("set", "-ports", "80"), ("rotate", "-public", "127.0.0.1"), ("revoke",)):
        if command == "rotate":
            (site.lab.path / "another.join").unlink()
        site.clients(command, "another", *flags)
        assert "clients" in site.reload()
        turn()


def change_client(site, client, tunnels, turn):
    for ca in site.lab.server().ca, site.server.ca:  # whom it trusts from the next connection on
        put(client.ca, ca.read_text())
        assert "changed: certificates" in site.reload_client(client, tunnels)
        turn()
    more = ""
    for key, value in CLIENT_KEYS.items():
        more += f"{key}: {value}\n"
        assert f"changed: {key}" in site.reload_client(client, tunnels, more)
        turn()
    client.given = (tunnels, more, client.given[2])


def change_tunnels(site, client, tunnels, spare, turn):
    """Those of a client whose first one is in use: beside it all, of itself the target. spare: another target."""
    first = next(iter(tunnels))
    for what, now in (
            ("1 tunnel new, 0 changed, 0 closed, 2 as before", tunnels | {"new": (0, spare)}),
            ("0 tunnels new, 1 changed, 0 closed, 2 as before", tunnels | {"new": (free_port(), spare)}),
            ("0 tunnels new, 1 changed, 2 closed, 0 as before", {first: (tunnels[first][0], spare)}),
            ("1 tunnel new, 1 changed, 0 closed, 0 as before", tunnels)):
        assert what in site.reload_client(client, now)
        turn()
    told = site.reload_client(client, tunnels, client.given[1].replace("id: ", "id: next-"))
    assert "'id' takes effect at the next start" in told, told
    turn()


def test_each_kind_of_change_across_wrk_and_ssh(lab):
    """Neither notices: not one failed request, and one shell from the first change to the last."""
    sshd = programs.Sshd(lab)
    site = Site(lab)
    web, shell = (free_port() for _ in range(2))
    tunnels = {"web": (web, programs.nginx(lab, {"page": b"x" * 3000}))}
    client = site.client(tunnels)
    shells = {"ssh": (shell, sshd.port), "more": (0, sshd.port)}
    other = site.client(shells, "id: shell\n")
    for port in (web, shell):
        wait_for("the port to be open", lambda port=port: accepts(port))
    wrk = lab.start("wrk", programs.tool("wrk", "wrk"), "-t1", "-c20", "-d600s", "--timeout", "60s", f"http://127.0.0.1:{web}/page")
    ssh = subprocess.Popen([str(w) for w in (programs.tool("ssh", "openssh-client"), *sshd.options(shell), sshd.login, "cat")],
                           stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    turns = []

    def turn():
        turns.append(b"after change %d\n" % len(turns))
        ssh.stdin.write(turns[-1])
        ssh.stdin.flush()
        assert ssh.stdout.readline() == turns[-1] and wrk.alive()

    try:
        turn()
        change_server(site, turn)
        change_client(site, client, tunnels, turn)
        change_tunnels(site, other, shells, tunnels["web"][1], turn)
        ssh.stdin.close()
        assert ssh.stdout.read() == b"" and ssh.wait(60) == 0
    finally:
        ssh.kill()
    wrk.kill(signal.SIGINT)
    wrk.wait()
    report = wrk.stdout()
    assert "Socket errors" not in report and "Non-2xx" not in report and "requests in" in report, report
    assert all("reconnect" not in c.log() for c in (client, other))
