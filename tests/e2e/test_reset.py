# SPDX-License-Identifier: MIT
"""A socket that is reset is given up at once at both ends, also where nobody would read it: its peer stands
still, the tunnel is away, the service was not even reached."""

import select
import socket
import time

import pytest

from lib import services
from lib.cutter import Cutter
from lib.procs import wait_for
from lib.services import connect, pattern, read_all, reset
from lib.still import GONE, Still, fill, is_reset

USERS = 5


def given_back(t, pairing="c-c"):
    """What to wait for: each end of ours has as many descriptors as now."""
    server, client = pairing.split("-")
    ours = [p for p, impl in ((t.server, server), (t.client, client)) if impl == "c"]
    before = [p.fds() for p in ours]
    return lambda: wait_for("descriptors to return", lambda: all(p.fds() <= n for p, n in zip(ours, before)), timeout=GONE)


# The original notices nothing while it has no credit: ours is the end that is reset.


@pytest.mark.parametrize("pairing", ["c-c", "c-go16", "c-go57"])
def test_users_are_reset_while_the_service_stands_still(lab, pairing):
    with Still() as still:
        t = lab.tunnel(still.port, pairing)
        all_given_back = given_back(t, pairing)
        users = [connect(t.port) for _ in range(USERS)]
        there = still.accept(USERS)
        fill(users)
        for u in users:
            reset(u)
        all_given_back()
        if pairing == "c-c":  # the old wire has no word for it
            assert all(is_reset(s) for s in there)


@pytest.mark.parametrize("pairing", ["c-c", "go16-c", "go57-c"])
def test_the_service_is_reset_while_users_stand_still(lab, pairing):
    with Still() as still:
        t = lab.tunnel(still.port, pairing)
        all_given_back = given_back(t, pairing)
        users = [connect(t.port) for _ in range(USERS)]
        there = still.accept(USERS)
        fill(there)
        for s in there:
            reset(s)
        still.sockets.clear()
        all_given_back()
        if pairing == "c-c":
            assert all(is_reset(u) for u in users)


def test_both_directions_are_full(lab):
    with Still() as still:
        t = lab.tunnel(still.port)
        all_given_back = given_back(t)
        user = connect(t.port)
        (service,) = still.accept()
        fill([user])
        fill([service])
        reset(user)
        all_given_back()
        assert is_reset(service)


def test_a_user_is_reset_after_its_eof(lab):
    """It has half-closed, takes no answer, and goes."""
    with Still() as still:
        t = lab.tunnel(still.port)
        all_given_back = given_back(t)
        user = connect(t.port)
        (service,) = still.accept()
        user.shutdown(socket.SHUT_WR)
        assert service.recv(1) == b""
        fill([service])
        reset(user)
        all_given_back()
        assert is_reset(service)


def test_a_user_is_reset_after_the_service_s_eof(lab):
    with Still() as still:
        t = lab.tunnel(still.port)
        all_given_back = given_back(t)
        user = connect(t.port)
        (service,) = still.accept()
        service.shutdown(socket.SHUT_WR)
        assert user.recv(1) == b""
        fill([user])
        reset(user)
        all_given_back()
        assert is_reset(service)


@pytest.mark.parametrize("much", [True, False])
def test_a_user_is_reset_while_the_tunnel_is_away(lab, much):
    with Still() as still:
        server = lab.server()
        with Cutter(server.port) as cutter:
            client = lab.client(cutter.port, still.port, ca=server.ca)
            user = connect(client.port)
            (service,) = still.accept()
            before = server.fds()
            cutter.cut("reset")
            wait_for("the server to notice the cut", lambda: server.fds() <= before - 1)
            fill([user]) if much else user.sendall(b"x")
            reset(user)
            wait_for("the user's descriptor to return", lambda: server.fds() <= before - 2, timeout=GONE)
            cutter.heal()
            assert is_reset(service)


def test_a_user_is_reset_while_the_service_is_dialled(lab):
    with Still(backlog=0) as still:
        crowd = [socket.socket() for _ in range(4)]  # the queue is full: the next SYN has no answer
        for s in crowd:
            s.setblocking(False)
            s.connect_ex(("127.0.0.1", still.port))
        t = lab.tunnel(still.port)
        all_given_back = given_back(t)
        user = connect(t.port)
        fill([user])
        reset(user)
        all_given_back()
        for s in crowd:
            s.close()


def test_half_a_close_is_no_reset(lab):
    """A user that has said all waits for credit as patiently as before."""
    data = pattern("upload", 8 << 20)
    with Still() as still:
        t = lab.tunnel(still.port)
        user = connect(t.port)
        (service,) = still.accept()
        user.setblocking(False)
        sent = 0
        quiet = time.monotonic()
        while sent < len(data) and time.monotonic() - quiet < 0.7:
            try:
                sent += user.send(data[sent : sent + 65536])
                quiet = time.monotonic()
            except BlockingIOError:
                time.sleep(0.01)
        user.shutdown(socket.SHUT_WR)
        time.sleep(1)  # several times what a reset would have got
        assert read_all(service) == data[:sent]
        service.sendall(b"answer")
        service.shutdown(socket.SHUT_WR)
        user.settimeout(services.TIMEOUT)
        assert read_all(user) == b"answer"


def test_last_words_before_a_reset_arrive(lab):
    """The service answers and closes with something unread, which is a reset; the answer is read later."""
    answer = pattern("answer", 200000)
    with Still() as still:
        t = lab.tunnel(still.port)
        user = connect(t.port)
        (service,) = still.accept()
        user.sendall(b"question")
        select.select([service], [], [], 10)
        service.sendall(answer)
        reset(service)
        still.sockets.clear()
        got = b""
        try:
            while part := user.recv(1 << 16):
                got += part
        except ConnectionResetError:
            pass
        assert answer.startswith(got)
