# SPDX-License-Identifier: MIT
"""The checklist of `gotunnel join`: every step as it comes out right and wrong; and -save."""

import json
import os
import pty
import re
import signal
import socket
import stat
import struct
import subprocess
import threading
from pathlib import Path

import pytest

from lib import join, wire2
from lib.procs import PATIENCE, PROGRAM, SANDBOX, wait_for
from lib.services import free_port, works

pytestmark = pytest.mark.patient

UNREACHABLE, REJECTED, CONFIG = 69, 77, 78
BANNER = b"SSH-2.0-Test\x1b[31m\r\nmore"


class Counted:
    """A service that says something first, or nothing, or closes at once, and counts who comes."""

    def __init__(self, says=b"", is_brief=False):
        self.says, self.is_brief, self.count = says, is_brief, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            self.count += 1
            threading.Thread(target=self._one, args=(s,), daemon=True).start()

    def _one(self, s):
        with s:
            try:
                s.sendall(self.says)
                while not self.is_brief and (data := s.recv(4096)):
                    s.sendall(data)
            except OSError:
                pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()


class Site:
    """A server with clients of its own."""

    def __init__(self, lab, *flags, listen=None):
        (lab.path / "clients").mkdir(mode=0o700)
        self.lab, self.server = lab, lab.server(flags=flags, listen=listen)

    def add(self, name="c1", ports="0-65535", host="127.0.0.1"):
        """The file of a new client's join string."""
        done = self.lab.run("clients", "add", name, "-state", self.lab.path, "-public", f"{host}:{self.server.port}", "-ports",
                            ports)
        assert done.returncode == 0, done.stderr
        self.server.kill(signal.SIGHUP)
        self.server.wait_count("clients with a key in", 2)
        return self.lab.path / f"{name}.join"

    def join(self, file, *words, **how):
        return self.lab.start("join", PROGRAM, "join", *map(str, words), "-join-file", file, **how)


@pytest.fixture
def site(lab):
    return Site(lab)


def steps(text):
    """Those that are whole."""
    return [json.loads(line) for line in text[:text.rfind("\n") + 1].splitlines()]


def until_public(p, n):
    """All steps, once n public addresses are among them."""
    def check():
        found = steps(p.stdout())
        return found if sum(s["step"] == "public" for s in found) >= n else None

    return wait_for(f"{n} public addresses of {p.name}: {p.stdout()}\n{p.log()}", check)


def one(found, word, name=None):
    matching = [s for s in found if s["step"] == word and s.get("name") == name]
    assert len(matching) == 1, found
    return matching[0]


def public_port(step):
    return int(step["value"].rpartition(":")[2])


def test_several_tunnels(lab, site):
    """One that speaks first, one that is silent, one that closes, one without a target, one whose port is taken, one that is
    not allowed."""
    file = site.add(ports="0,1024-65535")
    with (Counted(BANNER) as ssh, Counted() as web, Counted(is_brief=True) as brief, socket.create_server(("", 0)) as taken):
        words = f"ssh={ssh.port}", f"web={web.port}", f"brief={brief.port}", f"down={free_port()}", f"taken=1@{taken.getsockname()[1]}", "low=1@80", "name=no-such-name.invalid:1"
        p = site.join(file, *words, "-json")
        found = until_public(p, 5)
        assert [s["step"] for s in found[:3]] == ["tcp", "tls", "auth"] and all(s["state"] == "ok" for s in found[:3])
        assert f"pin {join.pin_of(site.server.ca).hex()}" in found[1]["detail"] and found[1]["detail"].startswith("TLSv1.3")
        assert "'c1'" in found[2]["detail"]
        assert {s["name"]: s["state"] for s in found if s["step"] == "port"} == {
            "ssh": "ok", "web": "ok", "brief": "ok", "down": "ok", "taken": "fail", "low": "fail", "name": "ok"}
        assert "ask for another port" in one(found, "port", "taken")["hint"]
        assert "clients show c1" in one(found, "port", "low")["hint"]
        assert one(found, "target", "ssh") == {"step": "target", "state": "ok", "name": "ssh", "said": "SSH-2.0-Test\\x1b[31m",
                                               "detail": f"127.0.0.1:{ssh.port} answers"}
        assert one(found, "target", "web")["state"] == "ok" and "said" not in one(found, "target", "web")
        assert one(found, "target", "brief")["detail"].endswith("answers, and closes the connection")
        down = one(found, "target", "down")
        assert down["state"] == "warn" and "Connection refused" in down["detail"] and "start it" in down["hint"]
        name = one(found, "target", "name")  # without a name server it cannot be looked up, with one it does not resolve
        assert "(EAI_" in name["detail"] and "spelled wrong" in name["hint"]
        for name in ("ssh", "web", "down"):
            assert one(found, "reach", name)["state"] == "ok"
            assert "yes, on this machine" in one(found, "reach", name)["detail"]
        assert [(s["step"], s["name"]) for s in found[-5:]] == [("public", n) for n in ("ssh", "web", "brief", "down", "name")]
        assert (ssh.count, web.count, brief.count) == (1, 1, 1)  # our own connection to the public port has come to neither
        assert one(found, "public", "web")["target"] == f"127.0.0.1:{web.port}"
        assert works(public_port(one(found, "public", "web")))
        assert "gt1_" not in p.stdout() + p.log()


def test_one_tunnel(lab, site):
    """It has no name: the lines are as short as they can be."""
    file = site.add()
    with Counted(BANNER) as ssh:
        p = site.join(file, ssh.port)
        out = wait_for("the public address", lambda: p.stdout() if "\ntcp://" in p.stdout() else None)
        port = int(re.search(rf"\ntcp://127\.0\.0\.1:(\d+) -> 127\.0\.0\.1:{ssh.port}\n$", out).group(1))
        assert re.sub(r"pin \w+|\d+ ms", "...", out).splitlines()[:-1] == [
            f"ok    TCP: 127.0.0.1:{site.server.port} (...)",
            "ok    TLS: TLSv1.3, and the server's CA is that of the join string (...)",
            "ok    client: the server takes it as 'c1'",
            f"ok    public port: 127.0.0.1:{port}",
            f"ok    service: 127.0.0.1:{ssh.port} answers (SSH-2.0-Test\\x1b[31m)",
            f"ok    reachable: yes, on this machine: a connection to 127.0.0.1:{port} came in"]
        assert ssh.count == 1


def test_a_socket_that_the_client_may_not_use(lab, site):
    """The line says what to do; to start the service would not help."""
    path = lab.path / "sock"
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(path))
        s.listen()
        path.chmod(0)
        found = until_public(site.join(site.add(), f"unix:{path}", "-json"), 1)
    service = one(found, "target")
    if os.geteuid() or SANDBOX == "require":  # root may write to everything, but not in the cage
        assert service["state"] == "warn" and "may not use it" in service["detail"] and "hint" not in service
    else:
        assert service["state"] == "ok"


def attempt(lab, text, status, *words):
    """The steps of a client that tries once."""
    done = lab.run("join", "-", *(words or ("22",)), "-once", "-json", stdin=text.encode())
    assert done.returncode == status, done.stderr
    return steps(done.stdout)


def test_the_way_to_the_server(lab, server, tmp_path):
    (tmp_path / "other").mkdir()
    other = lab.server(cwd=tmp_path / "other")
    named = attempt(lab, join.of_server(server, host="localhost"), REJECTED)
    assert [(s["step"], s["state"]) for s in named] == [("dns", "ok"), ("tcp", "ok"), ("tls", "ok"), ("auth", "fail")]
    assert re.match(r"localhost -> .*127\.0\.0\.1", named[0]["detail"])
    assert "does not take the key of client laptop" in named[3]["detail"] and "clients rotate laptop" in named[3]["hint"]
    dns, = attempt(lab, join.of_server(server, host="no-such-name.invalid"), UNREACHABLE)
    assert (dns["step"], dns["state"]) == ("dns", "fail") and "no-such-name.invalid" in dns["detail"] and "-server" in dns["hint"]
    closed = free_port()
    tcp, = attempt(lab, join.of_server(server, port=closed), UNREACHABLE)
    assert (tcp["step"], tcp["state"]) == ("tcp", "fail") and f"TCP port {closed}" in tcp["hint"]
    tcp, tls = attempt(lab, join.of_server(server, port=other.port), REJECTED)
    assert tcp["state"] == "ok" and (tls["step"], tls["state"]) == ("tls", "fail")
    assert "another CA than the join string" in tls["detail"] and "clients rotate laptop" in tls["hint"]
    with Counted(BANNER) as ssh:
        tcp, tls = attempt(lab, join.of_server(server, port=ssh.port), UNREACHABLE)
    assert (tls["step"], tls["state"]) == ("tls", "fail") and "address and port of a gotunnel server" in tls["hint"]


@pytest.mark.parametrize("words", [("22@80",), ("a=22@80", "b=23@81")])
def test_no_tunnel_is_allowed(lab, site, words):
    """The client ends by that, and the last word is why."""
    found = attempt(lab, site.add(ports="2000").read_text(), REJECTED, *words)
    assert [(s["step"], s["state"]) for s in found] == [
        ("tcp", "ok"), ("tls", "ok"), ("auth", "ok"), *[("port", "fail")] * len(words)]
    assert "clients show c1" in found[-1]["hint"]


def test_a_public_port_that_does_not_lead_here(lab):
    """The server listens at another address than the string has. At ours is nobody, or somebody else."""
    site = Site(lab, "-public-bind", "127.0.0.2")
    file = site.add()
    with socket.create_server(("127.0.0.1", free_port())) as else_, Counted() as web:
        p = site.join(file, f"no={web.port}@{free_port()}", f"unknown={web.port}@{else_.getsockname()[1]}", "-json")
        found = until_public(p, 2)
    assert one(found, "reach", "no")["state"] == "warn" and "TCP port" in one(found, "reach", "no")["hint"]
    assert one(found, "reach", "unknown")["state"] == "unknown" and "another machine" in one(found, "reach", "unknown")["hint"]


def test_a_failure_is_said_once_and_goes_on(lab):
    """Nothing listens; then the server is there."""
    port = free_port()
    site = Site(lab, listen=f"127.0.0.1:{port}")
    file = site.add()
    site.server.stop()
    with Counted() as web:
        p = site.join(file, f"a={web.port}", f"b={web.port}", "-json", "-max-retry-interval", "1s")
        wait_for("several attempts", lambda: p.log().count("retrying in") >= 3)
        failed, = steps(p.stdout())
        assert (failed["step"], failed["state"]) == ("tcp", "fail")
        lab.server(listen=f"127.0.0.1:{port}")
        found = until_public(p, 2)
        assert [s["state"] for s in found if s["step"] == "tcp"] == ["fail", "ok"]


def test_a_port_that_is_free_later(lab):
    """Both tunnels are refused; in the next session the first is open, and the checklist goes on with it when the other one is
    refused once more, which is not said again."""
    port = free_port()
    site = Site(lab, listen=f"127.0.0.1:{port}")
    file = site.add()
    with Counted() as web, socket.create_server(("", free_port())) as a, socket.create_server(("", free_port())) as b:
        p = site.join(file, *(f"{n}={web.port}@{s.getsockname()[1]}" for n, s in (("b", b), ("a", a))), "-json")
        wait_for("both refusals", lambda: sum(s["state"] == "fail" for s in steps(p.stdout())) == 2)
        site.server.kill()
        b.close()
        lab.server(listen=f"127.0.0.1:{port}")
        found = until_public(p, 1)
        assert [s["name"] for s in found if s["step"] in ("target", "reach", "public")] == ["b"] * 3
        assert [(s["name"], s["state"]) for s in found if s["step"] == "port"] == [("b", "fail"), ("a", "fail"), ("b", "ok")]


# ---- how it looks ----


class Screen:
    """The program on a terminal of its own."""

    def __init__(self, lab, *args, **env):
        master, slave = pty.openpty()
        self.master = os.fdopen(master, "rb", buffering=0)
        environ = {**os.environ, "XDG_STATE_HOME": str(lab.path / "state"), "TERM": "xterm", "LC_ALL": "C.UTF-8", **env}
        self.popen = subprocess.Popen([PROGRAM, *map(str, args)], stdin=subprocess.DEVNULL, stdout=slave, stderr=slave, cwd=lab.path,
                                      env=environ, start_new_session=True)
        os.close(slave)
        self.text = ""
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        try:
            while data := self.master.read(4096):
                self.text += data.decode()
        except OSError:  # its last end is gone
            pass

    def end(self):
        self.popen.send_signal(signal.SIGTERM)
        assert self.popen.wait(PATIENCE) == 0
        self.thread.join(PATIENCE)
        return self.text.replace("\r\n", "\n")


@pytest.mark.parametrize("env,label,bold", [
    ({}, "\x1b[32mok  \x1b[0m  TCP: ", "\x1b[1mtcp://"),
    ({"NO_COLOR": "1"}, "ok    TCP: ", "tcp://"),
    ({"TERM": "dumb"}, "ok    TCP: ", "tcp://"),
    ({"LC_ALL": "zh_CN.UTF-8"}, "\x1b[32m正常\x1b[0m  TCP: ", "\x1b[1mtcp://"),
], ids=["colours", "NO_COLOR", "dumb", "Chinese"])
def test_on_a_terminal(lab, site, env, label, bold):
    """The steps alone, until the last line; then the log as ever."""
    file = site.add()
    with Counted() as web:
        screen = Screen(lab, "join", f"a={web.port}", f"b={web.port}", "-join-file", file, **env)
        last = rf"tcp://127\.0\.0\.1:\d+\S* -> 127\.0\.0\.1:{web.port}\r\n"
        wait_for(f"the public addresses: {screen.text}", lambda: len(re.findall(last, screen.text)) == 2)
        text = screen.end()
    shown = text[:text.rindex(f"-> 127.0.0.1:{web.port}")]
    assert label in shown and bold in shown
    assert not re.search(r"^\d{4}/\d\d/\d\d", shown, re.M), shown
    assert re.search(r"^\d{4}/\d\d/\d\d .*(stopping|停止)", text, re.M)
    assert ("\x1b" in text) == ("\x1b" in label)


# ---- -save ----


def savers(path):
    """The processes of a `join -save` in this folder."""
    found = []
    for p in Path("/proc").glob("[0-9]*"):
        try:
            if b"-save" in (p / "cmdline").read_bytes().split(b"\0") and os.readlink(p / "cwd") == str(path):
                found.append(int(p.name))
        except OSError:
            continue
    return found


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("names", ["ab", ""])
def test_saved_and_run_from_the_files(lab, site, names):
    """Several tunnels, and the only one, which has no name."""
    def targets(port):
        return [f"{name}={port}" for name in names] or [str(port)]

    text = site.add().read_text()
    with Counted() as web:
        words = "-", *targets(web.port), "-save", "-drain", "3s"
        read, write = os.pipe()
        os.write(write, text.encode())
        os.close(write)
        with os.fdopen(read) as stdin:
            p = lab.start("join", PROGRAM, "join", *words, stdin=stdin)
        out = wait_for("the public addresses", lambda: p.stdout() if p.stdout().count("\ntcp://") == (len(names) or 1) else None)
        assert "ok    saved: client.yaml, client.join\n      from now on: gotunnel client -config client.yaml\n" in out
        assert savers(lab.path) == [p.pid]  # the second one has ended, and leaves no zombie
        assert not Path(f"/proc/{p.pid}/task/{p.pid}/children").read_text()
        ports = re.findall(r"^tcp://127\.0\.0\.1:(\d+) -> ", out, re.M)
        p.stop()
        assert mode(lab.path / "client.yaml") == mode(lab.path / "client.join") == 0o600
        assert (lab.path / "client.join").read_text() == text
        done = lab.run("check", "client.yaml")
        assert done.returncode == 0 and done.stderr == "", done.stderr
        assert 'drain: "3s"' in (lab.path / "client.yaml").read_text()
        client = lab.start("client", PROGRAM, "client", "-config", "client.yaml")
        for name, port in zip(names or "-", ports):  # the same ones
            client.wait_log(f"tunnel '{name}': tcp://127.0.0.1:{port} -> 127.0.0.1:{web.port}\n" if names else
                            f"public address: tcp://127.0.0.1:{port} -> 127.0.0.1:{web.port}\n")
            assert works(int(port))
        before = (lab.path / "client.yaml").read_bytes()
        done = lab.run("join", *words, stdin=text.encode())
        assert done.returncode == CONFIG and "cannot save: client.yaml is there already" in done.stderr and done.stdout == ""
        (lab.path / "client.yaml").rename(lab.path / "other")
        done = lab.run("join", *words, stdin=text.encode())
        assert done.returncode == CONFIG and "cannot save: client.join is there already" in done.stderr
        assert (lab.path / "other").read_bytes() == before
        done = lab.run("join", *words[:2], "-save", "missing/c.yaml", stdin=text.encode())
        assert done.returncode == CONFIG and "cannot save: folder missing" in done.stderr and "behind -save" in done.stderr


def test_what_cannot_be_saved_stops_no_tunnel(lab, site):
    """Somebody else makes the file while we wait for the server; nothing is written, and no half of it."""
    file = site.add()
    text = file.read_text()
    site.server.kill(signal.SIGSTOP)
    with Counted() as web:
        (lab.path / "in").write_text(text)
        with open(lab.path / "in") as stdin:
            p = lab.start("join", PROGRAM, "join", "-", f"a={web.port}", f"b={web.port}", "-json", "-save", "my.yaml", stdin=stdin)
        wait_for("the dial", lambda: any(s["step"] == "tcp" for s in steps(p.stdout())))
        assert len(savers(lab.path)) == 2
        (lab.path / "my.yaml").write_text("mine")
        site.server.kill(signal.SIGCONT)
        found = until_public(p, 2)
        saved = one(found, "save")
        assert saved["state"] == "fail" and "my.yaml is there already" in saved["detail"]
        assert (lab.path / "my.yaml").read_text() == "mine" and not (lab.path / "my.join").exists()
        assert not list(lab.path.glob(".gotunnel-*"))
        p.wait_log("cannot save: my.yaml is there already")
        assert works(public_port(one(found, "public", "a")))


def test_who_saves_is_gone(lab, site):
    """Ended by others before it has written: it is said so, nothing is left, and the tunnels serve."""
    file = site.add()
    site.server.kill(signal.SIGSTOP)
    with Counted() as web:
        p = site.join(file, f"a={web.port}", f"b={web.port}", "-json", "-save", "my.yaml")
        wait_for("the dial", lambda: any(s["step"] == "tcp" for s in steps(p.stdout())))
        saver, = (pid for pid in savers(lab.path) if pid != p.pid)
        os.kill(saver, signal.SIGKILL)
        wait_for("its end", lambda: savers(lab.path) == [p.pid])
        site.server.kill(signal.SIGCONT)
        found = until_public(p, 2)
        saved = one(found, "save")
        assert saved["state"] == "fail" and saved["detail"] == "input/output error", saved
        assert not (lab.path / "my.yaml").exists()
        assert works(public_port(one(found, "public", "a")))


def test_who_saves_is_stopped(lab, site):
    """With more to write than a pipe holds: the client waits for nothing, says so, and its tunnels serve."""
    file = site.add()
    site.server.kill(signal.SIGSTOP)
    with Counted() as web:
        far = ",".join(f"{i}-{'x' * 63}.{'y' * 63}.example:1" for i in range(7))
        names = [f"t{i}" for i in range(64)]
        p = site.join(file, *(f"{n}=127.0.0.1:{web.port},{far}" for n in names), "-json", "-save", "my.yaml")
        wait_for("the dial", lambda: any(s["step"] == "tcp" for s in steps(p.stdout())))
        saver, = (pid for pid in savers(lab.path) if pid != p.pid)
        os.kill(saver, signal.SIGSTOP)
        site.server.kill(signal.SIGCONT)
        try:
            found = until_public(p, 64)
            saved = one(found, "save")
            assert saved["state"] == "warn" and "does not answer" in saved["detail"], saved
            assert works(public_port(one(found, "public", "t63")))
            assert not (lab.path / "my.yaml").exists()
        finally:
            os.kill(saver, signal.SIGCONT)
        text = wait_for("the file", lambda: (lab.path / "my.yaml").exists() and (lab.path / "my.yaml").read_text())
        assert len(text) > 65536 and text.count("  - name: ") == 64


def test_one_open_that_is_never_answered(lab):
    """It keeps the others waiting for 10 s, and no longer; when it is open it is served."""
    server = lab.server()
    key = wire2.ClientKey("laptop", join.T)
    chain = lab.path / "chain.crt"  # who has a pin looks for the CA in it
    chain.write_text((lab.path / "certs/server.crt").read_text() + (lab.path / "certs/ca.crt").read_text())
    with wire2.Server(chain, lab.path / "certs/server.key", key.a) as hand, Counted() as web:
        file = lab.path / "laptop.join"
        file.write_text(join.of_server(server, port=hand.port))
        file.chmod(0o600)
        p = lab.start("join", PROGRAM, "join", f"a={web.port}@4711", f"b={web.port}@4712", "-json", "-join-file", file)
        hand.open(port=4711)
        second = hand.told()
        assert (hand.wanted["name"], second["name"]) == ("a", "b")
        found = wait_for("the public address", lambda: acknowledged(hand) and [s for s in steps(p.stdout()) if s["step"] == "public"]
                         and steps(p.stdout()))
        assert [(s["name"], s["state"]) for s in found if s["step"] == "port"] == [("a", "ok"), ("b", "warn")]
        assert one(found, "port", "b")["detail"] == "public port 4712: the server has not answered for 10 s"
        assert [s["name"] for s in found if s["step"] in ("target", "public")] == ["a"] * 2
        hand.tell(op="opened", svc=second["svc"], address="127.0.0.1:4712", port=4712)
        p.wait_log("tunnel 'b': tcp://127.0.0.1:4712 -> ")


def acknowledged(hand):
    """Or the client takes the connection for a dead one."""
    hand.send(wire2.ACK, 0, struct.pack("<Q", hand.rx))
    return True


def test_saved_beside_a_file_that_is_there(lab, site):
    """-join-file names the string: no copy is made. With -wait, which prints the addresses alone."""
    file = site.add()
    with Counted() as web:
        p = site.join(file.name, f"a={web.port}", f"b={web.port}", "-save", "c.yaml", "-wait")
        assert p.wait(2 * PATIENCE) == 0 and re.fullmatch(r"(127\.0\.0\.1:\d+\n){2}", p.stdout()), p.stdout() + p.log()
        pid = int(re.search(r"in the background as process (\d+)", p.log()).group(1))
        try:
            wait_for("the file", (lab.path / "c.yaml").exists)
        finally:
            os.kill(pid, signal.SIGTERM)
    assert f'join-file: "{file.resolve()}"\n' in (lab.path / "c.yaml").read_text() and not (lab.path / "c.join").exists()
    assert lab.run("check", "c.yaml").returncode == 0
