# SPDX-License-Identifier: MIT
"""The new wire between two of ours: who speaks it with whom, what is proved, and ends that are exact.
Names as in test_cut.py: p1 negotiation, p2 proof, p3 exact ends."""

import contextlib
import json
import os
import socket
import subprocess
import threading
import time

import pytest

from lib import cuts, services, wire
from lib.cuts import ALPN, dial
from lib.cutter import Cutter
from lib.procs import PATIENCE, SECRET, wait_for
from lib.programs import tool
from lib.services import connect, pattern, read_all, read_exactly, reset

SHORT = "fifteen-bytes.."


def pair(lab, target, *flags, **how):
    """Both of ours; flags are of the client. The public port is known beforehand."""
    server = lab.server(**how)
    client = lab.client(server, target, remote_port=cuts.free_port(), flags=("-id", cuts.fresh_id(), *flags))
    return server, client


def listener(lab, alpn=True):
    """A server by hand, with the certificate of a real one (stolen, if you like)."""
    real = lab.server()
    certs = lab.path / "certs"
    w = wire.Listener(certs / "server.crt", certs / "server.key")
    if alpn:
        w.ctx.set_alpn_protocols([ALPN])
    return real, w


# ---- negotiation ----


def test_p1_two_of_ours_use_the_new_wire_without_being_asked(lab):
    real, w = listener(lab)
    with w:
        lab.client(w.port, 1, ca=real.ca, ready=False)
        with w.accept() as c:
            assert cuts.agreed(c) == ALPN
            assert json.loads(c.line())["op"] == "open"
    with dial(real) as c:
        assert cuts.agreed(c) == ALPN


def test_p1_an_old_client_is_served_as_ever(lab, echo, server):
    with dial(server, alpn=False) as c:
        assert cuts.agreed(c) is None
        assert c.login(SECRET).ask(0)["status"] == "success"


def test_p1_an_old_server_is_spoken_to_as_ever(lab):
    real, w = listener(lab, alpn=False)
    with w:
        lab.client(w.port, 1, ca=real.ca, ready=False, remote_port=1234)
        c, asked = w.serve(SECRET)
        with c:
            assert asked == {"remote_port": 1234}


def test_p1_a_server_that_knew_better_gets_no_secret(lab, echo):
    """Who has server.key can pose as an old server, but not to a client that has met the real one: in the same run, in
    the next one, and until the person says otherwise. The fallback of a first contact is one warning."""
    real, w = listener(lab, alpn=False)
    known = {"XDG_STATE_HOME": str(lab.path / "known")}

    def refused(client):
        with w.accept() as c:
            assert SECRET.encode() not in c.wait_closed(PATIENCE)
        client.match("knew gotunnel/2 before.*-legacy allow")

    with w, Cutter(real.port) as link:
        client = lab.client(link.port, echo.port, ca=real.ca, env=known, flags=("-resume-window", "0"))
        link.target = w.port
        link.reset()
        refused(client)
        client.kill()
        refused(lab.client(w.port, 1, ca=real.ca, ready=False, env={**known, "LC_ALL": "C"}))
        for flags, env, warned in ((("-legacy", "allow"), known, 0), ((), {"XDG_STATE_HOME": str(lab.path / "new")}, 1)):
            client = lab.client(w.port, 1, ca=real.ca, ready=False, remote_port=1234, flags=flags, env=env)
            c, _ = w.serve(SECRET)
            with c:
                log = client.wait_log("the server listens on [::]:")  # the answer, which is behind the secret
                assert log.count("the secret itself is sent to it") == warned, log
            client.kill()


def test_p1_legacy_never_keeps_the_secret_from_an_old_server(lab):
    real, w = listener(lab, alpn=False)
    with w:
        client = lab.client(w.port, 1, ca=real.ca, ready=False, flags=("-legacy", "never"))
        with w.accept() as c:
            assert SECRET.encode() not in c.wait_closed(PATIENCE)
        client.wait_log("-legacy never")


def test_p1_legacy_never_refuses_an_old_client(lab):
    server = lab.server(flags=("-legacy", "never"))
    try:
        with dial(server, alpn=False) as c:
            c.send(SECRET.encode() + b"\n")
            assert b"OK" not in c.wait_closed(PATIENCE)
    except OSError:
        pass  # it may not even finish the handshake
    server.wait_log("-legacy never")


@pytest.mark.parametrize("who", ["server", "client"])
def test_p1_legacy_never_between_two_of_ours(lab, echo, who):
    flags = ("-legacy", "never")
    server = lab.server(flags=flags if who == "server" else ())
    client = lab.client(server, echo.port, flags=flags if who == "client" else ())
    with connect(client.port) as s:
        s.sendall(b"x")
        assert s.recv(1) == b"x"


@pytest.mark.parametrize("go", ["go16", "go57"])
@pytest.mark.parametrize("ours", ["server", "client"])
def test_p1_legacy_never_and_the_original(lab, echo, go, ours):
    """Refused, with words, and nothing is forwarded."""
    never = ("-legacy", "never")
    server = lab.server(flags=never) if ours == "server" else lab.server(impl=go)
    client = lab.client(server, echo.port, impl=go if ours == "server" else "c", ready=False,
                        flags=never if ours == "client" else ())
    (server if ours == "server" else client).wait_log("-legacy never")


def test_p2_a_short_secret_stays_on_the_legacy_wire_and_says_so(lab, echo):
    server = lab.server(secret=SHORT)
    with dial(server) as c:
        assert cuts.agreed(c) is None
    client = lab.client(server, echo.port)
    for p in (server, client):
        p.wait_count("gotunnel genkey", 1)
    with connect(client.port) as s:
        s.sendall(b"x")
        assert s.recv(1) == b"x"


def test_p2_a_short_secret_towards_a_known_server_is_called_short(lab, echo):
    """The server has not changed: nobody poses as it, and the advice is a longer secret."""
    known = {"XDG_STATE_HOME": str(lab.path / "known")}
    server = lab.server()
    lab.client(server, echo.port, env=known).kill()
    client = lab.client(server, echo.port, env=known, secret=SHORT, ready=False)
    client.wait_log("too short for gotunnel/2")
    assert "pose as it" not in client.log()


@pytest.mark.parametrize("language,says", [("C", "this server takes gotunnel/2 only"), ("zh_CN.UTF-8", "该服务端只支持 gotunnel/2")])
def test_p2_a_short_secret_towards_a_server_of_gotunnel2_only_is_called_short(lab, language, says):
    """In the user's language; the secret is not called wrong, which nobody has looked at."""
    server = lab.server(flags=("-legacy", "never"))
    client = lab.client(server, 1, secret=SHORT, ready=False, env={"LC_ALL": language})
    client.wait_log(says)
    assert "genkey" in client.log()
    for word in ("ERROR", "speaks", "is not the server's", "与服务端"):
        assert word not in client.log()


@pytest.mark.parametrize("mode", ["server", "client"])
def test_p2_a_short_secret_and_legacy_never_is_an_error(lab, mode):
    how = ("-listen", "127.0.0.1:0") if mode == "server" else ("-server", "127.0.0.1:1")
    done = lab.run(mode, "-secret", SHORT, "-legacy", "never", *how)
    assert done.returncode == 2
    assert "16" in done.stderr and "gotunnel genkey" in done.stderr


def test_p2_genkey_makes_a_secret_that_is_long_enough(lab, echo):
    keys = [lab.run("genkey").stdout.strip() for _ in range(2)]
    assert keys[0] != keys[1] and all(len(k) >= 32 for k in keys)
    server = lab.server(secret=keys[0], flags=("-legacy", "never"))
    client = lab.client(server, echo.port)
    with connect(client.port) as s:
        s.sendall(b"x")
        assert s.recv(1) == b"x"


# ---- proof ----


class Middle:
    """A man in the middle with the server's own certificate: he decrypts, looks, and passes on."""

    def __init__(self, lab):
        self.real, self.listener = listener(lab)
        self.heard = {"client": b"", "server": b""}
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                near = self.listener.accept()
                far = dial(self.real)
            except OSError:
                return
            for name, a, b in (("client", near, far), ("server", far, near)):
                threading.Thread(target=self._carry, args=(name, a, b), daemon=True).start()

    def _carry(self, name, source, sink):
        try:
            while part := source.sock.recv(65536):
                self.heard[name] += part
                sink.send(part)
        except OSError:
            pass
        for w in (source, sink):
            with contextlib.suppress(OSError):  # the other direction has done it
                w.abort()


def test_p2_a_man_in_the_middle_learns_nothing_and_gets_nowhere(lab, echo):
    middle = Middle(lab)
    port = cuts.free_port()
    lab.client(middle.listener.port, echo.port, ca=middle.real.ca, ready=False, remote_port=port)
    wait_for("the client's line", lambda: b"\n" in middle.heard["client"])
    middle.real.wait_log("wrong")
    wait_for("the answer", lambda: b"\n" in middle.heard["server"])
    time.sleep(1)
    assert SECRET.encode() not in middle.heard["client"] + middle.heard["server"]
    answer = json.loads(middle.heard["server"].splitlines()[0])
    assert answer["ok"] is False and "mac" not in answer
    assert not cuts.accepts(port)
    middle.listener.close()


def test_p2_the_server_proves_itself_too(lab):
    """One that has the certificate and not the secret is not believed, whatever it says."""
    real, w = listener(lab)
    with w:
        client = lab.client(w.port, 1, ca=real.ca, ready=False)
        with w.accept() as c:
            c.line()
            c.send(json.dumps({"v": 2, "ok": True, "sid": os.urandom(16).hex(), "ns": os.urandom(16).hex(),
                               "window_ms": 60000, "address": "0.0.0.0:1", "port": 1,
                               "mac": os.urandom(32).hex()}).encode() + b"\n")
            assert c.wait_closed(PATIENCE) == b""
        assert "tunnel is up" not in client.wait_log("retrying in")


def test_p2_a_wrong_secret_is_said(lab, server):
    client = lab.client(server, 1, secret="another-secret-that-is-long", ready=False)
    client.wait_log("authentication failed")
    assert "tunnel is up" not in client.wait_log("retrying in")


@pytest.mark.parametrize("line", [
    b"\n", b"{}\n", b'{"v":2}\n', b'{"v":3,"op":"open"}\n', b"x" * 5000, b'{"v":2,"op":"open","id":"' + b"a" * 4100,
    b"[" * 2000 + b"\n", b'{"v":2,"op":"resume"}\n', SECRET.encode() + b"\n"], ids=range(9))
def test_p2_lines_that_are_no_hello_get_nothing(lab, server, line):
    with dial(server) as c:
        c.send(line)
        got = c.wait_closed(PATIENCE)
        assert b'"ok":true' not in got and b"mac" not in got
    with dial(server) as c:  # and the next one is heard
        assert cuts.agreed(c) == ALPN


# ---- ends ----


def test_p3_printf_into_nc_gets_the_whole_answer(lab):
    """nc -N half-closes when its input ends; the answer comes after that."""
    def answer(s):
        s.sendall(pattern("answer:" + read_all(s).decode(), 3_000_000))

    with services.Service(answer) as service:
        _, client = pair(lab, service.port)
        nc = tool("nc", "netcat-openbsd")
        got = subprocess.run(f"printf request | {nc} -N 127.0.0.1 {client.port}", shell=True, capture_output=True,
                             timeout=60).stdout
        assert got == pattern("answer:request", 3_000_000)


def test_p3_a_service_that_has_said_all_still_listens(lab):
    data = pattern("after the end", 2_000_000)

    def say_then_hear(s):
        s.sendall(b"all I say")
        s.shutdown(socket.SHUT_WR)
        return read_all(s) == data

    with services.Service(say_then_hear) as service:
        _, client = pair(lab, service.port)
        with connect(client.port) as s:
            assert read_all(s) == b"all I say"
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            wait_for("the service to have heard", lambda: service.results)
        assert service.results == [True] and not service.errors


def test_p3_ends_that_cross(lab):
    def cross(s):
        s.shutdown(socket.SHUT_WR)
        return read_all(s) == b"bye"

    with services.Service(cross) as service:
        _, client = pair(lab, service.port)
        for _ in range(50):
            with connect(client.port) as s:
                s.sendall(b"bye")
                s.shutdown(socket.SHUT_WR)
                assert read_all(s) == b""
        wait_for("the service", lambda: len(service.results) == 50)
        assert all(service.results)


def read_until_broken(s):
    """(bytes, how it ended)."""
    n = 0
    try:
        while part := s.recv(1 << 16):
            n += len(part)
        return n, "eof"
    except ConnectionResetError:
        return n, "reset"


@pytest.mark.parametrize("who", ["service", "client", "server"])
def test_p3_a_truncated_download_never_looks_complete(lab, who):
    gate = threading.Event()

    def half(s):
        s.recv(1)
        s.sendall(pattern("half", 300000))
        gate.wait(30)
        reset(s)

    with services.Service(half) as service:
        server, client = pair(lab, service.port, "-resume-window", "1s")
        with connect(client.port) as s:
            s.sendall(b"x")
            s.settimeout(60)
            wait_for("the download to run", lambda: s.recv(1000, socket.MSG_PEEK))
            {"service": gate.set, "client": client.kill, "server": server.kill}[who]()
            assert read_until_broken(s)[1] == "reset"
        gate.set()


def test_p3_a_user_s_reset_arrives_as_one(lab):
    arrived = threading.Event()

    def takes_five(s):
        n = len(read_exactly(s, 5))
        arrived.set()
        more, how = read_until_broken(s)
        return n + more, how

    with services.Service(takes_five) as service:
        _, client = pair(lab, service.port)
        s = connect(client.port)
        s.sendall(b"12345")
        assert arrived.wait(PATIENCE)
        reset(s)
        wait_for("its end", lambda: service.results)
        assert service.results == [(5, "reset")]


def test_p3_a_refused_target_is_a_reset(lab):
    server, client = pair(lab, cuts.free_port())
    with pytest.raises(ConnectionResetError), connect(client.port) as s:  # maybe while it connects
        s.settimeout(PATIENCE)
        s.recv(1)
    client.wait_log("refused")


def test_p3_a_target_that_does_not_answer_is_a_reset(lab):
    """Its backlog is full: connecting takes for ever, and is given up."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(3)]
        for s in waiting:
            s.setblocking(False)
            s.connect_ex(("127.0.0.1", port))
        _, client = pair(lab, port)
        with connect(client.port, 90) as s:
            s.sendall(b"anybody?")
            assert read_until_broken(s) == (0, "reset")
        for s in waiting:
            s.close()
