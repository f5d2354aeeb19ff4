# SPDX-License-Identifier: MIT
"""Users of a public port who connect and reset as fast as they can, or never say anything: others are served rightly, the
client's dials are bounded, and everything comes back."""

import socket
import threading
import time

import pytest

from lib import services
from lib.procs import RELEASE_ONLY, wait_for
from lib.services import connect, pattern, read_exactly, reset

pytestmark = pytest.mark.patient
SECONDS = 4
DIALS = 128  # an eighth of 1,024 descriptors (proto/account.h)


class Few:
    """A service whose kernel takes one connection that is not accepted: further dials stay under way."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1)
        self.port = self.listener.getsockname()[1]

    def accept(self):
        self.listener.settimeout(services.TIMEOUT)
        s, _ = self.listener.accept()
        s.settimeout(services.TIMEOUT)
        return s


def resets(port, until, counts):
    n = 0
    while time.monotonic() < until:
        reset(connect(port))
        n += 1
    counts.append(n)


def test_rapid_resets_bound_the_dials_and_leave_others_alone(lab):
    service, counts = Few(), []
    server = lab.server()
    client = lab.client(server, service.port, wrapper=("prlimit", "--nofile=1024:1024"))
    user = connect(client.port)
    user.settimeout(services.TIMEOUT)
    there = service.accept()
    before = {p: p.fds() for p in (server, client)}
    until = time.monotonic() + SECONDS
    floods = [threading.Thread(target=resets, args=(client.port, until, counts)) for _ in range(2)]
    for t in floods:
        t.start()
    most, rounds = 0, 0
    while time.monotonic() < until:
        data = pattern(20000, rounds)
        user.sendall(data)
        assert read_exactly(there, len(data)) == data
        most, rounds = max(most, client.fds()), rounds + 1
    for t in floods:
        t.join()
    assert sum(counts) > 20 and rounds > 3
    assert most <= before[client] + 2 * DIALS + 8  # each may have a second socket
    service.listener.close()
    for p, fds in before.items():
        wait_for("descriptors to be back", lambda p=p, fds=fds: p.fds() <= fds)
    there.sendall(b"still here")
    assert read_exactly(user, 10) == b"still here"
    user.close()
    there.close()


@RELEASE_ONLY
def test_silent_and_slow_users_give_everything_back(lab, echo):
    """Users who never write, who are half closed, who write a byte at a time: descriptors and memory return."""
    t = lab.tunnel(echo.port)
    warm = [connect(t.port) for _ in range(300)]
    for s in warm:
        s.sendall(b"x")
        read_exactly(s, 1)
    for s in warm:
        s.close()
    both = (t.server, t.client)
    wait_for("the first ones to leave", lambda: all(p.fds() < 60 for p in both))
    before = {p: (p.fds(), p.status("RssAnon")) for p in both}
    silent, half, slow = ([connect(t.port) for _ in range(300)] for _ in range(3))
    for s in half:
        s.shutdown(socket.SHUT_WR)
    for byte in b"abc":
        for s in slow:
            s.sendall(bytes([byte]))
    for s in slow:
        assert read_exactly(s, 3) == b"abc"
    for s in (*silent, *half, *slow):
        s.close()
    for p, (fds, kib) in before.items():
        wait_for("descriptors to be back", lambda p=p, fds=fds: p.fds() <= fds)
        assert p.status("RssAnon") < kib + 2048
