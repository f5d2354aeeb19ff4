# SPDX-License-Identifier: MIT
"""What the program does against its own end: secrets in memory, and the cage."""

import os
import random
import re
import signal
import socket
import struct
import subprocess
import tempfile
import threading
from pathlib import Path

import pytest

from lib.procs import LANDLOCK, PROGRAM, SANDBOX, SANITIZED, SECRET, wait_for
from lib.services import free_port, works
from test_clock import FAKETIME, Clock

ROOT = os.geteuid() == 0
NOBODY = 65534
caged = pytest.mark.skipif(SANDBOX != "require", reason=f"-sandbox {SANDBOX} here")
needs_root = pytest.mark.skipif(not ROOT, reason="looking into a process that forbids it needs root")


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
        process.wait_count("-secret: ", 1)
        assert SECRET.encode() not in Path(f"/proc/{process.pid}/cmdline").read_bytes()
    path = lab.path / "secret"
    path.write_text(SECRET)
    path.chmod(0o600)
    quiet = lab.server(secret=None, flags=("-secret-file", path))
    assert quiet.stop() == []
    assert "-secret: " not in quiet.log()


# ---- the cage ----


def tasks(process):
    """/proc/PID/task/TID/status of each thread, as dictionaries."""
    return [dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
            for text in process.tasks("status").values()]


def chown_all(path, uid):
    for each in [path, *path.rglob("*")]:
        os.chown(each, uid, uid)


@caged
def test_all_threads_are_in_it_with_one_line(lab, echo):
    server = lab.server(threads=3)
    client = lab.client(server, echo.port, host="localhost")
    assert works(client.port)
    for process, capabilities in [(server, 1 << 10), (client, 0)]:
        process.wait_count("sandbox: ", 1)
        for task in tasks(process):
            assert (task["NoNewPrivs"], task["Seccomp"]) == ("1", "2"), task["Name"]
            assert int(task["CapPrm"], 16) == (capabilities if ROOT else 0), task["Name"]
            assert int(task["CapEff"], 16) == (capabilities if ROOT else 0), task["Name"]
            assert int(task["CapAmb"], 16) == int(task["CapInh"], 16) == 0
            assert not ROOT or int(task["CapBnd"], 16) == capabilities
    client.kill(signal.SIGUSR1)
    client.wait_log("status: 1 session,")
    assert server.stop() == client.stop() == []


def test_off_is_off(lab):
    server = lab.server(flags=("-sandbox", "off"))
    server.wait_log("sandbox: off")
    assert all((task["NoNewPrivs"], task["Seccomp"]) == ("0", "0") for task in tasks(server))


WITHOUT_LANDLOCK = """
import ctypes, os, struct, sys
code = [(0x20, 0, 0, 0), (0x15, 0, 1, 444), (6, 0, 0, 0x50000 | 38), (6, 0, 0, 0x7fff0000)]
text = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *c) for c in code))
program = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(code), ctypes.addressof(text)))
libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, program) == 0
os.execv(sys.argv[1], sys.argv[1:])
"""


@caged
def test_where_a_layer_is_missing(lab, echo):
    old = ("python3", "-c", WITHOUT_LANDLOCK)
    done = lab.run("server", "-secret", SECRET, "-listen", "127.0.0.1:0", "-sandbox", "require", wrapper=old)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith(
        "-sandbox require: not possible here: landlock (Function not implemented)")
    server = lab.server(wrapper=old, flags=("-sandbox", "auto"))
    server.wait_log("no_new_privs, seccomp; not possible here: landlock")
    assert works(lab.client(server, echo.port).port)


@caged
@needs_root
def test_root_becomes_the_owner_of_the_state(lab, echo):
    """And can still open a port below 1024, and renew its certificate."""
    if not FAKETIME:
        pytest.skip("faketime is not installed")
    clock = Clock(lab, -1000)
    lab.server(env=clock.env).stop()
    chown_all(lab.path / "certs", NOBODY)
    (lab.path / "state/gotunnel").mkdir(parents=True)
    chown_all(lab.path / "state/gotunnel", NOBODY)
    server = lab.server(env=clock.env)
    clock.set(0)
    port = random.randrange(600, 1000)
    client = lab.client(server, echo.port, remote_port=port)
    assert client.port == port and works(port)
    server.wait_log("the server certificate was renewed.")
    assert (lab.path / "certs/server.crt").stat().st_uid == NOBODY
    for process in (server, client):
        assert {task["Uid"] for task in tasks(process)} == {"\t".join([str(NOBODY)] * 4)}
        assert {task["Groups"].strip() for task in tasks(process)} == {""}


@caged
@pytest.mark.skipif(LANDLOCK < 4, reason="this kernel's landlock has no rules for ports")
def test_ports_of_allow_ports_are_opened(lab, echo):
    port = free_port()
    server = lab.server(flags=("-allow-ports", f"{port},0"))
    server.wait_log("connect, bind)")
    assert works(lab.client(server, echo.port, remote_port=port, flags=("-id", "a")).port)
    assert works(lab.client(server, echo.port, remote_port=0, flags=("-id", "b")).port)


# ---- names ----


class NameServer:
    """Answers 127.0.0.1 to every question, by UDP and TCP, at an address of its own."""

    def __init__(self, truncated=False):
        self.address = f"127.{random.randrange(1, 250)}.{random.randrange(1, 250)}.{random.randrange(1, 250)}"
        self.truncated = truncated
        self.asked = {"udp": 0, "tcp": 0}
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((self.address, 53))
        self.tcp = socket.create_server((self.address, 53))
        for serve in (self._serve_udp, self._serve_tcp):
            threading.Thread(target=serve, daemon=True).start()

    @staticmethod
    def answer(query, flags, empty):
        end = query.index(b"\0", 12) + 5
        is_a = query[end - 4:end - 2] == b"\0\x01"
        found = 0 if empty or not is_a else 1
        head = query[:2] + struct.pack(">HHHHH", flags, 1, found, 0, 0)
        record = b"\xc0\x0c\0\x01\0\x01\0\0\0\0\0\x04" + socket.inet_aton("127.0.0.1")
        return head + query[12:end] + record * found

    def _serve_udp(self):
        while True:
            try:
                query, peer = self.udp.recvfrom(4096)
                self.asked["udp"] += 1
                self.udp.sendto(self.answer(query, 0x8380 if self.truncated else 0x8180, self.truncated), peer)
            except OSError:
                return  # it is closed

    def _serve_tcp(self):
        while True:
            try:
                s, _ = self.tcp.accept()
            except OSError:
                return
            with s, s.makefile("rb") as f:
                while head := f.read(2):
                    self.asked["tcp"] += 1
                    answer = self.answer(f.read(struct.unpack(">H", head)[0]), 0x8180, False)
                    s.sendall(struct.pack(">H", len(answer)) + answer)

    def close(self):
        self.udp.close()
        self.tcp.close()


class Etc:
    """An /etc for one program: the wrapper gives it to it."""

    def __init__(self, path):
        self.path = path / "etc"
        self.path.mkdir(mode=0o755)
        (self.path / "nsswitch.conf").write_text("hosts: files dns\n")
        (self.path / "hosts").write_text("127.0.0.1 localhost\n")
        (self.path / "passwd").write_text("root:x:0:0::/:/bin/sh\n")
        self.wrapper = ("unshare", "-m", "sh", "-c", 'mount --bind "$0" /etc && exec "$@"', self.path)

    def ask(self, *servers):
        """Another resolv.conf in the place of the one that is there."""
        new = self.path / "resolv.conf.new"
        new.write_text("".join(f"nameserver {s.address}\n" for s in servers))
        new.chmod(0o644)
        new.rename(self.path / "resolv.conf")


@caged
@needs_root
def test_a_truncated_answer_is_asked_for_by_tcp(lab, echo):
    etc, names = Etc(lab.path), NameServer(truncated=True)
    etc.ask(names)
    server = lab.server()
    client = lab.client(server, echo.port, host="tunnel.test", wrapper=etc.wrapper)
    assert works(client.port)
    assert names.asked["tcp"] > 0
    names.close()


@caged
@needs_root
@pytest.mark.parametrize("user", [0, NOBODY])
def test_a_resolv_conf_that_is_replaced_counts(lab, echo, user):
    etc, first, second = Etc(lab.path), NameServer(), NameServer()
    (lab.path / "state/gotunnel").mkdir(parents=True)
    chown_all(lab.path / "state/gotunnel", user)
    etc.ask(first)
    server = lab.server()
    client = lab.client(server, echo.port, host="tunnel.test", wrapper=etc.wrapper)
    assert works(client.port) and first.asked["udp"] > 0
    assert {task["Uid"].split()[0] for task in tasks(client)} == {str(user)}
    etc.ask(second)
    server.kill()
    wait_for("the new server to be asked", lambda: second.asked["udp"] > 0)
    first.close()
    second.close()
