# SPDX-License-Identifier: MIT
"""-once: a first attempt that fails is the last, and the exit status says why."""

import signal
import socket

import pytest

from lib import services
from lib.services import free_port, works

UNREACHABLE, REJECTED, CONFIG = 69, 77, 78


def ends(lab, status, server, **how):
    """A client with -once ends by itself, with this status."""
    client = lab.client(server, 1, ready=False, flags=("-once", *how.pop("flags", ())), **how)
    client.expect_exit = False
    assert client.wait() == status, client.log()


def test_nobody_there(lab, server):
    ends(lab, UNREACHABLE, free_port(), ca=server.ca)


def test_somebody_else_there(lab, server):
    with services.Service(services.echo) as other:
        ends(lab, UNREACHABLE, other.port, ca=server.ca)


def test_a_name_that_is_none(lab, server):
    ends(lab, UNREACHABLE, server, host="no-such-name.invalid")


@pytest.mark.parametrize("impl", ["c", "go16"])
def test_a_wrong_secret(lab, impl):
    server = lab.server(impl=impl)
    ends(lab, REJECTED, server, secret="not the secret of that server")


@pytest.mark.parametrize("impl", ["c", "go16"])
def test_a_port_that_somebody_has(lab, impl):
    with socket.create_server(("", 0)) as other:
        ends(lab, REJECTED, lab.server(impl=impl), remote_port=other.getsockname()[1])


def test_another_ca(lab, server, tmp_path):
    (tmp_path / "other").mkdir()
    ends(lab, REJECTED, server, ca=lab.server(cwd=tmp_path / "other").ca)


def test_the_old_wire_only(lab):
    ends(lab, REJECTED, lab.server(impl="go16"), flags=("-legacy", "never"))


@pytest.mark.parametrize("flags", [("-local-target", "a:b:c"), ("-drain", "soon"), ("-ca", "missing.crt"),
                                   ("-no-such-flag",)], ids=lambda f: f[0])
def test_a_wrong_option_or_file(lab, server, flags):
    ends(lab, CONFIG, server, flags=flags)


@pytest.mark.parametrize("window", ["0", "1m"])
def test_what_was_up_once_comes_back(lab, echo, window):
    server = lab.server(listen=f"127.0.0.1:{free_port()}")
    client = lab.client(server, echo.port, flags=("-once", "-remote-port", free_port(), "-resume-window", window))
    assert works(client.port)
    server.kill()
    again = lab.server(listen=f"127.0.0.1:{server.port}")
    again.match("ready to forward")
    assert works(client.port)


def test_a_signal_is_no_failure(lab, server):
    """While the first attempt runs: somebody accepts, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = lab.client(silent.getsockname()[1], 1, ready=False, ca=server.ca, flags=("-once",))
        with silent.accept()[0]:
            client.kill(signal.SIGTERM)
            assert client.wait() == 0, client.log()
