# SPDX-License-Identifier: MIT
"""What signals do to either program: SIGHUP, SIGUSR1, SIGUSR2, a terminal that goes, and -drain."""

import os
import pty
import re
import select
import signal
import socket
import subprocess
import threading
import time

import pytest

from lib.procs import PATIENCE, PROGRAM, SECRET, wait_for
from lib.services import connect, free_port, read_exactly, works

BOTH = pytest.mark.parametrize("who", ["server", "client"])


# ---- signals that must not kill ----


@BOTH
def test_none_of_them_kills(lab, echo, who):
    t = lab.tunnel(echo.port, flags=("-log-level", "debug"))
    p = getattr(t, who)
    with connect(t.port) as s:
        s.sendall(b"x")
        assert s.recv(1) == b"x"  # it has come through
        for signum in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE):
            p.kill(signum)
        p.wait_log("reload: there is no configuration file")
        p.wait_log("status: 1 session, connections: 1 of")
        p.wait_log("SIGUSR2 means nothing")
        s.sendall(b"x")
        assert read_exactly(s, 1) == b"x"
    assert p.alive() and works(t.port)


@BOTH
@pytest.mark.parametrize("signum", [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2], ids=lambda s: s.name)
def test_nor_at_the_start(lab, echo, who, signum):
    """However early: the secret comes from a pipe, so the program stands still where it has just begun."""
    port = free_port()
    if who == "server":
        command = ("server", "-listen", f"127.0.0.1:{port}")
    else:
        command = ("client", "-server", f"127.0.0.1:{lab.server(listen=f'127.0.0.1:{port}').port}", "-ca",
                   lab.path / "certs/ca.crt", "-remote-port", "0", "-local-target", f"127.0.0.1:{echo.port}")
    reader, writer = os.pipe()
    p = lab.start("early", PROGRAM, *command, "-secret-file", "-", stdin=reader)
    os.close(reader)
    mask = 1 << (signum - 1)

    def is_held():
        with open(f"/proc/{p.pid}/status") as f:
            return int(re.search(r"SigBlk:\s+(\w+)", f.read()).group(1), 16) & mask

    wait_for("the signal to be held", is_held)
    p.popen.send_signal(signum)
    os.write(writer, SECRET.encode())
    os.close(writer)
    p.wait_log("the tunnel listens on" if who == "server" else "public port")
    if signum == signal.SIGHUP:
        p.wait_log("there is no configuration file")
    wait_for("the signal to be let through", lambda: not is_held())  # libuv holds all back for moments


# ---- the terminal ----


def in_terminal(lab, command, leader=True, stdin=True, stderr=True, before="", passes_on=True):
    """Starts a command on a terminal of its own. (process, what closes the terminal). Not as its leader: below
    a shell that passes SIGHUP on, as shells do."""
    master, slave = pty.openpty()
    err = lab.path / "terminal.err"
    trap = 'trap "kill -HUP $child" HUP;' if passes_on else ""
    script = f'{before} exec "$@"' if leader else \
        f'{before} exec 3<&0; "$@" <&3 3<&- & child=$!; {trap} wait; wait'
    redirect = ("" if stdin else "</dev/null ") + ("" if stderr else f"2>{err} ")
    p = subprocess.Popen(["setsid", "-c", "sh", "-c", f"exec {redirect}; {script}", "sh", *map(str, command)],
                         stdin=slave, stdout=subprocess.DEVNULL, stderr=slave, cwd=lab.path,
                         env={**os.environ, "LC_ALL": "C.UTF-8"})
    os.close(slave)

    closing = threading.Event()

    def read():  # or it fills. A read that waits would keep the terminal open
        while not closing.is_set():
            if select.select([master], [], [], 0.05)[0]:
                try:
                    os.read(master, 4096)
                except OSError:
                    return

    reader = threading.Thread(target=read, daemon=True)
    reader.start()

    def close():
        closing.set()
        reader.join()
        os.close(master)

    return p, close


def server_command(port):
    return (PROGRAM, "server", "-secret", SECRET, "-listen", f"127.0.0.1:{port}", "-drain", "1m")


def listens(port):
    try:
        connect(port, 5).close()
        return True
    except OSError:
        return False


def pid_of(lab, p):
    """Of our program, p or its child."""
    def find():
        for pid in [p.pid, *map(int, open(f"/proc/{p.pid}/task/{p.pid}/children").read().split())]:
            if os.readlink(f"/proc/{pid}/exe") == str(PROGRAM):
                return pid
        return None
    return wait_for("the program", find)


def is_gone(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def close_and_end(p, pid, close):
    try:
        close()
        wait_for("the program to end", lambda: is_gone(pid))
    finally:
        if not is_gone(pid):
            os.kill(pid, signal.SIGKILL)
        p.wait(10)


@pytest.mark.parametrize("leader", [True, False], ids=["leader", "below-a-shell"])
@pytest.mark.parametrize("stdin,stderr", [(True, True), (True, False), (False, True)], ids=str)
def test_a_lost_terminal_is_a_sigterm(lab, leader, stdin, stderr):
    port = free_port()
    p, close = in_terminal(lab, server_command(port), leader, stdin, stderr)
    wait_for("the server to listen", lambda: listens(port))
    close_and_end(p, pid_of(lab, p), close)
    if not stderr:
        log = (lab.path / "terminal.err").read_text()
        assert "the terminal is gone" in log and log.rstrip().endswith("stopping")


def test_a_lost_terminal_lets_connections_finish(lab, echo):
    port = free_port()
    p, close = in_terminal(lab, server_command(port), stderr=False)
    wait_for("the server to listen", lambda: listens(port))
    pid = pid_of(lab, p)
    client = lab.client(port, echo.port, ca=lab.path / "certs/ca.crt")
    with connect(client.port) as s:
        s.sendall(b"x")
        assert read_exactly(s, 1) == b"x"
        close()
        err = lab.path / "terminal.err"
        wait_for("the drain", lambda: "1 connection may finish, for up to 60 s" in err.read_text())
        os.kill(pid, signal.SIGHUP)  # the shell's, after the kernel's: it is no second request
        time.sleep(0.2)
        s.sendall(b"y")
        assert read_exactly(s, 1) == b"y"
    close_and_end(p, pid, lambda: None)


def test_a_hangup_on_a_terminal_that_lives_on_is_none(lab):
    port = free_port()
    p, close = in_terminal(lab, server_command(port), stderr=False)
    wait_for("the server to listen", lambda: listens(port))
    pid = pid_of(lab, p)
    os.kill(pid, signal.SIGHUP)
    err = lab.path / "terminal.err"
    wait_for("its line", lambda: "there is no configuration file" in err.read_text())
    time.sleep(1.5)  # it looks again after a second
    assert listens(port) and "the terminal is gone" not in err.read_text()
    close_and_end(p, pid, close)


def test_a_terminal_that_goes_a_moment_after_the_signal(lab):
    """As with bash's huponexit: the signal first, and then the shell ends."""
    port = free_port()
    # A job in the background, which the kernel does not tell, below a shell that is told and does not either.
    p, close = in_terminal(lab, server_command(port), leader=False, stderr=False, before="set -m;", passes_on=False)
    wait_for("the server to listen", lambda: listens(port))
    pid = pid_of(lab, p)
    os.kill(pid, signal.SIGHUP)
    err = lab.path / "terminal.err"
    wait_for("its line", lambda: "there is no configuration file" in err.read_text())
    try:
        close()
        wait_for("the program to end", lambda: is_gone(pid))
    finally:
        if not is_gone(pid):
            os.kill(pid, signal.SIGKILL)
        p.kill()
        p.wait(10)
    assert "the terminal is gone" in err.read_text()


@pytest.mark.parametrize("stderr", [True, False], ids=["stderr", "no-stderr"])
def test_what_was_ignored_stays_ignored(lab, echo, stderr):
    """nohup: neither a SIGHUP nor the loss of the terminal ends it."""
    port = free_port()
    p, close = in_terminal(lab, server_command(port), stderr=stderr, before="trap '' HUP;")
    try:
        wait_for("the server to listen", lambda: listens(port))
        os.kill(pid_of(lab, p), signal.SIGHUP)
        close()
        time.sleep(1.5)
        assert p.poll() is None
        assert works(lab.client(port, echo.port, ca=lab.path / "certs/ca.crt").port)
        p.terminate()
        assert p.wait(PATIENCE) == 0
    finally:
        if p.poll() is None:
            p.kill()
            p.wait()


# ---- status ----


def test_status_of_a_server(lab, echo):
    server = lab.server(threads=3)
    clients = [lab.client(server, echo.port, flags=("-id", f"client-{i}")) for i in range(4)]
    with connect(clients[0].port) as a, connect(clients[0].port) as b:
        for s in (a, b):
            s.sendall(b"x")
            assert read_exactly(s, 1) == b"x"
        server.kill(signal.SIGUSR1)
        log = server.wait_log("status: 4 sessions, connections: 2 of at most")
        lines = re.findall(r"status: client (\S+), id (\S+): up, (\d) connections?, \S*:(\d+), "
                           r"\d+ B received, \d+ B sent\n", log)
        assert sorted((i, n, port) for _, i, n, port in lines) == sorted(
            (f"client-{i}", "2" if i == 0 else "0", str(c.port)) for i, c in enumerate(clients))
        assert re.search(r"id client-0: up, .*, 2 B received, 2 B sent\n", log)
        assert re.search(r"status: 4 sessions, .*, 2 B received, 2 B sent\n", log)
        assert log.index("status: 4 sessions") > max(log.index(f"id client-{i}: up") for i in range(4))
    clients[3].kill()
    server.wait_log("its users wait")
    server.kill(signal.SIGUSR1)
    server.wait_log("id client-3: waits for its client to come back, 0 connections", after="4 sessions")


def test_status_is_written_whatever_the_level(lab, echo):
    server = lab.server(flags=("-log-level", "info"))
    quiet = lab.client(server, echo.port, remote_port=free_port(), flags=("-log-level", "error", "-id", "quiet"),
                       ready=False)
    server.wait_log("ready to forward")

    def says(pattern):
        """It is asked until what it answers is so: nothing else that it does can be seen."""
        quiet.kill(signal.SIGUSR1)
        return re.search(pattern, quiet.log())

    wait_for("one that is up", lambda: says(
        rf"status: server 127\.0\.0\.1:{server.port}, id quiet: up, 0 connections, 0 B received, 0 B sent\n.*"
        r"status: 1 session, connections: 0 of at most"), step=0.2)
    server.kill()
    wait_for("one that is not", lambda: says(r"id quiet: (?!up)"), step=0.2)


@BOTH
def test_status_while_stopping_and_many_at_once(lab, echo, who):
    t = lab.tunnel(echo.port)
    p = getattr(t, who)
    with connect(t.port) as s:
        s.sendall(b"x")
        assert read_exactly(s, 1) == b"x"
        for _ in range(200):
            p.popen.send_signal(signal.SIGUSR1)
        p.kill(signal.SIGTERM)
        p.wait_log("1 connection may finish")
        p.kill(signal.SIGUSR1)
        p.wait_log("status: ", after="may finish")
    assert p.wait() == 0


# ---- -drain ----


def open_connection(port):
    s = connect(port)
    s.sendall(b"x")
    assert read_exactly(s, 1) == b"x"
    return s


@BOTH
def test_the_drain_time(lab, echo, who):
    """It ends connections when it is over, and not before; the line says the real time."""
    t = lab.tunnel(echo.port, flags=("-drain", "1.5s"))
    p = getattr(t, who)
    with open_connection(t.port):
        start = time.monotonic()
        p.kill(signal.SIGTERM)
        p.wait_log("1 connection may finish, for up to 1.5 s; a second signal ends now")
        assert p.wait() == 0
        assert time.monotonic() - start >= 1.4


@pytest.mark.patient
@BOTH
def test_both_ends_say_who_was_cut_by_the_end_of_the_drain(lab, echo, who):
    """Whichever clock of the four is the first; and nothing of that kind where all have finished."""
    t = lab.tunnel(echo.port, flags=("-drain", "1s"))
    p, other = getattr(t, who), t.client if who == "server" else t.server
    with open_connection(t.port), open_connection(t.port):
        p.kill(signal.SIGTERM)
        assert p.wait() == 0
        other.wait_log("the time to finish is over: 2 connections were cut")
        assert p.log().count("the time to finish is over: 2 connections were cut") == 1
    t.server.wait_log("session ended: it had stopped, and its connections are over")
    if who == "server":
        t.client.wait_log("the session beside is over: it had stopped, and its connections are over")
    lab2 = lab.tunnel(echo.port, flags=("-drain", "20s"))
    p = getattr(lab2, who)
    with open_connection(lab2.port) as s:
        p.kill(signal.SIGTERM)
        p.wait_log("1 connection may finish")
        s.shutdown(socket.SHUT_WR)
        assert s.recv(1) == b""
        assert p.wait() == 0
    assert lab2.client.stop() + lab2.server.stop() == []
    assert "were cut" not in lab2.server.log() + lab2.client.log()


@BOTH
@pytest.mark.parametrize("drain", ["0", "400ms"])
def test_no_drain(lab, echo, who, drain):
    """Nobody is told of connections that may finish for up to 0 s, at neither end."""
    t = lab.tunnel(echo.port, flags=("-drain", drain))
    p = getattr(t, who)
    with open_connection(t.port):
        p.kill(signal.SIGTERM)
        assert p.wait(20) == 0
    assert t.client.stop() + t.server.stop() == []  # the other one's lines are there, too
    assert "stopping" in p.log() and "up to 0 s" not in t.server.log() + t.client.log()
    if drain == "0":
        assert "may finish" not in t.server.log() + t.client.log()


@BOTH
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT], ids=lambda s: s.name)
def test_it_ends_in_order_however_often_it_is_told(lab, echo, who, signum):
    """Also in the last moments, when nobody acts on signals any more."""
    p = getattr(lab.tunnel(echo.port), who)
    for _ in range(20000):
        p.popen.send_signal(signum)  # polls: nothing is sent to one that has ended
        if not p.alive():
            break
    assert p.wait() == 0


@pytest.mark.parametrize("value,why", [("-1s", "must be a duration from 0 to 10m"), ("10m1s", "from 0 to 10m"),
                                       ("30", "write 30s"), ("x", "from 0 to 10m")])
def test_drain_times_that_are_none(lab, value, why):
    for mode in ("server", "client"):
        done = lab.run(mode, "-drain", value)
        assert done.returncode == 2
        assert f'invalid value "{value}" for flag -drain: ' in done.stderr and why in done.stderr
