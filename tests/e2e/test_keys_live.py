# SPDX-License-Identifier: MIT
"""Clients with keys of their own whose rights change while they are there."""

import base64
import datetime
import re
import signal

import pytest

from lib import services, wire2
from lib.procs import PROGRAM, wait_for
from lib.services import answer, connect, free_port, read_exactly

pytestmark = pytest.mark.patient

REVOKED = "session ended: its key was revoked"


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

        def waits():
            """Whoever comes second; the thread that has them may hear of the limit a little later."""
            s = connect(port)
            s.sendall(b"y")
            s.settimeout(1)
            try:
                s.recv(1)
                s.close()
            except TimeoutError:
                return s

        second = wait_for("the second to wait for the first", waits)
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


def test_a_client_that_is_disabled_makes_nobody_else_wait(live):
    """Its key is known: that it is refused, again and again, is no guess, and its source is not penalised."""
    off, other = made(live, "off", "-ports", "0-65535"), made(live, "other", "-ports", "0-65535")
    live.clients("set", "off", "-disabled", *live.control)
    with services.Service(lambda s: s.sendall(b"red")) as red:
        for _ in range(12):
            done = live.lab.run("client", "-join-file", off, "-forward", f"0=127.0.0.1:{red.port}", "-once")
            assert done.returncode == 77, done.stderr
        assert answer(opened(live.join(other, str(red.port)))) == "red"
        live.clients("set", "off", "-unset", "disabled", *live.control)
        assert answer(opened(live.join(off, str(red.port)))) == "red"
    log = live.server.log()
    assert "event=key_off src=127.0.0.1 " in log and "client off is disabled" in log
    assert "event=penalty" not in log and "event=auth_failed" not in log


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


# ---- through the control socket ----


@pytest.fixture
def live(lab):
    """A server that is asked at its control socket: no reload."""
    (lab.path / "run").mkdir(mode=0o755)
    site = Site(lab, "-control", lab.path / "run/control")
    site.server.wait_log("control socket: ")
    site.control = ("-control", lab.path / "run/control")
    return site


def made(site, name, *flags):
    out = site.clients("add", name, "-public", f"127.0.0.1:{site.server.port}", *site.control, *flags)
    assert "the running server knows it\n" in out
    return site.lab.path / f"{name}.join"


def test_commands_take_effect_at_once(live):
    """add, set, rotate and revoke, and who is there; users are reset, and nothing is reloaded."""
    file, other = made(live, "laptop", "-ports", "0-65535"), made(live, "phone", "-ports", "0-65535")
    with services.Service(services.echo) as echo:
        client, beside = live.join(file, f"a={echo.port}", f"b={echo.port}"), live.join(other, str(echo.port))
        ports = opened(client, "a"), opened(client, "b")
        stays = connect(opened(beside))
        users = [connect(ports[i % 2]) for i in range(12)]
        for s in (*users, stays):
            s.sendall(b"x")
            assert read_exactly(s, 1) == b"x"
        there = live.clients("list", *live.control)
        assert "connected: laptop as laptop." in there and " from 127.0.0.1 since 20" in there and there.count("connected: ") == 2
        assert "the running server knows it\n" in live.clients("set", "laptop", "-tunnels", "3", *live.control)
        assert live.clients("revoke", "laptop", *live.control) == "revoked 'laptop': 1 session and 12 connections ended\n"
        for s in users:
            with pytest.raises(ConnectionResetError):
                s.recv(1)
        client.wait_log("the server does not take the key of client laptop (any more)")
        assert live.clients("list", *live.control).count("connected: ") == 1
        stays.sendall(b"y")
        assert read_exactly(stays, 1) == b"y"
        stays.close()
    assert live.server.log().count("clients with a key in") == 1


def test_when_a_client_was_last_seen(live):
    """The server says it, and its file where none runs; so it is after a restart. Who is there is not `last seen`."""
    file, other = made(live, "laptop", "-ports", "0-65535"), made(live, "phone", "-ports", "0-65535")
    made(live, "never", "-ports", "0-65535")
    with services.Service(services.echo) as echo:
        client, stays = live.join(file, str(echo.port)), live.join(other, str(echo.port))
        opened(client), opened(stays)
        before = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
        client.stop()
        wait_for("the end of the session", lambda: "connected: laptop" not in live.clients("list", *live.control))

        def seen(*words):
            out = live.clients(*words)
            return dict(re.findall(r"^last seen: (\S+) at (\S+)$", out, re.M)), out.count("connected: ")

        there, connected = seen("list", *live.control)
        assert list(there) == ["laptop"] and connected == 1
        when = datetime.datetime.fromisoformat(there["laptop"].replace("Z", "+00:00"))
        assert before <= when <= datetime.datetime.now(datetime.timezone.utc)
        assert seen("show", "laptop", *live.control) == (there, 0)
        assert seen("show", "phone", *live.control) == ({}, 1)
        assert seen("show", "never", *live.control) == ({}, 0)
        stays.stop()
        live.server.stop()
        kept, connected = seen("list")
        assert kept["laptop"] == there["laptop"] and set(kept) == {"laptop", "phone"} and connected == 0
        again = live.lab.server(secret=None, flags=live.control)
        again.wait_log("control socket: ")
        assert seen("list", *live.control) == (kept, 0)
        live.clients("revoke", "laptop", *live.control)
        assert set(seen("list", *live.control)[0]) == {"phone"}


def test_a_grace_ends_by_the_clock(live):
    """The session of the old key ends in that second; nobody reloads or asks. That of the new one goes on."""
    file = made(live, "nas", "-ports", "0-65535")
    old = live.lab.path / "old.join"
    file.rename(old)
    with services.Service(lambda s: s.sendall(b"red")) as red:
        first = live.join(old, str(red.port), "-id", "nas.a")
        port = opened(first)
        out = live.clients("rotate", "nas", "-grace", "5s", "-public", f"127.0.0.1:{live.server.port}", *live.control)
        assert "the running server knows it\n" in out
        until = re.search(r"a former key is taken until (\S+)", live.clients("show", "nas")).group(1)
        second = live.join(file, str(red.port), "-id", "nas.b")
        live.server.wait_count(REVOKED, 1)
        assert datetime.datetime.now(datetime.timezone.utc) >= parsed(until)
        first.wait_log("the server does not take the key of client nas (any more)")
        wait_for("the port to be closed", lambda: answer_refused(port))
        assert answer(opened(second)) == "red"
    assert live.server.log().count(REVOKED) == live.server.log().count("clients with a key in") == 1


def parsed(text):
    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S%z")


def test_what_the_files_say_counts_and_nothing_else(live, lab):
    """Another folder's commands do nothing to this server; a name that is none is refused; a broken file costs nobody."""
    other = lab.path / "other"
    (other / "clients").mkdir(parents=True, mode=0o700)
    (other / "certs").symlink_to(lab.path / "certs")
    file = made(live, "laptop", "-ports", "0-65535")
    with services.Service(lambda s: s.sendall(b"red")) as red:
        port = opened(live.join(file, str(red.port)))
        (other / "clients/laptop.yaml").write_bytes((lab.path / "clients/laptop.yaml").read_bytes())
        (other / "clients/laptop.yaml").chmod(0o600)
        done = lab.run("clients", "revoke", "laptop", "-state", other, *live.control)
        assert done.returncode == 1 and "the running server does not know it: it has another folder of clients" in done.stderr
        for name in "../laptop", "", "no such":
            done = lab.run("ctl", *live.control, "client", name)
            assert done.returncode == 1, (name, done.stdout)
        (lab.path / "clients/laptop.yaml").write_text("key: gk1_x\n")
        done = lab.run("ctl", *live.control, "client", "laptop")
        assert done.returncode == 1 and "laptop.yaml:1:6: key: " in done.stderr
        assert answer(port) == "red" and REVOKED not in live.server.log()
    client = lab.run("clients", "list", "-state", lab.path, "-control", lab.path / "run/none")
    assert "no program answers at" in client.stderr


def test_without_a_running_server_the_files_change_alone(live):
    made(live, "laptop")
    assert live.server.stop() == []
    done = live.lab.run("clients", "set", "laptop", "-tunnels", "2", "-state", live.lab.path)
    assert done.returncode == 0 and done.stderr == "a server that runs must be reloaded to know it\n"
    done = live.lab.run("clients", "revoke", "laptop", "-state", live.lab.path, *live.control)
    assert done.returncode == 1 and done.stdout.startswith("revoked 'laptop': the file is ")
    assert "the running server does not know it: no program answers at " in done.stderr


# ---- a stolen folder ----


def stolen(site, name):
    """What the client's file says: (public key, A)."""
    key = re.search(r"^key: gk1_(\S+)$", (site.lab.path / f"clients/{name}.yaml").read_text(), re.M).group(1).upper()
    whole = base64.b32decode(key + "=" * (-len(key) % 8))
    return whole[1:33], whole[33:65]


def test_a_stolen_folder_lets_nobody_in(live):
    """Nor does it end, inherit or resume a session: the answer is that to a client who is not there, to the byte."""
    file = made(live, "laptop", "-ports", "0-65535")
    _, a = stolen(live, "laptop")
    with services.Service(services.echo) as echo:
        client = live.join(file, str(echo.port))
        port = opened(client)
        own = re.search(r"as (laptop\.\w+) from", live.clients("list", *live.control)).group(1)
        with connect(port) as user:
            user.sendall(b"x")
            assert read_exactly(user, 1) == b"x"
            answers = []
            for key, id in (("laptop", own), ("nobody", "nobody")):
                thief = wire2.Client(live.server.port, live.server.ca, a, id=id)
                answers.append(thief.open(take=True, extra={"key": key, "sig": "5a" * 64}))
                thief.drop()
            assert answers[0] == answers[1] == {"v": 2, "ok": False, "error": "auth"}
            user.sendall(b"y")
            assert read_exactly(user, 1) == b"y"
    live.server.wait_count("wrong secret", 2)
    assert REVOKED not in live.server.log() and "replaced" not in live.server.log()


def test_an_id_of_another_key_is_another_id(live):
    """A client of its own cannot say that it is the other: its line is none; and no session of the other ends."""
    files = {name: made(live, name, "-ports", "0-65535") for name in ("laptop", "phone")}
    with services.Service(services.echo) as echo:
        port = opened(live.join(files["laptop"], str(echo.port), "-id", "laptop"))
        thief = live.lab.run("join", str(echo.port), "-join-file", files["phone"], "-id", "laptop", "-once")
        assert thief.returncode != 0, thief.stderr
        assert services.works(port)
        assert services.works(opened(live.join(files["phone"], str(echo.port), "-id", "phone.laptop")))
        assert services.works(port)
