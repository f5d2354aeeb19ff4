# SPDX-License-Identifier: MIT
"""Who has authenticated is kept over a restart of the server, in certs/known, and what a spoiled file does."""

import os
import signal
import socket
import subprocess
import time

import pytest

from lib import wire
from lib.hellos import hello, hold
from lib.procs import SANDBOX, wait_for
from test_cage import NOBODY, chown_all

OURS = "127.18.9.1"
ROOT = os.geteuid() == 0
PACE = ("-handshakes", "10000,10000")  # nobody waits for his turn


def comes_in(server, source=OURS):
    with wire.dial(server.port, server.ca, source=(source, 0), timeout=60) as w:
        w.login(server.secret)


def has_ended(s):
    s.settimeout(0.1)
    try:
        while s.recv(65536):
            pass
    except socket.timeout:
        return False
    except OSError:
        pass
    return True


def is_known(server):
    """Of five connections from there none is dropped for a crowd of strangers that fills all their places: from one
    that is a stranger, too, they would be the first, being most of one source."""
    text, began = hello(server.ca), time.monotonic()
    ours = [hold(server, OURS, text) for _ in range(5)]
    crowd = [hold(server, f"127.18.{i % 5 + 1}.{i // 5 + 1}", text) for i in range(250)]  # for 192 places
    wait_for("strangers to be dropped", lambda: server.log().count("event=limit src=127.18.") >= 10)
    comes_in(server)
    ended = [has_ended(s) for s in ours]
    assert time.monotonic() - began < 9, "too slow to tell: after 10 s everybody is closed"
    for s in [*ours, *crowd]:
        s.close()
    assert len(set(ended)) == 1 or f"event=limit src={OURS} " in server.log()
    return not any(ended)


def kept(lab):
    return lab.path / "certs/known"


def end(server, how):
    server.kill(how)
    if how == signal.SIGTERM:
        assert server.wait() == 0


@pytest.mark.patient
@pytest.mark.parametrize("how,user", [
    (signal.SIGTERM, None), (signal.SIGKILL, None),
    pytest.param(signal.SIGTERM, NOBODY, marks=pytest.mark.skipif(not ROOT or SANDBOX != "require", reason="needs root and the cage")),
], ids=["stopped", "killed", "as another user"])
def test_a_known_source_is_known_after_a_restart(lab, how, user):
    if user:
        lab.server().stop()
        chown_all(lab.path / "certs", user)
    server = lab.server(flags=PACE)
    comes_in(server)
    wait_for("the file", lambda: kept(lab).exists())  # somebody new is written at once
    end(server, how)
    facts = kept(lab).stat()
    assert (facts.st_mode & 0o7777, facts.st_uid) == (0o600, user or os.geteuid())
    assert b"127.18" not in kept(lab).read_bytes() and socket.inet_aton(OURS) not in kept(lab).read_bytes()
    again = lab.server(flags=PACE)
    assert is_known(again)
    assert "stranger's until" not in again.log()


@pytest.mark.patient
def test_without_the_file_it_is_a_stranger(lab):
    """So that the test above would notice."""
    server = lab.server(flags=PACE)
    comes_in(server)
    end(server, signal.SIGTERM)
    kept(lab).unlink()
    assert not is_known(lab.server(flags=PACE))


@pytest.mark.parametrize("spoil,words", [
    (lambda p: p.write_bytes(p.read_bytes()[:-1]), "certs/known is damaged; it will be replaced"),
    (lambda p: p.write_bytes(b"GTKNOWN2" + p.read_bytes()[8:]), "certs/known is of another version; it will be replaced"),
    (lambda p: p.chmod(0o644), "certs/known is open to other users (mode 0644)"),
], ids=["cut", "newer", "open to all"])
def test_a_spoiled_file_is_said_once_and_replaced(lab, spoil, words):
    first = lab.server()
    comes_in(first)
    end(first, signal.SIGTERM)
    good = kept(lab).stat().st_size
    spoil(kept(lab))
    before = kept(lab).stat().st_ino
    server = lab.server()
    assert server.log().count("every address counts as a stranger's") == 1 and words in server.log()
    comes_in(server)
    wait_for("another file", lambda: kept(lab).stat().st_ino != before)
    end(server, signal.SIGTERM)
    assert (kept(lab).stat().st_size, kept(lab).stat().st_mode & 0o7777) == (good, 0o600)
    assert "stranger's" not in lab.server().log()


@pytest.mark.skipif(not ROOT, reason="needs root")
def test_a_folder_that_takes_nothing_is_one_line(lab):
    """Read-only from the start on: clients are served all the same."""
    lab.server().stop()
    certs = lab.path / "certs"
    if subprocess.run(["unshare", "-m", "mount", "--bind", certs, certs], capture_output=True).returncode:
        pytest.skip("no mounts of one's own here")
    mounted = ("unshare", "-m", "sh", "-c",
               f'mount --bind {certs} {certs} && mount -o remount,ro,bind {certs} && exec "$@"', "sh")
    server = lab.server(wrapper=mounted)
    comes_in(server)
    server.wait_log("who has authenticated cannot be kept over a restart: cannot write certs/known: Read-only file system")
    comes_in(server, "127.18.9.2")
    server.kill(signal.SIGTERM)
    assert server.wait() == 0
    assert server.log().count("cannot be kept over a restart") == 1
    assert not kept(lab).exists()
