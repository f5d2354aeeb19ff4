# SPDX-License-Identifier: MIT
"""What nobody who lacks the secret can do: hold memory, stop accepting, delay a live tunnel, guess."""

import re
import signal
import socket
import ssl
import time

import pytest

from lib import wire
from lib.guess import Guessers
from lib.procs import PATIENCE, SANITIZED, wait_for
from lib.services import connect, read_exactly


def shake_hands(server):
    """TLS without a word of the secret."""
    return wire.dial(server.port, server.ca, timeout=60)


def ssl_in_memory(server):
    """A TLS client of ours, what goes to it, what comes from it."""
    to, come = ssl.MemoryBIO(), ssl.MemoryBIO()
    return wire.client_context(server.ca).wrap_bio(to, come, server_hostname=wire.SERVER_NAME), to, come


def whole_hello(server, source):
    """A connection that has said its ClientHello, and says no more."""
    tls, _, come = ssl_in_memory(server)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    s = socket.create_connection(("127.0.0.1", server.port), source_address=source)
    s.sendall(come.read())
    return s


def ended(sock, within):
    """True when the other side closes in time."""
    sock.settimeout(within)
    try:
        return sock.recv(1) == b""
    except socket.timeout:
        return False
    except (OSError, ssl.SSLError):
        return True


def test_silence_is_not_waited_for_d30(server):
    """The kernel keeps what says nothing to itself at first; then a deadline of ten seconds runs."""
    with socket.create_connection(("127.0.0.1", server.port)) as s:
        assert ended(s, 40)


def test_half_a_handshake_is_not_waited_for(server):
    with socket.create_connection(("127.0.0.1", server.port)) as s:
        s.sendall(b"\x16\x03\x01\x02\x00\x01")
        began = time.monotonic()
        assert ended(s, 40)
        assert time.monotonic() - began < 25


@pytest.mark.parametrize("drip", [False, True], ids=["nothing", "a byte a second"])
def test_the_secret_is_waited_for_five_seconds(server, drip):
    began = time.monotonic()  # before the server's clock runs
    w = shake_hands(server)
    w.sock.settimeout(1)
    while time.monotonic() - began < 30:
        try:
            if drip:
                w.send(b"x")
            if w.sock.recv(1) == b"":
                break
        except socket.timeout:
            continue
        except OSError:
            break
    assert 3 < time.monotonic() - began < 20
    w.close()


def test_a_crowd_does_not_keep_an_honest_client_out_d30(lab, echo):
    server = lab.server()
    live = lab.client(server, echo.port)
    rss = server.status("VmRSS")
    crowd = []
    with connect(live.port) as user:
        for i in range(400):
            crowd.append(whole_hello(server, ("127.8.0.1", 0)))  # a handshake that never goes on
            if i % 50 == 0:
                user.sendall(b"x")
                assert read_exactly(user, 1) == b"x"
        again = lab.client(server, echo.port)  # comes in through it
        with connect(again.port) as s:
            s.sendall(b"y")
            assert read_exactly(s, 1) == b"y"
    assert server.fds() < 64 + 64 + 40  # one source has 64 places, and as many to wait for its turn
    if not SANITIZED:
        assert server.status("VmRSS") - rss < 16 << 10
    for s in crowd:
        s.close()
    wait_for("descriptors to return", lambda: server.fds() < 40)


def test_half_hellos_take_no_place_and_little_memory(lab, echo):
    """Before a whole ClientHello there is no TLS: a flood from hundreds of sources keeps nobody out."""
    server = lab.server()
    live = lab.client(server, echo.port)
    rss, fds, crowd = server.status("VmRSS"), server.fds(), []
    for i in range(900):
        source = (f"127.9.{i % 5}.{i // 5 + 1}", 0)
        crowd.append(socket.create_connection(("127.0.0.1", server.port), source_address=source))
        crowd[-1].sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100))
    wait_for("the crowd to be there", lambda: server.fds() > fds + 100)
    wait_for("the crowd to be let go", lambda: server.fds() <= fds + 256)
    with wire.dial(server.port, server.ca) as w:
        w.login(server.secret)
    if not SANITIZED:
        assert server.status("VmRSS") - rss < 1 << 10
    with connect(live.port) as user:
        user.sendall(b"x")
        assert read_exactly(user, 1) == b"x"
    for s in crowd:
        s.close()
    wait_for("descriptors to return", lambda: server.fds() <= fds)


def test_a_crowd_of_whole_hellos_takes_no_place_of_a_known_source(lab):
    """Who has authenticated in the last day keeps its connections, slow as they are, while strangers' are dropped."""
    server = lab.server(flags=("-handshakes", "10000,10000"))  # nobody waits for his turn
    with wire.dial(server.port, server.ca, source=("127.14.0.1", 0)) as w:
        w.login(server.secret)
    known = [whole_hello(server, ("127.14.0.1", 0)) for _ in range(5)]
    crowd = [whole_hello(server, (f"127.14.{i % 5 + 1}.{i // 5 + 1}", 0)) for i in range(250)]  # for 192 places
    wait_for("strangers to be dropped", lambda: server.log().count("event=limit src=127.14.") >= 10)
    with wire.dial(server.port, server.ca, source=("127.14.0.1", 0)) as w:
        w.login(server.secret)
    server.wait_count("passed PSK", 2)
    assert "event=limit src=127.14.0.1 " not in server.log()
    for s in known:
        s.settimeout(0.1)
        with pytest.raises(socket.timeout):
            while s.recv(65536):
                pass  # no end
    for s in [*known, *crowd]:
        s.close()


def test_a_slow_hello_passes(server):
    """Byte by byte, over a second: whoever is slow is no stranger."""
    tls, to, come = ssl_in_memory(server)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    hello = come.read()
    with socket.create_connection(("127.0.0.1", server.port)) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        s.settimeout(PATIENCE)
        for b in hello:
            s.send(bytes([b]))
            time.sleep(1 / len(hello))
        while True:
            to.write(s.recv(65536))
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                continue
        tls.write(server.secret.encode() + b"\n")
        s.sendall(come.read())
        to.write(s.recv(65536))
        assert tls.read(100) == b"OK\n"


def test_what_is_not_tls_is_closed_at_once(server):
    too_long, no_hello = b"\x16\x03\x01\x40\x00\x01", b"\x16\x03\x01\x00\x04\x02\x00\x00\x00"
    for text in (b"GET / HTTP/1.1\r\n\r\n", b"SSH-2.0-x\r\n", too_long, no_hello):
        with socket.create_connection(("127.0.0.1", server.port)) as s:
            s.sendall(text)
            began = time.monotonic()
            assert ended(s, 20)
            assert time.monotonic() - began < 8  # silence is waited for 10 s
    assert "auth" not in server.wait_count("event=tls_not src=127.0.0.1 ", 4)


@pytest.mark.parametrize("patience", [0, 0.025], ids=["waits", "resets after 25 ms"])
def test_guesses_are_rationed(lab, patience):
    """However it guesses, an address learns 20 verdicts a minute; others and who has a session do not notice."""
    server = lab.server()
    with Guessers(server, *[("127.15.0.1", {"patience": patience})] * 3) as them:
        server.wait_log("event=penalty src=127.15.0.1 ")
        for i in range(10):
            with wire.dial(server.port, server.ca, source=(f"127.15.1.{i + 1}", 0)) as w:
                w.login(server.secret)  # nobody else's business
        time.sleep(6)
        heard, minutes = them.heard(), them.minutes()
    assert heard <= 20 * minutes
    server.wait_count("passed PSK", 10)
    assert 1 <= server.log().count("event=penalty src=127.15.0.1 ") <= minutes


@pytest.mark.patient
def test_a_known_client_comes_in_beside_a_guesser(lab, echo):
    """Behind the guesser's own address: its id was there before, so it has a place of its own."""
    server = lab.server()
    client = lab.client(server, echo.port, flags=("-id", "nas"))
    with Guessers(server, *[("127.0.0.1", {"patience": patience}) for patience in (0, 0, 0.025)]):
        server.wait_log("event=penalty src=127.0.0.1 ")
        with connect(client.port) as user:  # who has a session does not notice
            user.sendall(b"x")
            assert read_exactly(user, 1) == b"x"
        client.kill(signal.SIGTERM)
        assert client.wait(30) == 0
        again = lab.client(server, echo.port, flags=("-id", "nas"))
        with connect(again.port) as user:
            user.sendall(b"y")
            assert read_exactly(user, 1) == b"y"


@pytest.mark.parametrize("together", [True, False], ids=["in one record", "each in its own"])
def test_one_line_one_verdict(server, together):
    """Lines behind a wrong one are not looked at, the right one among them, and every one is counted."""
    lines = [b"wrong\n", server.secret.encode() + b"\n", b"wrong\n"]
    no = b"ERROR: Invalid Secret\n"
    for i in range(50):
        with wire.dial(server.port, server.ca, source=(f"127.7.{together:d}.{i + 1}", 0)) as w:
            try:
                for part in [b"".join(lines)] if together else lines:
                    w.send(part)
            except OSError:
                assert not together  # the verdict was there before the second line
            assert w.wait_closed() in ([no] if together else [no, b""])
    server.kill(signal.SIGTERM)
    assert server.wait(20) == 0
    left_out = re.findall(r"event=left_out src=- .* auth_failed=(\d+)", server.log())
    assert server.log().count("event=auth_failed src=127.7.") + sum(map(int, left_out)) == 50
    assert "passed PSK" not in server.log()


def test_waiting_guesses_hold_up_nobody(lab, echo):
    server = lab.server()
    client = lab.client(server, echo.port)
    waiting = []
    for _ in range(60):
        w = shake_hands(server)
        w.send(b"guess\n")
        waiting.append(w)
    with connect(client.port) as s:
        for _ in range(20):
            began = time.monotonic()
            s.sendall(b"x")
            assert read_exactly(s, 1) == b"x"
            assert time.monotonic() - began < 10  # a guess waits for up to 30 s
    for w in waiting:
        w.close()


def test_a_port_scan_does_not_fill_the_log(server):
    for _ in range(500):
        s = socket.create_connection(("127.0.0.1", server.port))
        s.sendall(b"\x16\x03\x01\x02\x00\x01")
        s.close()
    with shake_hands(server) as w:
        w.login(server.secret)
    assert server.wait_log("passed PSK").count("\n") < 300


@pytest.mark.parametrize("language", ["C.UTF-8", "zh_CN.UTF-8"])
def test_lines_about_strangers_are_for_programs_too(lab, language):
    """`event=word src=address` first, whatever went wrong and whatever the language; and no guess that is none."""
    server = lab.server(env={"LC_ALL": language}, flags=("-legacy", "allow"))

    def one(event, *says, tls=True):
        source = (f"127.11.0.{one.n}", 0)
        one.n += 1
        s = wire.dial(server.port, server.ca, source=source).sock if tls else \
            socket.create_connection(("127.0.0.1", server.port), source_address=source)
        with s:
            for text in says:
                s.sendall(text)
            while not ended(s, 20):
                pass  # an alert
        server.wait_log(f" event={event} src={source[0]} ")

    one.n = 1
    one("tls_not", b"GET / HTTP/1.1\r\n\r\n", tls=False)
    no_cipher = b"\x16\x03\x01\x00\x2d\x01\x00\x00\x29\x03\x03" + bytes(34) + b"\x00\x02\x00\x00\x01\x00"
    one("tls_failed", no_cipher, tls=False)
    one("secret_not", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    one("secret_not", b"x" * 5000)
    one("auth_failed", b"wrong\n")
    one("timeout")
    for line in server.log().splitlines():
        if "127.11." in line:
            assert re.fullmatch(r"\S+ \S+ event=(\w+) src=127\.11\.0\.\d+ .*", line), line
    assert server.log().count("event=auth_failed") == 1
    assert server.log().count("event=connected") == 5


def test_what_a_person_has_to_mend_is_said_of_a_known_address_too(lab, echo):
    """There is a client of ours behind the address, and one that cannot come in."""
    server = lab.server(flags=("-legacy", "never"))
    lab.client(server, echo.port)
    lab.client(server, echo.port, secret="short", ready=False, flags=("-legacy", "allow"))
    server.wait_log(" event=legacy src=127.0.0.1 ")
    lab.server(flags=("-certs", str(lab.path / "others")))
    lab.client(server, echo.port, ca=lab.path / "others/ca.crt", ready=False)
    server.wait_log(" event=tls_failed src=127.0.0.1 ")
    assert "event=auth_failed" not in server.log()


def test_one_budget_for_the_lines_of_all_strangers(server):
    """300 sources, each of a kind, write 60 lines; the rest is counted by kind when the program ends, or after a minute."""
    for i in range(300):
        source = (f"127.12.{i // 100}.{i % 100 + 1}", 0)
        with socket.create_connection(("127.0.0.1", server.port), source_address=source) as s:
            s.sendall(b"SSH-2.0-x\r\n")
            assert ended(s, 20)
    server.wait_count("event=", 60)
    server.kill(signal.SIGTERM)
    assert server.wait(20) == 0
    assert re.search(r" event=left_out src=- 240 .*: tls_not=240\n", server.log())


def test_renegotiation_is_refused(server):
    """With TLS 1.2 an unauthenticated peer could make a server work for ever."""
    import subprocess

    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-tls1_2", "-CAfile", server.ca],
        input=b"R\n", capture_output=True, timeout=60)
    out = done.stdout + done.stderr
    assert b"RENEGOTIATING" in out
    assert b"no renegotiation" in out or b"alert" in out or done.returncode != 0
