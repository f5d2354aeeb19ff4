# SPDX-License-Identifier: MIT
"""What users of tunnels have reported, once more with every kind of session: a key of one's own, several tunnels, a unix
socket, IPv6, the original's wire. The plain ones are in test_way_back, test_reset, test_identity, test_log, test_addresses."""

import contextlib
import os
import shutil
import signal
import socket
import time

import pytest

from lib import netns
from lib.cutter import Balancer, Cutter
from lib.cuts import accepts
from lib.keyed import Keyed
from lib.procs import PROGRAM, SECRET, rest, wait_for
from lib.services import Service, connect, free_port, read_all, reset, works
from lib.site import Site, opened, put
from lib.still import GONE, Still, fill, is_reset
from lib.stuck import Stuck, lines_of

pytestmark = pytest.mark.patient
V4, V6 = "127.0.0.1", "::1"


def shown(address):
    return f"[{address}]" if ":" in address else address


class Three:
    """A client with a key and three tunnels, one of them to a unix socket, under checked connections. link: where it dials."""

    def __init__(self, lab, site, link, n=4, address=V4):
        self.lab, self.site, self.n, self.address = lab, site, n, address
        self.stack = contextlib.ExitStack()
        with self.stack:
            self.loads = [self.stack.enter_context(Keyed(n, path=path)) for path in (None, lab.path / "keyed.sock", None)]
            self.ports = [free_port() for _ in self.loads]
            self.text = self.key(link.port)
            self.client = self.join()
            self.wait_open(self.client)
            for load, port in zip(self.loads, self.ports):
                load.start(port)
            self.stack = self.stack.pop_all()

    def key(self, port):
        self.site.clients("add", "three", "-public", f"{shown(self.address)}:{port}", "-ports", "0-65535")
        self.site.reload()
        return (self.lab.path / "three.join").read_text().strip()

    def join(self, *flags, **how):
        targets = [f"unix:{self.lab.path}/keyed.sock" if load.port is None else f"127.0.0.1:{load.port}" for load in self.loads]
        return self.lab.start("client", PROGRAM, "join", self.text,
                              *(f"t{i}={target}@{port}" for i, (target, port) in enumerate(zip(targets, self.ports))),
                              "-max-retry-interval", "1s", *flags, **how)

    def wait_open(self, client):
        for i, port in enumerate(self.ports):
            assert opened(client, f"t{i}") == port

    def mark(self):
        for load in self.loads:
            load.mark()

    def wait_moved(self, timeout=60):
        return max(max(load.wait_moved(timeout)) for load in self.loads)

    def finish(self):
        for load in self.loads:
            load.check()
            assert load.finish() > 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stack.close()


# ---- a proxy in front is away; two servers behind a balancer ----


@pytest.mark.parametrize("address", [V4, V6])
@pytest.mark.parametrize("kind", ["finish", "reset"])
def test_a_proxy_in_front_is_away(lab, address, kind):
    """In order, by FIN, or killed; at a server of either family. Nothing is lost, and nothing asked for again."""
    site = Site(lab, listen=f"'{shown(address)}:0'")
    with Cutter(site.server.port, address=address, to=address) as link, Three(lab, site, link, address=address) as three:
        link.cut(kind)
        time.sleep(15)
        three.mark()
        link.heal()
        print(f"\nback: {three.wait_moved():.2f} s")
        three.finish()
        assert all(three.client.log().count(f"tunnel 't{i}': tcp://") == 1 for i in range(3))


@pytest.mark.parametrize("kind", ["finish", "reset"])
def test_the_server_that_has_the_session_is_found(lab, kind):
    """Two servers of one state, which both know the key: the other one's `unknown` ends nothing."""
    site = Site(lab)
    with Balancer([site.server.port]) as link, Three(lab, site, link) as three:
        second = lab.path / "second"
        shutil.copytree(site.folder, second, ignore=shutil.ignore_patterns("known*"))
        other = lab.start("server", PROGRAM, "server", "-config", second / "server.yaml", "-control", lab.path / "run/other",
                          cwd=lab.path / "run")
        link.targets.append(int(other.match(r"listens on \S*:(\d+)\n").group(1)))
        for _ in range(3):
            three.mark()
            link.cut(kind)
            link.heal()
            print(f"\nfound: {three.wait_moved():.2f} s")
        other.wait_log("wants to resume a session that is not here")
        three.finish()
        assert "event=auth_failed" not in other.log()


# ---- a machine was cloned ----


def test_clones_of_a_client_with_a_key_take_once_for_each_start(lab):
    """Its state was copied: the second takes three tunnels over, once; the first asks on, and has them when they are free."""
    site = Site(lab)
    with Cutter(site.server.port) as link, Three(lab, site, link, n=0) as three:
        three.client.stop()
        states = [lab.path / "machine0", lab.path / "machine1"]
        first = three.join(env={"XDG_STATE_HOME": str(states[0])})
        three.wait_open(first)
        shutil.copytree(*states)
        second = three.join(env={"XDG_STATE_HOME": str(states[1])})
        three.wait_open(second)
        first.match(r"another client has the id '[^']+'")
        for kind in ("reset", "finish"):
            link.cut(kind)
            time.sleep(2)
            link.heal()
            second.wait_log("the session goes on")
        time.sleep(20)
        assert site.server.log().count("its place is taken") == 1
        second.stop()
        three.wait_open(first)
        wait_for("the first to serve", lambda: all(accepts(port) for port in three.ports))


# ---- a reset, at a unix socket, with a key ----


class StillUnix(Still):
    def __init__(self, path):
        self.listener, self.port, self.sockets = socket.socket(socket.AF_UNIX), None, []
        self.listener.bind(str(path))
        self.listener.listen(64)


@pytest.mark.parametrize("who", ["users", "service"])
def test_a_reset_around_a_unix_socket(lab, who):
    """The other side stands still, and hears of it all the same; both ends give all back. The other tunnel goes on."""
    site = Site(lab)
    public, beside = free_port(), free_port()
    text = site.add("nas", "-ports", f"{public},{beside}")
    with StillUnix(lab.path / "still.sock") as still, Keyed(2) as load:
        client = site.join(text, f"s=unix:{lab.path}/still.sock@{public}", f"k=127.0.0.1:{load.port}@{beside}")
        assert (opened(client, "s"), opened(client, "k")) == (public, beside)
        assert still.accept()[0].recv(1) == b""  # join has looked whether it answers
        load.start(beside)
        ends = [site.server, client]
        before = [p.fds() for p in ends]
        users = [connect(public) for _ in range(5)]
        for u in users:
            u.sendall(b"unread")  # a unix socket is reset if it is closed with that
        there = still.accept(5)
        fill(users if who == "users" else there)
        for s in (users if who == "users" else there):
            s.close() if s.family == socket.AF_UNIX else reset(s)
        wait_for("descriptors to return", lambda: all(p.fds() <= n for p, n in zip(ends, before)), timeout=GONE)
        if who == "service":
            assert all(is_reset(u) or read_all(u) for u in users)
        load.check()
        load.finish()


# ---- half of a connection is closed, and the other half is silent for long ----


def half_closed_for(seconds, port):
    with connect(port, seconds + 60) as s:
        s.sendall(b"question")
        s.shutdown(socket.SHUT_WR)
        try:
            return read_all(s)
        except OSError as e:
            return type(e)


@pytest.mark.long
@pytest.mark.parametrize("silence", [290, 310])
def test_a_half_closed_connection_is_silent_for_300_s_at_most(lab, silence):
    """An answer within 300 s arrives; later the connection is reset, with a line at each end. With a key, at a unix socket."""
    def answers(s):
        read_all(s)
        time.sleep(silence)
        s.sendall(b"answer")

    site = Site(lab)
    public = free_port()
    text = site.add("nas", "-ports", f"0,{public}")
    with Service(answers, path=lab.path / "slow.sock"):
        client = site.join(text, f"s=unix:{lab.path}/slow.sock@{public}", "other=127.0.0.1:1@0")
        assert opened(client, "s") == public
        got = half_closed_for(silence, public)
    cut = "half closed, and silent for"  # 300 seconds, or too long where the other end was first
    if silence < 300:
        assert got == b"answer" and not any(cut in p.log() for p in (site.server, client))
    else:
        assert got is ConnectionResetError
        for p in (site.server, client):
            p.wait_log(cut)


# ---- a log that nobody reads ----


def test_what_a_server_is_told_counts_while_its_log_stands_still(lab, echo):
    """A reload, a revocation, a status: each is answered and counts, though no line of it can be written."""
    site = Site(lab)  # makes the folder; its own server has another port
    port, control = free_port(), lab.path / "run/stuck"
    key_port = free_port()
    text = site.add("nas", "-ports", f"0,{key_port}", port=port)
    site.server.stop()
    put(site.file, f"listen: 127.0.0.1:{port}\ncerts: certs\nsecret-file: secret\nlog-level: debug\n")
    with Stuck(lab, "server", "-config", site.file, "-control", control, full=True) as server:
        wait_for("the server to listen", lambda: accepts(port))
        client = site.join(text, f"a=127.0.0.1:{echo.port}@{key_port}", f"b=127.0.0.1:{echo.port}@0")
        assert opened(client, "a") == key_port
        for _ in range(300):
            assert works(key_port)
        assert server.is_stuck()
        os.kill(server.popen.pid, signal.SIGUSR1)
        put(site.file, site.file.read_text() + "allow-ports: 0\n")
        told = lab.run("ctl", "-json", "-control", control, "reload")
        assert told.returncode == 0 and "allow-ports" in told.stdout, (told.stdout, told.stderr)
        client.wait_log("tunnel 'a' was closed by the server: not in the server's -allow-ports")
        site.clients("revoke", "nas")
        told = lab.run("ctl", "-json", "-control", control, "reload")
        assert told.returncode == 0, told.stderr
        client.wait_log("the server does not take the key of client nas (any more)")
        server.stop()
        lines_of(server.read_all()[4096:])


def test_a_client_reloads_while_its_log_stands_still(lab, echo):
    server = lab.server()
    first, second = free_port(), free_port()
    file = lab.path / "client.yaml"
    head = f"server: 127.0.0.1:{server.port}\nsecret: {SECRET}\nca: {server.ca}\nlog-level: debug\ntunnels:\n"
    row = "  - {{name: {0}, port: {1}, target: 127.0.0.1:" + str(echo.port) + "}}\n"
    put(file, head + row.format("a", first))
    with Stuck(lab, "client", "-config", file, full=True) as client:
        wait_for("the tunnel", lambda: works(first, 2))
        for _ in range(300):
            assert works(first)
        assert client.is_stuck()
        put(file, head + row.format("b", second))
        os.kill(client.popen.pid, signal.SIGHUP)
        wait_for("the other tunnel", lambda: works(second, 2))
        wait_for("the first one to go", lambda: not accepts(first))
        rest(client.popen)
        client.stop()
        lines_of(client.read_all()[4096:])  # behind what filled the pipe


# ---- a server at a link-local address ----


def test_several_tunnels_at_a_link_local_address(lab):
    """By a join string whose host is not it: -server says where the server is, and the scope is kept across cuts."""
    with netns.Hosts() as hosts:
        shown_of = hosts.server.ip("-6", "addr", "show", "dev", hosts.server.device, "scope", "link")
        address = shown_of.split("inet6 ")[1].split("/")[0]
        (lab.path / "clients").mkdir(mode=0o700)
        server = lab.server(listen="[::]:0", wrapper=hosts.server.wrapper)
        done = lab.run("clients", "add", "nas", "-state", lab.path, "-public", "vps.example", "-ports", "0-65535")
        assert done.returncode == 0, done.stderr
        server.kill(signal.SIGHUP)
        server.wait_count("clients with a key in", 2)
        text = (lab.path / "nas.join").read_text().strip()

        def side(end):
            return (hosts.server if end == "user" else hosts.client).socket()

        with Keyed(3, socket_of=side) as one, Keyed(3, socket_of=side) as two:
            client = lab.start("client", PROGRAM, "join", text, f"a={one.port}@7070", f"b={two.port}@7071", "-server",
                               f"[{address}%{hosts.client.device}]:{server.port}", wrapper=hosts.client.wrapper)
            assert (opened(client, "a"), opened(client, "b")) == (7070, 7071)
            one.start(7070)
            two.start(7071)
            for _ in range(2):
                for load in (one, two):
                    load.mark()
                hosts.server.run("ss", "-K", "sport", "=", str(server.port), check=False)
                for load in (one, two):
                    load.wait_moved(60)
            client.wait_log("the session goes on")
            for load in (one, two):
                load.finish()
