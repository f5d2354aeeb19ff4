# SPDX-License-Identifier: MIT
"""What handshakes of strangers cost: memory, and turns that others wait for."""

import re
import signal
import ssl
import time

import pytest

from lib import wire
from lib.hellos import HALF_A_RECORD, answered, fat, flood, hello, hold
from lib.procs import SANITIZED, wait_for

pytestmark = pytest.mark.patient

EACH_KIB = 64
KNOWN_PLACES = 64


@pytest.mark.skipif(SANITIZED, reason="sanitizers have memory of their own")
@pytest.mark.parametrize("is_fat", [False, True], ids=["a hello", "a fat hello"])
@pytest.mark.parametrize("behind", [b"", HALF_A_RECORD], ids=["and nothing", "and half a record"])
def test_a_handshake_that_stands_still_costs_64_kib(lab, is_fat, behind):
    """As many as there are places, of strangers and of a source that is known; 16 MiB for all of them."""
    server = lab.server()
    with wire.dial(server.port, server.ca, source=("127.15.0.1", 0)) as w:
        w.login(server.secret)
    text = hello(server.ca)
    text = (fat(text) if is_fat else text) + behind
    server.wait_log("session ended")
    before = server.status("RssAnon")
    sources = ["127.15.0.1"] * KNOWN_PLACES + [f"127.15.1.{i + 1}" for i in range(250)]
    held = [hold(server, source, text) for source in sources]
    alive = sum(answered(s) for s in held)
    grown = server.status("RssAnon") - before
    assert alive > 150
    assert 16 * alive < grown < min(EACH_KIB * alive, 16 << 10)
    for s in held:
        s.close()


def begun(server):
    """How many handshakes of strangers began, by the log of a server that has ended."""
    log = server.log()
    return log.count("event=connected") + sum(map(int, re.findall(r"event=left_out .* connected=(\d+)", log)))


@pytest.mark.parametrize("sources,flags,rate,burst", [
    (500, (), 200, 20),
    (1, (), 10, 10),
    (500, ("-handshakes", "20,20"), 20, 2),
], ids=["of many", "of one", "fewer if told so"])
def test_a_flood_of_hellos_begins_so_many_handshakes(lab, sources, flags, rate, burst):
    """And who has authenticated before comes in meanwhile, as often as he likes."""
    server = lab.server(flags=flags)
    with wire.dial(server.port, server.ca) as w:
        w.login(server.secret)
    began, friends = time.monotonic(), 15
    with flood(server, hello(server.ca), [f"127.16.{i // 250}.{i % 250 + 1}" for i in range(sources)]) as came:
        wait_for("the flood to come", lambda: came[0] > 600)
        for _ in range(friends):
            with wire.dial(server.port, server.ca, timeout=60) as w:
                w.login(server.secret)
        wait_for("more of it", lambda: came[0] > 1200)
    server.kill(signal.SIGTERM)
    assert server.wait(60) == 0
    most = burst + rate * (time.monotonic() - began)
    assert burst <= begun(server) - 1 - friends <= most


def test_who_is_penalised_takes_no_turn(lab):
    """More come of it than may wait at the gate; they are refused before that, all but one a second."""
    server, guesser = lab.server(flags=("-handshakes", "5,5")), "127.15.2.1"
    for _ in range(5):
        with wire.dial(server.port, server.ca, source=(guesser, 0), timeout=60) as w:
            w.send(b"a-wrong-secret\n")
            assert w.line() == b"ERROR: Invalid Secret\n"
    server.wait_log(f"event=penalty src={guesser} ")
    began, text = time.monotonic(), hello(server.ca)
    held = [hold(server, guesser, text) for _ in range(100)]
    passed = sum(answered(s) for s in held)
    for s in held:
        s.close()
    assert 1 <= passed <= 1 + 2 * (time.monotonic() - began)
    assert server.stop() == []
    assert "event=limit" not in server.log()


class FarAway:
    """A client to which every answer takes 0.1 s."""

    def __init__(self, server, source):
        self.to, self.come = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = wire.client_context(server.ca).wrap_bio(self.to, self.come, server_hostname=wire.SERVER_NAME)
        self.sock = hold(server, source, b"")
        self.sock.settimeout(30)

    def comes_in(self, secret):
        try:
            self.until(self.tls.do_handshake)
            self.tls.write(secret.encode() + b"\n")
            return self.until(lambda: self.tls.read(100)) == b"OK\n"
        except (ConnectionError, ssl.SSLError):
            return False
        finally:
            self.sock.close()

    def until(self, step):
        while True:
            try:
                done = step()
                self.sock.sendall(self.come.read())
                return done
            except ssl.SSLWantReadError:
                self.sock.sendall(self.come.read())
                got = self.sock.recv(1 << 16)
                if not got:
                    raise ConnectionResetError from None
                time.sleep(0.1)
                self.to.write(got)


@pytest.mark.parametrize("says", ["a byte", "a hello"])
def test_a_client_far_away_comes_in_through_a_flood_of_1000_sources(lab, says):
    """Of single bytes a stranger too, each time: they take no place. Of whole hellos one that is known."""
    server = lab.server()
    with wire.dial(server.port, server.ca, source=("127.17.9.1", 0)) as w:
        w.login(server.secret)
    text = b"\x16" if says == "a byte" else hello(server.ca)
    who = ["127.17.9.1"] * 4 + [f"127.17.9.{i}" for i in range(2, 8) if says == "a byte"]
    with flood(server, text, [f"127.17.{i // 250}.{i % 250 + 1}" for i in range(1000)]) as came:
        wait_for("the flood to come", lambda: came[0] > 600)
        assert [source for source in who if not FarAway(server, source).comes_in(server.secret)] == []
