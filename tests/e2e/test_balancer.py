# SPDX-License-Identifier: MIT
"""`-trusted-proxy`: a balancer in front of the tunnel port says whose connection it is."""

import os
import re
import socket
import ssl
from pathlib import Path

import pytest

from lib import programs, wire
from lib.cutter import Cutter
from lib.procs import wait_for
from lib.services import connect, read_exactly

BALANCER = "127.0.0.77"  # clients come from other addresses of loopback
BALANCERS = {
    "haproxy-v1": lambda lab, port: programs.haproxy(lab, port, "send-proxy", BALANCER),
    "haproxy-v2": lambda lab, port: programs.haproxy(lab, port, "send-proxy-v2", BALANCER),
    "nginx": lambda lab, port: programs.nginx_stream(lab, port, BALANCER),
}


def v2(source=None, port=4444):
    """A header of version 2; without a source LOCAL."""
    begin = b"\r\n\r\n\0\r\nQUIT\n"
    if not source:
        return begin + b"\x20\0\0\0"
    ends = socket.inet_aton(source) + socket.inet_aton("192.0.2.1") + port.to_bytes(2, "big") + b"\x1b\x58"
    return begin + b"\x21\x11\0\x0c" + ends


def proxied(server, *parts, source=BALANCER):
    """A connection of a balancer that has said these."""
    s = socket.create_connection(("127.0.0.1", server.port), timeout=30, source_address=(source, 0))
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for part in parts:
        s.sendall(part)
    return s


def tls(server, s):
    """TLS behind a header."""
    return wire.Wire(wire.client_context(server.ca).wrap_socket(s, server_hostname=wire.SERVER_NAME), 30)


def hello(server):
    to, come = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        wire.client_context(server.ca).wrap_bio(to, come, server_hostname=wire.SERVER_NAME).do_handshake()
    return come.read()


def ended(s):
    try:
        while s.recv(65536):
            pass
    except ConnectionResetError:
        pass
    return True


@pytest.mark.parametrize("balancer", BALANCERS)
def test_through_a_balancer_the_client_is_seen(lab, echo, balancer):
    """Its address is in every line, guesses have theirs, and a session that is cut goes on through it."""
    server = lab.server(flags=("-trusted-proxy", f"{BALANCER},192.0.2.0/24"))
    front = BALANCERS[balancer](lab, server.port)
    for i in (1, 2):
        with wire.dial(front, server.ca, source=(f"127.31.0.{i}", 0), timeout=60) as w:
            w.send(b"a wrong secret\n")
            assert w.line() == b"ERROR: Invalid Secret\n"
        server.wait_log(f"event=auth_failed src=127.31.0.{i} ")
    with Cutter(front) as link:
        client = lab.client(link.port, echo.port, ca=server.ca)
        with connect(client.port) as user:
            for i in range(2):
                user.sendall(b"x")
                assert read_exactly(user, 1) == b"x"
                if i == 0:
                    link.reset()
                    server.match(r"\] the session goes on from 127\.0\.0\.1:\d+ ")
    log = server.log()
    assert re.search(r"\[127\.0\.0\.1:\d+ \S+\] tunnel '\S+': listening on ", log)
    assert BALANCER not in log and " src=-" not in log  # health checks are no lines either
    assert {m for m in re.findall(r"event=(\w+)", log)} <= {"connected", "auth_failed"}


def of_page(page, name):
    """What the reference has for a file of a balancer."""
    text = (Path(__file__).resolve().parents[2] / page).read_text()
    return re.search(rf"(?ms)^```\n# {re.escape(name)}\n(.*?)^```$", text)[1]


def run_haproxy(lab, target, text):
    def command(port):
        config.write_text(text.replace("bind :7000", f"bind 127.0.0.1:{port}").replace("10.0.0.9:7000",
                                                                                       f"127.0.0.1:{target}"))
        programs.run(program, "-c", "-dW", "-f", config)  # a warning is a fault
        return program, "-db", "-f", config

    program, config = programs.tool("haproxy", "haproxy"), lab.path / "haproxy.cfg"
    return programs.start(lab, "haproxy", command)


def run_nginx(lab, target, text):
    def command(port):
        user = "user root;\n" if os.geteuid() == 0 else ""
        config.write_text(
            f"load_module {programs.stream_module()};\n{user}daemon off;\nworker_processes 1;\n"
            f"pid {lab.path}/nginx.pid;\nerror_log stderr;\nevents {{ }}\n"
            + text.replace("listen 7000", f"listen 127.0.0.1:{port}").replace("10.0.0.9:7000", f"127.0.0.1:{target}"))
        return program, "-p", lab.path, "-e", "stderr", "-c", config

    program, config = programs.tool("nginx", "nginx-light"), lab.path / "nginx.conf"
    return programs.start(lab, "nginx", command)


@pytest.mark.parametrize("page", ["docs/reference.md", "docs/reference.zh-CN.md"])
@pytest.mark.parametrize("name,run", [("haproxy.cfg", run_haproxy), ("nginx.conf", run_nginx)])
def test_the_balancers_of_the_reference_work(lab, page, name, run):
    """As they stand there, but for addresses and ports."""
    server = lab.server(flags=("-trusted-proxy", "127.0.0.1"))
    front = run(lab, server.port, of_page(page, name))
    with wire.dial(front, server.ca, source=("127.31.0.1", 0), timeout=60) as w:
        w.send(b"a wrong secret\n")
        assert w.line() == b"ERROR: Invalid Secret\n"
    server.wait_log("event=auth_failed src=127.31.0.1 ")


def test_one_source_has_its_share_whatever_the_balancer(lab):
    """64 places for those that have not authenticated are of a source, not of the balancer."""
    server = lab.server(flags=("-trusted-proxy", BALANCER, "-handshakes", "10000,10000"))  # nobody waits for his turn
    text = hello(server)
    other = proxied(server, v2("198.51.100.2") + text)
    server.wait_log("event=connected src=198.51.100.2 ")
    crowd = [proxied(server, v2("198.51.100.1", 5000 + i) + text) for i in range(70)]
    server.wait_log("event=limit src=198.51.100.1 ")
    for s in crowd[:6]:
        assert ended(s)
    other.settimeout(0.5)
    with pytest.raises(socket.timeout):
        while other.recv(65536):
            pass  # no end
    for s in [other, *crowd]:
        s.close()


def test_no_header_no_tls(lab):
    """From a balancer it must come first and in time; it is read to the byte, and believed from nobody else."""
    server = lab.server(flags=("-trusted-proxy", BALANCER))
    with proxied(server, hello(server)) as s:
        assert ended(s)
    server.wait_log(f"event=proxy_not src={BALANCER} ")
    server.wait_log("it does not begin with a PROXY header")
    with proxied(server, b"PROXY TCP4 999 x\r\n") as s:
        assert ended(s)
    server.wait_log("its PROXY header is broken")
    with proxied(server, v2("198.51.100.3") + b"GET / HTTP/1.1\r\n\r\n") as s:
        assert ended(s)
    server.wait_log("event=tls_not src=198.51.100.3 198.51.100.3:4444 ")
    with proxied(server, v2("198.51.100.4"), source="127.0.0.1") as s:
        assert ended(s)
    server.wait_log("event=tls_not src=127.0.0.1 ")
    line = b"PROXY TCP6 2001:db8::9 2001:db8::1 4444 7000\r\n"
    with tls(server, proxied(server, *(bytes([b]) for b in line))) as w:
        w.login(server.secret)
    server.wait_log("client [2001:db8::9]:4444 passed PSK authentication")
    assert "198.51.100.4" not in server.log()


@pytest.mark.patient
def test_half_a_header_is_not_waited_for(lab):
    server = lab.server(flags=("-trusted-proxy", BALANCER))
    with proxied(server, v2("198.51.100.3")[:-1]) as s:
        assert ended(s)
    server.wait_log(f"event=proxy_not src={BALANCER} ")
    server.wait_log("its PROXY header did not come in time")


def test_a_balancer_of_which_nobody_is_known_is_not_to_be_banned(lab):
    """LOCAL and UNKNOWN: it counts as itself, and its address is nothing that fail2ban finds."""
    server = lab.server(flags=("-trusted-proxy", BALANCER))
    for header in (v2(), b"PROXY UNKNOWN\r\n"):
        proxied(server, header).close()  # a health check
        with tls(server, proxied(server, header)) as w:
            w.send(b"a wrong secret\n")
            assert w.line() == b"ERROR: Invalid Secret\n"
    wait_for("both lines", lambda: len(re.findall(rf"event=auth_failed src=- .*{BALANCER}:\d+", server.log())) == 2)
    assert f"src={BALANCER}" not in server.log()
