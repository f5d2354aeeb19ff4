# SPDX-License-Identifier: MIT
"""-wait: what a script has started returns when the tunnel is up, with its address, or ends with the cause."""

import os
import re
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from lib.procs import PATIENCE, PROGRAM, SECRET, wait_for, with_sandbox
from lib.services import free_port, works

UNREACHABLE, REJECTED, CONFIG = 69, 77, 78


def processes(path):
    """Those started by this test: all of them have its CA in their command lines."""
    found = []
    for p in Path("/proc").glob("[0-9]*"):
        try:
            words = (p / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"-wait" in words and any(w.startswith(bytes(path)) for w in words):
            found.append(int(p.name))
    return found


@pytest.fixture
def script(lab):
    """Starts a client as a script would; its stdout is a pipe that the script reads to the end."""
    err = open(lab.path / "wait.err", "wb+")

    def start(server, port, *flags, secret=SECRET, host="127.0.0.1", ca=None, stdout=subprocess.PIPE):
        command = with_sandbox((PROGRAM, "client", "-wait", "-server", f"{host}:{port}", "-secret", secret, "-ca",
                                lab.path / (ca or server.ca), "-remote-port", "0", *map(str, flags)))
        return subprocess.Popen(command, stdout=stdout, stderr=err, stdin=subprocess.DEVNULL, cwd=lab.path, text=True,
                                env={**os.environ, "LC_ALL": "C.UTF-8", "XDG_STATE_HOME": str(lab.path / "state")})

    start.log = lambda: (lab.path / "wait.err").read_text()
    yield start
    for pid in processes(lab.path):
        os.kill(pid, signal.SIGKILL)
    err.close()


def ends(p, lab, status):
    assert p.communicate(timeout=2 * PATIENCE)[0] == "" and p.returncode == status
    wait_for("the second process to be gone", lambda: not processes(lab.path))


@pytest.mark.parametrize("impl,host", [("c", "127.0.0.1"), ("c", "[::1]"), ("go16", "127.0.0.1")])
def test_the_address_is_printed_when_users_are_served(lab, echo, script, impl, host):
    server = lab.server(impl=impl, **({"listen": f"{host}:0"} if impl == "c" else {}))
    flags = ("-remote-port", free_port()) if impl == "go16" else ()
    p = script(server, server.port, "-local-target", f"127.0.0.1:{echo.port}", *flags, host=host)
    out = p.communicate(timeout=2 * PATIENCE)[0]  # to the end of the file: nobody else has it
    assert p.returncode == 0, script.log()
    address, port = re.fullmatch(r"(\S+):(\d+)\n", out).groups()
    assert address == host and works(int(port))
    pid, = processes(lab.path)
    assert f"going on in the background as process {pid}: SIGTERM ends it\n" in script.log()
    assert os.getsid(pid) == pid != os.getsid(0)
    assert [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in (0, 1)] == ["/dev/null"] * 2
    assert os.readlink(f"/proc/{pid}/fd/2") == str(lab.path / "wait.err")
    os.kill(pid, signal.SIGTERM)
    wait_for("its end", lambda: not processes(lab.path))
    wait_for("its port to be closed", lambda: not works(int(port), 1))


def test_what_fails_has_its_status_and_leaves_nothing(lab, server, script):
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        ends(script(server, free_port()), lab, UNREACHABLE)
        ends(script(server, server.port, secret="not the secret of that server"), lab, REJECTED)
        ends(script(server, server.port, "-remote-port", taken), lab, REJECTED)
        ends(script(server, server.port, ca="missing.crt"), lab, CONFIG)
        ends(script(server, server.port, "-drain", "soon"), lab, CONFIG)
    assert "trying again" not in script.log()


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_both(lab, server, script, signum):
    """While nothing is known yet: somebody listens and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        p = script(server, silent.getsockname()[1])
        connection = silent.accept()[0]
        assert len(processes(lab.path)) == 2
        p.send_signal(signum)
        ends(p, lab, -signum)
        connection.close()
    assert "stopping" in script.log() and "the first attempt has failed" not in script.log()


def test_nobody_waits_any_more(lab, server, echo, script):
    """The first process is killed, or nobody reads what it prints: no tunnel stays behind that nobody knows of."""
    server.kill(signal.SIGSTOP)
    p = script(server, server.port)
    wait_for("both processes", lambda: len(processes(lab.path)) == 2)
    p.kill()
    p.communicate()
    server.kill(signal.SIGCONT)
    wait_for("the second process to be gone", lambda: not processes(lab.path))
    read, write = os.pipe()
    os.close(read)
    p = script(server, server.port, stdout=write)
    os.close(write)
    assert p.wait(2 * PATIENCE) == 1
    wait_for("the second process to be gone", lambda: not processes(lab.path))


def test_several_tunnels_are_a_line_each(lab, echo, script):
    """In their order, and "-" for one that is refused: so a script knows which is which."""
    server = lab.server(flags=("-allow-ports", "0"))
    target = f"127.0.0.1:{echo.port}"
    command = with_sandbox((PROGRAM, "client", "-server", f"127.0.0.1:{server.port}", "-secret", SECRET, "-ca", server.ca, "-wait",
                            "-forward", f"a=0={target}", "-forward", f"b=80={target}", "-forward", f"c=0={target}"))
    with open(lab.path / "wait.err", "w") as err:
        p = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=err, stdin=subprocess.DEVNULL, cwd=lab.path, text=True,
                             env={**os.environ, "LC_ALL": "C.UTF-8", "XDG_STATE_HOME": str(lab.path / "state")})
    a, b, c = p.communicate(timeout=2 * PATIENCE)[0].splitlines()
    assert p.returncode == 0 and b == "-"
    for line in (a, c):
        assert line.startswith("127.0.0.1:") and works(int(line.rpartition(":")[2]))
