# SPDX-License-Identifier: MIT
"""Who is who: several clients with one id, ghosts, opens that overtake each other, and how many may wait. Each test names the
sentence it shows; times are asserted at three times the figure and printed (pytest -s)."""

import re
import shutil
import signal
import threading
import time

import pytest

from lib import cuts, services, wire2
from lib.cuts import Rig
from lib.cutter import Cutter
from lib.procs import PATIENCE, SANITIZED, SECRET, wait_for
from lib.services import free_port, works

pytestmark = pytest.mark.patient
long = pytest.mark.long
UP = "the server listens on"
TAKEN = "its place is taken"


class Clones:
    """Clients from one state directory that was copied, one port."""

    def __init__(self, lab, server, target, n, port=None, flags=()):
        self.lab, self.server, self.target, self.flags = lab, server, target, flags
        self.port = port or free_port()
        self.states = [lab.path / f"machine{i}" for i in range(n)]
        first = self.start(0)
        first.wait_log(UP)
        for state in self.states[1:]:
            shutil.copytree(self.states[0], state)
        self.clients = [first]

    def start(self, i, through=None):
        return self.lab.client(through or self.server, self.target, remote_port=self.port, ca=self.server.ca, ready=False,
                               flags=self.flags, env={"XDG_STATE_HOME": str(self.states[i])})

    def more(self, through=None):
        for i in range(1, len(self.states)):
            c = self.start(i, through)
            c.wait_log(UP)
            self.clients.append(c)

    def up(self):
        """Whose last word is that it is up."""
        def is_up(c):
            log = c.log()
            return c.alive() and log.rfind(UP) > max(log.rfind("taken its place"), log.rfind("has the id"))
        return [i for i, c in enumerate(self.clients) if is_up(c)]

    def takeovers(self):
        return self.server.log().count(TAKEN)


@pytest.mark.parametrize("seconds", [25, pytest.param(300, marks=long)])
@pytest.mark.parametrize("n", [2, 3])
def test_clones_take_once_for_each_start(lab, server, echo, n, seconds):
    """The state file was copied; one takeover for each start of a process, and none after."""
    clones = Clones(lab, server, echo.port, n)
    clones.more()
    server.wait_count(TAKEN, n - 1)
    time.sleep(seconds)
    server.wait_count(TAKEN, n - 1)
    assert clones.up() == [n - 1] and works(clones.port)
    for loser in clones.clients[:-1]:
        loser.match(r"another client has the id '[^']+': 127\.0\.0\.1:\d+")  # is told who has it


@pytest.mark.parametrize("n", [2, 3])
def test_the_replaced_one_is_up_again_when_the_id_is_free(lab, server, echo, n):
    """It keeps asking without taking."""
    clones = Clones(lab, server, echo.port, n)
    clones.more()
    server.wait_count(TAKEN, n - 1)
    clones.clients[-1].kill(signal.SIGTERM)
    start = time.monotonic()
    wait_for("another to be up", lambda: len(clones.up()) == 1 and works(clones.port, 5), 45)
    print(f"\nup again after {time.monotonic() - start:.1f} s")
    assert clones.takeovers() == n - 1


@pytest.mark.parametrize("how", ["kill", "term"])
def test_clones_do_not_take_after_a_restart_of_the_server(lab, echo, how):
    """Whoever was replaced before; the server is gone for 1 s."""
    server = lab.server(listen=f"127.0.0.1:{free_port()}")
    clones = Clones(lab, server, echo.port, 3)
    clones.more()
    for _ in range(2):
        port = clones.server.port
        clones.server.kill(signal.SIGKILL if how == "kill" else signal.SIGTERM)
        clones.server.wait()
        time.sleep(1)
        clones.server = lab.server(listen=f"127.0.0.1:{port}")
        wait_for("one to be up", lambda: works(clones.port, 5), 30)
        time.sleep(8)
        assert clones.takeovers() == 0, clones.server.log()
        assert len(clones.up()) >= 1 and works(clones.port)


@pytest.mark.parametrize("kind", ["reset", "finish", "forget", "stall"])
def test_clones_do_not_take_after_a_cut(lab, server, echo, kind):
    """None by a cut of all of them, several times."""
    with Cutter(server.port) as link:
        clones = Clones(lab, server, echo.port, 2)
        clones.clients[0].kill(signal.SIGTERM)
        clones.clients[0].wait()
        clones.clients = [clones.start(0, link.port)]
        clones.clients[0].wait_log(UP)
        clones.more(link.port)
        server.wait_count(TAKEN, 1)
        for _ in range(3):
            link.cut(kind)
            time.sleep(2 if kind == "reset" else 5)
            link.heal()
            wait_for("the port to be served", lambda: works(clones.port, 5), 30)
            time.sleep(4)
        server.wait_count(TAKEN, 1)
        assert works(clones.port)


def test_the_same_id_twice_by_hand(lab, server, echo):
    """A unit plus a test by hand: `-id x` twice, another port. The test has it; the unit is back when it ends."""
    unit = lab.client(server, echo.port, remote_port=free_port(), flags=("-id", "x"))
    test = lab.client(server, echo.port, remote_port=free_port(), flags=("-id", "x"))
    unit.wait_log("taken its place")
    time.sleep(6)
    server.wait_count(TAKEN, 1)
    assert works(test.port) and not works(unit.port)
    test.kill(signal.SIGTERM)
    start = time.monotonic()
    wait_for("the unit to be up again", lambda: works(unit.port, 5), 45)
    print(f"\nup again after {time.monotonic() - start:.1f} s")
    server.wait_count(TAKEN, 1)


def end_of_answer(down):
    """Where the server's answer to an open ends in what it sent: the last TLS record of that size."""
    end = at = 0
    while at < len(down):
        size = int.from_bytes(down[at + 3:at + 5], "big")
        at += 5 + size
        end = at if size > 200 else end
    return end


# Two handshakes differ by some bytes, the length of a signature: 16 is the least that is surely in the answer.
@pytest.mark.parametrize("less", [-60, 16, 100, 250])
def test_the_ghost_of_an_own_open_is_ended_by_the_next(lab, server, echo, less):
    """The answer is cut by so many bytes; the next open names it, or takes: the port is served within seconds."""
    id, port = cuts.fresh_id(), free_port()
    with Cutter(server.port, record=True) as link:
        probe = lab.client(link.port, echo.port, remote_port=free_port(), ca=server.ca, flags=("-id", cuts.fresh_id()))
        time.sleep(0.3)
        whole = end_of_answer(bytes(link.all[0].recorded["down"]))
        probe.kill(signal.SIGTERM)
        probe.wait()
        happened = link.cut_after(whole - less, "down", "forget")
        start = time.monotonic()
        client = lab.client(link.port, echo.port, remote_port=port, ca=server.ca, flags=("-id", id), ready=False)
        assert happened.wait(PATIENCE)
        time.sleep(0.5)
        assert UP not in client.log()  # its tunnel is asked for behind the answer
        link.heal()
        client.wait_log(UP, timeout=60)
        wait_for("the port", lambda: works(port, 5), 10)
        print(f"\n{less} bytes of {whole} lost: up after {time.monotonic() - start:.1f} s, "
              f"{server.log().count('its place is taken')} ended")
        assert time.monotonic() - start < 55  # 35 s of patience for an answer, and the next attempt


def test_an_open_that_is_overtaken_hears_so_and_does_not_evict_the_winner(lab):
    """Many opens of one id at once, on several workers; one is left, and stays."""
    server = lab.server(threads=4)
    for round in range(5 if SANITIZED else 15):
        peers = [wire2.Client(server.port, server.ca, SECRET, id=f"race{round}") for _ in range(6)]
        answers = [None] * len(peers)

        def ask(i):
            try:
                answers[i] = peers[i].open(port=None, take=True)
            except Exception as e:  # noqa: BLE001: looked at below
                answers[i] = {"ok": False, "error": repr(e)}

        threads = [threading.Thread(target=ask, args=(i,)) for i in range(len(peers))]
        for t in threads:
            t.start()
        for t in threads:
            t.join(2 * PATIENCE)
        granted = [p for p, a in zip(peers, answers) if a and a["ok"]]
        assert granted
        assert all(a["ok"] or a["error"] in ("taken", "busy") for a in answers), answers
        alive = []

        def one_is_left():
            alive[:] = [p for p in granted if not is_over(p)]
            return len(alive) == 1

        wait_for(f"one to be left of {answers}", one_is_left)
        time.sleep(0.5)
        assert not is_over(alive[0])  # nobody who was overtaken evicts it a moment later
        for p in peers:
            if p.tls and p.tls.ssl:
                p.tls.close()


def is_over(p):
    """Whether the server has said GOAWAY, or closed; asked by a PING."""
    try:
        p.send(wire2.PING, 0, b"8bytes!!")
        while True:
            f = p.frame()
            if f.cmd == wire2.GOAWAY:
                return True
            if f.cmd == wire2.PONG:
                return False
    except Exception:  # noqa: BLE001: closed
        return True


@pytest.mark.parametrize("n", [350, pytest.param(1000, marks=long)])
def test_a_blip_loses_no_client_of_one_address(lab, n):
    """All of one address are detached at once; each is resumed."""
    server = lab.server()
    n = n // 3 if SANITIZED else n
    peers = []
    for i in range(n):
        p = wire2.Client(server.port, server.ca, SECRET, id=f"many{i}")
        for _ in range(20):
            try:
                assert p.open(port=0)["ok"]
                break
            except wire2.Closed:
                time.sleep(0.1)
        peers.append(p)
    for p in peers:
        p.drop()
    time.sleep(1.5)
    lost = 0
    for p in peers:
        try:
            p.resume()
        except (AssertionError, wire2.Closed) as e:
            lost += 1
            print(e)
    assert lost == 0
    assert "too much waits" not in server.log()
    for p in peers:
        p.tls.close()


def test_the_server_s_lines_name_the_id_beside_the_address(lab, echo):
    """Everywhere from the proof on."""
    with Rig(lab, n=2, server_flags=("-log-level", "debug")) as rig:
        other = lab.client(rig.server, echo.port, remote_port=rig.port, flags=("-id", "other"), ready=False)
        other.wait_log("in use")  # refused: both are named
        rig.cut("reset", 0.5)
        rig.cut("stall", 4)
        twin = rig.another_client(rig.id)  # a takeover
        twin.wait_log(UP)
        rig.client.wait_log("taken its place")
        twin.kill()
        time.sleep(1)
        lines = rig.server.log().splitlines()
    quiet = re.compile(r"new TLS connection from|server mode|certificate|descriptor|stopping|connects? again|^\S+ \S+ \[?127\.0\.0\.1:\d+\]? "
                       r"connection (closed|reset)|user 127|ended before (it said|its ClientHello)|wants to resume")
    nameless = [x for x in lines if re.search(r"127\.0\.0\.1:\d+", x) and not quiet.search(x) and rig.id not in x and
                "other" not in x]
    assert not nameless, "\n".join(nameless)
