# SPDX-License-Identifier: MIT
"""-public-bind: the address at which public ports listen."""

import re
import socket

import pytest

from lib.services import connect, free_port, read_exactly


def reaches(address, port):
    try:
        with socket.create_connection((address, port), timeout=60) as s:
            s.sendall(b"ping")
            return read_exactly(s, 4) == b"ping"
    except ConnectionRefusedError:
        return False


@pytest.mark.parametrize("value,address,shown,elsewhere", [
    ("127.0.0.2", "127.0.0.2", r"127\.0\.0\.2", ["127.0.0.1", "127.0.0.3", "::1"]),
    ("::1", "::1", r"\[::1\]", ["127.0.0.1"]),
    ("[::1]", "::1", r"\[::1\]", ["127.0.0.1"]),
    ("0.0.0.0", "127.0.0.1", r"0\.0\.0\.0", ["::1"]),
], ids=lambda v: v if isinstance(v, str) and "\\" not in v else "")
def test_it_is_there_and_nowhere_else(lab, echo, value, address, shown, elsewhere):
    server = lab.server(flags=("-public-bind", value))
    client = lab.client(server, echo.port)
    assert reaches(address, client.port)
    for other in elsewhere:
        assert not reaches(other, client.port)
    server.match(rf"listening on {shown}:{client.port}, ready")
    assert re.search(rf"the server listens on {shown}:{client.port}, ready", client.log())  # the answer has it, too


def test_the_tunnel_port_is_where_it_was(lab, echo):
    server = lab.server(listen="0.0.0.0:0", flags=("-public-bind", "127.0.0.2"))
    with socket.create_connection(("127.0.0.1", server.port), timeout=60):
        pass


def test_not_given_is_everywhere(lab, echo):
    client = lab.client(lab.server(), echo.port)
    assert reaches("127.0.0.1", client.port) and reaches("127.0.0.2", client.port) and reaches("::1", client.port)


def test_a_web_server_has_the_port_at_another_address(lab, echo):
    """In either order, and the one does not hear the other's visitors."""
    port = free_port()
    server = lab.server(flags=("-public-bind", "127.0.0.2"))
    with socket.create_server(("127.0.0.1", port)) as web:
        lab.client(server, echo.port, remote_port=port)
        assert reaches("127.0.0.2", port)
        with connect(port) as s:
            web.accept()[0].sendall(b"web")
            assert read_exactly(s, 3) == b"web"
    second = free_port()
    lab.client(server, echo.port, remote_port=second)
    with socket.create_server(("127.0.0.1", second)):
        assert reaches("127.0.0.2", second)


@pytest.mark.parametrize("value", ["localhost", "8080", "127.1", "1.2.3.4:80", "[127.0.0.1]", "*", "::g"])
def test_what_is_no_address_is_one_clear_error(lab, value):
    done = lab.run("server", "-secret", "s" * 16, "-listen", "127.0.0.1:0", "-public-bind", value)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2
    assert f"-public-bind '{value}': it is not an IP address" in line


def test_an_address_of_another_machine_is_said(lab, echo):
    """It may become ours (a floating one), so the server starts; who asks for a port is refused."""
    server = lab.server(flags=("-public-bind", "192.0.2.77"))
    server.wait_log("-public-bind 192.0.2.77: not an address of this machine now")
    client = lab.client(server, echo.port, remote_port=free_port(), ready=False)
    client.wait_log("the server refused to forward the port")
