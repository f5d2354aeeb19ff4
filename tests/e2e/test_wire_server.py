# SPDX-License-Identifier: MIT
"""The server against peers that do not behave, driven frame by frame."""

import json
import socket
import ssl
import threading
import time

import pytest

from lib import wire
from lib.procs import PATIENCE
from lib.wire import FIN, NOP, PSH, SYN, UPD, Closed, frame, header, upd

INVALID = {"status": "error", "message": "Invalid control message"}


def up(server, port=0):
    """A session with a public port. Returns (wire, public port)."""
    w = wire.dial(server.port, server.ca).login(server.secret)
    answer = w.ask(port)
    assert answer["status"] == "success", answer
    return w, int(answer["message"].split("]:")[1].split()[0])


def user(port):
    s = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


# ---- the secret ----


def test_right_secret(server):
    with wire.dial(server.port, server.ca) as w:
        w.login(server.secret)


@pytest.mark.parametrize("line", [b"\n", b"wrong\n", b"x" * 4000 + b"\n"])
def test_wrong_secret(server, line):
    with wire.dial(server.port, server.ca) as w:
        w.send(line)
        assert w.line() == b"ERROR: Invalid Secret\n"
        w.wait_closed()
    server.match(r"src=127\.0\.0\.1 .*wrong secret")


def test_secret_with_blanks_around_is_taken_d11(server):
    with wire.dial(server.port, server.ca) as w:
        w.send(b" \t" + server.secret.encode() + b" \r\n")
        assert w.line() == b"OK\n"


def test_secret_byte_by_byte(server):
    with wire.dial(server.port, server.ca) as w:
        for b in server.secret.encode() + b"\n":
            w.send(bytes([b]))
        assert w.line() == b"OK\n"


def test_frames_in_the_record_of_the_secret_d8(server):
    with wire.dial(server.port, server.ca) as w:
        w.send(server.secret.encode() + b"\n" + frame(SYN, 3) + frame(PSH, 3, wire.request(0)))
        assert w.line() == b"OK\n"
        assert json.loads(w.until(PSH, 3).data)["status"] == "success"


def test_ok_has_a_record_of_its_own_d8(server):
    """An old client drops what shares the record of the OK line."""
    with wire.dial(server.port, server.ca) as w:
        w.send(server.secret.encode() + b"\n" + frame(SYN, 3) + frame(PSH, 3, wire.request(0)))
        assert w.sock.recv(65536) == b"OK\n"  # one read never takes more than one record


def test_endless_secret_is_cut_d12(server):
    with wire.dial(server.port, server.ca) as w:
        with pytest.raises((OSError, Closed)):
            for _ in range(64):
                w.send(b"x" * 4096)
                time.sleep(0.01)
            w.wait_closed()
            raise Closed()


def test_eof_before_the_line_ends(server):
    w = wire.dial(server.port, server.ca)
    w.send(server.secret.encode())
    raw = w.sock.unwrap()
    raw.close()
    with wire.dial(server.port, server.ca) as again:
        again.login(server.secret)  # and the server lives on


# ---- the control stream ----


@pytest.mark.parametrize(
    "message",
    [b"hello\n", b"[]\n", b'{"remote_port":"80"}\n', b'{"remote_port":80.5}\n', b"\xef\xbb\xbf{}\n", b"{,}\n"],
)
def test_a_message_that_is_not_understood(server, message):
    with wire.dial(server.port, server.ca) as w:
        assert w.login(server.secret).ask(message) == INVALID
        w.wait_closed()


def test_a_message_cut_short(server):
    with wire.dial(server.port, server.ca) as w:
        w.login(server.secret)
        w.send(frame(SYN, 3) + frame(PSH, 3, b'{"remote_port":') + frame(FIN, 3))
        assert json.loads(w.until(PSH, 3).data) == INVALID


@pytest.mark.parametrize("port", [-1, 65536, 70000, 2**62])
def test_a_port_out_of_range(server, port):
    with wire.dial(server.port, server.ca) as w:
        assert w.login(server.secret).ask(port) == {
            "status": "error",
            "message": f"监听公网端口 :{port} 失败: listen tcp: address {port}: invalid port",
        }
        w.wait_closed()


def test_a_port_that_is_taken_and_others_untouched(server):
    first, port = up(server)
    with first, wire.dial(server.port, server.ca) as w:
        assert w.login(server.secret).ask(port) == {
            "status": "error",
            "message": f"监听公网端口 :{port} 失败: listen tcp :{port}: bind: address already in use",
        }
        w.wait_closed()
        with user(port) as u:
            u.sendall(b"still here")
            syn = first.until(SYN)
            assert first.data(syn.sid, 10) == b"still here"


def test_extra_fields_odd_case_and_any_stream_id(server):
    with wire.dial(server.port, server.ca) as w:
        w.login(server.secret)
        assert w.ask(b'{"x":[1,{"remote_port":9}],"Remote_Port":0}', sid=77)["status"] == "success"


def test_a_message_in_single_bytes(server):
    with wire.dial(server.port, server.ca) as w:
        w.login(server.secret)
        w.send(frame(SYN, 3))
        for b in wire.request(0):
            w.send(frame(PSH, 3, bytes([b])))
        assert json.loads(w.until(PSH, 3).data)["status"] == "success"


def test_no_message_is_not_waited_for_for_ever_d14(server):
    with wire.dial(server.port, server.ca, timeout=PATIENCE) as w:
        w.login(server.secret)
        began = time.monotonic()
        w.wait_closed()
        assert time.monotonic() - began < 25
    assert "Traceback" not in server.log()


def test_a_message_without_end(server):
    with wire.dial(server.port, server.ca) as w:
        w.login(server.secret)
        w.send(frame(SYN, 3))
        w.send(frame(PSH, 3, b'{"x":"'))
        for _ in range(5):
            w.send(frame(PSH, 3, b"y" * 16000))
        assert json.loads(w.until(PSH, 3).data) == INVALID


def test_blanks_without_end(server):
    with wire.dial(server.port, server.ca) as w:
        w.login(server.secret)
        w.send(frame(SYN, 3))
        for _ in range(5):
            w.send(frame(PSH, 3, b" " * 16000))
        assert json.loads(w.until(PSH, 3).data) == INVALID


# ---- frames ----

BROKEN = {
    "version": header(SYN, 0, 5, version=1),
    "command": header(9, 0, 5),
    "syn with a length": header(SYN, 4, 5) + b"xxxx",
    "fin with a length": header(FIN, 1, 3) + b"x",
    "nop with a length": header(NOP, 1, 0) + b"x",
    "upd too short": header(UPD, 4, 3) + b"xxxx",
    "upd too long": header(UPD, 9, 3) + b"x" * 9,
}


@pytest.mark.parametrize("bad", BROKEN.values(), ids=BROKEN.keys())
def test_a_protocol_error_ends_the_session_and_frees_the_port_d19_d7(server, bad):
    w, port = up(server)
    w.send(bad)
    w.wait_closed()
    with pytest.raises(OSError):
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            user(port).close()
            time.sleep(0.02)
    again, same = up(server, port)
    assert same == port
    again.close()


def test_useless_but_legal_frames(server):
    w, port = up(server)
    with w:
        w.send(frame(NOP, 0) * 1000 + frame(NOP, 12345) + frame(PSH, 999, b"zzz") + frame(FIN, 998))
        w.send(upd(997, 1) + frame(SYN, 3) + frame(PSH, 3) * 100)
        with user(port) as u:
            u.sendall(b"x")
            assert w.data(w.until(SYN).sid, 1) == b"x"


def test_a_flood_of_streams_ends_the_session_d20(server):
    w, port = up(server)
    with w:
        try:
            for i in range(4000):
                w.send(frame(SYN, 5 + 2 * i))
        except OSError:
            pass
        w.wait_closed()
    other, _ = up(server)
    other.close()


def test_a_few_unwanted_streams_are_closed_d20(server):
    w, port = up(server)
    with w:
        w.send(frame(SYN, 5) + frame(PSH, 5, b"hello?"))
        assert w.until(FIN, 5)
        with user(port) as u:
            u.sendall(b"x")
            assert w.data(w.until(SYN).sid, 1) == b"x"


def test_data_beyond_every_window(server):
    """A peer that ignores windows cannot fill our memory."""
    w, port = up(server)
    with w, user(port) as u:  # a user who reads nothing
        u.sendall(b"x")
        syn = w.until(SYN)
        with pytest.raises((OSError, Closed)):
            for _ in range(2000):
                w.send(frame(PSH, syn.sid, b"z" * 32768))
            w.wait_closed()
            raise Closed()
    again, _ = up(server)
    again.close()


def test_more_consumed_than_sent_breaks_only_that_stream(server):
    w, port = up(server)
    with w, user(port) as a:
        a.sendall(b"a")
        first = w.until(SYN).sid
        w.until(PSH, first)
        b = user(port)
        b.sendall(b"b")
        second = w.until(SYN).sid
        w.until(PSH, second)
        w.send(upd(first, 1000))
        with pytest.raises(ConnectionResetError):
            a.recv(1000)
        w.send(frame(PSH, second, b"fine"))
        assert b.recv(10) == b"fine"
        b.close()


# ---- windows ----


def test_start_window_towards_a_go_peer_d18(server):
    """Before its first UPD no more than 65,536 bytes are sent to a peer that may be an old one."""
    w, port = up(server)
    with w, user(port) as u:
        threading.Thread(target=lambda: _push(u, 1 << 20), daemon=True).start()
        sid = w.until(SYN).sid
        got = len(w.data(sid, 65536))
        w.sock.settimeout(2)
        with pytest.raises(socket.timeout):
            while True:
                got += len(w.until(PSH, sid).data)
        assert got == 65536
        w.sock.settimeout(PATIENCE)
        w.send(upd(sid, got, 65536))
        assert len(w.data(sid, 65536)) == 65536


def _push(sock, n):
    try:
        sock.sendall(b"p" * n)
    except OSError:
        pass


def test_stalled_streams_stop_nobody_else_d18(server):
    """Sixty-four users whose peer takes nothing more, and one who is served all the same."""
    w, port = up(server)
    stalled = [user(port) for _ in range(64)]
    with w:
        for s in stalled:
            threading.Thread(target=_push, args=(s, 1 << 20), daemon=True).start()
        got = {}
        try:
            while True:
                f = w.frame()
                if f.cmd == PSH:
                    got[f.sid] = got.get(f.sid, 0) + len(f.data)
                if len(got) == 64:
                    w.sock.settimeout(3)  # and then silence
        except socket.timeout:
            pass
        w.sock.settimeout(PATIENCE)
        assert len(got) == 64 and max(got.values()) <= 65536
        # a Go peer's shared bucket of 4 MiB is never emptied
        assert sum(max(0, n - 32767) for n in got.values()) <= 3 << 20
        with user(port) as u:
            u.sendall(b"hello")
            sid = w.until(SYN).sid
            assert w.data(sid, 5) == b"hello"
            w.send(frame(PSH, sid, b"world"))
            assert u.recv(10) == b"world"
    for s in stalled:
        s.close()


def test_a_user_who_reads_nothing_stops_nobody_else_d18(server):
    w, port = up(server)
    with w, user(port) as lazy:
        lazy.sendall(b"l")
        first = w.until(SYN).sid
        for _ in range(16):
            w.send(frame(PSH, first, b"z" * 16384))  # a whole window
        u = user(port)
        u.sendall(b"u")
        second = w.until(SYN).sid
        w.send(frame(PSH, second, b"fine"))
        assert u.recv(10) == b"fine"
        u.close()


# ---- TLS ----


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_versions(server, version):
    ctx = wire.client_context(server.ca, version)
    with wire.dial(server.port, server.ca, context=ctx) as w:
        assert w.login(server.secret).ask(0)["status"] == "success"


def test_old_tls_is_refused(server):
    ctx = wire.client_context(server.ca)
    ctx.minimum_version = ssl.TLSVersion.TLSv1
    ctx.maximum_version = ssl.TLSVersion.TLSv1_1
    ctx.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        wire.dial(server.port, server.ca, context=ctx)


def test_an_unknown_alpn_offer_is_passed_over(server):
    ctx = wire.client_context(server.ca)
    ctx.set_alpn_protocols(["h2", "http/1.1"])
    with wire.dial(server.port, server.ca, context=ctx) as w:
        assert w.sock.selected_alpn_protocol() is None
        w.login(server.secret)


def test_no_session_to_resume(server):
    with wire.dial(server.port, server.ca) as w:
        w.login(server.secret).ask(0)
        assert w.sock.session is None or not w.sock.session.has_ticket


@pytest.mark.parametrize("hello", [b"GET / HTTP/1.1\r\n\r\n", b"SSH-2.0-x\r\n", b"\x00" * 100, b"\x16\x03\x01\xff\xff" + b"x" * 70000])
def test_what_is_not_tls_is_closed(server, hello):
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as s:
        try:
            s.sendall(hello)
            while s.recv(4096):
                pass
        except OSError:
            pass
    with wire.dial(server.port, server.ca) as w:
        w.login(server.secret)


# ---- ends ----


@pytest.mark.parametrize("how", ["close", "abort"])
def test_the_port_is_free_at_once_when_the_client_goes_d6_d7(server, how):
    w, port = up(server)
    getattr(w, how)()
    server.wait_log("closing the public listener")
    again, same = up(server, port)
    assert same == port
    again.close()


def test_users_are_reset_when_the_tunnel_breaks(server):
    """A cut answer must not look complete."""
    w, port = up(server)
    with user(port) as u:
        u.sendall(b"x")
        sid = w.until(SYN).sid
        w.send(frame(PSH, sid, b"half an ans"))
        assert u.recv(100) == b"half an ans"
        w.abort()
        with pytest.raises(ConnectionResetError):
            u.recv(100)


def test_what_was_whole_is_delivered_although_the_tunnel_broke(server):
    w, port = up(server)
    with user(port) as u:
        u.sendall(b"x")
        sid = w.until(SYN).sid
        body = b"w" * 200000
        for i in range(0, len(body), 16000):
            w.send(frame(PSH, sid, body[i : i + 16000]))
        w.send(frame(FIN, sid))
        w.send(frame(NOP, 0))
        time.sleep(0.3)
        w.close()
        got = b""
        while part := u.recv(65536):
            got += part
        assert got == body


def test_half_close_both_ways_d1(server):
    w, port = up(server)
    with w, user(port) as u:
        u.sendall(b"question")
        u.shutdown(socket.SHUT_WR)
        sid = w.until(SYN).sid
        assert w.data(sid, 8) == b"question"
        w.until(FIN, sid)
        for _ in range(10):
            w.send(frame(PSH, sid, b"answer" * 1000))
        w.send(frame(FIN, sid))
        got = b""
        while part := u.recv(65536):
            got += part
        assert got == b"answer" * 10000


def test_our_fin_first_then_the_user_talks_on_d1(server):
    w, port = up(server)
    with w, user(port) as u:
        u.sendall(b"x")
        sid = w.until(SYN).sid
        w.until(PSH, sid)
        w.send(frame(FIN, sid))
        assert u.recv(10) == b""
        u.sendall(b"y" * 50000)
        assert w.data(sid, 50000) == b"y" * 50000
        u.shutdown(socket.SHUT_WR)
        w.until(FIN, sid)


def test_a_user_who_resets_is_told_as_a_reset(server):
    w, port = up(server)
    with w:
        u = user(port)
        u.sendall(b"x")
        sid = w.until(SYN).sid
        w.until(PSH, sid)
        u.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        u.close()
        while True:
            f = w.until(UPD, sid)
            if f.data[4:] == wire.RESET_WINDOW:
                break
        w.until(FIN, sid)
