# SPDX-License-Identifier: MIT
"""What the program does against its own end: secrets in memory, and the cage."""

import os
import re
import subprocess
import tempfile
from pathlib import Path

import pytest

from lib.procs import PROGRAM, SANITIZED, SECRET
from lib.services import connect

ROOT = os.geteuid() == 0
NOBODY = 65534
needs_root = pytest.mark.skipif(not ROOT, reason="looking into a process that forbids it needs root")


def works(port):
    with connect(port) as s:
        s.sendall(b"ping")
        return s.recv(4) == b"ping"


# ---- secrets in memory ----


def mappings(pid):
    """[(from, to, name, flags)] of a process."""
    found = []
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if m := re.match(r"([0-9a-f]+)-([0-9a-f]+) r\S+ \S+ \S+ \S+ *(.*)", line):
            found.append([int(m[1], 16), int(m[2], 16), m[3], ()])
        elif re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            found.append([0, 0, "", ()])  # nobody can read it
        elif line.startswith("VmFlags:"):
            found[-1][3] = line.split()[1:]
    return [m for m in found if m[1] > 0 and m[2] not in ("[vvar]", "[vsyscall]", "[vvar_vclock]")]


def places(pid, secret):
    """The mappings that hold these bytes, with their flags."""
    found = []
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for start, end, name, flags in mappings(pid):
            memory.seek(start)
            try:
                if secret in memory.read(end - start):
                    found.append((name, flags))
            except OSError:
                pass  # no page behind it
    return found


def private_number(key):
    """The secret number of an EC key file, as it lies in memory."""
    text = subprocess.run(["openssl", "ec", "-in", key, "-text", "-noout"], check=True, capture_output=True, text=True)
    digits = re.search(r"priv:\s*([0-9a-f:\s]+)pub:", text.stdout)[1]
    return bytes.fromhex(re.sub(r"[:\s]", "", digits))[-32:][::-1]


@needs_root
@pytest.mark.skipif(SANITIZED, reason="sanitizers keep what was freed")
@pytest.mark.parametrize("how", ["argument", "file", "environment"])
def test_secrets_lie_in_locked_pages_that_are_not_dumped(lab, echo, how):
    path = lab.path / "secret"
    path.write_text(SECRET + "\n")
    path.chmod(0o600)
    given = {"argument": ("-secret", SECRET), "file": ("-secret-file", path), "environment": ()}[how]
    env = {"GOTUNNEL_SECRET": SECRET if how == "environment" else None}
    server = lab.server(secret=None, flags=given, env=env)
    client = lab.start("client", PROGRAM, "client", "-server", f"127.0.0.1:{server.port}", "-ca", server.ca, *given,
                       "-remote-port", "0", "-local-target", f"127.0.0.1:{echo.port}", env=env)
    assert works(lab.port_of(client))
    key = private_number(lab.path / "certs/server.key")
    for process, what in [(server, SECRET.encode()), (client, SECRET.encode()), (server, key)]:
        found = places(process.pid, what)
        assert found, "the test looks for the wrong bytes"
        assert all("lo" in flags and "dd" in flags for _, flags in found), (process.name, found)


@pytest.fixture
def stranger():
    """A directory of its own for the user `nobody`, who can reach it."""
    with tempfile.TemporaryDirectory(prefix="gotunnel-cage-") as path:
        os.chown(path, NOBODY, NOBODY)
        yield Path(path)


def as_nobody(*command):
    return ("setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups", *command)


@needs_root
def test_nobody_looks_into_the_process(lab, stranger):
    """Not even another process of the same user: the kernel gives what is in /proc to root."""
    server = lab.server(wrapper=as_nobody(), cwd=stranger)
    for name in ("environ", "mem"):
        assert os.stat(f"/proc/{server.pid}/{name}").st_uid == 0
        done = subprocess.run(as_nobody("head", "-c1", f"/proc/{server.pid}/{name}"), capture_output=True, text=True)
        assert done.returncode != 0 and "ermission" in done.stderr


def test_a_secret_in_argv_is_warned_of_once(lab, echo):
    tunnel = lab.tunnel(echo.port)
    assert works(tunnel.port)
    for process in (tunnel.server, tunnel.client):
        assert process.log().count("-secret: ") == 1
        assert SECRET.encode() not in Path(f"/proc/{process.pid}/cmdline").read_bytes()
    path = lab.path / "secret"
    path.write_text(SECRET)
    path.chmod(0o600)
    assert "-secret: " not in lab.server(secret=None, flags=("-secret-file", path)).log()
