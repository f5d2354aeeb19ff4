# SPDX-License-Identifier: MIT
"""The client against servers that do not behave, driven frame by frame."""

import json
import signal
import socket
import ssl
import subprocess
import threading
import time

import pytest

from lib import services, wire
from lib.procs import SECRET, wait_for
from lib.wire import FIN, NOP, PSH, SYN, UPD, Closed, frame, header, upd

SUCCESS = '{"status":"success","message":"成功在 [::]:4711 上监听, 准备转发流量"}\n'.encode()


@pytest.fixture
def certs(lab):
    """A directory of certificates, made by our server."""
    maker = lab.server()
    maker.kill(signal.SIGTERM)
    maker.wait()
    return lab.path / "certs"


@pytest.fixture
def fake(certs):
    with wire.Listener(certs / "server.crt", certs / "server.key", timeout=60) as listener:
        listener.ca = certs / "ca.crt"
        yield listener


def client_of(lab, fake, target=1, **how):
    return lab.client(fake.port, target, ca=fake.ca, ready=False, **how)


def up(lab, fake, target=1, **how):
    """A client with its tunnel up. Returns (client, wire)."""
    client = client_of(lab, fake, target, **how)
    w, asked = fake.serve(SECRET)
    assert asked == {"remote_port": 0}
    client.wait_log("the server listens on [::]:")
    return client, w


# ---- before the answer ----


def test_a_stream_before_the_control_answer_is_closed(lab, fake):
    """docs/protocol.md 2: a Go server listens before it answers, and a visitor may be that early."""
    client = client_of(lab, fake)
    w = fake.accept()
    w.line()
    w.send(b"OK\n")
    syn = w.until(SYN)
    w.until(PSH, syn.sid)
    w.send(frame(SYN, 2) + frame(PSH, 2, b"early"))
    w.until(FIN, 2)
    w.send(frame(PSH, syn.sid, SUCCESS))
    client.wait_log("4711")
    w.close()


# ---- the secret ----


def test_the_secret_has_a_record_of_its_own_d8(lab, fake):
    client_of(lab, fake)
    w = fake.accept()
    assert w.sock.recv(65536) == SECRET.encode() + b"\n"
    w.sock.settimeout(1)
    with pytest.raises(socket.timeout):  # and nothing more before the OK
        w.sock.recv(1)
    w.close()


@pytest.mark.parametrize("ok", [b"OK\n", b"OK\r\n", b"  OK \n"])
def test_ok_and_frames_in_one_record_d8(lab, fake, ok):
    client = client_of(lab, fake)
    w = fake.accept()
    w.line()
    w.send(ok + frame(NOP, 0) + frame(SYN, 2) + frame(FIN, 2))
    syn = w.until(SYN)
    assert json.loads(w.until(PSH, syn.sid).data) == {"remote_port": 0}
    w.send(frame(PSH, syn.sid, SUCCESS))
    client.wait_log("4711")
    w.close()


@pytest.mark.parametrize("answer", [b"ok\n", b"OKAY\n", b"ERROR: Invalid Secret\n", b"\n", b"x" * 4000 + b"\n"])
def test_anything_else_is_a_rejection(lab, fake, answer):
    client = client_of(lab, fake)
    w = fake.accept()
    w.line()
    w.send(answer)
    w.wait_closed()
    client.wait_log("authentication failed")
    client.wait_log("retrying in")


def test_the_server_s_words_are_escaped_and_cut_d28(lab, fake):
    client = client_of(lab, fake)
    w = fake.accept()
    w.line()
    evil = b"\x1b[2J\x1b]0;owned\x07\r2026/01/01 forged line \xff\xfe \xe2\x80\xae" + b"A" * 3000 + b"\n"
    w.send(evil)
    client.wait_log("authentication failed")
    client.wait_log("retrying in")
    raw = client.err.read_bytes()
    assert not any(b < 32 and b != 10 for b in raw) and b"\x7f" not in raw
    raw.decode()  # valid UTF-8
    assert all(line[:2] == b"20" and len(line) < 500 for line in raw.splitlines())
    assert b"\xe2\x80\xae" not in raw
    w.close()


@pytest.mark.patient
def test_the_answer_to_the_secret_is_waited_for_35_seconds(lab, fake):
    """Longer than a server lets one wait for a verdict: who left before would have failed."""
    client_of(lab, fake)
    w = fake.accept()
    w.line()
    began = time.monotonic()
    w.wait_closed(90)
    assert 30 < time.monotonic() - began


def test_an_endless_answer_is_cut_d12(lab, fake):
    client_of(lab, fake)
    w = fake.accept()
    w.line()
    with pytest.raises((OSError, Closed)):
        for _ in range(64):
            w.send(b"x" * 4096)
            time.sleep(0.01)
        w.wait_closed()
        raise Closed()


# ---- who is trusted ----


def test_another_ca_gets_no_secret(lab, fake, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    lab.server(cwd=other).kill()
    fake.ca = other / "certs/ca.crt"
    client = client_of(lab, fake)
    with pytest.raises((ssl.SSLError, Closed, ConnectionResetError)):
        w = fake.accept()
        got = w.wait_closed()
        assert got == b""
        raise Closed()
    client.wait_log("not signed by the CA")
    client.wait_log("retrying in")


def openssl(*args, cwd):
    subprocess.run(["openssl", *map(str, args)], cwd=cwd, check=True, capture_output=True, timeout=60)


@pytest.mark.parametrize("subject,extra,days,word", [
    ("/CN=gotunnel.internal", "basicConstraints=CA:FALSE", 30, "not for gotunnel.internal"),
    ("/CN=x", "subjectAltName=DNS:example.com", 30, "not for gotunnel.internal"),
    ("/CN=x", "subjectAltName=DNS:gotunnel.internal", -1, "expired"),
    ("/CN=x", "subjectAltName=DNS:gotunnel.internal\nextendedKeyUsage=clientAuth", 30, "not accepted"),
], ids=["common name only", "another name", "expired", "for clients only"])
def test_certificates_that_are_refused(lab, certs, subject, extra, days, word):
    here = lab.path / "made"
    here.mkdir()
    (here / "ext").write_text(extra + "\n")
    openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "key", cwd=here)
    openssl("req", "-new", "-key", "key", "-subj", subject, "-out", "req", cwd=here)
    openssl("x509", "-req", "-in", "req", "-CA", certs / "ca.crt", "-CAkey", certs / "ca.key", "-CAcreateserial",
            "-CAserial", here / "serial", "-days", days, "-extfile", "ext", "-out", "crt", cwd=here)
    with wire.Listener(here / "crt", here / "key", timeout=60) as listener:
        listener.ca = certs / "ca.crt"
        client = client_of(lab, listener)
        with pytest.raises((ssl.SSLError, Closed, ConnectionResetError)):
            assert listener.accept().wait_closed() == b""
            raise Closed()
        client.wait_log(word)
        wait = float(client.match(r"retrying in ([\d.]+)").group(1))
        assert wait >= 2  # a rejection (D15)


def test_what_is_not_tls_is_an_outage(lab, certs):
    with socket.create_server(("127.0.0.1", 0)) as s:
        s.settimeout(30)
        client = lab.client(s.getsockname()[1], 1, ca=certs / "ca.crt", ready=False)
        c, _ = s.accept()
        c.sendall(b"SSH-2.0-something\r\n")
        client.wait_log("does not speak TLS")
        client.wait_log("retrying in")
        c.close()


# ---- the control stream ----


@pytest.mark.parametrize("answer,word", [
    (b'{"status":"error","message":"no \\u001b[31m"}\n', "refused"),
    (b'{"status":"Success","message":"x"}\n', "refused"),
    (b'hello\n', "not understood"), (b'[]\n', "not understood"),
    (b'{"status":"success","message":7}\n', "not understood")])
def test_answers_that_are_no_success(lab, fake, answer, word):
    client = client_of(lab, fake)
    w = fake.accept()
    w.line()
    w.send(b"OK\n")
    sid = w.until(SYN).sid
    w.until(PSH, sid)
    w.send(frame(PSH, sid, answer))
    w.wait_closed()
    assert "\x1b" not in client.wait_log(word)
    assert "tunnel is up" not in client.log()  # the secret was right, the port was not granted
    wait = float(client.match(r"retrying in ([\d.]+)").group(1))
    assert wait >= 2


def test_no_answer_is_waited_for_ten_seconds(lab, fake):
    client_of(lab, fake)
    w = fake.accept()
    w.line()
    w.send(b"OK\n")
    w.until(PSH)
    began = time.monotonic()
    w.wait_closed(40)
    assert 7 < time.monotonic() - began < 30


def test_port_zero_is_told(lab, fake):
    client, w = up(lab, fake)
    w.close()
    assert "4711" not in client.log()  # serve() names port 1
    client.match(r"public port 1 of")


# ---- frames ----


@pytest.mark.parametrize("bad", [header(SYN, 0, 4, version=3), header(77, 0, 4), header(FIN, 3, 2) + b"xxx",
                                 header(UPD, 0, 2)])
def test_a_protocol_error_ends_the_session_d19(lab, fake, bad):
    client, w = up(lab, fake)
    w.send(bad)
    w.wait_closed()
    client.wait_log("retrying in")
    again, _ = fake.serve(SECRET)  # it comes back
    again.close()


def test_streams_are_relayed_and_refused(lab, fake, echo):
    client, w = up(lab, fake, echo.port)
    w.send(frame(SYN, 2) + frame(PSH, 2, b"hello"))
    assert w.data(2, 5) == b"hello"
    w.send(frame(FIN, 2))
    w.until(FIN, 2)
    w.close()


def test_nothing_answers_a_syn_at_once_d5(lab, fake):
    """An old server has not entered the stream in its table yet; a refusal must not overtake that."""
    client, w = up(lab, fake, 1)  # nothing listens on port 1
    early = 0
    for i in range(30):
        began = time.monotonic()
        w.send(frame(SYN, 2 + 2 * i))
        w.until(FIN, 2 + 2 * i)
        early += time.monotonic() - began < 0.015
    assert early == 0
    w.close()


def test_a_flood_of_streams_is_bounded_d21(lab, fake, echo):
    client, w = up(lab, fake, echo.port, wrapper=("prlimit", "--nofile=100:100"))
    w.send(b"".join(frame(SYN, 2 + 2 * i) for i in range(2000)))
    refused = set()
    while len(refused) < 1900:
        refused.add(w.until(FIN).sid)
    assert client.fds() <= 100
    w.send(frame(SYN, 2) + b"".join(frame(FIN, 2 + 2 * i) for i in range(2000)))
    wait_for("descriptors to return", lambda: client.fds() < 30)
    w.send(frame(SYN, 9000) + frame(PSH, 9000, b"again"))
    assert w.data(9000, 5) == b"again"
    w.close()


def test_a_stalled_service_stops_nobody_else_d18(lab, fake):
    def serve(s):
        if s.recv(1) == b"e":
            services.echo(s)
        else:
            time.sleep(30)  # reads nothing more

    with services.Service(serve, rcvbuf=4096) as service:
        client, w = up(lab, fake, service.port)
        for sid in range(2, 42, 2):
            w.send(frame(SYN, sid) + frame(PSH, sid, b"s"))
            for _ in range(15):
                w.send(frame(PSH, sid, b"z" * 16384))
        w.send(frame(SYN, 100) + frame(PSH, 100, b"e") + frame(PSH, 100, b"fine"))
        assert w.data(100, 4) == b"fine"
        w.close()


# ---- losing the session ----


def test_a_lost_session_is_left_at_once_d17(lab, fake):
    """Whatever streams hang in it: an original waits for all of them."""
    def serve(s):
        s.sendall(b"x" * (1 << 20))  # nobody gives credit for all of it
        services.discard(s)

    with services.Service(serve) as service:
        client, w = up(lab, fake, service.port)
        for sid in range(2, 22, 2):
            w.send(frame(SYN, sid))
        w.data(2, 1000)
        began = time.monotonic()
        w.abort()
        again, _ = fake.serve(SECRET)
        assert time.monotonic() - began < 15
        again.close()
        wait_for("the service's connections to end", lambda: service.open == 0)


def test_silence_ends_the_session_d6(lab, fake):
    began = time.monotonic()  # before the client's clock runs
    client, w = up(lab, fake)
    seen = []
    w.sock.settimeout(60)
    try:
        while True:
            seen.append(w.frame().cmd)
    except Closed:
        pass
    assert 28 < time.monotonic() - began < 60
    assert seen.count(NOP) >= 2  # it said something every ten seconds
    client.wait_log("nothing was heard from the other side")


def test_a_peer_that_takes_nothing_is_given_up_d24(lab, fake):
    """It sends keepalives but reads nothing: its users would hang for ever."""
    def serve(s):
        try:
            while True:
                s.sendall(b"x" * 65536)
        except OSError:
            pass

    with services.Service(serve) as service:
        client = client_of(lab, fake, service.port)
        raw = fake.accept_raw()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        w = wire.Wire(fake.ctx.wrap_socket(raw, server_side=True), 60)
        w.line()
        w.send(b"OK\n")
        sid = w.until(SYN).sid
        w.until(PSH, sid)
        w.send(frame(PSH, sid, SUCCESS) + frame(FIN, sid))
        for i in range(2, 200, 2):
            w.send(frame(SYN, i) + upd(i, 0, 0x7fffffff))
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and "retrying in" not in client.log():
            try:
                w.send(frame(NOP, 0))
            except OSError:
                break
            time.sleep(2)
        client.wait_log("took no data for 60 seconds")


def test_rejections_are_not_repeated_in_a_hurry_d15(lab, fake):
    client_of(lab, fake)
    count = 0
    deadline = time.monotonic() + 6
    fake.sock.settimeout(1)
    while time.monotonic() < deadline:
        try:
            w = fake.accept()
        except socket.timeout:
            continue
        w.line()
        w.send(b"ERROR: Invalid Secret\n")
        w.close()
        count += 1
    assert 1 <= count <= 3


def test_a_small_retry_maximum_is_no_busy_loop_d16(lab, certs):
    client = lab.client(services.free_port(), 1, ca=certs / "ca.crt", ready=False, flags=("-max-retry-interval", "0"))
    time.sleep(4)
    client.wait_log("retrying in")
    assert client.log().count("retrying in") < 20
    client.wait_log("one second is used")


def test_names_resolve_anew_and_unknown_ones_are_said(lab, certs):
    client = lab.start("client", lab.program("c"), "client", "-server", "no-such-host.invalid:7000", "-secret", "x",
                       "-ca", certs / "ca.crt")
    client.wait_log("retrying in")
    wait_for("a second attempt", lambda: client.log().count("retrying in") >= 2)
