# SPDX-License-Identifier: MIT
"""A polite stop is no worse than kill -9: ports are free at once, who comes next serves at once beside what
drains, and what runs goes on until its time. Stopping in each state of a session; GOAWAY by hand."""

import contextlib
import re
import signal
import socket
import struct
import time

import pytest

from lib import services, wire2
from lib.cutter import Cutter
from lib.procs import SECRET, wait_for
from lib.services import connect, free_port, read_exactly, works
from lib.wire2 import ACK, FIN, GOAWAY, OPEN, PING, PONG, PSH

SOON = 10  # seconds: five times what is promised; whatever ends later by itself has more
SHUTDOWN = 0


class Talk:
    """A user's running connection to an echo service."""

    def __init__(self, port, timeout=60):
        self.s = connect(port, timeout)
        assert self.runs()

    def runs(self, word=b"still there"):
        self.s.sendall(word)
        return read_exactly(self.s, len(word)) == word

    def cut_after(self):
        """Seconds until it is reset; everything that comes before is passed over."""
        began = time.monotonic()
        with contextlib.suppress(ConnectionResetError):
            while self.s.recv(1 << 16):
                pass
            raise AssertionError("an end that looks complete")
        return time.monotonic() - began

    def close(self):
        self.s.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def is_free(port):
    """Another program could listen there."""
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("", port))
            s.listen(1)
            return True
        except OSError:
            return False


def serves_again(port, since):
    wait_for("new users to be served", lambda: works(port, 5), timeout=30)
    seconds = time.monotonic() - since
    print(f"served after {seconds:.2f} s")
    return seconds


def ended(process, seconds=SOON):
    """It ends by itself, in order."""
    assert process.wait(seconds) == 0, process.log()[-2000:]


def quiet_about_strangers(*servers):
    for server in servers:
        log = server.log()
        assert "authentication of" not in log and "that is not here" not in log, log
        assert "its place is taken" not in log, log


# ---- the server stops ----


@pytest.mark.parametrize("threads", ["1", "3"])
@pytest.mark.parametrize("busy", [0, 3])
def test_a_stopping_server_gives_its_ports_back_at_once(lab, echo, busy, threads):
    at, port = free_port(), free_port()
    server = lab.server(listen=f"127.0.0.1:{at}", threads=threads, flags=("-drain", "20s"))
    lab.client(server, echo.port, remote_port=port)
    with contextlib.ExitStack() as stack:
        talks = [stack.enter_context(Talk(port)) for _ in range(busy)]
        server.kill(signal.SIGTERM)
        wait_for("the ports to be free", lambda: is_free(at) and is_free(port), SOON)
        assert all(t.runs() for t in talks)
        if busy:
            assert server.alive()
    ended(server)


@pytest.mark.parametrize("threads", ["1", "3"])
@pytest.mark.parametrize("busy,pause", [(True, 0), (True, 4), (False, 0), (False, 4)])
def test_the_successor_of_a_server_serves_at_once_beside_what_drains(lab, echo, busy, pause, threads):
    """pause: seconds until it starts; the client asks all the while."""
    at, port = free_port(), free_port()
    first = lab.server(listen=f"127.0.0.1:{at}", threads=threads, flags=("-drain", "16s"))
    client = lab.client(first, echo.port, remote_port=port)
    talk = Talk(port) if busy else None
    stopped = time.monotonic()
    first.kill(signal.SIGTERM)
    wait_for("the port to be free", lambda: is_free(at), SOON)
    time.sleep(pause)
    began = time.monotonic()
    second = lab.server(listen=f"127.0.0.1:{at}", threads=threads)
    assert serves_again(port, began) < SOON
    if busy:
        assert first.alive() and talk.runs()
        talk.cut_after()
        assert 15 < time.monotonic() - stopped < 26
    ended(first)
    assert works(port)  # the end of what drained changed nothing
    quiet_about_strangers(first, second)
    assert "-id" not in client.log()


def test_what_drains_ends_with_its_last_connection(lab, echo):
    at, port = free_port(), free_port()
    first = lab.server(listen=f"127.0.0.1:{at}")
    lab.client(first, echo.port, remote_port=port)
    talk = Talk(port)
    first.kill(signal.SIGTERM)
    wait_for("the port to be free", lambda: is_free(at), SOON)
    lab.server(listen=f"127.0.0.1:{at}")
    serves_again(port, time.monotonic())
    talk.s.shutdown(socket.SHUT_WR)
    assert services.read_all(talk.s) == b""  # in order
    ended(first)
    assert works(port)


def test_a_draining_session_is_not_resumed(lab, echo):
    """Its server listens no more: a cut ends it, and costs the next session nothing."""
    port = free_port()
    first = lab.server(listen=f"127.0.0.1:{free_port()}")
    with Cutter(first.port) as cutter:
        client = lab.client(cutter.port, echo.port, ca=first.ca, remote_port=port)
        talk = Talk(port)
        first.kill(signal.SIGTERM)
        wait_for("the port to be free", lambda: is_free(first.port), SOON)
        second = lab.server(listen=f"127.0.0.1:{first.port}")
        serves_again(port, time.monotonic())
        with Talk(port) as kept:
            cutter.reset()
            assert talk.cut_after() < SOON
            ended(first)
            assert kept.runs()  # this one resumes
        assert works(port)
        quiet_about_strangers(first, second)
        client.wait_count("the tunnel is up", 2)


def test_the_client_asks_until_it_has_its_port(lab, echo):
    at, port = free_port(), free_port()
    first = lab.server(listen=f"127.0.0.1:{at}")
    client = lab.client(first, echo.port, remote_port=port)
    with Talk(port) as talk:
        first.kill(signal.SIGTERM)
        wait_for("the ports to be free", lambda: is_free(at) and is_free(port), SOON)
        with socket.create_server(("", port)):
            lab.server(listen=f"127.0.0.1:{at}")
            client.wait_log(f"public port {port}: it is in use at the server")
            time.sleep(3)
            assert talk.runs()
        assert serves_again(port, time.monotonic()) < 3 * SOON
        assert talk.runs()


def test_twice_in_a_row(lab, echo):
    """Two servers drain, the third serves."""
    at, port = free_port(), free_port()
    servers = [lab.server(listen=f"127.0.0.1:{at}", flags=("-drain", "20s"))]
    lab.client(servers[0], echo.port, remote_port=port)
    with contextlib.ExitStack() as stack:
        talks = []
        for _ in range(2):
            talks.append(stack.enter_context(Talk(port)))
            servers[-1].kill(signal.SIGTERM)
            wait_for("the port to be free", lambda: is_free(at), SOON)
            servers.append(lab.server(listen=f"127.0.0.1:{at}"))
            assert serves_again(port, time.monotonic()) < SOON
        assert all(t.runs() for t in talks)
    for server in servers[:2]:
        ended(server)
    assert works(port)


def test_more_servers_stop_than_a_client_keeps_sessions(lab, echo):
    at, port = free_port(), free_port()
    server = lab.server(listen=f"127.0.0.1:{at}", flags=("-drain", "60s"))
    lab.client(server, echo.port, remote_port=port)
    talks = []
    for _ in range(5):
        talks.append(Talk(port))
        server.kill(signal.SIGTERM)
        wait_for("the port to be free", lambda: is_free(at), SOON)
        server = lab.server(listen=f"127.0.0.1:{at}", flags=("-drain", "60s"))
        serves_again(port, time.monotonic())
    assert talks[0].cut_after() < SOON  # the oldest goes first
    assert talks[-1].runs()
    for t in talks:
        t.close()


@pytest.mark.parametrize("end", ["server", "client"])
def test_a_drain_of_nothing_ends_now(lab, echo, end):
    server = lab.server(flags=("-drain", "0"))
    client = lab.client(server, echo.port, flags=("-drain", "0"))
    with Talk(client.port) as talk:
        process = {"server": server, "client": client}[end]
        process.kill(signal.SIGTERM)
        assert talk.cut_after() < SOON
        ended(process)


@pytest.mark.parametrize("end", ["server", "client"])
def test_the_second_signal_ends_now(lab, echo, end):
    server = lab.server()
    client = lab.client(server, echo.port)
    with Talk(client.port) as talk:
        process = {"server": server, "client": client}[end]
        process.kill(signal.SIGTERM)
        process.wait_log("stopping")
        assert talk.runs()
        process.kill(signal.SIGTERM)
        assert talk.cut_after() < SOON
        ended(process)


# ---- the client stops ----


@pytest.mark.parametrize("busy", [True, False])
def test_the_successor_of_a_client_serves_at_once_and_resets_nothing(lab, echo, busy):
    port = free_port()
    server = lab.server()
    first = lab.client(server, echo.port, remote_port=port, flags=("-drain", "16s"))
    talk = Talk(port) if busy else None
    stopped = time.monotonic()
    first.kill(signal.SIGTERM)
    wait_for("the port to be free", lambda: is_free(port), SOON)
    second = lab.client(server, echo.port, remote_port=port)
    assert serves_again(port, stopped) < SOON
    if busy:
        assert first.alive() and talk.runs()
        talk.cut_after()
        assert 15 < time.monotonic() - stopped < 26
    ended(first)
    assert works(port)
    assert "its place is taken" not in server.log()
    second.wait_count("the tunnel is up", 1)


def test_a_stopping_client_survives_a_cut(lab, echo):
    """Its server is there: the session resumes, drains on, and the time is what it was."""
    server = lab.server()
    with Cutter(server.port) as cutter:
        client = lab.client(cutter.port, echo.port, ca=server.ca, flags=("-drain", "10s"))
        talk = Talk(client.port)
        stopped = time.monotonic()
        client.kill(signal.SIGTERM)
        client.wait_log("stopping")
        cutter.cut("reset")
        time.sleep(1)
        cutter.heal()
        assert talk.runs()
        talk.cut_after()
        assert 9 < time.monotonic() - stopped < 20
        ended(client)


# ---- originals ----


@pytest.mark.parametrize("busy", [True, False])
def test_an_original_client_of_a_stopping_server(lab, echo, busy):
    at, port = free_port(), free_port()
    server = lab.server(listen=f"127.0.0.1:{at}")
    client = lab.client(server, echo.port, impl="go16", remote_port=port)
    talk = Talk(port) if busy else None
    server.kill(signal.SIGTERM)
    wait_for("the ports to be free", lambda: is_free(at) and is_free(port), SOON)
    if busy:
        time.sleep(1)
        assert server.alive() and talk.runs()
        talk.s.shutdown(socket.SHUT_WR)
        assert services.read_all(talk.s) == b""
    ended(server)
    assert client.alive()
    lab.server(listen=f"127.0.0.1:{at}")
    wait_for("the original to be back", lambda: works(port, 5), timeout=60)


@pytest.mark.parametrize("busy", [True, False])
def test_our_client_stops_at_an_original_server(lab, echo, busy):
    server = lab.server(impl="go16")
    client = lab.client(server, echo.port)
    talk = Talk(client.port) if busy else None
    client.kill(signal.SIGTERM)
    if busy:
        time.sleep(1)
        assert talk.runs()
        talk.close()
    ended(client)


# ---- a stop in each state ----

DRAIN = 3


def stopped_client(lab, port, ca, target, drain=DRAIN, **how):
    return lab.client(port, target, ca=ca, ready=False, remote_port=0, flags=("-drain", f"{drain}s"), **how)


def test_a_client_stops_while_it_dials(lab, server):
    with Cutter(server.port) as cutter:
        cutter.hold()
        client = stopped_client(lab, cutter.port, server.ca, 1)
        client.wait_log("connecting to server")
        client.kill(signal.SIGTERM)
        ended(client)


def test_a_client_stops_while_it_waits_to_dial_again(lab, server):
    client = stopped_client(lab, free_port(), server.ca, 1)
    client.wait_log("retrying in")
    client.kill(signal.SIGTERM)
    ended(client)


def test_a_client_stops_in_tls(lab, server):
    with socket.create_server(("127.0.0.1", 0)) as mute:
        client = stopped_client(lab, mute.getsockname()[1], server.ca, 1)
        s, _ = mute.accept()
        assert s.recv(1)
        client.kill(signal.SIGTERM)
        ended(client)
        s.close()


@pytest.fixture
def hand(lab):
    """A server by hand; its certificate is a real one's."""
    real = lab.server()
    with wire2.Server(lab.path / "certs/server.crt", lab.path / "certs/server.key", SECRET) as hand:
        hand.ca = real.ca
        yield hand


def next_session(hand):
    """Beside the session of hand, on the same port; to be opened."""
    other = wire2.Server.__new__(wire2.Server)
    wire2.Session.__init__(other)
    other.ctx, other.secret, other.listener, other.port = hand.ctx, hand.secret, hand.listener, hand.port
    return other


def test_a_client_stops_before_the_answer_to_its_open(lab, hand):
    client = stopped_client(lab, hand.port, hand.ca, 1, secret=SECRET)
    tls, _ = hand.accept()
    client.kill(signal.SIGTERM)
    ended(client)
    tls.close()


def test_a_client_stops_while_the_answer_to_its_resume_is_awaited(lab, hand, echo):
    """The old connection is frozen."""
    drain = 15  # all of this within it
    client = stopped_client(lab, hand.port, hand.ca, echo.port, drain, secret=SECRET)
    hand.open()
    hand.user(2)
    hand.send(PSH, 2, b"ping")
    assert hand.data(2, 4) == b"ping"
    hand.drop()
    tls, line = hand.accept()
    assert line["op"] == "resume"
    client.kill(signal.SIGTERM)
    client.wait_log("stopping: 1 connection may finish")
    theirs = hand.answer(tls, line)
    hand.tls = tls
    tls.send(hand.log[theirs:])
    code, ms = struct.unpack("<II", hand.until(GOAWAY).data)
    assert code == SHUTDOWN and 0 < ms <= drain * 1000
    ended(client, drain + SOON)


@pytest.mark.parametrize("end", ["server", "client"])
@pytest.mark.parametrize("how", ["reset", "finish", "stall", "forget", "vanish"])
def test_stopping_while_the_tunnel_is_cut(lab, echo, end, how):
    """Suspected or detached, with a running connection. A server does not wait: nobody can come back."""
    server = lab.server(flags=("-drain", f"{DRAIN}s"))
    with Cutter(server.port) as cutter:
        client = lab.client(cutter.port, echo.port, ca=server.ca, flags=("-drain", f"{DRAIN}s"))
        talk = Talk(client.port)
        cutter.cut(how)
        talk.s.sendall(b"into the void")
        process = {"server": server, "client": client}[end]
        if how in ("reset", "finish"):
            process.wait_log("broke")
        else:
            process.wait_log("has not answered") if end == "server" else time.sleep(4)
        process.kill(signal.SIGTERM)
        ended(process, DRAIN + SOON)
        if end == "server":
            talk.cut_after()
        else:
            talk.close()


def test_a_server_stops_among_the_half_opened(lab):
    server = lab.server(flags=("-drain", f"{DRAIN}s"))
    bare = connect(server.port)
    begun = connect(server.port)
    begun.sendall(b"\x16\x03\x01")
    peer = wire2.Client(server.port, server.ca, SECRET)
    tls = peer.connect()
    half = peer.connect()
    half.send(b'{"v":2,')
    server.kill(signal.SIGTERM)
    ended(server)
    for s in (bare, begun):
        s.close()
    tls.close()
    half.close()


@pytest.mark.parametrize("ahead", [0.5, 0.1, 0.02])
@pytest.mark.parametrize("healed", [True, False])
def test_a_client_is_frozen_across_the_end_of_its_drain(lab, echo, ahead, healed):
    """A dial that succeeds meanwhile finds no session any more."""
    server = lab.server()
    with Cutter(server.port) as cutter:
        client = lab.client(cutter.port, echo.port, ca=server.ca, flags=("-drain", f"{DRAIN}s"))
        with Talk(client.port):
            cutter.cut("forget")
            cutter.reset()
            client.wait_log("broke")
            cutter.hold()
            time.sleep(0.5)
            client.kill(signal.SIGTERM)
            time.sleep(DRAIN - ahead)
            client.kill(signal.SIGSTOP)
            if healed:
                cutter.heal()
            time.sleep(ahead + 1)
            client.kill(signal.SIGCONT)
            ended(client)


@pytest.mark.parametrize("end", ["server", "client"])
def test_frozen_across_the_end_of_the_drain(lab, echo, end):
    server = lab.server(flags=("-drain", f"{DRAIN}s"))
    client = lab.client(server, echo.port, flags=("-drain", f"{DRAIN}s"))
    process = {"server": server, "client": client}[end]
    with Talk(client.port) as talk:
        process.kill(signal.SIGTERM)
        process.wait_log("stopping")
        process.kill(signal.SIGSTOP)
        time.sleep(DRAIN + 1)
        process.kill(signal.SIGCONT)
        talk.cut_after()
        ended(process)


def test_both_ends_stop(lab, echo):
    server = lab.server()
    client = lab.client(server, echo.port)
    with Talk(client.port) as talk:
        server.kill(signal.SIGTERM)
        client.kill(signal.SIGTERM)
        server.wait_log("stopping")
        client.wait_log("stopping")
        assert talk.runs()
    ended(client)
    ended(server)


def test_a_client_stops_while_its_session_drains_and_the_next_is_asked_for(lab, echo):
    server = lab.server()
    client = lab.client(server, echo.port)
    with Talk(client.port) as talk:
        server.kill(signal.SIGTERM)
        client.wait_log("retrying in")
        client.kill(signal.SIGTERM)
        time.sleep(0.5)
        assert talk.runs()
    ended(client)
    ended(server)


# ---- GOAWAY by hand: our client ----


def session_with_a_stream(lab, hand, echo, *flags):
    client = lab.client(hand.port, echo.port, ca=hand.ca, secret=SECRET, ready=False, remote_port=4711,
                        flags=("-id", "by-hand", *flags))
    hand.open()
    hand.user(2)
    assert echoed(hand)
    return client


def echoed(hand, sid=2, data=b"ping"):
    hand.send(PSH, sid, data)
    return hand.data(sid, len(data)) == data


def goaway(hand, ms, code=SHUTDOWN):
    hand.send(GOAWAY, 0, struct.pack("<II", code, ms))


def acknowledge(hand):
    """All that has come; without it what drains waits for it."""
    hand.send(ACK, 0, struct.pack("<Q", hand.rx))


def closes(hand, seconds):
    """How long the connection lives on; what comes is passed over."""
    began = time.monotonic()
    with contextlib.suppress(wire2.Closed, OSError):
        while time.monotonic() - began < seconds:
            f = hand.frame()
            if f.cmd == PING:
                hand.send(PONG, 0, f.data)
            if f.cmd != ACK:
                acknowledge(hand)
        raise AssertionError("it is still there")
    return time.monotonic() - began


def test_goaway_with_time(lab, hand, echo):
    """The stream goes on, new ones are served by the next session, which does not end this one."""
    session_with_a_stream(lab, hand, echo)
    nonce = hand.nc
    said = time.monotonic()
    goaway(hand, 10000)
    other = next_session(hand)
    line = other.open()
    assert time.monotonic() - said < SOON
    assert line["take"] is False and nonce.hex() not in line["mine"]
    other.user(2)
    assert echoed(other) and echoed(hand)
    closes(hand, 30)
    assert 9 < time.monotonic() - said < 20
    assert echoed(other)
    other.tls.close()


def test_goaway_with_little_time(lab, hand, echo):
    session_with_a_stream(lab, hand, echo)
    said = time.monotonic()
    goaway(hand, 500)
    closes(hand, 20)
    assert 0.4 < time.monotonic() - said < SOON


def test_goaway_now(lab, hand, echo):
    session_with_a_stream(lab, hand, echo)
    goaway(hand, 0)
    assert closes(hand, 20) < SOON
    other = next_session(hand)
    other.open()
    other.tls.close()


def test_goaway_for_ever(lab, hand, echo):
    """2^32 - 1 ms is a time like another."""
    session_with_a_stream(lab, hand, echo)
    goaway(hand, 2**32 - 1)
    other = next_session(hand)
    other.open()
    assert echoed(hand)
    hand.send(FIN, 2)
    assert closes(hand, 20) < SOON
    other.user(2)
    assert echoed(other)
    other.tls.close()


@pytest.mark.parametrize("second,least,most", [(1000, 0.5, 9), (60000, 9, 20), (0, 0, 9)])
def test_goaway_twice(lab, hand, echo, second, least, most):
    """The earlier end counts."""
    session_with_a_stream(lab, hand, echo)
    said = time.monotonic()
    goaway(hand, 10000)
    other = next_session(hand)
    other.open()
    goaway(hand, second)
    closes(hand, 30)
    assert least < time.monotonic() - said < most
    other.user(2)
    assert echoed(other)
    other.tls.close()


def test_goaway_without_streams_ends_it_now(lab, hand, echo):
    session_with_a_stream(lab, hand, echo)
    hand.send(FIN, 2)
    hand.until(FIN, 2)
    acknowledge(hand)
    goaway(hand, 30000)
    assert closes(hand, 40) < SOON
    other = next_session(hand)
    other.open()
    other.tls.close()


def test_goaway_then_a_cut_ends_what_drains(lab, hand, echo):
    """A server that stops cannot be come back to."""
    session_with_a_stream(lab, hand, echo)
    goaway(hand, 30000)
    other = next_session(hand)
    other.open()
    hand.drop()
    wait_for("the service to be let go", lambda: echo.open == 0, timeout=SOON)
    other.user(2)
    assert echoed(other)
    hand.listener.settimeout(1)
    with pytest.raises(TimeoutError):
        hand.accept()
    other.tls.close()


def test_goaway_is_among_what_a_resume_brings(lab, hand, echo):
    session_with_a_stream(lab, hand, echo)
    hand.drop()
    tls, line = hand.accept()
    theirs = hand.answer(tls, line)
    hand.tls = tls
    tls.send(hand.log[theirs:])
    goaway(hand, 10000)
    other = next_session(hand)
    other.open()
    assert echoed(hand)
    closes(hand, 30)
    other.tls.close()


def test_a_refused_port_is_asked_for_again_beside_what_drains(lab, hand, echo):
    session_with_a_stream(lab, hand, echo)
    goaway(hand, 20000)
    began = time.monotonic()
    other = next_session(hand)
    other.open(error="port", errno="EADDRINUSE")
    for _ in range(2):
        other.tell(op="refused", svc=other.told()["svc"], error="port", errno="EADDRINUSE")
    other.wanted = other.told()
    assert time.monotonic() - began < 30
    other.tell(op="opened", svc=other.wanted["svc"], address="127.0.0.1:4711", port=4711)
    other.user(2)
    assert echoed(hand) and echoed(other)
    other.tls.close()


# ---- GOAWAY by hand: our server ----


def peer_with_a_stream(server, port):
    peer = wire2.Client(server.port, server.ca, SECRET, "by-hand")
    answer = peer.open(port)
    assert answer["ok"], answer
    user = connect(answer["port"])
    user.sendall(b"hello")
    st = peer.until(OPEN).sid
    assert peer.data(st, 5) == b"hello"
    return peer, user, st, answer["port"]


@pytest.mark.parametrize("ms", [0, 500, 12000])
def test_a_client_says_goaway(server, ms):
    """Port and id are free at once; the session has its time."""
    port = free_port()
    peer, user, st, _ = peer_with_a_stream(server, port)
    said = time.monotonic()
    goaway(peer, ms)
    wait_for("the port to be free", lambda: is_free(port), SOON)
    again = wire2.Client(server.port, server.ca, SECRET, "by-hand")
    assert again.open(port)["ok"]
    if ms > 2000:
        peer.send(PSH, st, b"part two")
        assert read_exactly(user, 8) == b"part two"
    acknowledge(peer)
    with pytest.raises(ConnectionResetError):
        user.recv(1)
    assert ms / 1000 - 0.6 < time.monotonic() - said < ms / 1000 + SOON
    again.frame()  # the server's first words
    acknowledge(again)
    with connect(port) as s:
        s.sendall(b"new")
        assert again.data(again.until(OPEN).sid, 3) == b"new"
    assert "its place is taken" not in server.log()
    again.tls.close()


def test_a_draining_session_of_a_client_is_resumed(server):
    """Its server listens as ever."""
    port = free_port()
    peer, user, st, _ = peer_with_a_stream(server, port)
    goaway(peer, 30000)
    wait_for("the port to be free", lambda: is_free(port), SOON)
    peer.drop()
    peer.resume()
    peer.send(PSH, st, b"part two")
    assert read_exactly(user, 8) == b"part two"
    assert is_free(port)
    peer.tls.close()


def test_a_stopping_server_says_how_long(lab):
    server = lab.server(flags=("-drain", "10s"))
    peer, user, st, port = peer_with_a_stream(server, 0)
    server.kill(signal.SIGTERM)
    code, ms = struct.unpack("<II", peer.until(GOAWAY).data)
    assert code == SHUTDOWN and 5000 < ms <= 10000
    peer.send(PSH, st, b"part two")
    assert read_exactly(user, 8) == b"part two"
    code, ms = struct.unpack("<II", peer.until(GOAWAY).data)
    assert (code, ms) == (SHUTDOWN, 0)
    ended(server)
    user.close()


def test_a_stopping_server_resumes_nothing_on_a_connection_that_stands(lab):
    """A client's attempt is there, past TLS, as the server stops: it is told draining, or nothing at all, and never
    that the session goes on."""
    server = lab.server(flags=("-drain", "3s"))
    peer, user, _, _ = peer_with_a_stream(server, 0)
    tls = peer.connect()
    server.kill(signal.SIGTERM)
    peer.until(GOAWAY)
    with contextlib.suppress(wire2.Closed, OSError):
        tls.say(peer.request(tls))
        answer = tls.line()
        assert not answer["ok"], answer
    tls.close()
    ended(server, 3 + SOON)
    user.close()


# ---- languages ----


LANGS = pytest.mark.parametrize("lang", ["C.UTF-8", "zh_CN.UTF-8"])


def speaks(client, lang):
    """All of an English log is ASCII; each line of a Chinese one has Chinese, but for what is data, and the raw words of
    the system in brackets, for those who search for them."""
    log = client.log()
    if lang == "C.UTF-8":
        assert log.isascii(), log
        return
    log = re.sub("（[ -~]*）", "", log)
    english = [line for line in log.splitlines() if line.isascii() or re.search("[A-Za-z]{2,} [a-z]{2,}", line)]
    assert not english, english


def other_language(lang):
    return {"LC_ALL": "zh_CN.UTF-8" if lang == "C.UTF-8" else "C.UTF-8"}


@LANGS
@pytest.mark.parametrize("why", ["secret", "allow-ports", "range", "taken port", "port of another program"])
def test_a_real_refusal_is_told_in_one_language(lab, echo, lang, why):
    """The server speaks the other one."""
    flags = ("-allow-ports", "1-2") if why == "allow-ports" else ()
    server = lab.server(flags=flags, env=other_language(lang))
    port, how = free_port(), {}
    with contextlib.ExitStack() as stack:
        if why == "taken port":
            lab.client(server, echo.port, remote_port=port, flags=("-id", "another"), env=other_language(lang))
        elif why == "port of another program":
            stack.enter_context(socket.create_server(("", port)))
        elif why == "secret":
            how["secret"] = "another secret altogether"
        elif why == "range":
            port = 65535
            stack.enter_context(socket.create_server(("", port)))
        client = lab.client(server, echo.port, remote_port=port, ready=False, env={"LC_ALL": lang}, **how)
        client.wait_log("retrying in" if lang == "C.UTF-8" else "秒后重试")
    speaks(client, lang)


REFUSALS = [
    ("taken", {}), ("taken", {"by": "192.0.2.1:9"}), ("draining", {}), ("busy", {}), ("later-word", {}),
    ("auth", None), ("message", None), ("unknown", None)]


@LANGS
@pytest.mark.parametrize("error,data", REFUSALS, ids=lambda v: v if isinstance(v, str) else "")
def test_every_refusal_is_told_in_one_language(lab, hand, lang, error, data):
    client = lab.client(hand.port, 1, ca=hand.ca, secret=SECRET, ready=False, remote_port=4711,
                        flags=("-id", "by-hand"), env={"LC_ALL": lang})
    hand.refuse_open(error, mac=data is not None, **(data or {}))
    client.wait_log("retrying in" if lang == "C.UTF-8" else "秒后重试")
    speaks(client, lang)


TUNNEL_REFUSALS = [("port", {"errno": w}) for w in
                   ("EADDRINUSE", "EACCES", "EPERM", "EMFILE", "ENOMEM", "EIO", "EWHATEVER")] + [
    ("port", {}), ("taken", {}), ("taken", {"by": "192.0.2.1:9"}), ("right", {}), ("limit", {}), ("kind", {}), ("name", {}),
    ("message", {}), ("revoked", {}), ("moved", {}), ("shutdown", {}), ("later-word", {})]


@LANGS
@pytest.mark.parametrize("error,data", TUNNEL_REFUSALS, ids=lambda v: v if isinstance(v, str) else "")
def test_every_refusal_of_a_tunnel_is_told_in_one_language(lab, hand, lang, error, data):
    client = lab.client(hand.port, 1, ca=hand.ca, secret=SECRET, ready=False, remote_port=4711,
                        flags=("-id", "by-hand"), env={"LC_ALL": lang})
    hand.open(error=error, **data)
    client.wait_log("retrying in" if lang == "C.UTF-8" else "秒后重试")
    speaks(client, lang)


@LANGS
def test_a_whole_life_is_told_in_one_language(lab, echo, lang):
    """Up, cut, resumed, drained by the server, served by its successor, stopped."""
    at, port = free_port(), free_port()
    first = lab.server(listen=f"127.0.0.1:{at}", env=other_language(lang))
    with Cutter(at) as cutter:
        client = lab.client(cutter.port, echo.port, ca=first.ca, remote_port=port, env={"LC_ALL": lang})
        with Talk(port) as talk:
            cutter.cut("reset")
            time.sleep(1)
            cutter.heal()
            assert talk.runs()
            first.kill(signal.SIGTERM)
            wait_for("the port to be free", lambda: is_free(at), SOON)
            lab.server(listen=f"127.0.0.1:{at}", env=other_language(lang))
            serves_again(port, time.monotonic())
        ended(first)
        client.kill(signal.SIGTERM)
        ended(client)
        speaks(client, lang)
