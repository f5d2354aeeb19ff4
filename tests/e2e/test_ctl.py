# SPDX-License-Identifier: MIT
"""The control socket, `gotunnel ctl`, and who may ask."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time

import pytest

from lib.procs import PATIENCE, wait_for
from lib.services import connect, read_exactly, works

ROOT = os.geteuid() == 0
STRANGER = 65534
BOTH = pytest.mark.parametrize("who", ["server", "client"])


def place(lab):
    """The path of a socket, in a folder for one."""
    folder = lab.path / "run"
    folder.mkdir(exist_ok=True, mode=0o755)
    return folder / "control"


def tunnel(lab, target, who, flags=(), **how):
    """A tunnel, one end of which has a control socket. (tunnel, that end, the socket's path)"""
    path = place(lab)
    given = {"server": (), "client": ()} | {who: ("-control", path, *flags)}
    server = lab.server(flags=given["server"], **how)
    client = lab.client(server, target, flags=given["client"], **how)
    end = server if who == "server" else client
    end.wait_log(f"control socket: {path}")
    return client, end, path


def ask(path, text, shut=False, timeout=PATIENCE):
    """What comes back for these bytes, until the end."""
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(path))  # waits where the kernel's queue is full
        s.settimeout(timeout)
        s.sendall(text)
        if shut:
            s.shutdown(socket.SHUT_WR)
        answer = b""
        try:
            while part := s.recv(65536):
                answer += part
        except ConnectionResetError:
            pass  # behind the answer, where more was said than read
        return answer


@BOTH
def test_commands_and_their_exit_statuses(lab, echo, who):
    client, end, path = tunnel(lab, echo.port, who)
    assert stat.S_IMODE(path.stat().st_mode) == 0o660 and stat.S_ISSOCK(path.stat().st_mode)

    def ctl(*words):
        done = lab.run("ctl", "-control", path, *words)
        return done.returncode, done.stdout, done.stderr

    assert ctl("ping") == (0, f"it answers, as process {end.pid}\n", "")
    status, out, _ = ctl("-json", "version")
    answer = json.loads(out)
    assert status == 0 and answer["mode"] == who and answer["ok"] is True and answer["pid"] == end.pid
    assert ctl("version")[1] == f"gotunnel {who} {answer['version']}\n"
    assert ctl("reload") == (0, "nothing to change\n", "")
    assert ctl("log-level", "debug")[0] == 0
    end.kill(signal.SIGUSR2)
    end.wait_log("SIGUSR2 means nothing")  # a line of the debug log
    assert ctl("log-level", "loud")[0] == 1 and "error, warn, info or debug" in ctl("log-level", "loud")[2]
    for words in ((), ("pong",), ("ping", "pong"), ("log-level",), ("-x", "ping")):
        assert ctl(*words)[0] == 2, words
    assert lab.run("ctl", "-h").returncode == 0
    with connect(client.port) as s:
        s.sendall(b"x")
        assert read_exactly(s, 1) == b"x"
        status, out, _ = ctl("drain")
        assert (status, out) == (0, "stopping: connections that may finish: 1, for up to 30 s\n")
        end.wait_log("stopping: 1 connection may finish")
        assert ctl("drain") == (0, "it is stopping already\n", "")
        assert ctl("reload") == (1, "", "error: the program is stopping\n")
        s.sendall(b"y")
        assert read_exactly(s, 1) == b"y"
    assert end.wait() == 0 and not path.exists()
    status, out, err = ctl("ping")
    assert (status, out) == (69, "") and err == f"error: no program answers at {path}\n"


@BOTH
def test_a_reload_is_answered_with_what_came_of_it(lab, echo, who):
    file = lab.path / "conf.yaml"
    file.write_text("drain: 5s\n")
    file.chmod(0o600)
    # The file is the server's or the client's; all else comes from flags.
    _, end, path = tunnel(lab, echo.port, who, flags=("-config", file))
    file.write_text("drain: 6s\nresume-window: 30s\nthreads: 3\n")
    done = lab.run("ctl", "-control", path, "reload")
    waits = "" if who == "server" and "-threads" in end.command else "'threads' takes effect at the next start\n"
    assert (done.returncode, done.stdout) == (0, f"{waits}changed: drain\nchanged: resume-window\n"), done.stderr
    file.write_text("drain: 6\nresume-windw: 30s\n")
    done = lab.run("ctl", "-control", path, "reload")
    lines = done.stderr.splitlines()
    assert done.returncode == 1 and len(lines) == 2 and f"{file}:1:8: drain" in lines[0] and "resume-window" in lines[1]
    assert end.wait_log(f"{file}:2:1: ").count(": the running configuration stays\n") == 2
    lines = lab.run("ctl", "-json", "-control", path, "reload").stdout.splitlines()
    assert [json.loads(line).get("ok") for line in lines] == [None, False]


def test_who_asks_finds_it_where_a_service_manager_put_it(lab, echo):
    path = place(lab)
    env = {"RUNTIME_DIRECTORY": str(path.parent)}
    server = lab.server(env=env)
    server.wait_log(f"control socket: {path}")
    assert lab.run("ctl", "ping", env=env).stdout == f"it answers, as process {server.pid}\n"
    # Another program in the same folder goes without, as nobody has asked for it.
    other = lab.server(env=env)
    other.wait_log(f"there is no control socket: another program answers at {path}")
    assert other.stop() == [] and path.exists()
    assert lab.run("ctl", "ping", env=env).returncode == 0


def test_a_dead_one_is_replaced_and_a_live_one_is_not(lab):
    path = place(lab)
    first = lab.server(flags=("-control", path))
    first.wait_log("control socket: ")
    done = lab.run("server", "-secret", "s" * 20, "-listen", "127.0.0.1:0", "-control", path)
    assert done.returncode == 1 and f"cannot make the control socket: another program answers at {path}" in done.stderr
    assert lab.run("ctl", "-control", path, "ping").returncode == 0
    first.kill()
    assert path.exists()
    second = lab.server(flags=("-control", path))
    second.wait_log("control socket: ")
    assert lab.run("ctl", "-control", path, "ping").stdout == f"it answers, as process {second.pid}\n"
    assert second.stop() == [] and not path.exists()


def test_where_it_may_not_be(lab):
    path = place(lab)
    plain = path.parent / "plain"
    plain.write_text("kept")
    shared = lab.path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    for where, why in ((plain, "is there, and is no socket"), (shared / "control", "everybody may write in"),
                       (lab.path / "none/control", "No such file or directory"),
                       (path.parent / ("x" * 120), "has more than 107 bytes")):
        done = lab.run("server", "-secret", "s" * 20, "-listen", "127.0.0.1:0", "-control", where)
        assert done.returncode == 1 and why in done.stderr.splitlines()[-1], done.stderr
    assert plain.read_text() == "kept" and list(shared.iterdir()) == []


@pytest.mark.patient
@BOTH
def test_garbage_and_half_lines(lab, echo, who):
    client, end, path = tunnel(lab, echo.port, who)
    for text, why in ((b"\n", "no object"), (b"GET / HTTP/1.1\r\n\r\n", "no object"), (b"\x00\xff\n", "no object"),
                      (b'{"command":"ping","x":1}\n', "no argument"), (b'{"command":"pong"}\n', "no command 'pong'"),
                      (b"[" * 4000 + b"\n", "no object"), (b"x" * 4096, "at most 4096 bytes"),
                      (b"x" * 100000, "at most 4096 bytes")):
        answer = json.loads(ask(path, text))
        assert answer["ok"] is False and why in answer["error"], answer
    assert ask(path, b"", shut=True) == ask(path, b'{"command":"drain"', shut=True) == b""
    began = time.monotonic()
    assert ask(path, b'{"command":"drain"') == b"" and time.monotonic() - began > 3  # and is given up in the end
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(path))
        for byte in b'{"command":"ping"}\n':
            s.sendall(bytes([byte]))
        assert json.loads(s.recv(4096)) == {"pid": end.pid, "ok": True}
    assert works(client.port)


def test_a_thousand_connections_at_once(lab, echo):
    """Who is not served yet waits; who says nothing has his place for seconds; users notice nothing."""
    client, server, path = tunnel(lab, echo.port, "server")
    before = server.sockets() if ROOT else None
    crowd = []
    with connect(client.port) as user:
        for _ in range(1000):
            s = socket.socket(socket.AF_UNIX)
            s.setblocking(False)
            try:
                s.connect(str(path))
            except BlockingIOError:  # the kernel holds no more
                s.close()
                continue
            crowd.append(s)
        assert len(crowd) > 16
        user.sendall(b"x")
        assert read_exactly(user, 1) == b"x"
        if ROOT:
            wait_for("16 of them to be served", lambda: server.sockets() >= before + 17)
            server.kill(signal.SIGUSR1)
            server.wait_log("status: 1 session,")  # its loop has turned
            assert server.sockets() <= before + 17 + 1
        for s in crowd:
            s.close()
        assert json.loads(ask(path, b'{"command":"ping"}\n'))["ok"] is True
        user.sendall(b"y")
        assert read_exactly(user, 1) == b"y"
    if ROOT:
        wait_for("all to be closed", lambda: server.sockets() <= before)


AS_ANOTHER = """
import os, socket, sys
os.setgroups([]); os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[2]))
s = socket.socket(socket.AF_UNIX)
s.settimeout(60)
try:
    s.connect(sys.argv[1])
except PermissionError:
    sys.exit("the file's mode")
answer = b""
try:
    s.sendall(b'{"command":"ping"}\\n')
except BrokenPipeError:
    pass  # it is refused before it has asked
try:
    while part := s.recv(4096):
        answer += part
except ConnectionResetError:
    pass
print(answer.decode())
"""


@pytest.mark.skipif(not ROOT, reason="being somebody else needs root")
def test_another_user_is_refused_with_one_line(lab, tmp_path_factory):
    """By the file's mode, and where that lets him in by who he is."""
    top = tmp_path_factory.mktemp("everybody")
    for folder in (top, *top.parents):
        if folder.stat().st_mode & 0o001 == 0 and folder.stat().st_uid == 0 and len(folder.parts) > 2:
            folder.chmod(folder.stat().st_mode | 0o011)
    path = top / "control"
    server = lab.server(flags=("-control", path))
    server.wait_log("control socket: ")

    def other():
        return subprocess.run([sys.executable, "-c", AS_ANOTHER, path, str(STRANGER)], capture_output=True, text=True,
                              timeout=60, cwd="/")

    assert "the file's mode" in other().stderr
    path.chmod(0o666)
    done = other()
    assert json.loads(done.stdout) == {"error": "only root and the user of this program may ask", "ok": False}, done
    server.wait_count(f"control socket: user {STRANGER} may not ask", 1)
    assert lab.run("ctl", "-control", path, "ping").returncode == 0


@pytest.mark.skipif(not ROOT, reason="being somebody else needs root")
def test_root_that_becomes_another_gives_it_away(lab, echo, tmp_path_factory):
    """The owner of the state is who the program becomes in its cage; he may ask, and so may root."""
    (lab.path / "certs").mkdir(mode=0o700)
    os.chown(lab.path / "certs", STRANGER, STRANGER)
    path = place(lab)
    server = lab.server(flags=("-control", path))
    server.wait_log("control socket: ")
    if f"uid {STRANGER}" not in server.log():
        pytest.skip("there is no cage here, and nobody to become")
    assert path.stat().st_uid == STRANGER
    assert lab.run("ctl", "-control", path, "ping").returncode == 0
    assert server.stop() == []
    assert lab.run("ctl", "-control", path, "ping").returncode == 69
    lab.server(flags=("-control", path)).wait_log("control socket: ")  # what he could not remove is replaced


def test_in_the_other_language(lab):
    path = place(lab)
    server = lab.server(flags=("-control", path), env={"LC_ALL": "zh_CN.UTF-8", "LANGUAGE": "zh_CN"})
    server.wait_log("控制套接字")
    zh = {"LC_ALL": "zh_CN.UTF-8", "LANGUAGE": "zh_CN"}
    done = lab.run("ctl", "-control", path, "reload", env=zh)
    assert done.stdout == "没有需要更新的内容\n", done
    assert lab.run("ctl", "-control", path, "ping").stdout.startswith("it answers")  # whoever asks has his own
