# SPDX-License-Identifier: MIT
"""gotunnel/2, each end against a peer by hand that was written from docs/protocol.md alone (lib/wire2.py).
Names as in test_cut.py."""

import os
import signal
import socket
import struct
import time

import pytest

from lib import cuts, services, wire2
from lib.procs import SECRET, wait_for
from lib.services import connect, pattern, read_all, read_exactly
from lib.wire import Closed
from lib.wire2 import ACK, FIN, GOAWAY, OPEN, PING, PONG, PSH, RST, SYN, UPD


@pytest.fixture
def peer(server):
    """A client by hand with an open session; `public` is its port."""
    peer = wire2.Client(server.port, server.ca, SECRET, cuts.fresh_id())
    peer.public = cuts.free_port()
    assert peer.open(peer.public)["port"] == peer.public
    yield peer
    peer.tls.close()


def user_of(peer):
    """A user, and the stream it has got."""
    s = connect(peer.public)
    return s, peer.until(OPEN).sid


def still_works(peer):
    """Bytes go both ways through the session."""
    s, sid = user_of(peer)
    with s:
        s.sendall(b"up")
        assert peer.data(sid, 2) == b"up"
        peer.send(PSH, sid, b"down")
        assert read_exactly(s, 4) == b"down"


# ---- our server ----


def test_p1_p2_the_documents_are_enough_to_speak_with_our_server(peer):
    peer.send(PING, 0, b"8 bytes!")
    assert peer.until(PONG).data == b"8 bytes!"
    s, sid = user_of(peer)
    with s:
        s.sendall(b"question")
        s.shutdown(socket.SHUT_WR)
        assert peer.data(sid, 8) == b"question"
        peer.until(FIN, sid)
        peer.send(PSH, sid, b"answer")
        peer.send(FIN, sid)
        assert read_all(s) == b"answer"


def test_p4_our_server_resumes_at_every_byte(peer):
    """Each byte of an exchange is the last one that came, once."""
    s, sid = user_of(peer)
    with s:
        s.sendall(b"abcdefgh")
        for _ in range(40):
            peer.bytes_left = peer.rx
            peer.drop()
            peer.resume()
            assert peer.rx == peer.bytes_left
            peer.partial += peer.bytes(1)
        # What came byte by byte are whole frames.
        got = b""
        while len(got) < 8:
            f = peer.frame()
            got += f.data if (f.cmd, f.sid) == (PSH, sid) else b""
        assert got == b"abcdefgh"
    still_works(peer)


def test_p4_our_server_goes_on_in_the_middle_of_our_frame(peer):
    s, sid = user_of(peer)
    with s:
        whole = wire2.frame(PSH, sid, pattern("split", 30))
        for cut in range(len(whole) + 1):
            peer.send_bytes(whole[:cut])
            if cut % 2:
                time.sleep(0.01)  # it may arrive, or not
            peer.send_bytes(whole[cut:], now=False)
            peer.drop()
            assert len(peer.log) - len(whole) <= peer.resume() <= len(peer.log)
        assert read_exactly(s, 30 * (len(whole) + 1)) == pattern("split", 30) * (len(whole) + 1)


def test_p4_only_a_higher_epoch_is_served(peer):
    for epoch, error in [(5, None), (5, "stale"), (4, "stale"), (0, "stale"), (6, None), (1 << 63, None), (7, "stale")]:
        tls, answer = peer.attempt(epoch=epoch)
        assert answer.get("error") == error, epoch
        if error is None:
            peer.tls.close()
            peer.tls = tls
        else:
            tls.close()
    still_works(peer)


@pytest.mark.parametrize("rx", ["more", "much more", "most"])
def test_p4_a_count_that_cannot_be_is_refused_and_changes_nothing(peer, rx):
    rx = {"more": peer.rx + 1_000_000, "much more": 1 << 40, "most": (1 << 64) - 1}[rx]
    tls, answer = peer.attempt(rx=rx)
    assert answer["ok"] is False and answer["error"] == "range"
    tls.close()
    still_works(peer)
    peer.resume()
    still_works(peer)


def test_p4_a_count_before_what_was_released_is_refused(peer):
    for _ in range(3):
        still_works(peer)
    peer.send(ACK, 0, struct.pack("<Q", peer.rx))
    still_works(peer)
    tls, answer = peer.attempt(rx=0)
    assert answer["ok"] is False and answer["error"] == "range"
    tls.close()
    still_works(peer)


@pytest.mark.parametrize("what", ["key", "sid", "replayed"])
def test_p2_p4_r6_who_cannot_prove_it_does_not_touch_the_session(peer, what):
    s, sid = user_of(peer)
    with s:
        for i in range(20):
            tls = peer.connect(("127.0.2.1", 0))
            line = peer.request(tls, epoch=100 + i, key=os.urandom(32) if what == "key" else None)
            if what == "sid":
                line["sid"] = os.urandom(16).hex()
            elif what == "replayed":  # the right line, on another connection
                tls.close()
                tls = peer.connect(("127.0.2.1", 0))
            try:
                tls.say(line)
                answer = tls.line()
                assert answer["ok"] is False and answer["error"] == "unknown" and "mac" not in answer
            except Closed:
                pass  # turned away before
            tls.close()
            s.sendall(b"x")
            assert peer.data(sid, 1) == b"x"
    peer.resume(epoch=1)  # none of them has counted
    still_works(peer)


def test_p4_r7_an_attempt_that_is_overtaken_is_stale(peer):
    slow = peer.connect()
    line = peer.request(slow, epoch=1)
    peer.resume(epoch=2)
    slow.say(line)
    assert slow.line()["error"] == "stale"
    still_works(peer)
    slow.close()


def test_p4_r4_nothing_more_is_taken_from_the_old_connection(peer):
    s, sid = user_of(peer)
    with s:
        old = peer.tls
        tls, answer = peer.attempt()
        assert answer["ok"]
        try:
            for _ in range(10):
                old.send(wire2.frame(PSH, sid, b"late"))
                time.sleep(0.01)
        except Closed:
            pass
        peer.tls = tls
        peer.send(PSH, sid, b"right")
        peer.send(FIN, sid)
        s.shutdown(socket.SHUT_WR)
        assert read_all(s) == b"right"
        old.close()


def test_p3_a_user_s_reset_has_its_code(peer):
    s, sid = user_of(peer)
    services.reset(s)
    assert peer.until(RST, sid).data == struct.pack("<I", 1)


@pytest.mark.parametrize("code", [0, 1, 2, 3, 7, 999])
def test_p3_our_reset_is_one_for_the_user(peer, code):
    s, sid = user_of(peer)
    with s:
        peer.send(PSH, sid, b"part")
        peer.send(RST, sid, struct.pack("<I", code))
        with pytest.raises(ConnectionResetError):
            while s.recv(10):
                pass
            raise AssertionError("an end that looks complete")


def test_p7_a_takeover_is_told(server, peer):
    other = wire2.Client(server.port, server.ca, SECRET, peer.id)
    assert other.open(peer.public)["ok"]
    assert struct.unpack("<II", peer.until(GOAWAY).data)[0] == 1
    other.public = peer.public
    still_works(other)
    other.tls.close()


def test_p7_another_id_hears_who_has_the_port(server, peer):
    other = wire2.Client(server.port, server.ca, SECRET, cuts.fresh_id())
    answer = other.open(peer.public)
    assert answer["error"] == "taken" and "message" not in answer and not answer["ok"]
    assert answer["by"] == "127.0.0.1:%d" % peer.tls.sock.getsockname()[1]
    other.tls.close()
    still_works(peer)


@pytest.mark.parametrize("signed", [True, False])
def test_p2_a_field_of_a_later_version_is_proved_too(server, signed):
    """It is passed over, and if somebody else has put it there the line is wrong."""
    peer = wire2.Client(server.port, server.ca, SECRET, cuts.fresh_id())
    more = {"slot": "laptop", "deep": {"mac": [0]}}
    add = None if signed else lambda raw: b"{" + wire2.text(more)[1:-1] + b"," + raw[1:]
    answer = peer.open(caps=["services", "later"], mine=[os.urandom(16)] * 8, extra=more if signed else None, distort=add)
    if signed:
        assert answer["ok"] and answer["caps"] == ["services"]
    else:
        assert answer == {"v": 2, "ok": False, "error": "auth"}
    peer.tls.close()


@pytest.mark.parametrize("fields, is_line", [
    ({"key": "laptop", "sig": "0" * 128}, True), ({"key": "laptop"}, False), ({"sig": "0" * 128}, False),
    ({"sig": "0" * 128, "key": "laptop"}, False), ({"key": "lap", "sig": "0" * 128}, False)])
def test_p2_the_shared_secret_proves_no_key(server, fields, is_line):
    """A key that nobody has is a wrong proof, though the MAC is right for the secret that all share."""
    peer = wire2.Client(server.port, server.ca, SECRET, "laptop.of-somebody")
    if is_line:
        assert peer.open(extra=fields) == {"v": 2, "ok": False, "error": "auth"}
        peer.tls.close()
    else:
        with pytest.raises(Closed):
            peer.open(extra=fields)


def test_p1_a_port_that_is_not_allowed_is_refused_with_data(lab):
    server = lab.server(flags=("-allow-ports", "1-2"))
    peer = wire2.Client(server.port, server.ca, SECRET, cuts.fresh_id())
    assert peer.open(port=None)["ok"]
    for port in 4711, 0:
        assert peer.ask(port) == {"ok": False, "error": "right"}
    peer.tell(op="open", svc=9, name="by-hand", kind="tcp", port=65536, bind="", ready=True)
    assert struct.unpack("<II", peer.until(GOAWAY).data)[0] == 2  # that is no line
    peer.tls.close()


def test_p1_an_open_that_can_have_no_tunnels_is_refused(server):
    """Whoever asks: its proof is not looked at."""
    for secret in SECRET, "another secret altogether":
        peer = wire2.Client(server.port, server.ca, secret, cuts.fresh_id())
        for caps in [], ["later"]:
            assert peer.open(caps=caps, extra={"port": 4711}) == {"v": 2, "ok": False, "error": "message"}
            peer.tls.close()
    server.wait_log("an open that can have no tunnels")


@pytest.mark.parametrize("port", [0, 4712])
def test_p2_our_client_believes_no_port_that_it_has_not_asked_for(lab, hand, port):
    client = client_of(lab, hand, 1)
    hand.open(port=port, address="127.0.0.1:4711")
    assert struct.unpack("<II", hand.until(GOAWAY).data)[0] == 2
    client.wait_log("the other side broke the protocol")
    assert "tunnel is up" not in client.log()


@pytest.mark.parametrize("change", ["mac first", "blank", "no mac", "twice", "escaped"])
def test_p2_a_line_whose_mac_is_elsewhere_gets_no_answer(server, change):
    peer = wire2.Client(server.port, server.ca, SECRET, cuts.fresh_id())
    with pytest.raises(Closed):
        peer.open(distort={
            "mac first": lambda raw: b"{" + raw[-73:-1] + b"," + raw[1:-74] + b"}",
            "blank": lambda raw: raw[:-73] + b" " + raw[-73:],
            "no mac": lambda raw: raw[:-74] + b"}",
            "twice": lambda raw: b'{"mac":1,' + raw[1:],
            "escaped": lambda raw: raw.replace(b'"mac"', b'"m\\u0061c"')}[change])


def test_p8_our_server_s_end_is_told(server, peer):
    server.kill(signal.SIGTERM)
    assert struct.unpack("<II", peer.until(GOAWAY).data)[0] == 0
    assert server.wait() == 0  # before the second signal, which ends what is left of it at once


def test_p8_a_session_whose_window_is_over_is_unknown(server):
    peer = wire2.Client(server.port, server.ca, SECRET, cuts.fresh_id())
    answer = peer.open(window_ms=1000)
    assert answer["window_ms"] == 1000
    s = connect(answer["port"])
    peer.until(OPEN)
    peer.drop()
    with pytest.raises(ConnectionResetError):
        read_all(s)
    tls, answer = peer.attempt()
    assert answer["error"] == "unknown" and "mac" not in answer
    tls.close()


def test_p9_a_blip_costs_no_client_its_session(lab):
    """Many clients of one address wait at once: they are bounded by what they hold, which is little (that the bound
    is kept is seen in tests/unit/proto/session)."""
    server = lab.server(threads=1)
    peers = []
    for i in range(200):
        peers.append(wire2.Client(server.port, server.ca, SECRET, cuts.fresh_id()))
        assert peers[-1].open()["ok"]
    fds = server.fds()
    for peer in peers:
        peer.drop()
    wait_for("the server to notice", lambda: server.fds() <= fds - len(peers))  # not all of them have a line
    for peer in peers:
        peer.resume()
        peer.tls.close()


@pytest.mark.parametrize("what", [
    wire2.frame(SYN, 3), wire2.frame(10, 0), b"\x02" + wire2.frame(PSH, 2)[1:], wire2.frame(ACK, 0, b"\xff" * 8),
    wire2.frame(FIN, 0), wire2.frame(ACK, 0, b"\0" * 7), wire2.frame(PING, 4, b"\0" * 8)], ids=range(7))
def test_p8_a_peer_that_breaks_the_protocol_loses_its_session(peer, what):
    s, _ = user_of(peer)
    peer.send_bytes(what)
    with pytest.raises((ConnectionResetError, Closed)):
        read_all(s)
        raise AssertionError("an end that looks complete")
    with pytest.raises((AssertionError, Closed)):
        peer.resume()


# ---- our client ----


@pytest.fixture
def hand(lab):
    """A server by hand; its certificate is a real one's."""
    real = lab.server()
    with wire2.Server(lab.path / "certs/server.crt", lab.path / "certs/server.key", SECRET) as hand:
        hand.ca = real.ca
        yield hand


def client_of(lab, hand, target, *flags, **how):
    return lab.client(hand.port, target, ca=hand.ca, secret=SECRET, ready=False, remote_port=4711,
                      flags=("-id", "by-hand", *flags), **how)


def echoed(hand, sid, data=b"ping"):
    hand.send(PSH, sid, data)
    return hand.data(sid, len(data)) == data


def test_p1_p2_the_documents_are_enough_to_speak_with_our_client(lab, hand, echo):
    client = client_of(lab, hand, echo.port)
    line = hand.open()
    assert (line["id"], line["window_ms"], line["caps"]) == ("by-hand", 60000, ["services"])
    assert "port" not in line and (hand.wanted["kind"], hand.wanted["port"]) == ("tcp", 4711)
    hand.user(2)
    assert echoed(hand, 2)
    hand.send(FIN, 2)
    hand.until(FIN, 2)
    client.wait_log("127.0.0.1:4711")


def test_p4_our_client_resumes_at_every_byte(lab, hand, echo):
    client_of(lab, hand, echo.port)
    hand.open()
    hand.user(2)
    hand.send(PSH, 2, b"abcdefgh")
    for _ in range(30):
        hand.partial += hand.bytes(1)
        hand.drop()
        assert 0 <= hand.resume() <= len(hand.log)
    got = b""
    while len(got) < 8:
        f = hand.frame()
        got += f.data if (f.cmd, f.sid) == (PSH, 2) else b""
    assert got == b"abcdefgh"
    assert echoed(hand, 2)


@pytest.mark.parametrize("error", ["unknown", "range"])
def test_p8_our_client_opens_a_fresh_session_when_there_is_nothing_to_resume(lab, hand, error):
    with services.Service(services.discard) as service:
        client_of(lab, hand, service.port)
        hand.open()
        hand.user(2)
        wait_for("the service", lambda: service.open == 1)
        hand.drop()
        hand.refuse(error)
        assert hand.open()["op"] == "open"
        wait_for("the service to be reset", lambda: any(isinstance(e, ConnectionResetError) for e in service.errors))


@pytest.mark.parametrize("error", ["busy", "stale"])
def test_p4_our_client_tries_again_when_it_is_told_to(lab, hand, echo, error):
    client_of(lab, hand, echo.port)
    hand.open()
    hand.user(2)
    assert echoed(hand, 2)
    hand.drop()
    for _ in range(3):
        hand.refuse(error)
    hand.resume()
    assert echoed(hand, 2)


def test_p2_p4_our_client_does_not_believe_a_server_without_the_key(lab, hand, echo):
    client_of(lab, hand, echo.port)
    hand.open()
    hand.user(2)
    assert echoed(hand, 2)
    hand.drop()
    epochs = []
    for _ in range(2):
        tls, line = hand.accept()
        epochs.append(int(line["epoch"], 16))
        hand.answer(tls, line, key=os.urandom(32))
        with pytest.raises(Closed):
            tls.take(100000)
        tls.close()
    assert epochs[1] > epochs[0]
    hand.resume()
    assert echoed(hand, 2)


def test_p2_our_client_does_not_believe_an_open_without_the_secret(lab, hand):
    client = client_of(lab, hand, 1)
    hand.open(secret="another secret altogether")
    client.wait_log("the server does not know the secret")


REFUSALS = [  # error, data, what an English and what a Chinese user reads
    ("taken", {"by": "[::1]:9"}, "another client has the id 'by-hand': [::1]:9",
     "另一个客户端正在使用标识 'by-hand': [::1]:9"),
    ("draining", {}, "the server is stopping", "服务端正在停止"),
    ("of-a-later-version", {"x": [1]}, "the server has no room at present", "服务端目前没有空余资源")]


@pytest.mark.parametrize("lang", ["C.UTF-8", "zh_CN.UTF-8"])
@pytest.mark.parametrize("error,data,english,chinese", REFUSALS, ids=lambda v: v if isinstance(v, str) else "")
def test_p1_a_refusal_is_told_in_the_user_s_language(lab, hand, lang, error, data, english, chinese):
    """The server sends data only; the tunnel is not up before the port is granted."""
    client = client_of(lab, hand, 1, env={"LC_ALL": lang})
    line = hand.refuse_open(error, **data)
    assert (line["take"], line["mine"], line["caps"]) == (True, [], ["services"])
    client.wait_log(english if lang == "C.UTF-8" else chinese)
    log = client.log()
    assert "tunnel is up" not in log and "隧道已建立" not in log
    assert log.isascii() == (lang == "C.UTF-8")


TUNNEL_REFUSALS = [
    ("taken", {"by": "192.0.2.7:50122"}, "public port 4711 is in use by a client with another id (192.0.2.7:50122)",
     "公网端口 4711 正被另一个标识的客户端占用 (192.0.2.7:50122)"),
    ("port", {"errno": "EACCES"}, "public port 4711: the server has no permission to open it",
     "公网端口 4711: 服务端没有权限监听该端口"),
    ("of-a-later-version", {"x": [1]}, "public port 4711: the server has no room for more tunnels", "公网端口 4711: ")]


@pytest.mark.parametrize("lang", ["C.UTF-8", "zh_CN.UTF-8"])
@pytest.mark.parametrize("error,data,english,chinese", TUNNEL_REFUSALS, ids=lambda v: v if isinstance(v, str) else "")
def test_p1_a_refused_tunnel_is_told_in_the_user_s_language(lab, hand, lang, error, data, english, chinese):
    """The session is up, and the tunnel is not; it is asked for again in it."""
    client = client_of(lab, hand, 1, env={"LC_ALL": lang})
    hand.open(error=error, **data)
    client.wait_log("the server refused to forward the port: " + english if lang == "C.UTF-8" else chinese)
    again = hand.told()
    assert (again["op"], again["port"]) == ("open", 4711) and again["svc"] != hand.wanted["svc"]
    log = client.log()
    assert "tunnel is up" not in log and "隧道已建立" not in log
    assert log.isascii() == (lang == "C.UTF-8")
    hand.tell(op="opened", svc=again["svc"], address="127.0.0.1:4711", port=4711)
    client.wait_log("隧道已建立" if lang == "zh_CN.UTF-8" else "the tunnel is up")


@pytest.mark.parametrize("lang", ["C.UTF-8", "zh_CN.UTF-8"])
def test_p1_one_language_from_the_first_line_to_the_tunnel(lab, hand, lang):
    client = client_of(lab, hand, 1, env={"LC_ALL": lang})
    hand.open(address="192.0.2.1:4711")
    client.wait_log("隧道已建立" if lang == "zh_CN.UTF-8" else "the tunnel is up")
    client.wait_log("成功在 192.0.2.1:4711 上监听" if lang == "zh_CN.UTF-8" else "listens on 192.0.2.1:4711")
    assert client.log().isascii() == (lang == "C.UTF-8")


@pytest.mark.parametrize("error,mac", [("taken", False), ("stale", False), ("auth", True),
                                       ("message", True)])
def test_p2_a_refusal_that_breaks_the_rule_of_macs_is_no_line(lab, hand, error, mac):
    client = client_of(lab, hand, 1)
    hand.refuse_open(error, mac=mac)
    client.wait_log("the other side broke the protocol")


@pytest.mark.parametrize("error", ["taken", "busy"])
def test_p2_a_mac_that_is_there_must_be_right(lab, hand, error):
    client = client_of(lab, hand, 1)
    hand.refuse_open(error, secret="another secret altogether")
    client.wait_log("authentication failed: the server does not know the secret")


@pytest.mark.parametrize("target,code,seconds", [("refused", 2, 0), ("silent", 3, 5)])
def test_p3_a_target_that_cannot_be_had_has_its_code(lab, hand, target, code, seconds):
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        port = full.getsockname()[1]
        waiting = []
        if target == "silent":
            full.listen(0)
            for _ in range(3):
                waiting.append(socket.socket())
                waiting[-1].setblocking(False)
                waiting[-1].connect_ex(("127.0.0.1", port))
        client_of(lab, hand, port)
        hand.open()
        hand.user(2)
        assert hand.until(RST, 2).data == struct.pack("<I", code)
        for s in waiting:
            s.close()


def test_p3_a_service_s_reset_has_its_code(lab, hand):
    with services.Service(services.reset) as service:
        client_of(lab, hand, service.port)
        hand.open()
        hand.user(2)
        assert hand.until(RST, 2).data == struct.pack("<I", 1)


def test_p5_our_client_dials_beside_a_silent_connection(lab, hand, echo):
    """It has sent bytes that nobody acknowledges."""
    client_of(lab, hand, echo.port)
    hand.open()
    hand.user(2)
    hand.send(PSH, 2, b"ping")
    old = hand.tls
    start = time.monotonic()
    tls, line = hand.accept()
    seconds = time.monotonic() - start
    print(f"\na second connection after {seconds:.1f} s")
    assert seconds < 12  # not when 15 s of silence are over
    theirs = hand.answer(tls, line)
    hand.tls = tls
    tls.send(hand.log[theirs:])
    assert hand.data(2, 4) == b"ping"
    assert echoed(hand, 2, b"more")
    old.close()


def test_p6_a_ping_is_answered_and_measured(lab, hand, echo):
    client_of(lab, hand, echo.port)
    hand.open()
    hand.send(PING, 0, b"12345678")
    assert hand.until(PONG).data == b"12345678"
    start = time.monotonic()
    hand.until(PING)  # its own: at the beginning, and then every 5 s of silence
    hand.until(PING)
    assert time.monotonic() - start < 30
