# SPDX-License-Identifier: MIT
"""Peers that know the secret and mean no good: what they can make our programs do is bounded."""

import functools
import re
import signal
import struct
import time

import pytest

from lib import join, wire, wire2
from lib.procs import SECRET
from lib.services import connect
from lib.site import Site
from lib.wire2 import ACK, GOAWAY, OPEN, PING, PONG, PSH, frame

SECONDS = 6
OPENS_MOST = 20  # in that time: at once, then 0.1 to 1 s apart (proto/backoff.h)


pytestmark = pytest.mark.patient


@pytest.fixture
def hand(lab):
    maker = lab.server()
    maker.kill(signal.SIGTERM)
    maker.wait()
    with wire2.Server(lab.path / "certs/server.crt", lab.path / "certs/server.key", SECRET) as server:
        server.ca = lab.path / "certs/ca.crt"
        yield server


def client_of(lab, hand, echo):
    return lab.client(hand.port, echo.port, ca=hand.ca, ready=False, flags=("-id", "by-hand"))


def another(hand):
    """One more session of the same server."""
    other = wire2.Server.__new__(wire2.Server)
    other.__dict__.update(hand.__dict__)
    return other


def for_a_while(least):
    """Rounds for some seconds, and until there have been so many: a machine that stands still makes none meanwhile."""
    end, rounds = time.monotonic() + SECONDS, 0
    while time.monotonic() < end or rounds < least:
        yield
        rounds += 1


def opens_most(began):
    return OPENS_MOST * max(1, (time.monotonic() - began) / SECONDS)


def bounded(client, log_lines, cpu_seconds=2):
    assert client.alive()
    assert client.log().count("\n") < log_lines
    assert client.cpu_seconds() < cpu_seconds


@pytest.mark.parametrize("code", [0, 5])
@pytest.mark.parametrize("busy", [True, False])
def test_goaway_again_and_again_is_no_loop(lab, hand, echo, busy, code):
    client = client_of(lab, hand, echo)
    sessions, began = [], time.monotonic()
    for _ in for_a_while(3):
        session = another(hand)
        session.open()
        sessions.append(session)
        if busy:
            session.send_bytes(session.user_frame(2) + frame(PSH, 2, b"x"))
            session.data(2, 1)
        session.send(GOAWAY, 0, struct.pack("<II", code, 2**32 - 1))
    most, fds = opens_most(began), client.fds()
    for session in sessions:
        session.tls.close()
    assert 3 <= len(sessions) <= most
    assert fds < 40  # a few sessions, whatever their number was
    bounded(client, 15 * most)


def test_unknown_again_and_again_is_no_loop(lab, hand, echo):
    """A session is granted, cut, and not known any more."""
    client = client_of(lab, hand, echo)
    opens, began = 0, time.monotonic()
    for _ in for_a_while(3):
        hand.open()
        opens += 1
        hand.drop()
        hand.refuse("unknown")
    assert 3 <= opens <= opens_most(began)
    bounded(client, 15 * opens_most(began))


def test_resumed_and_cut_again_and_again_is_no_loop(lab, hand, echo):
    """Each resume is a success: what waits is acknowledged. Then the connection is cut."""
    client = client_of(lab, hand, echo)
    hand.open()
    hand.send_bytes(hand.user_frame(2) + frame(PSH, 2, b"x"))
    hand.data(2, 1)
    resumes, began = 0, time.monotonic()
    for _ in for_a_while(5):
        for word in (b"12345678", b"87654321"):
            hand.send(PING, 0, word)
            hand.until(PONG)
            hand.send(ACK, 0, struct.pack("<Q", hand.rx))
        hand.drop()
        hand.resume()
        resumes += 1
    assert 5 <= resumes <= opens_most(began)
    bounded(client, 5 * opens_most(began))


def test_many_sessions_of_one_source_leave_room_for_others(lab):
    """With 1,024 descriptors a client that asks for 700 sessions has 192 of at most 256; another source gets its port, and
    users. What is refused is one line a minute."""
    server = lab.server(wrapper=("prlimit", "--nofile=1024:1024"))
    held, refused, began = [], 0, time.monotonic()
    for i in range(700):
        c = wire2.Client(server.port, server.ca, SECRET, id=f"hoarder{i}")
        answer = c.open()
        if answer["ok"]:
            held.append(c)
        else:
            assert answer["error"] == "busy"
            refused += 1
            c.tls.close()
    assert (len(held), refused) == (192, 508)
    minutes = 1 + (time.monotonic() - began) // 60
    assert server.wait_log("one more session").count("one more session") <= minutes
    other = wire2.Client(server.port, server.ca, SECRET, id="other")
    other.connect = functools.partial(other.connect, ("127.0.0.2", 0))
    with connect(other.open()["port"]):
        other.until(OPEN)
    held.pop().tls.close(reset=True)  # it may still be resumed, so it counts
    again = wire2.Client(server.port, server.ca, SECRET, id="hoarder0")
    assert again.open()["ok"]  # a new process of one that is there
    for c in [again, other, *held]:
        c.tls.close()


def test_who_takes_all_descriptors_leaves_some_to_others(lab):
    """Users of one client, then sessions of its source until it has no more: another source still gets a session, its
    port, and users. No descriptor is missing meanwhile."""
    server = lab.server(wrapper=("prlimit", "--nofile=128:128"))
    hoarder = wire2.Client(server.port, server.ca, SECRET, id="hoarder")
    port = hoarder.open()["port"]
    users = [connect(port) for _ in range(100)]
    server.wait_log("some are left to others")
    held = [hoarder]
    for i in range(40):
        c = wire2.Client(server.port, server.ca, SECRET, id=f"hoarder{i}")
        if c.open()["ok"]:
            held.append(c)
        else:
            c.tls.close()
    assert 4 <= len(held) < 24
    other = wire2.Client(server.port, server.ca, SECRET, id="other")
    other.connect = functools.partial(other.connect, ("127.0.0.2", 0))
    with connect(other.open()["port"]):
        other.until(OPEN)
    assert "pauses" not in server.log() and "accepting TLS" not in server.log()
    for c in [other, *held]:
        c.tls.close()
    for s in users:
        s.close()


@pytest.mark.parametrize("is_v2", [True, False], ids=["gotunnel2", "legacy"])
def test_sessions_opened_and_closed_in_a_loop_are_bounded_lines(lab, is_v2):
    """A burst of them has lines, then one a second; another source's client has its own."""
    server, began = lab.server(threads=1), time.monotonic()
    for _ in range(150):
        if is_v2:
            c = wire2.Client(server.port, server.ca, SECRET, id="looper")
            assert c.open()["ok"]
            c.tls.close()
        else:
            with wire.dial(server.port, server.ca) as w:
                w.login(SECRET)
                w.ask(0)
    with wire.dial(server.port, server.ca, source=("127.0.0.2", 0)) as w:
        w.login(SECRET)
        w.ask(0)
        server.match(r"127\.0\.0\.2:\d+\] control message")
    begun = len(re.findall(r"client 127\.0\.0\.1:\d+( looper)? passed PSK", server.log()))
    most = 61 + time.monotonic() - began
    assert 60 <= begun <= min(150, most)
    assert server.log().count("\n") < 12 * most + 30  # of all kinds


@pytest.mark.parametrize("has_key", [True, False], ids=["key", "source"])
def test_sessions_full_of_opens_in_a_loop_are_bounded_lines(lab, has_key):
    """What happens in a client's sessions has one budget, not one a session: 59 tunnels each, one after the other."""
    sessions, opens, own = 6, 59, None
    site = Site(lab) if has_key else None
    server = site.server if site else lab.server(threads=2)
    if site:
        own = wire2.ClientKey("looper", join.t_of(site.add("looper", "-ports", "0-65535", "-tunnels", "64")))
    began = time.monotonic()
    for _ in range(sessions):
        c = wire2.Client(server.port, server.ca, own.a if own else SECRET, id="looper.1" if own else "looper", own=own)
        assert c.open(port=None, window_ms=0)["ok"]
        for svc in range(1, opens + 1):
            c.tell(op="open", svc=svc, name=f"t{svc}", kind="tcp", port=0, bind="", ready=True)
        for _ in range(opens):
            assert c.told()["op"] == "opened"
        c.tls.close()
    server.wait_count("] session ended", sessions)
    most = 61 + time.monotonic() - began
    assert 60 <= server.log().count("] tunnel 't") <= most
