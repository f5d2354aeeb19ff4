# SPDX-License-Identifier: MIT
"""What becomes of the log, and of the tunnels, when stderr does not take it: full pipes, disks, closed descriptors."""

import os
import re
import socket
import subprocess
import threading
import time

import pytest

from lib import services
from lib.procs import PATIENCE, PROGRAM, SECRET, rest, wait_for
from lib.services import connect, free_port, read_exactly
from lib.stuck import Stuck, lines_of

LOST = re.compile(r"(\d+) lines of the log were lost: nothing took them")
USERS = 400  # each is a debug line of 60 bytes and more at the server, and two at its end


def use(port, n):
    for _ in range(n):
        with connect(port, PATIENCE) as s:
            s.sendall(b"ping")
            assert read_exactly(s, 4) == b"ping"


def start_server(lab, port, **how):
    return Stuck(lab, "server", "-secret", SECRET, "-listen", f"127.0.0.1:{port}", "-log-level", "debug",
                 "-threads", 2, **how)


def wait_listening(port):
    def check():
        try:
            connect(port).close()
            return True
        except OSError:
            return False
    wait_for("the server to listen", check)


@pytest.mark.parametrize("nonblocking", [False, True], ids=["blocking", "nonblocking"])
def test_a_server_serves_on_and_says_later_what_was_lost(lab, echo, nonblocking):
    port = free_port()
    with start_server(lab, port, nonblocking=nonblocking) as server:
        wait_listening(port)
        client = lab.client(port, echo.port, ca=lab.path / "certs/ca.crt")
        strangers = 0
        while strangers < 8:  # enough debug lines to fill the pipe, and the queue behind it
            services.in_threads([lambda: use(client.port, USERS)] * 2)
            strangers += 1
        wait_for("the pipe to be full", server.is_stuck)
        server.stop()  # ends, though nobody reads
        assert server.popen.wait(PATIENCE) == 0
        log = server.read_all()
    lines_of(log[:log.rfind("\n") + 1])
    numbers = [int(n) for n in re.findall(r"user 127\.0\.0\.1:(\d+) connected", log)]
    assert numbers  # in order as far as it goes; how far is the pipe's and the queue's business


def test_what_was_lost_is_counted(lab, echo):
    """Every line is either there or counted: each user is exactly two lines at the server, coming and going."""
    port = free_port()
    with start_server(lab, port) as server:
        wait_listening(port)
        client = lab.client(port, echo.port, ca=lab.path / "certs/ca.crt")
        users = 0
        while users < 6000:
            services.in_threads([lambda: use(client.port, 1000)] * 2)
            users += 2000
        got = []
        reader = threading.Thread(target=server.read_into, args=(got,))
        reader.start()
        wait_for("the queue to be empty", lambda: LOST.search(b"".join(got).decode(errors="replace")))
        use(client.port, 1)
        server.stop()
        server.popen.wait(PATIENCE)
        reader.join(PATIENCE)
    log = b"".join(got).decode()
    lines_of(log)
    lost = [int(n) for n in LOST.findall(log)]
    assert len(lost) == 1  # one line
    there = log.count(" connected\n") + log.count("] connection ")
    assert there + lost[0] == 2 * (users + 1) and lost[0] > 0
    assert "session ended: " in "".join(log.splitlines()[-2:])  # the last lines came too


def test_a_client_serves_on(lab, echo):
    """Its lines are few: the pipe is full from the beginning."""
    server, port = lab.server(), free_port()
    client = Stuck(lab, "client", "-server", f"127.0.0.1:{server.port}", "-secret", SECRET, "-ca", server.ca,
                   "-remote-port", port, "-local-target", f"127.0.0.1:{echo.port}", full=True)
    with client:
        wait_listening(port)
        use(port, 20)
        client.stop()
        assert client.popen.wait(PATIENCE) == 0


@pytest.mark.parametrize("args,status", [
    (("server", "-secret", SECRET, "-certs", "/dev/null/no"), 1),
    (("server",), 1), (("client", "-nonsense"), 2), (("server", "-h"), 0)], ids=str)
def test_an_error_at_start_does_not_hang(lab, args, status):
    """... on a pipe that is full already, and is not lost on one that is read."""
    start = time.monotonic()
    with Stuck(lab, *args, full=True) as stuck:
        assert stuck.popen.wait(PATIENCE) == status
        assert time.monotonic() - start >= 1  # it has waited, within reason
    done = lab.run(*args)
    assert done.returncode == status and done.stderr.endswith("\n")


def test_what_waits_is_written_at_the_end(lab, echo):
    """... as long as somebody reads: the queue holds all of this, the pipe a part."""
    port = free_port()
    with start_server(lab, port) as server:
        wait_listening(port)
        client = lab.client(port, echo.port, ca=lab.path / "certs/ca.crt")
        use(client.port, 500)
        wait_for("the pipe to be full", server.is_stuck)
        server.stop()
        log = server.read_all()
        assert server.popen.wait(PATIENCE) == 0
    assert len(re.findall(r"user 127\.0\.0\.1:\d+ connected", log)) == 500
    assert "session ended: " in "".join(lines_of(log)[-2:]) and not LOST.search(log)


@pytest.mark.parametrize("redirect", ["2>/dev/full", "2>&-", "2>&- >&- <&-", "2> >(true)"], ids=str)
def test_a_log_that_nothing_takes(lab, echo, redirect):
    """A full disk, no stderr at all, a reader that has gone. Nothing else gets its lines either."""
    port, public = free_port(), free_port()
    gone = tuple(("bash", "-c", f'exec "$@" {redirect}', "sh"))
    server = lab.start("server", *gone, PROGRAM, "server", "-secret", SECRET, "-listen", f"127.0.0.1:{port}")
    wait_listening(port)
    server.ours = True  # and must end with 0
    client = lab.start("client", *gone, PROGRAM, "client", "-server", f"127.0.0.1:{port}", "-secret", SECRET, "-ca",
                       lab.path / "certs/ca.crt", "-remote-port", public, "-local-target", f"127.0.0.1:{echo.port}")
    client.ours = True
    wait_listening(public)
    use(public, 20)
    for p in (server, client):
        assert "socket:" not in os.readlink(f"/proc/{p.pid}/fd/2")


def test_a_disk_that_has_room_again(lab, echo):
    """What a full disk has not taken is counted, too."""
    port = free_port()
    place = lab.path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", place], capture_output=True).returncode:
        pytest.skip("needs the right to mount")
    try:
        filler = place / "filler"
        with open(place / "log", "wb") as log:
            p = subprocess.Popen([PROGRAM, "server", "-secret", SECRET, "-listen", f"127.0.0.1:{port}", "-log-level",
                                  "debug"], cwd=lab.path, stderr=log, stdout=subprocess.DEVNULL,
                                 env={**os.environ, "LC_ALL": "C.UTF-8"})
        try:
            wait_listening(port)
            with open(filler, "wb", buffering=0) as f, pytest.raises(OSError):
                while True:
                    f.write(b"x" * 512)
            client = lab.client(port, echo.port, ca=lab.path / "certs/ca.crt")
            use(client.port, 200)
            filler.unlink()
            use(client.port, 1)
            wait_for("the count", lambda: LOST.search((place / "log").read_text()))
        finally:
            rest(p)
            p.terminate()
            assert p.wait(PATIENCE) == 0
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def test_a_stdout_that_nobody_reads_does_not_keep_a_server_from_serving(lab, echo):
    port = free_port()
    server = Stuck(lab, "server", "-secret", SECRET, "-listen", f"127.0.0.1:{port}", stream="stdout", full=True)
    with server:
        wait_listening(port)
        client = lab.client(port, echo.port, ca=lab.path / "certs/ca.crt")
        use(client.port, 5)
        text = b""
        while b"remote-port 8080" not in text:  # and whoever reads gets all of it
            text += os.read(server.read_end, 65536)
        assert b"BEGIN CERTIFICATE" in text
        server.stop()
        assert server.popen.wait(PATIENCE) == 0


def test_a_stdout_that_nobody_reads_does_not_keep_it_from_ending(lab):
    port = free_port()
    with Stuck(lab, "server", "-secret", SECRET, "-listen", f"127.0.0.1:{port}", stream="stdout", full=True) as server:
        wait_listening(port)
        server.stop()
        assert server.popen.wait(PATIENCE) == 0
