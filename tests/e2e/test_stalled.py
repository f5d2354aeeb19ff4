# SPDX-License-Identifier: MIT
"""Users who ask and do not read: what waits for them is bounded, and others go on."""

import os
import shutil
import socket
import subprocess
import time

import pytest

from lib import services
from lib.procs import SANITIZED, wait_for
from lib.services import read_exactly

pytestmark = pytest.mark.patient

SIZE = 1 << 20
MANY = 150
MEMORY_KIB = 16 << 10
KERNEL_USERS = 200
SHORT_USERS = 30
SHORT_KEPT = 16  # fewer are not what a kernel is short of memory for
SHORT_UNREAD = 16 << 10
KERNEL_BYTES = 48 << 10  # 16 KB, and what is in flight
DATA = bytes(i * 7 % 251 for i in range(1 << 16)) * (SIZE >> 16)


def gives_a_megabyte(s):
    s.sendall(DATA)
    s.recv(1)


def stalled(port, source):
    """A user with a small receive buffer, who has asked and does not read."""
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    s.bind((source, 0))
    s.settimeout(30)
    s.connect(("127.0.0.1", port))
    return s


def is_reset(s):
    s.setblocking(False)
    try:
        return not s.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True


def test_users_who_do_not_read_cost_what_memory_allows(lab):
    """150 of one source, 38 MB: the source pays with its own; another's stalled user keeps every byte."""
    with services.Service(gives_a_megabyte) as service:
        server = lab.server(flags=("-memory", "16M"), threads=1)
        client = lab.client(server, service.port)
        other = stalled(client.port, "127.0.0.3")
        time.sleep(0.5)
        before = server.status("RssAnon")
        users = [stalled(client.port, "127.0.0.2") for _ in range(MANY)]
        wait_for("a reader to be cut", lambda: "readers that stand still" in server.log())
        wait_for("the kernel to hold what it takes", lambda: not grows(server))
        if not SANITIZED:
            assert server.status("RssAnon") - before < MEMORY_KIB + 8192
        # whoever was cut has been served in part: bytes may be unread in front of the reset
        assert server.log().count("readers that stand still") == 1
        with services.connect(client.port) as s:
            assert read_exactly(s, SIZE) == DATA
        assert read_exactly(other, SIZE) == DATA
        for s in [*users, other]:
            s.close()
        wait_for("the memory back", lambda: SANITIZED or server.status("RssAnon") - before < MEMORY_KIB // 2)


def grows(server):
    first = server.status("VmRSS")
    time.sleep(0.5)
    return server.status("VmRSS") > first + 1024


def held_by_the_kernel(port):
    """Bytes that wait in the kernel, of each connection of the public port."""
    rows = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        if os.path.exists(table):
            with open(table, encoding="ascii") as lines:
                rows += [line.split() for line in lines][1:]
    return [int(row[4].split(":")[0], 16) for row in rows if row[3] == "01" and int(row[1].split(":")[1], 16) == port]


def test_the_kernel_holds_little_for_users_who_do_not_read(lab):
    """And who reads after all has every byte."""
    with services.Service(gives_a_megabyte) as service:
        server = lab.server(threads=1)
        client = lab.client(server, service.port)
        users = [stalled(client.port, f"127.0.0.{2 + i % 8}") for i in range(KERNEL_USERS)]
        wait_for("all to stand still", lambda: len([n for n in held_by_the_kernel(client.port) if n > 0]) == KERNEL_USERS)
        wait_for("the windows to be full", lambda: not grows(server))
        held = held_by_the_kernel(client.port)
        assert len(held) == KERNEL_USERS and sum(held) < KERNEL_USERS * KERNEL_BYTES
        for s in users[::KERNEL_USERS // 4]:
            assert read_exactly(s, SIZE) == DATA
        for s in users:
            s.close()


def unread_of(service):
    """Bytes that lie in the kernel in front of the client, of each connection to the service."""
    with open("/proc/net/tcp", encoding="ascii") as lines:
        rows = [line.split() for line in lines][1:]
    return [int(row[4].split(":")[1], 16) for row in rows
            if row[3] == "01" and int(row[2].split(":")[1], 16) == service.port]


def stand_still(service):
    return sum(n >= SHORT_UNREAD for n in unread_of(service))


class Kernel:
    """What a program is told of the kernel's memory for TCP, in place of the truth."""

    def __init__(self, path):
        if not shutil.which("unshare") or subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
            pytest.skip("no rights to make a mount namespace")
        path.mkdir()
        self.table = path / "protocols"
        self.is_short(False)
        self.wrapper = ("unshare", "-m", "sh", "-c", 'mount --bind "$0" /proc/$$/net && exec "$@"', path)

    def is_short(self, yes):
        self.table.write_text(f"protocol  size sockets  memory press\nTCP  2304  100  1000  {'yes' if yes else 'no'}  192\n")


def test_a_kernel_short_of_memory_costs_those_who_stand_still(lab):
    """Not those who read, and not the last few: others may have what the kernel is short of."""
    kernel = Kernel(lab.path / "net")

    def reads():
        with services.connect(client.port) as s:
            return read_exactly(s, SIZE) == DATA

    with services.Service(gives_a_megabyte) as service:
        server = lab.server(threads=1)
        client = lab.client(server, service.port, wrapper=kernel.wrapper)
        users = [stalled(client.port, f"127.0.0.{2 + i % 8}") for i in range(SHORT_USERS)]
        wait_for("all to stand still", lambda: stand_still(service) == SHORT_USERS)
        kernel.is_short(True)
        wait_for("those to be cut who are too many", lambda: reads() and stand_still(service) <= SHORT_KEPT)
        client.wait_log("the kernel is short of memory for TCP: ")
        assert reads() and reads()
        kernel.is_short(False)
        left = stand_still(service)
        assert left in (SHORT_KEPT, SHORT_KEPT - 1)  # a slow reader may be one of those who are left
        users += [stalled(client.port, "127.0.0.2") for i in range(SHORT_USERS)]
        wait_for("all to stand still again", lambda: reads() and stand_still(service) == left + SHORT_USERS)
        for s in users:
            s.close()
