# SPDX-License-Identifier: MIT
"""A server whose clock is wrong, and is set right (or wrong) while it runs."""

import datetime
import glob
import signal
import subprocess

import pytest

from lib.procs import PROGRAM, SANITIZED
from lib.services import connect, read_exactly
from lib.services import works as carries
from lib.site import opened

FAKETIME = sorted(glob.glob("/usr/lib*/*/faketime/libfaketime.so.1") + glob.glob("/usr/lib*/faketime/libfaketime.so.1"))
pytestmark = [
    pytest.mark.skipif(not FAKETIME, reason="faketime is not installed"),
    pytest.mark.skipif(SANITIZED, reason="a sanitizer wants to be loaded first"),
]


class Clock:
    """What time a server believes it is, in days from now. Its file lies where the cage lets the server read."""

    def __init__(self, lab, days):
        self.file = lab.path / "certs/clock"
        self.file.parent.mkdir(mode=0o700, exist_ok=True)
        self.set(days)
        self.env = {"LD_PRELOAD": FAKETIME[0], "FAKETIME_TIMESTAMP_FILE": str(self.file), "FAKETIME_NO_CACHE": "1",
                    "FAKETIME_DONT_FAKE_MONOTONIC": "1"}

    def set(self, days):
        new = self.file.with_suffix(".new")
        new.write_text(f"{days:+d}d\n")
        new.rename(self.file)


def works(client):
    with connect(client.port, 10) as s:
        s.sendall(b"ping")
        return read_exactly(s, 4) == b"ping"


def is_current(certificate):
    return subprocess.run(["openssl", "x509", "-in", certificate, "-noout", "-checkend", "0"],
                          stdout=subprocess.DEVNULL, check=False).returncode == 0


def test_a_server_first_started_1000_days_behind_heals_itself(lab, echo):
    clock = Clock(lab, -1000)
    server = lab.server(env=clock.env)
    assert not is_current(server.cwd / "certs/server.crt")
    clock.set(0)
    client = lab.client(server, echo.port)
    assert works(client)
    assert "has expired" not in client.log()  # not even the first attempt was refused
    server.wait_log("the server certificate was renewed.")
    assert is_current(server.cwd / "certs/server.crt")


def test_a_clock_that_goes_back_below_the_server_certificate(lab, echo):
    lab.server().stop()  # the CA is of today
    clock = Clock(lab, 1000)
    server = lab.server(env=clock.env)
    server.wait_log("the server certificate was renewed.")
    clock.set(0)
    client = lab.client(server, echo.port)
    assert works(client)
    assert "not yet valid" not in client.log()


def test_a_start_before_the_ca_heals_itself(lab, echo):
    lab.server().stop()  # the CA is of today
    clock = Clock(lab, -1000)
    server = lab.server(env=clock.env)
    server.wait_log("certs/ca.crt is not valid before")
    clock.set(0)
    client = lab.client(server, echo.port)
    assert works(client)
    server.wait_log("the CA certificate is valid again")


def test_a_ca_of_the_future_is_named_once_and_not_replaced(lab, echo):
    clock = Clock(lab, 1000)
    server = lab.server(env=clock.env)
    ca = server.ca.read_bytes()
    clock.set(0)
    client = lab.client(server, echo.port, ready=False)
    client.wait_log("not yet valid: is the clock of this machine right? it says 2")
    server.wait_log("no client can connect: certs/ca.crt is not valid before")
    for _ in range(3):
        lab.client(server, echo.port, ready=False).wait_log("not yet valid")
    assert server.log().count("no client can connect") == 1
    assert server.ca.read_bytes() == ca
    clock.set(1000)  # the clock was right, and is again
    lab.client(server, echo.port, ready=False)
    server.wait_log("the CA certificate is valid again")


@pytest.mark.long
def test_a_key_that_is_over_by_the_right_clock(lab, echo):
    """Server and clients are 1000 days behind; set right, a key that ended 500 days ago opens nothing within a minute, its
    session and tunnels are over, and another one's go on."""
    (lab.path / "clients").mkdir(mode=0o700)
    clock = Clock(lab, -1000)
    server = lab.server(env=clock.env)
    clients = {}
    for name, days in (("old", -500), ("new", 500)):
        until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)
        done = lab.run("clients", "add", name, "-state", lab.path, "-public", f"127.0.0.1:{server.port}", "-ports", "0-65535",
                       "-expires", until.strftime("%Y-%m-%dT%H:%M:%SZ"))
        assert done.returncode == 0, done.stderr
    server.kill(signal.SIGHUP)
    server.wait_count("clients with a key in", 2)
    for name in "old", "new":
        clients[name] = lab.start(name, PROGRAM, "join", (lab.path / f"{name}.join").read_text().strip(), f"a={echo.port}@0",
                                  f"b={echo.port}@0", "-sandbox", "off", env=clock.env)  # it reads the clock's file
        assert carries(opened(clients[name], "a"))
    clock.set(0)
    clients["old"].wait_log("the server does not take the key of client old", timeout=90)
    server.wait_log("session ended: its key was revoked")
    assert carries(opened(clients["new"], "a")) and "revoked" not in clients["new"].log()
