# SPDX-License-Identifier: MIT
"""Two hosts on one machine: network namespaces with a cable between them, which can be cut in every way.

    with netns.Hosts() as hosts:                 # skips the test where that needs rights that are missing
        lab.server(wrapper=hosts.server.wrapper, ...)
        hosts.cut("drop"); hosts.heal()

Names are of this process and number, and everything is removed at the end, whatever happens.
"""

import contextlib
import ctypes
import itertools
import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

CLONE_NEWNET = 0x40000000
PATH = os.environ["PATH"] + ":/usr/sbin:/sbin"
_numbers = itertools.count()
_libc = ctypes.CDLL(None, use_errno=True)

CHAIN = "add table inet cut; add chain inet cut {0} {{ type filter hook {1} priority -300; }}; add rule inet cut {0} "
IN, OUT = CHAIN.format("i", "input"), CHAIN.format("o", "output")

# What an nft script in the server's host does; PORT is the tunnel's, DEV the cable's end there.
RULES = {
    "drop": IN + "iifname DEV drop; " + OUT + "oifname DEV drop",
    "drop-up": IN + "iifname DEV drop",  # what the client says is lost
    "drop-down": OUT + "oifname DEV drop",
    "rst": IN + "tcp dport PORT reject with tcp reset",  # each segment is answered with RST
    "icmp": IN + "tcp dport PORT reject with icmp type host-unreachable",
}
KINDS = [*RULES, "link-down", "roam", "kill"]


def why_not():
    """The reason why namespaces cannot be had here, or None."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    for tool in ("ip", "nft", "ss"):
        if not shutil.which(tool, path=PATH):
            return f"{tool} is missing"
    probe = f"gtp{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", probe], capture_output=True, text=True,
                          env={**os.environ, "PATH": PATH})
    if made.returncode:
        return f"no network namespaces here: {made.stderr.strip()}"
    subprocess.run(["ip", "netns", "del", probe], check=False, env={**os.environ, "PATH": PATH})
    return None


def sh(*command, check=True):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=30,
                          env={**os.environ, "PATH": PATH})
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.stderr.strip()}")
    return done.stdout


class Host:
    def __init__(self, name, device, address):
        self.name, self.device, self.address = name, device, address
        self._etc = Path("/etc/netns", name)
        self.wrapper = (shutil.which("ip", path=PATH), "netns", "exec", name)

    def run(self, *command, check=True):
        return sh(*self.wrapper, *command, check=check)

    def ip(self, *args):
        return sh("ip", "-n", self.name, *args)

    def nft(self, script, check=True):
        return self.run("nft", script, check=check)

    @contextlib.contextmanager
    def inside(self):
        """This thread is in the host; sockets that it makes stay there."""
        with open("/proc/thread-self/ns/net") as here, open(f"/run/netns/{self.name}") as there:
            _setns(there)
            try:
                yield
            finally:
                _setns(here)

    def names(self, *lines):
        """What programs in this host find in /etc/hosts, those that are started after the first call; again: for
        those that run as well."""
        self._etc.mkdir(parents=True, exist_ok=True)
        (self._etc / "nsswitch.conf").write_text("hosts: files\n")
        (self._etc / "hosts").write_text("\n".join(["127.0.0.1 localhost", *lines, ""]))

    def forget_names(self):
        shutil.rmtree(self._etc, ignore_errors=True)

    def socket(self, family=socket.AF_INET):
        with self.inside():
            return socket.socket(family)


def _setns(file):
    if _libc.setns(file.fileno(), CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


class Hosts:
    """The server's host (10.77.0.1) and the client's (10.77.0.2)."""

    def __init__(self):
        if reason := why_not():
            pytest.skip(reason)
        tag = f"gt{os.getpid() % 100000}x{next(_numbers)}"
        self.server = Host(f"{tag}s", f"{tag}s", "10.77.0.1")
        self.client = Host(f"{tag}c", f"{tag}c", "10.77.0.2")
        self._addresses = itertools.cycle(["10.77.0.3", "10.77.0.2"])
        self._down = False
        try:
            self._up()
        except BaseException:
            self.close()
            raise

    def _up(self):
        s, c = self.server, self.client
        for host in (s, c):
            sh("ip", "netns", "add", host.name)
        sh("ip", "link", "add", s.device, "netns", s.name, "type", "veth", "peer", "name", c.device, "netns", c.name)
        for host in (s, c):
            host.ip("addr", "add", f"{host.address}/24", "dev", host.device)
            host.ip("link", "set", "lo", "up")
            host.ip("link", "set", host.device, "up")

    # ---- cuts ----

    def cut(self, kind, port):
        """One of KINDS; port is the tunnel's. `roam` and `kill` are over at once."""
        if kind in RULES:
            self.server.nft(RULES[kind].replace("PORT", str(port)).replace("DEV", self.server.device))
        elif kind == "link-down":
            self.server.ip("link", "set", self.server.device, "down")
            self._down = True
        elif kind == "roam":
            self.roam()
        else:
            self.kill_connections(port)

    def heal(self):
        self.server.nft("delete table inet cut", check=False)
        if self._down:
            self.server.ip("link", "set", self.server.device, "up")
            self._down = False

    def roam(self):
        """The client's address changes; its old one is nobody's."""
        old, self.client.address = self.client.address, next(self._addresses)
        self.client.ip("addr", "del", f"{old}/24", "dev", self.client.device)
        self.client.ip("addr", "add", f"{self.client.address}/24", "dev", self.client.device)

    def kill_connections(self, port):
        """Both ends of the tunnel's connections get an error from their kernels."""
        self.client.run("ss", "-K", "dst", self.server.address, "dport", "=", str(port))

    def close(self):
        for host in (self.server, self.client):
            sh("ip", "netns", "del", host.name, check=False)
            host.forget_names()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
