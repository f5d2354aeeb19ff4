# SPDX-License-Identifier: MIT
"""What users send arrives, byte for byte, through every pairing of the two implementations."""

import hashlib
import http.client
import http.server
import random
import socket
import subprocess
import threading
import time

import pytest

from lib import services
from lib.procs import SANITIZED, wait_for
from lib.services import connect, in_threads, pattern, read_all, read_exactly, reset

BULK = (8 << 20) if SANITIZED else (64 << 20)
MANY = 300 if SANITIZED else 1000


# A defect of the original's, at the end where it shows, which nothing at the other end can mend.
CLOSES_A_TALKING_SOCKET_D2 = ["c-c", "go16-c", "go57-c"]  # all but an original as client
ANSWERS_ARE_LOST_D5 = ["c-c", "c-go16", "go16-c", "c-go57", "go57-c"]  # all but two originals


# ---- HTTP ----


class Page(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    body = pattern("page", 300000)

    def do_HEAD(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()

    def do_GET(self):
        self.do_HEAD()
        self.wfile.write(self.body)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        digest = hashlib.sha256(body).hexdigest().encode()
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for i in range(0, len(digest), 10):
            part = digest[i : i + 10]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_):
        pass


@pytest.fixture
def web():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def test_curl(lab, pairing, web):
    t = lab.tunnel(web, pairing)
    url = f"http://127.0.0.1:{t.port}/"
    got = subprocess.run(["curl", "-sS", "--max-time", "30", url, url], capture_output=True, timeout=60)
    assert got.returncode == 0, got.stderr
    assert got.stdout == Page.body * 2


def test_a_browser_s_keep_alive_connections(lab, pairing, web):
    t = lab.tunnel(web, pairing)

    def browse(n):
        c = http.client.HTTPConnection("127.0.0.1", t.port, timeout=60)
        for i in range(5):
            c.request("GET", "/")
            assert c.getresponse().read() == Page.body
            c.request("HEAD", "/")
            assert c.getresponse().read() == b""
            body = pattern(f"{n}.{i}", 100000 + n)
            c.request("POST", "/", body)
            assert c.getresponse().read().decode() == hashlib.sha256(body).hexdigest()
        c.close()

    in_threads([lambda n=n: browse(n) for n in range(6)])


# ---- bytes ----


def exchange(port, key, n, sndbuf=None):
    """Sends n bytes while receiving them; all must come back."""
    data = pattern(key, n)
    with connect(port) as s:
        sender = threading.Thread(target=s.sendall, args=(data,), daemon=True)
        sender.start()
        assert hashlib.sha256(read_exactly(s, n)).digest() == hashlib.sha256(data).digest()
        sender.join(60)


def test_both_ways_at_once(lab, pairing, echo):
    t = lab.tunnel(echo.port, pairing)
    in_threads([lambda i=i: exchange(t.port, i, BULK // 4) for i in range(4)])


@pytest.mark.serial
def test_a_gigabyte_both_ways_at_once(lab, echo):
    t = lab.tunnel(echo.port)
    block = pattern("giga", 1 << 20)
    blocks = 64 if SANITIZED else 1024
    with connect(t.port, 120) as s:

        def send():
            for i in range(blocks):
                s.sendall(i.to_bytes(8, "big") + block[8:])

        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        for i in range(blocks):
            got = read_exactly(s, 1 << 20)
            assert got[:8] == i.to_bytes(8, "big") and got[8:] == block[8:]
        sender.join(60)
    # Windows bound what is held, whatever went through.
    for p in (t.server, t.client):
        assert SANITIZED or p.status("VmRSS") < 20000


@pytest.mark.serial
def test_many_connections_at_once(lab, pairing, echo):
    t = lab.tunnel(echo.port, pairing)
    gate = threading.Barrier(MANY)

    def one(n):
        data = pattern(n, 2000 + n)
        with connect(t.port) as s:
            gate.wait(120)  # all are open
            s.sendall(data)
            assert read_exactly(s, len(data)) == data

    in_threads([lambda n=n: one(n) for n in range(MANY)])


def test_single_bytes(lab, pairing, echo):
    t = lab.tunnel(echo.port, pairing)
    data = pattern("bytes", 2000)
    with connect(t.port) as s:
        for b in data:
            s.sendall(bytes([b]))
        assert read_exactly(s, len(data)) == data


def test_a_slow_reader(lab, pairing):
    data = pattern("slow", 3 << 20)

    def pour(s):
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        services.discard(s)

    with services.Service(pour) as service:
        t = lab.tunnel(service.port, pairing)
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.settimeout(60)
        s.connect(("127.0.0.1", t.port))
        got = b""
        for i in range(10000):
            part = s.recv(1 << 15)
            if not part:
                break
            got += part
            if i % 10 == 0:
                time.sleep(0.005)
        assert got == data
        s.close()


def test_a_slow_writer(lab, pairing, echo):
    t = lab.tunnel(echo.port, pairing)
    rng = random.Random(5)
    with connect(t.port) as s:
        for i in range(30):
            part = pattern(i, rng.randrange(1, 3000))
            s.sendall(part)
            assert read_exactly(s, len(part)) == part
            time.sleep(rng.random() / 50)


def test_a_user_who_reads_nothing_holds_up_nobody(lab, pairing):
    def pour(s):
        s.sendall(pattern("pour", 8 << 20))

    with services.Service(pour) as service:
        t = lab.tunnel(service.port, pairing)
        lazy = [connect(t.port) for _ in range(8)]
        time.sleep(1)
        with connect(t.port) as s:
            assert read_exactly(s, 8 << 20) == pattern("pour", 8 << 20)
        for s in lazy:
            s.close()


# ---- ends ----


def test_the_service_closes_after_its_answer(lab, pairing):
    answer = pattern("answer", 500000)

    def serve(s):
        read_exactly(s, 5)
        s.sendall(answer)

    with services.Service(serve) as service:
        t = lab.tunnel(service.port, pairing)
        for _ in range(20):
            with connect(t.port) as s:
                s.sendall(b"hello")
                assert read_all(s) == answer
        assert not service.errors


def test_an_upload_that_ends_by_closing(lab, pairing):
    data = pattern("upload", 700000)
    with services.Service(read_all) as service:
        t = lab.tunnel(service.port, pairing)
        for _ in range(5):
            with connect(t.port) as s:
                s.sendall(data)
        wait_for("five uploads", lambda: len(service.results) == 5)
        assert all(r == data for r in service.results)


def test_half_close_of_the_user_d1(lab):
    """`head -c 1000000 /dev/zero | nc host port` against `wc -c`."""
    with services.Service(services.count) as service:
        t = lab.tunnel(service.port)
        for _ in range(10):
            with connect(t.port) as s:
                s.sendall(bytes(1000000))
                s.shutdown(socket.SHUT_WR)
                assert read_all(s) == b"1000000\n"


def test_half_close_of_the_service_d1_d2(lab):
    def serve(s):
        s.sendall(b"banner")
        s.shutdown(socket.SHUT_WR)
        return read_all(s)

    data = pattern("late", 400000)
    with services.Service(serve) as service:
        t = lab.tunnel(service.port)
        with connect(t.port) as s:
            assert read_all(s) == b"banner"
            time.sleep(0.2)
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            wait_for("the upload", lambda: service.results == [data])


@pytest.mark.parametrize("pairing", CLOSES_A_TALKING_SOCKET_D2)
def test_a_slow_service_gets_all_of_a_finished_upload_d2(lab, pairing):
    """The user ends while the service still talks: what was sent before must arrive whole."""
    data = pattern("finished", 260000)

    def serve(s):
        s.sendall(b"x" * 100000)
        time.sleep(0.3)
        s.sendall(b"y")
        return read_all(s)

    with services.Service(serve) as service:
        t = lab.tunnel(service.port, pairing)
        with connect(t.port) as s:
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            try:
                read_all(s)
            except OSError:
                pass
        wait_for("the upload", lambda: service.results or service.errors)
        assert service.results == [data]


@pytest.mark.parametrize("pairing", ANSWERS_ARE_LOST_D5)
def test_a_refused_target_closes_the_user_promptly(lab, pairing):
    with socket.socket() as nobody:  # who does not listen, and has the port
        nobody.bind(("127.0.0.1", 0))
        t = lab.tunnel(nobody.getsockname()[1], pairing)
        for _ in range(50):
            try:
                with connect(t.port, 20) as s:
                    assert s.recv(100) == b""
            except ConnectionResetError:  # it may come before connect() has returned
                pass


def test_a_user_s_reset_reaches_the_service(lab):
    seen, arrived = [], threading.Event()

    def serve(s):
        s.recv(100)
        arrived.set()
        try:
            seen.append(s.recv(100))
        except ConnectionResetError:
            seen.append("reset")

    with services.Service(serve) as service:
        t = lab.tunnel(service.port)
        s = connect(t.port)
        s.sendall(b"x")
        assert arrived.wait(services.TIMEOUT)
        reset(s)
        wait_for("the service's view", lambda: seen)
        assert seen == ["reset"]


def test_a_service_s_reset_reaches_the_user(lab):
    """A download that was cut must not look complete."""
    arrived = threading.Event()

    def serve(s):
        s.recv(100)
        s.sendall(b"half")
        arrived.wait(services.TIMEOUT)
        reset(s)

    with services.Service(serve) as service:
        t = lab.tunnel(service.port)
        with connect(t.port) as s:
            s.sendall(b"x")
            assert read_exactly(s, 4) == b"half"
            arrived.set()
            with pytest.raises(ConnectionResetError):
                s.recv(100)


@pytest.mark.parametrize("pairing", ANSWERS_ARE_LOST_D5)
def test_services_that_speak_first_d5(lab, pairing):
    """Nothing of a banner is lost, however soon it comes."""
    def serve(s):
        s.sendall(b"SSH-2.0-banner\r\n")
        services.discard(s)

    with services.Service(serve) as service:
        t = lab.tunnel(service.port, pairing)
        for _ in range(200):
            with connect(t.port, 20) as s:
                assert read_exactly(s, 16) == b"SSH-2.0-banner\r\n"


def test_nothing_is_left_of_finished_connections(lab, echo):
    t = lab.tunnel(echo.port)
    before = t.server.fds(), t.client.fds()
    for i in range(100):
        with connect(t.port) as s:
            s.sendall(b"x")
            assert read_exactly(s, 1) == b"x"
            if i % 3 == 0:
                reset(s)
    wait_for("descriptors to return", lambda: t.server.fds() <= before[0] and t.client.fds() <= before[1])


@pytest.mark.parametrize("pairing", ["c-go16", "go16-c"])
def test_tls_1_2(lab, pairing, echo):
    t = lab.tunnel(echo.port, pairing, env={"GOTUNNEL_PEER_TLS_MAX": "1.2"})
    exchange(t.port, "1.2", 1 << 20)
